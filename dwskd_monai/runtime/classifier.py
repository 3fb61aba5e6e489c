"""An exported classifier, run by ONNX Runtime."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import Evidence, read_evidence
from dwskd_monai.reading.image import Image
from dwskd_monai.runtime import names
from dwskd_monai.runtime.checked_metadata import ADVICE, checked_description
from dwskd_monai.runtime.deciding import DecidingSlice, deciding_slices
from dwskd_monai.runtime.inputs import inputs_of, parts_of, read_expected, rescale_of


@dataclass(frozen=True)
class Answer:
    """What a classifier says of one image.

    Args:
        probabilities: ``(K,)``, calibrated.
        slices: ``(D, K)``, those of its slices, as the network gives them.
        at_operating_point: the classes that reach their operating point.
        prediction_set: the classes that the image may have.
        novelty: how unlike the training images it is; None: the training fitted nothing that tells.
        slice_novelty: ``(D,)``, that of its slices.
        deciding_of_classes: for each class, the slice that speaks most for it, if they were asked for.
    """

    probabilities: NDArray[np.float32]
    slices: NDArray[np.float32]
    at_operating_point: tuple[str, ...]
    prediction_set: tuple[str, ...]
    novelty: float | None = None
    slice_novelty: NDArray[np.float32] | None = None
    deciding_of_classes: tuple[DecidingSlice, ...] = ()

    @property
    def deciding(self) -> DecidingSlice | None:
        """The slice that speaks most for the most probable class; None: nobody asked for it."""
        return self.deciding_of_classes[int(self.probabilities.argmax())] if self.deciding_of_classes else None


class Classifier:
    """A classifier in one ONNX file, which has all that decides its answers.

    Args:
        path: the file.
        threads: of ONNX Runtime for one image; 0: as many as there are cores.
        accept: which unexpected images are accepted, as ``name=value``; None: as in the training.

    Attributes:
        metadata: what the file says of itself; ``classes`` are in the order of probabilities.
        sha256: the digest of the file.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is not a classifier of ``dwskd export``, is damaged, or needs another version of this package.
    """

    def __init__(self, path: str | Path, threads: int = 0, accept: Sequence[str] | None = None) -> None:
        file = Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"{file} does not exist; {ADVICE}")
        content = file.read_bytes()  # once, so that the digest is that of what runs, whatever takes its place
        self.sha256 = hashlib.sha256(content).hexdigest()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common class
            reason = " ".join(str(error).split())  # in one line
            raise ValueError(f"{file}: ONNX Runtime cannot read it ({reason}); {ADVICE}") from error
        described = self._session.get_modelmeta().custom_metadata_map
        self._inputs = {value.name for value in self._session.get_inputs()}
        if names.PIXELS not in self._inputs or "reading" not in described:
            raise ValueError(f"{file}: an ONNX model of another kind; {ADVICE}")
        self.metadata = checked_description(file, content, described)
        if accept is not None:
            self.metadata["reading"]["expectation"]["accept"] = list(accept)

    @functools.cached_property
    def aggregation(self) -> Aggregation:
        """How slices become studies."""
        described = self.metadata["studies"]["aggregation"]
        return Aggregation(described["method"], described["k"])

    @functools.cached_property
    def evidence(self) -> Evidence:
        """What the training fitted."""
        return read_evidence(self.metadata["evidence"], self.aggregation)

    def predict(self, path: str | Path) -> Answer:
        """What is said of the image in a file, or in the folder of a series.

        Raises:
            RefusedImage: if it cannot be read, or is not of the kind that the classifier is for.
        """
        return self.answer(self.read(path), path)

    def read(self, path: str | Path) -> Image:
        """The slices of an image, as the training read them; raises as :meth:`predict`."""
        return read_expected(path, self.metadata["reading"])

    def answer(self, image: Image, path: str | Path = "an image", deciding: bool = False) -> Answer:
        """What is said of an image that was read.

        Args:
            image: what :meth:`read` returned.
            path: of the image, for messages.
            deciding: whether the answer has the deciding slice too.
        """
        preprocessing = self.metadata["preprocessing"]
        rescale = rescale_of(image, preprocessing, path)
        parts = (inputs_of(part, rescale) for part in parts_of(image, preprocessing))
        answer = self.combined([self.run(inputs) for inputs in parts])
        if not deciding:
            return answer
        return replace(answer, deciding_of_classes=deciding_slices(path, image, rescale, preprocessing, answer.slices))

    def combined(self, answers: Sequence[Answer]) -> Answer:
        """What is said of a study, from what is said of each of its images, or of an image from each of its parts."""
        if len(answers) == 1:
            return answers[0]
        slices = np.concatenate([answer.slices for answer in answers])
        probabilities = self.evidence.calibrated(self.aggregation(slices.astype(np.float64)))
        classes = self.metadata["classes"]
        scores = [answer.slice_novelty for answer in answers if answer.slice_novelty is not None]
        novelty = np.concatenate(scores) if scores else None
        return Answer(
            probabilities.astype(np.float32),
            slices,
            tuple(self.evidence.at_operating_point(probabilities, classes)),
            tuple(self.evidence.prediction_set(probabilities, classes)),
            None if novelty is None else float(novelty.mean()),
            novelty,
            _deciding_of(answers),
        )

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Answer:
        """What is said of the inputs of the graph; those that it does not have are left out."""
        outputs = [value.name for value in self._session.get_outputs()]
        given = {name: value for name, value in inputs.items() if name in self._inputs}
        said = dict(zip(outputs, self._session.run(outputs, given), strict=True))
        classes = self.metadata["classes"]
        reached, possible = (
            tuple(name for name, holds in zip(classes, said[output], strict=True) if holds)
            for output in (names.AT_OPERATING_POINT, names.PREDICTION_SET)
        )
        novelty = float(said[names.NOVELTY]) if names.NOVELTY in said else None
        return Answer(
            said[names.PROBABILITIES],
            said[names.SLICE_PROBABILITIES],
            reached,
            possible,
            novelty,
            said.get(names.SLICE_NOVELTY),
        )


def _deciding_of(answers: Sequence[Answer]) -> tuple[DecidingSlice, ...]:
    """For each class, the slice of a study that speaks most for it; none if an image's were not asked for."""
    if not all(answer.deciding_of_classes for answer in answers):
        return ()
    highest = np.stack([answer.slices.max(0) for answer in answers]).argmax(0)
    return tuple(answers[image].deciding_of_classes[index] for index, image in enumerate(highest.tolist()))
