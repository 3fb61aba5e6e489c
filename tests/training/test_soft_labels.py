"""Soft labels: made once by the networks, learned by main, which starts again from its first weights."""

from __future__ import annotations

import copy
import logging
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Accuracy
from monai.data import DataLoader
from monai.data.utils import set_rnd
from monai.inferers import SimpleInferer
from monai.transforms import Randomizable
from torch import nn
from torch.utils.data import Dataset

from dwskd_monai.training import (
    BatchEnsembled,
    BestModelSaver,
    DualStudentTrainer,
    EpochSeedHandler,
    SelfDistillationLoss,
    SoftenedKL,
    SoftLabelHandler,
    SoftLabels,
    SoftlyLabeledSlices,
    StudentOutput,
    TrainingStateHandler,
)
from dwskd_monai.training.soft_labels import with_prior
from dwskd_monai.training.softly_labeled import NO_LABEL, SOFT_LABEL, from_labeled
from tests.training.test_trainer import Student, assert_same, make_trainer

LABELS = [0, 1, 2, 0, 1, 0]


class Slices(Dataset):
    """Images (1, 2, 2); the number of slices of each one is given, and how often an epoch goes through them."""

    def __init__(self, counts: list[int], labels: list[int] | None = None, times: int = 1, first: int = 0) -> None:
        self.names = [str(first + place) for place in range(len(counts))]
        self.data = [{"label": "a name"} for _ in counts]
        self._labels = labels
        self._places = [place for place, count in enumerate(counts) for _ in range(count)] * times
        self._first = first
        self.times = times

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, object]:
        place = self._places[index]
        generator = torch.Generator().manual_seed(self._first + place)
        label = {} if self._labels is None else {"label": self._labels[place]}
        return {"image": torch.randn(1, 2, 2, generator=generator), "index": index, **label}

    def places(self) -> list[int]:
        return self._places

    def labels(self) -> list[int | None]:
        return [None] * len(self.data) if self._labels is None else list(self._labels)

    def contents(self) -> list[tuple[str, int | None]]:
        return [(name, None) for name in self.names]


def make_slices(times: int = 2) -> SoftlyLabeledSlices:
    return SoftlyLabeledSlices(Slices([1] * 6, LABELS, times), Slices([3, 1, 2, 2], first=100), labeled_share=0.25)


@pytest.mark.parametrize("share", [0, 1.5, 1])
def test_a_share_that_leaves_out_all_labeled_or_all_unlabeled_images_is_refused(share):
    with pytest.raises(ValueError, match="labeled_share"):
        SoftlyLabeledSlices(Slices([1] * 6, LABELS), Slices([2], first=100), labeled_share=share)
    if share == 1:
        SoftlyLabeledSlices(Slices([1] * 6, LABELS), labeled_share=share)


def test_before_there_are_soft_labels_an_epoch_is_that_of_the_labeled_images():
    slices = make_slices()
    assert len(slices) == 12
    assert [slices[index]["label"] for index in range(12)] == LABELS * 2
    assert SOFT_LABEL not in slices[0]


def test_then_it_has_as_many_items_a_share_of_them_with_labels_and_each_with_its_soft_label():
    slices = make_slices().set_random_state(0)
    slices.soft_labels = torch.arange(30, dtype=torch.float32).reshape(10, 3)
    seen: Counter[int] = Counter()
    without = 0
    for _ in range(300):
        for index in range(len(slices)):
            item = slices[index]
            place = int(item[SOFT_LABEL][0]) // 3
            seen[place] += 1
            without += item["label"] == NO_LABEL
            assert item["label"] == (LABELS[place] if place < 6 else NO_LABEL)
            first = place if place < 6 else 100 + place - 6
            expected = torch.randn(1, 2, 2, generator=torch.Generator().manual_seed(first))
            assert torch.equal(item["image"], expected), "the soft label is that of the image"
    drawn = 300 * 12
    assert without / drawn == pytest.approx(0.75 * 8 / 14, abs=0.03), "8 of the 14 slices have no label"
    assert seen[6] / seen[7] == pytest.approx(3, rel=0.2), "3 slices to 1"
    assert max(seen[place] for place in range(6)) / min(seen[place] for place in range(6)) < 1.3


def test_every_slice_is_labeled_once_however_often_an_epoch_sees_it():
    every = make_slices(times=5).every_slice
    assert [every[index]["place"] for index in range(len(every))] == [0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 8, 9, 9]
    assert every.images == 10
    one_image = SoftlyLabeledSlices(Slices([2], [0], times=3)).every_slice
    assert (len(one_image), one_image.images) == (2, 1)


def test_draws_are_seeded_and_differ_between_workers():
    slices = make_slices(times=20)
    slices.soft_labels = torch.zeros(10, 3)

    def labels(seed: int) -> list[int]:
        slices.set_random_state(seed)
        return [slices[index]["label"] for index in range(len(slices))]

    assert labels(1) == labels(1) != labels(2)
    torch.manual_seed(0)
    halves = [batch["label"].tolist() for batch in DataLoader(slices, batch_size=60, num_workers=2)]
    assert halves[0] != halves[1]


def test_labeled_slices_are_seeded_as_if_they_were_alone():
    class Drawing(Randomizable, Slices):
        def __getitem__(self, index: int) -> dict[str, object]:
            return {**super().__getitem__(index), "drawn": self.R.random_sample()}

    alone, within = Drawing([1] * 6, LABELS), SoftlyLabeledSlices(Drawing([1] * 6, LABELS), Drawing([2], first=100))
    set_rnd(alone, 5)
    set_rnd(within, 5)
    assert [alone[index]["drawn"] for index in range(6)] == [within[index]["drawn"] for index in range(6)]
    assert within.unlabeled[0]["drawn"] != alone[0]["drawn"]


def test_metrics_see_the_images_with_labels_also_if_there_are_none():
    batch = [{"pred": torch.tensor([1.0, 0.0]), "label": torch.tensor(label)} for label in (0, NO_LABEL, 1)]
    predictions, labels = from_labeled(["pred", "label"])(batch)
    assert (len(predictions), [int(label) for label in labels]) == (2, [0, 1])
    accuracy = Accuracy(output_transform=from_labeled(["pred", "label"]))
    engine = Engine(lambda engine, output: output)
    accuracy.attach(engine, "accuracy")
    engine.run([batch, [batch[1]], batch[:1]])
    assert engine.state.metrics["accuracy"] == pytest.approx(2 / 3)


def test_the_best_network_of_a_training_that_starts_again_is_one_of_its_last_epochs(tmp_path):
    saver = BestModelSaver(tmp_path / "model.pt")
    network = Student()

    def validated(epoch: int, value: float) -> None:
        state = SimpleNamespace(key_metric_name="accuracy", metrics={"accuracy": value}, epoch=epoch)
        saver(SimpleNamespace(state=state, network=network))

    validated(0, 0.2)  # the network that is served
    validated(1, 0.9)
    first = (tmp_path / "model.pt").read_bytes()
    saver.forget()
    nn.init.zeros_(network.fc.weight)
    validated(2, 0.2)
    assert (saver.best_epoch, saver.best_metric) == (1, 0.9), "the next one is no better than what is served"
    assert (tmp_path / "model.pt").read_bytes() == first
    restored = BestModelSaver(tmp_path / "model.pt")
    restored.load_state_dict(saver.state_dict())
    saver = restored
    validated(3, 0.3)
    assert (saver.best_epoch, saver.best_metric) == (3, 0.3)
    assert (tmp_path / "model.pt").read_bytes() != first


class Record:
    """Writes which weights it is of."""

    def file_of(self, weights: Path) -> Path:
        return weights.with_suffix(".yaml")

    def write(self, file: Path, weights: Path, best: dict, evidence: object) -> None:
        file.write_text(f"epoch {best['epoch']}")


def ended_after(epoch: int) -> SimpleNamespace:
    return SimpleNamespace(state=SimpleNamespace(epoch=epoch, max_epochs=4))


def test_the_copy_of_an_earlier_training_goes_when_another_one_saves_a_network(tmp_path):
    stale = [tmp_path / "model_before_restart.pt", tmp_path / "model_before_restart.yaml"]
    for file in stale:
        file.touch()
    saver = BestModelSaver(tmp_path / "model.pt", Record())
    state = SimpleNamespace(key_metric_name="accuracy", metrics={"accuracy": 0.5}, epoch=1)
    saver(SimpleNamespace(state=state, network=Student()))
    assert not any(file.exists() for file in stale)


def test_a_training_that_goes_on_in_another_folder_has_no_copy_there_and_says_no_place(tmp_path, caplog):
    saver = BestModelSaver(tmp_path / "model.pt", Record())
    saver.load_state_dict({"best_metric": 0.9, "best_epoch": 1, "least": -math.inf, "saved": True})  # an older state
    saver.forget()
    state = SimpleNamespace(key_metric_name="accuracy", metrics={"accuracy": 0.5}, epoch=3)
    saver(SimpleNamespace(state=state, network=Student()))
    saver.compare_with_forgotten(ended_after(4))
    (said,) = caplog.messages
    assert said.endswith(
        f"was better: 0.9000, and the best one after it 0.5000. The latter is in {tmp_path / 'model.pt'}"
    )


@pytest.mark.parametrize(("after", "kept"), [(0.6, True), (0.7, False), (0.9, False)])
def test_a_network_that_is_forgotten_and_was_better_is_kept_beside_and_said(tmp_path, caplog, after, kept):
    saver = BestModelSaver(tmp_path / "model.pt", Record())
    network = Student()

    def validated(epoch: int, value: float) -> None:
        nn.init.constant_(network.fc.bias, epoch)
        state = SimpleNamespace(key_metric_name="accuracy", metrics={"accuracy": value}, epoch=epoch)
        saver(SimpleNamespace(state=state, network=network))

    validated(1, 0.7)
    validated(2, 0.5)
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        saver.forget()
    before = tmp_path / "model_before_restart.pt"
    assert f"even if it is worse than that of epoch 1, which is kept in {before}" in caplog.text
    caplog.clear()
    validated(3, after)
    restored = BestModelSaver(tmp_path / "model.pt", Record())
    restored.load_state_dict(saver.state_dict())
    restored.compare_with_forgotten(ended_after(3))
    assert before.exists(), "the training may go on"
    restored.compare_with_forgotten(ended_after(4))
    assert torch.load(tmp_path / "model.pt")["fc.bias"][0] == 3
    assert (tmp_path / "model.yaml").read_text() == "epoch 3"
    assert before.exists() == before.with_suffix(".yaml").exists() == kept
    if kept:
        assert torch.load(before)["fc.bias"][0] == 1
        assert before.with_suffix(".yaml").read_text() == "epoch 1"
        assert "the network of epoch 1, before main started again, was better: 0.7000" in caplog.text
        assert str(before) in caplog.text
    else:
        assert not caplog.messages


def test_the_prior_is_that_of_the_formula():
    soft = torch.rand(50, 3).softmax(1)
    prior = torch.tensor([0.2, 0.3, 0.5])
    corrected = with_prior(soft, prior)
    expected = soft.numpy() * prior.numpy() / soft.numpy().mean(0)
    assert corrected.numpy() == pytest.approx(expected / expected.sum(1, keepdims=True), rel=1e-5)
    before, after = (np.abs(each.mean(0).numpy() - prior.numpy()).max() for each in (soft, corrected))
    assert after < before / 5
    assert torch.isfinite(with_prior(torch.tensor([[1.0, 0.0]]), torch.tensor([0.5, 0.5]))).all()


class Watch:
    """Calls a function when an epoch ends, at its place among the handlers."""

    def __init__(self, function: Callable[[DualStudentTrainer], None]) -> None:
        self.function = function

    def attach(self, engine: DualStudentTrainer) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.function)


class Training:
    """Four epochs, of which main learns soft labels in the last two."""

    def __init__(
        self, kind: str = "soft_labels", path: Path | None = None, resume: bool = False, max_epochs: int = 4, **options
    ) -> None:
        torch.manual_seed(3)
        self.slices = make_slices()
        self.main, self.peer = Student(), Student()
        self.first = copy.deepcopy(self.main)
        self.optimizer = torch.optim.AdamW([*self.main.parameters(), *self.peer.parameters()], lr=0.01)
        self.soft_labels = SoftLabels(self.slices, batch_size=4, **{"views": 1, **options})
        self.before: dict[int, list[nn.Module]] = {}
        self.after: dict[int, list[nn.Module]] = {}
        objects = {
            "network": self.main, "auxiliary_network": self.peer, "optimizer": self.optimizer,
            "soft_labels": self.soft_labels,
        }  # fmt: skip
        saving = [] if path is None else [TrainingStateHandler(path, objects, resume=resume)]
        self.loader = DataLoader(self.slices, batch_size=4, shuffle=True)
        self.objective = SelfDistillationLoss(term=SoftenedKL(2.0), weight=99.0, soft_label_weight=0.5)
        self.trainer = make_trainer(
            auxiliary=kind, max_epochs=max_epochs, network=self.main, auxiliary_network=self.peer,
            optimizer=self.optimizer, train_data_loader=self.loader, loss_function=self.objective, decollate=True,
            train_handlers=[
                EpochSeedHandler(0, self.slices), Watch(self.keep_in(self.before)), SoftLabelHandler(self.soft_labels),
                Watch(self.keep_in(self.after)), *saving,
            ],
        )  # fmt: skip

    def keep_in(self, place: dict[int, list[nn.Module]]) -> Callable[[DualStudentTrainer], None]:
        return lambda engine: place.update({engine.state.epoch: copy.deepcopy([self.main, self.peer])})


def probabilities(networks: list[nn.Module], slices: SoftlyLabeledSlices) -> torch.Tensor:
    """Mean over the networks, and over the slices of each image."""
    every = slices.every_slice
    images = torch.stack([every[index]["image"] for index in range(len(every))])
    places = torch.tensor([every[index]["place"] for index in range(len(every))])
    with torch.no_grad():
        each = torch.stack([network.eval()(images).softmax(1) for network in networks]).mean(0)
    return torch.stack([each[places == place].mean(0) for place in range(every.images)])


@pytest.mark.parametrize("match_classes", [True, False])
@pytest.mark.parametrize("kind", ["soft_labels", "teacher_soft_labels", "own_soft_labels"])
def test_networks_label_all_images_once(kind, match_classes, caplog):
    training = Training(kind, match_classes=match_classes, views=3)
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        training.trainer.run()
    main, peer = training.before[2]
    labelers = {"soft_labels": [main, peer], "teacher_soft_labels": [peer], "own_soft_labels": [main]}[kind]
    expected = probabilities(labelers, training.slices)
    if match_classes:
        expected[6:] = with_prior(expected[6:], torch.tensor([3, 2, 1]) / 6)
    torch.testing.assert_close(training.slices.soft_labels, expected)
    opinions = [probabilities([network], training.slices).argmax(1) for network in labelers]
    agreement = float((opinions[0] == opinions[-1]).float().mean())
    agree = ""
    if kind == "soft_labels":
        assert training.soft_labels.agreement == pytest.approx(agreement)
        agree = f"; the students agree on {100 * agreement:.1f} % of all"
    else:
        assert training.soft_labels.agreement is None, "one network labels them"
    right = (expected[:6].argmax(1) == torch.tensor(training.slices.labeled.labels())).float().mean()
    said, *warned = [message for message in caplog.messages if message.startswith("soft labels")]
    assert said == (
        f"soft labels of 10 images, 4 of them without a label; right for {100 * right:.1f} % of the labeled images"
        f"{agree}; main starts again with its first weights"
    )
    assert len(warned) == (right <= 0.5), "the most frequent class has half of the images"


@pytest.mark.parametrize(("bias", "much"), [(0.0, True), (4.0, False)])
def test_how_much_the_shares_of_the_classes_changed_is_said_and_warned_of_if_it_is_much(caplog, bias, much):
    training = Training("teacher_soft_labels")
    with torch.no_grad():
        training.peer.fc.bias[0] += bias  # sure that all have the first class, which also most labeled images have
    training.peer.eval()
    before = probabilities([training.peer], training.slices)[6:]
    prior = torch.tensor([3, 2, 1]) / 6
    after = with_prior(before, prior)
    changed = float((before.argmax(1) != after.argmax(1)).float().mean())
    assert (changed > 0.1) == much, "both cases are tried"
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        training.soft_labels.make([training.peer], SimpleInferer(), torch.device("cpu"))
    (record,) = [record for record in caplog.records if record.message.startswith("match_classes")]
    shares = [", ".join(f"{share:.2f}" for share in each.tolist()) for each in (before.mean(0), prior, after.mean(0))]
    assert record.message.startswith(
        f"match_classes: shares of the classes among images without a label, by their soft labels: {shares[0]}, "
        f"corrected towards those of the labeled images ({shares[1]}): {shares[2]}. The most probable class of "
        f"{100 * changed:.1f} % of them changed"
    )
    assert (record.levelno == logging.WARNING) == record.message.endswith("set match_classes: false") == much


def test_a_class_that_no_labeled_image_has_is_not_taken_from_the_others(caplog):
    training = Training("teacher_soft_labels")
    training.slices.labeled._labels = [0, 1, 1, 0, 1, 0]
    training.soft_labels.make([training.peer], SimpleInferer(), torch.device("cpu"))
    torch.testing.assert_close(training.slices.soft_labels, probabilities([training.peer], training.slices))
    assert "match_classes: no labeled image has class 2" in caplog.text


def test_labelers_that_have_learned_nothing_are_warned_of(caplog):
    training = Training("teacher_soft_labels")
    nn.init.zeros_(training.peer.fc.weight)
    with torch.no_grad():
        training.peer.fc.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))  # the rarest class, always
    training.soft_labels.make([training.peer], SimpleInferer(), torch.device("cpu"))
    assert "right for 16.7 % of the labeled images" in caplog.text
    assert (
        "what labeled them has learned nothing; try another learning_rate (of the teacher: teacher_learning_rate)"
        in caplog.text
    )


def test_the_teacher_labels_and_is_no_student():
    training = Training("teacher_soft_labels")
    assert training.trainer.students == 1
    assert not training.trainer.auxiliary.competes
    assert training.trainer.auxiliary.labelers(training.main) == [training.peer]


def test_the_state_is_written_when_main_starts_again_whatever_the_interval(tmp_path):
    training = Training()
    objects = {"soft_labels": training.soft_labels}
    TrainingStateHandler(tmp_path / "state.pt", objects, interval=3).attach(training.trainer)
    training.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda engine: engine.terminate())
    training.trainer.run()
    state = torch.load(tmp_path / "state.pt")
    assert state["trainer"]["epoch"] == 2
    assert torch.equal(state["soft_labels"]["soft_labels"], training.slices.soft_labels)


def test_soft_labels_are_those_of_the_contents_at_the_start():
    training = Training()
    training.slices.unlabeled.names[0] = "changed"
    training.soft_labels.make([training.peer], SimpleInferer(), torch.device("cpu"))
    assert training.soft_labels.state_dict()["contents"][6] == "100"


def test_nothing_that_the_optimizer_knew_is_kept_after_the_restart():
    training = Training("teacher_soft_labels")
    training.trainer.run()
    assert set(training.optimizer.state) == set(training.main.parameters())


def test_main_starts_again_and_learns_what_the_formula_says_while_the_other_rests():
    training = Training()
    training.trainer.run()
    assert_same(training.after[2][0], training.first)
    for before, after in zip(training.before[2][1].parameters(), training.peer.parameters(), strict=True):
        assert torch.equal(before, after)
    main = copy.deepcopy(training.first).train()
    optimizer = torch.optim.AdamW(main.parameters(), lr=0.01)
    for epoch in (3, 4):
        EpochSeedHandler(0, training.slices)(SimpleNamespace(state=SimpleNamespace(epoch=epoch)))
        for batch in training.loader:
            optimizer.zero_grad()
            output = StudentOutput(main(batch["image"]))
            labeled = batch["label"] != NO_LABEL
            training.objective.from_soft_labels(output, batch["label"], labeled, batch[SOFT_LABEL]).backward()
            optimizer.step()
    assert_same(training.main, main)


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_a_resumed_training_is_bit_equal(tmp_path, stopped_after):
    whole = Training(path=tmp_path / "whole.pt")
    whole.trainer.run()
    stopped = Training(path=tmp_path / "state.pt")
    stopped.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=stopped_after), lambda engine: engine.terminate())
    stopped.trainer.run()
    resumed = Training(path=tmp_path / "state.pt", resume=True)
    for network in (resumed.main, resumed.peer):
        nn.init.zeros_(network.fc.weight)  # first weights too are those of the state
    resumed.trainer.run()
    for name in ("main", "peer"):
        for key, value in getattr(whole, name).state_dict().items():
            assert torch.equal(getattr(resumed, name).state_dict()[key], value), key
    assert torch.equal(resumed.slices.soft_labels, whole.slices.soft_labels)
    assert resumed.soft_labels.agreement == whole.soft_labels.agreement


def test_a_training_does_not_go_back_before_its_soft_labels(tmp_path):
    Training(path=tmp_path / "state.pt").trainer.run()
    longer = Training(path=tmp_path / "state.pt", resume=True, max_epochs=12)
    with pytest.raises(ValueError, match="main has already started again, but epoch 5 is now one of the 6 before that"):
        longer.trainer.run()


def test_a_training_does_not_leave_the_soft_labels_out(tmp_path):
    stopped = Training(path=tmp_path / "state.pt", max_epochs=8)
    stopped.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda engine: engine.terminate())
    stopped.trainer.run()
    shorter = Training(path=tmp_path / "state.pt", resume=True, max_epochs=3)
    with pytest.raises(ValueError, match="images were to be labeled after epoch 2, which is over"):
        shorter.trainer.run()


def test_soft_labels_stay_with_their_images_when_these_have_another_order(tmp_path):
    stopped = Training(path=tmp_path / "state.pt")
    stopped.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=3), lambda engine: engine.terminate())
    stopped.trainer.run()
    state = stopped.soft_labels.state_dict()
    made = state["soft_labels"]
    slices = make_slices()
    slices.labeled.names = ["1", "0", "2", "3", "4", "5"]
    slices.unlabeled.names = ["103", "101", "100", "102"]
    resumed = SoftLabels(slices)
    resumed.load_state_dict(state)
    assert torch.equal(slices.soft_labels, made[[1, 0, 2, 3, 4, 5, 9, 7, 6, 8]])
    again = Training()
    again.soft_labels.load_state_dict(resumed.state_dict())
    assert torch.equal(again.slices.soft_labels, made)


def test_an_image_that_got_no_soft_label_is_an_error():
    training = Training()
    training.soft_labels.make([training.peer], SimpleInferer(), torch.device("cpu"))
    slices = make_slices()
    slices.unlabeled.names[0] = "another"
    with pytest.raises(ValueError, match="there are images that got no soft label before; resume with the same images"):
        SoftLabels(slices).load_state_dict(training.soft_labels.state_dict())


def test_workers_that_do_not_know_the_soft_labels_stop_the_training():
    training = Training()
    loader = DataLoader(training.slices, batch_size=4, num_workers=1, persistent_workers=True)
    trainer = make_trainer(
        auxiliary="soft_labels", network=training.main, auxiliary_network=training.peer, optimizer=training.optimizer,
        train_data_loader=loader, max_epochs=4, train_handlers=[SoftLabelHandler(training.soft_labels)],
    )  # fmt: skip
    with pytest.raises(ValueError, match="epoch 3: main learns soft labels now, .* leave persistent_workers out"):
        trainer.run()


@pytest.mark.parametrize("changes", [{"term": BatchEnsembled()}, {"feature_weight": 0.5}])
def test_what_compares_features_is_refused_before_the_training(changes):
    with pytest.raises(
        ValueError, match="auxiliary: soft labels have no features to compare; got .* distillation_term to"
    ):
        make_trainer(auxiliary="soft_labels", loss_function=SelfDistillationLoss(**changes))


@pytest.mark.parametrize(
    ("max_epochs", "ramp", "weights"),
    [(40, 5.0, {20: 0.0067, 22.5: 0.2865, 25: 1.0}), (8, 5.0, {4: 0.0067, 5: 0.2865, 6: 1.0}), (4, 0.0, {2: 1.0})],
)
def test_the_weight_of_soft_labels_has_risen_after_half_of_their_epochs_at_the_latest(max_epochs, ramp, weights):
    seen = {}

    class Loss(SelfDistillationLoss):
        def from_soft_labels(self, student, target, labeled, soft_labels, epoch=0.0):
            seen[now] = self.soft_label_weight * self._ramp(epoch)
            return torch.zeros(())

    trainer = make_trainer(auxiliary="soft_labels", loss_function=Loss(ramp_up_epochs=ramp), max_epochs=max_epochs)
    trainer.state.epoch_length = 100
    for now in weights:
        trainer.state.iteration = int(100 * now) + 1
        trainer._soft_objective(StudentOutput(torch.zeros(1, 3)), torch.tensor([0]), torch.ones(1, 3) / 3)
    assert seen == pytest.approx(weights, abs=1e-4)


@pytest.mark.parametrize("kind", ["mutual", "ema", "none", "frozen"])
def test_unlabeled_images_that_nothing_is_learned_from_are_refused(kind):
    with pytest.raises(
        ValueError, match="unlabeled_dir: nothing is learned from its images .* auxiliary: teacher_soft_labels"
    ):
        Training(kind)


@pytest.mark.parametrize(("interval", "fits"), [(1, True), (2, True), (3, True), (4, True), (5, False)])
def test_a_network_that_has_learned_soft_labels_is_validated(interval, fits, tmp_path):
    training = Training()
    handler = SoftLabelHandler(training.soft_labels, BestModelSaver(tmp_path / "model.pt"), interval)
    assert fits == any(epoch % interval == 0 for epoch in (3, 4)), "the epochs after the restart"
    if fits:
        handler.attach(training.trainer)
    else:
        with pytest.raises(ValueError, match="val_interval: none of the epochs 3 to 4, .* give 2 or less, got 5"):
            handler.attach(training.trainer)


def test_without_unlabeled_images_the_labeled_ones_get_soft_labels():
    slices = SoftlyLabeledSlices(Slices([1] * 6, LABELS, times=2))
    main, peer = Student(), Student()
    soft_labels = SoftLabels(slices, views=1)
    loader = DataLoader(slices, batch_size=4, shuffle=True)
    make_trainer(
        auxiliary="soft_labels", network=main, auxiliary_network=peer, train_data_loader=loader,
        optimizer=torch.optim.SGD([*main.parameters(), *peer.parameters()], lr=0.1),
        train_handlers=[SoftLabelHandler(soft_labels)],
    ).run()  # fmt: skip
    assert slices.soft_labels.shape == (6, 3)
    assert soft_labels.unlabeled_contents() == []
