"""A handler that writes what an evaluator predicted, study by study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import convert_to_numpy
from monai.utils.enums import CommonKeys

from dwskd_monai.evaluation.planes import UNKNOWN
from dwskd_monai.evaluation.prediction_files import PredictionFiles


def mean_top_probability(output: Sequence[Mapping[str, Any]]) -> float:
    """The probability of the most likely class, as a mean over the predictions ``(K,)`` of a batch.

    Examples:
        >>> import torch
        >>> mean_top_probability([{"pred": torch.tensor([0.75, 0.25])}, {"pred": torch.tensor([0.5, 0.5])}])
        0.625
    """
    return sum(float(item[CommonKeys.PRED].max()) for item in output) / len(output)


class PredictionWriter(PredictionFiles):
    """Write what was predicted: a CSV row for each study and, if studies have several slices, one for each slice.

    ``monai.handlers.ClassificationSaver`` writes neither a header nor class names, and has no studies.

    ``predictions.csv``: study (name, file or folder), label if it is known, predicted class (the most probable one),
    one calibrated probability per class, number of slices, the classes that reach their operating point, the prediction
    set, whether the study is unlike the training images, its novelty score, and a note if there is something to say.
    ``slice_predictions.csv``: study, slice, label, predicted class, probabilities as the network gives them, novelty
    score. ``predictions.json``: the digest of the weights, the classes, how slices became studies, the evidence, and in
    ``unusual_planes`` how many studies were cut in a plane in which almost none of the training images were, and in
    ``unlike_training`` how many look unlike them; warnings name the first of them.

    Arguments and errors are those of :class:`~dwskd_monai.evaluation.prediction_files.PredictionFiles`.

    The evaluator's batches need the keys ``study``, ``slice`` and ``slices``, and ``image`` for a novelty score. They
    may have ``plane``, and ``study_index``, the study's position in the datalist and in the files. The evaluator's
    postprocessing must give probabilities ``(K,)`` in ``pred``. A study that lacks slices at the end is an error.
    """

    def attach(self, engine: Engine) -> None:
        """Collect after each iteration, finish at the end."""
        engine.add_event_handler(Events.STARTED, self._reset)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def _reset(self, engine: Engine) -> None:
        self.begin()

    def _collect(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        for item, result, score in zip(batch, output, self._scores(batch), strict=True):
            label = result.get(CommonKeys.LABEL)
            self.add(
                str(item["study"]),
                int(item["slice"]),
                int(item["slices"]),
                np.asarray(result[CommonKeys.PRED].detach().cpu(), dtype=np.float64),
                None if label is None else int(label),
                str(item.get("plane", UNKNOWN)),
                int(item.get("study_index", 0)),
                score,
            )

    def _scores(self, batch: Sequence[Mapping[str, Any]]) -> Sequence[float | None]:
        """The novelty of the slices of a batch."""
        if self.evidence.novelty is None:
            return [None] * len(batch)
        images = np.stack([convert_to_numpy(item[CommonKeys.IMAGE]) for item in batch])
        scores: list[float | None] = self.evidence.novelty.of_slices(images).tolist()
        return scores

    def write(self, engine: Engine) -> None:
        """Give the files their final names; see :meth:`finish`."""
        self.finish()
