"""What a trained bundle answers to the items of checklists for authors; ``measured_answers`` has the rest.

Each function returns an answer, or None: it is not done, or nobody but the authors can know it.
"""

from __future__ import annotations

from typing import NamedTuple

from dwskd_monai.evaluation.cards.facts import Facts
from dwskd_monai.evaluation.page.network import NOT_RECORDED

README = "docs/README.md"
SETTINGS = "models/model.yaml"


class Answer(NamedTuple):
    """An answer, and the place that has it."""

    text: str
    place: str


def page_section(title: str) -> str:
    """A place on the page of the evaluation."""
    return f"report.html: {title}"


def task(facts: Facts) -> Answer | None:
    """What the network does, and that it is a deep network."""
    return Answer(f"{facts.about('task')}; a deep network, {facts.network['student']}", README)


def intended_use(facts: Facts) -> Answer | None:
    """What the network is meant for."""
    return Answer(facts.about("intended_use"), README)


def preprocessing(facts: Facts) -> Answer | None:
    """From files to the network's input."""
    settings = facts.trained.settings
    if "study_transforms" not in settings:
        return None
    shape = "kept" if settings.get("keep_aspect") else "not kept"
    return Answer(
        f"{facts.about('image_classes')}; {facts.network['image size']} pixels a side, aspect ratio {shape}",
        f"{SETTINGS}: study_transforms",
    )


def subsets(facts: Facts) -> Answer | None:
    """Which part of the images was used."""
    share = facts.trained.training.get("train_fraction")
    return None if share is None else Answer(f"share of the training images: {share}", f"{SETTINGS}: train_fraction")


def missing_data(facts: Facts) -> Answer | None:
    """What happens to images that cannot be used."""
    refused = facts.trained.training.get("refused_images")
    if refused is None:
        return None
    text = f"images that cannot be used are refused and listed: {sum(refused.values()):,} in the training"
    if facts.metrics is not None:
        text += f", {facts.metrics['refused_images']:,} in the evaluation"
    return Answer(text, "refused.csv")


def partition(facts: Facts) -> Answer | None:
    """How images came to be training or validation images."""
    training = facts.trained.training
    if "folds" not in training:
        return None
    return Answer(
        f"{facts.network['trained on']}; as the data says, else fold {training['fold']} of {training['folds']} is for "
        f"validation, stratified by class (seed {training['seed']})",
        f"{SETTINGS}: training",
    )


def disjoint(facts: Facts) -> Answer | None:
    """What two splits cannot share."""
    clusters = facts.report.get("intervals")
    known = f"; of the evaluated images: {clusters}" if clusters else ""
    return Answer(
        f"patient, if patients are known, and the content of the image{known}", f"{SETTINGS}: images, by their digests"
    )


def model(facts: Facts) -> Answer | None:
    """The network."""
    network = facts.network
    if network["student"] == NOT_RECORDED:
        return None
    return Answer(
        f"{network['student']}, {facts.parameters:,} parameters; a probability for each of "
        f"{len(facts.class_names)} classes; slices become a study by: {network['slices become a study by']}",
        f"{README}, {SETTINGS}: network_def",
    )


def software(facts: Facts) -> Answer | None:
    """Libraries with their versions."""
    return _of_network(facts, "versions of the training", f"{SETTINGS}: versions")


def initialization(facts: Facts) -> Answer | None:
    """What the weights were before the training."""
    if facts.network["teacher"] == NOT_RECORDED:
        return None
    return Answer(f"subsets of the weights of {facts.teacher}", f"{SETTINGS}: teacher")


def training(facts: Facts) -> Answer | None:
    """How the network was trained."""
    changed = facts.network["changed settings"]
    if changed == NOT_RECORDED:
        return None
    return Answer(f"as configs/train.yaml says; changed settings: {changed}", f"configs/train.yaml, {SETTINGS}")


def selection(facts: Facts) -> Answer | None:
    """How the deployed network was chosen."""
    best = facts.network["best epoch"]
    return None if best == NOT_RECORDED else Answer(f"the best epoch: {best}", f"{SETTINGS}: best")


def ensemble(facts: Facts) -> Answer | None:
    """Whether several networks predict together."""
    if "deploy" not in facts.trained.settings:
        return None
    both = facts.trained.settings["deploy"] == "both"
    return Answer("the mean of two students" if both else "none: one network is deployed", f"{SETTINGS}: deploy")


def output(facts: Facts) -> Answer | None:
    """What the network says of a study, and by which threshold."""
    evidence = (facts.metrics or {}).get("evidence", {})
    points = evidence.get("operating_points", {})
    fitted = {name: one["threshold"] for name, one in points.get("classes", {}).items() if "threshold" in one}
    shown = ", ".join(f"{name} {threshold:.3f}" for name, threshold in fitted.items()) or "none fitted"
    rule = f" ({points['rule']}, {evidence['fitted_on']})" if fitted else ""
    return Answer(f"a probability for each class; operating points: {shown}{rule}", f"{SETTINGS}: evidence")


def specification(facts: Facts) -> Answer | None:
    """The whole network, to be run by others."""
    return Answer(f"the bundle; digest of the weights {facts.weights_sha256 or 'unknown'}", "models/model.pt")


def poor_input(facts: Facts) -> Answer | None:
    """What users see of images that the network should not judge."""
    return Answer(
        "images that cannot be used are refused by name; studies unlike the training images are marked",
        "refused.csv, predictions.csv",
    )


def no_assessors(facts: Facts) -> Answer | None:
    """Whether somebody assesses the input."""
    return Answer("none: the input is an image", README)


def _of_network(facts: Facts, key: str, place: str) -> Answer | None:
    value = facts.network[key]
    return None if value == NOT_RECORDED else Answer(value, place)
