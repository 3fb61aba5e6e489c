import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from side_by_side_images import Pair
from suggest_side_by_side import Judged, first_labeled, simulate, with_random, with_suggested

ROWS = [100 + number for number in range(30)]
CLASS = {row: row % 3 for row in ROWS}


def pair(seed: int = 0) -> Pair:
    labeled, unlabeled, pool = ROWS[:6], ROWS[6:], [7, 8]
    labels, truth = ([CLASS[row] for row in rows] for rows in (labeled, unlabeled))
    measured = ([0, 1, 2], [0, 1, 2], [3, 4, 5], [0, 1, 2])
    return Pair("set", 0, seed, 3, labeled, labels, unlabeled + pool, truth, *measured)


def test_each_class_has_as_many_labels_at_the_beginning_and_none_is_lost():
    first = first_labeled(pair(), start=2)
    assert sorted(first.labels) == [0, 0, 1, 1, 2, 2]
    assert sorted(first.labeled + first.unlabeled) == ROWS, "images whose class nobody knows are left out"
    assert all(CLASS[row] == label for row, label in zip(first.labeled + first.unlabeled, first.labels + first.truth))
    assert first.labeled != first_labeled(pair(seed=1), start=2).labeled


def test_one_way_takes_those_on_which_the_students_disagree_and_the_other_any():
    first = first_labeled(pair(), start=2)
    count = len(first.unlabeled)
    opinions = [np.tile([0.8, 0.1, 0.1], (count, 1)) for _ in range(2)]
    doubtful = [3, 11, 17]
    opinions[1][doubtful] = [0.1, 0.8, 0.1]
    features = torch.eye(count)
    pool = [Judged(torch.from_numpy(each), features) for each in opinions]
    suggested, random = with_suggested(first, pool, count=3, seed=1), with_random(first, count=3, seed=1)
    assert sorted(suggested.labeled[6:]) == sorted(first.unlabeled[place] for place in doubtful)
    assert len(random.labeled) == len(suggested.labeled) == 9
    assert all(CLASS[row] == label for row, label in zip(suggested.labeled, suggested.labels))


@pytest.mark.slow
def test_each_round_of_each_way_is_measured(tmp_path):
    images = torch.randint(0, 256, (130, 32, 32), dtype=torch.uint8)
    pairs = [vars(pair(seed)) for seed in range(2)]
    torch.save({"images": images, "pairs": pairs}, tmp_path / "images.pt")
    torch.save(timm.create_model("tf_efficientnet_lite2", in_chans=3).state_dict(), tmp_path / "teacher.pt")
    simulate(
        str(tmp_path / "out.csv"), teacher_weights=str(tmp_path / "teacher.pt"), seeds=1, steps=2, rounds=2, count=4,
        start=2, images=str(tmp_path / "images.pt"),
        sets="set",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "out.csv")
    expected = [[way, number, 6 + 4 * number] for number in range(3) for way in ("suggest", "random")]
    assert table[["way", "round", "labels"]].to_numpy().tolist() == expected
    measured = table["test_balanced_accuracy"]
    assert measured[0] == measured[1], "both begin with the same training"
    assert measured.between(0, 1).all()
