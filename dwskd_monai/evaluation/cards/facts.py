"""What the cards of a bundle say, and what they say of what is not known."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dwskd_monai.evaluation.html.numbers import number_text
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.page.network import Trained, in_words
from dwskd_monai.evaluation.page.words import SPLITS, count_text

NOT_MEASURED = "not measured"
NOT_STATED = "not stated"
# What no evaluation can know: a file of these keys states it
STATED = {
    "acquisition": "how the images were acquired: scanners, protocols",
    "annotators": "who labeled the images, with which qualification and tools",
    "availability": "where the network may be used, and whether data, code and weights are available",
    "benefits": "what the network is good for, and for whom",
    "conflicts": "conflicts of interest",
    "consent": "how patients consented, or are told",
    "contact": "whom users ask",
    "data_sources": "where and when the images were made, and for what",
    "deidentification": "how names of patients were removed",
    "eligibility": "which patients and images were included and excluded",
    "ethics": "the approval of a board, or why none was needed",
    "external": "whether the evaluated images come from elsewhere than those of the training",
    "funding": "who paid for the work, and their role",
    "inequalities": "known differences in health between groups of people",
    "maintenance": "who watches and updates the network, and how",
    "objectives": "aims and hypotheses of the study",
    "out_of_scope": "where the network must not be used",
    "population": "the patients that it is meant for",
    "protocol": "the study protocol",
    "publications": "peer-reviewed publications about this network",
    "rater_variability": "how much those who labeled the images agree",
    "reference_standard": "how the true class was found, and why so",
    "registration": "the registration of the study",
    "regulatory": "the regulatory status, and the risk level",
    "release_date": "the date of the release",
    "sample_size": "how the number of patients was chosen",
    "security": "what protects the network and the data",
    "stakeholders": "who was asked: clinicians, patients, the public",
    "study_design": "prospective or retrospective, and the study's goal",
    "users": "who is meant to use it",
    "workflow": "at which point of the care of a patient it is used, and how",
}


@dataclass(frozen=True)
class Facts:
    """All that is known of a bundle's network.

    Args:
        metadata: content of ``metadata.json``.
        class_names: in the order of the network's outputs.
        trained: the trained settings.
        weights_sha256: digest of the weights.
        parameters: of the network.
        page: the bundle's ``docs/README.md``.
        metrics: content of the ``metrics.json`` of an evaluation of these weights; None: it was not evaluated.
        stated: what its authors state, by the keys of :data:`STATED`.
    """

    metadata: Mapping[str, Any]
    class_names: Sequence[str]
    trained: Trained
    weights_sha256: str | None
    parameters: int
    page: str
    metrics: Mapping[str, Any] | None = None
    stated: Mapping[str, str] = field(default_factory=dict)

    @property
    def report(self) -> Mapping[str, Any]:
        """The numbers with intervals; empty: there are none."""
        return (self.metrics or {}).get("report") or {}

    @property
    def network(self) -> dict[str, str]:
        """The network in words."""
        return in_words(self.trained, self.weights_sha256)

    @property
    def teacher(self) -> str:
        """The large network that the students begin with."""
        random = self.trained.training.get("overrides", {}).get("teacher_weights") == "random"
        return f"{self.network['teacher']}{', with random weights' if random else ''}"

    def measured(self, *path: str) -> Measured:
        """A number of the report by its keys, or words in place of it."""
        value: Any = self.report
        for key in path:
            if not isinstance(value, Mapping) or key not in value:
                return value if isinstance(value, str) else NOT_MEASURED
            value = value[key]
        return value

    def number(self, *path: str) -> str:
        """The same as text, with its interval and n."""
        return text_of(self.measured(*path))

    def about(self, key: str) -> str:
        """What the metadata say, such as ``intended_use``."""
        return str(self.metadata.get(key) or NOT_STATED)

    def said(self, key: str) -> str:
        """What the authors state."""
        if key not in STATED:
            raise KeyError(key)
        return self.stated.get(key, NOT_STATED)

    @property
    def evaluation(self) -> str:
        """Which images the numbers are of, and what makes them look better than they are."""
        return measured_on(self.metrics)

    def section(self, heading: str) -> str:
        """The text of a section of the bundle's page, on one line; that it has none, if so."""
        _, found, after = f"\n{self.page}".partition(f"\n## {heading}\n")
        text = " ".join(after.partition("\n## ")[0].split())
        return text if found and text else NOT_STATED


def measured_on(metrics: Mapping[str, Any] | None) -> str:
    """Which images the numbers of an evaluation are of, and what makes them look better than they are.

    Args:
        metrics: content of ``metrics.json``; None: the network was not evaluated.
    """
    if metrics is None:
        return "The network was not evaluated, so nothing was measured."
    which = SPLITS.get(metrics.get("split") or "", "images that were given to the evaluation")
    data = (metrics.get("report") or {}).get("data")
    if data is None:
        studies = count_text(int(metrics["study"]["overall"]["count"]), "study")
        measured = f"Measured on {studies}: the {which}."
        hint = "There are no intervals: metrics.json has no report; evaluate again with report: true."
        return " ".join([measured, hint, *_cautions(metrics)])
    patients = "patients unknown" if data["patients"] is None else count_text(data["patients"], "patient")
    measured = f"Measured on {count_text(data['studies'], 'study')} ({patients}): the {which}."
    return " ".join([measured, *_cautions(metrics)])


def _cautions(metrics: Mapping[str, Any]) -> Iterator[str]:
    if metrics.get("trained_images"):
        yield "The network was trained on some of these images, so all numbers are too good."
    elif metrics.get("trained_images") is None:
        yield "It is unknown whether the network was trained on some of these images."
    fitted = metrics.get("fitted_images")
    if fitted:
        yield f"{fitted:,} of these images chose the epoch, so new images will have worse numbers."


def text_of(measured: Measured) -> str:
    """A number with its interval and n; words stay as they are.

    Examples:
        >>> text_of({"value": 0.9, "low": 0.8, "high": 0.95, "n": 120})
        '0.900 (0.800–0.950), n = 120'
        >>> text_of("too few (n = 7)")
        'too few (n = 7)'
    """
    if isinstance(measured, str):
        return measured
    shown = number_text(measured)
    return f"{shown.value} ({shown.interval}), n = {shown.n}"


def check_stated(content: Any, source: str | Path) -> dict[str, str]:
    """What a file states, by key.

    Raises:
        ValueError: if it is not a map of texts, or has a key that no card has.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{source}: expected a map of {', '.join(STATED)}, got {json.dumps(content)[:80]}")
    for key, value in content.items():
        if key not in STATED:
            near = difflib.get_close_matches(str(key), STATED, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; expected {', '.join(STATED)}"
            raise ValueError(f"{source}: no card has {key!r}{hint}")
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{source}: {key}: expected a text, got {value!r}; put it in quotation marks")
    return {key: value.strip() for key, value in content.items() if value and value.strip()}
