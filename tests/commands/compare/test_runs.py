from __future__ import annotations

import json

from dwskd_monai.commands.compare.methods import read_methods
from dwskd_monai.commands.compare.runs import Run, measured_runs
from dwskd_monai.commands.compare.tuning import TUNING_SEED, best_rates, tuning_runs

METHODS = read_methods()
SELECTION = METHODS["selection"]
TEACHER = METHODS["teacher"]
PROBE = METHODS["probe_knn"]


def test_a_grid_has_each_combination_once_and_whole_pairs_first():
    runs = measured_runs([SELECTION, TEACHER], [1.0, 0.1], range(2), [0, 5])
    assert len(set(runs)) == len(runs) == 2 * 2 * 2 * 2
    assert [run.method.name for run in runs[:2]] == ["selection", "teacher"]
    assert [run.seed for run in runs] == [0] * 8 + [5] * 8
    assert len({run.folder for run in runs}) == len(runs)


def test_each_method_that_learns_tries_the_same_rates_on_a_seed_that_is_not_measured():
    runs = measured_runs([SELECTION, TEACHER, PROBE], [1.0, 0.1], range(2), [0, 1])
    tuning = tuning_runs(runs, [0.1, 0.2, 0.3])
    assert len(set(tuning)) == len({run.folder for run in tuning}) == 2 * 2 * 3
    assert {(run.seed, run.fold, run.tuning) for run in tuning} == {(TUNING_SEED, 0, True)}
    assert not {run.folder for run in tuning} & {run.folder for run in runs}
    assert {run.method.name for run in tuning} == {"selection", "teacher"}


def test_the_rate_with_the_best_validation_is_taken_and_failed_ones_are_left_out(tmp_path):
    tuning = tuning_runs([Run(SELECTION, 1.0, 0, 0), Run(SELECTION, 0.1, 0, 0)], [0.1, 0.2, 0.3])
    metrics = {(1.0, 0.1): 0.5, (1.0, 0.2): 0.7, (1.0, 0.3): 0.7, (0.1, 0.1): 0.4}
    for run in tuning:
        if (run.fraction, run.learning_rate) in metrics:
            path = tmp_path / run.folder / "result.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"balanced_accuracy": metrics[run.fraction, run.learning_rate]}))
    best = best_rates(tuning, tmp_path)
    assert {key: run.learning_rate for key, run in best.items()} == {("selection", 1.0): 0.2, ("selection", 0.1): 0.1}
