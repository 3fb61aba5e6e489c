"""How good a classifier is, from the predictions of slices to those of studies and their metrics.

``aggregation`` makes a study's prediction of its slices', ``inferers`` runs networks on whole studies, ``predictions``
and ``report`` write files, ``metrics`` computes, ``study_metric`` does so during training.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "Aggregation": "aggregation",
    "EvaluationReport": "report",
    "PredictionWriter": "predictions",
    "StudyInferer": "inferers",
    "StudyMetric": "study_metric",
    "classification_metrics": "metrics",
    "mean_top_probability": "predictions",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
