"""How good a classifier is: from the predictions of slices to those of studies, and their metrics.

``studies`` collects the predictions of slices until a study is complete, and ``aggregation`` turns them into the
prediction of the study; ``evidence`` and ``novelty`` say how sure it is, and whether the study is unlike the training
images; ``planes`` finds slices in a plane that the network does not know, and ``prediction_files`` writes what was
predicted; these need only numpy. ``predictions``, ``report`` and ``metric_files`` write files of an evaluator, and
``page`` makes the report with intervals; ``shortcuts`` asks what parts of the images tell, and ``explanations`` where
the network looked. ``metrics`` computes metrics, and ``study_metric`` does this during training. ``inferers`` runs
networks on whole studies, ``exported`` runs exported networks, and ``other_network`` one that is compared. ``cards``
writes cards from all of this.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "Aggregation": "aggregation",
    "CalibrateStudyd": "calibrated_studies",
    "EvaluationReport": "report",
    "Explanations": "explanations.explaining",
    "ExportedNetwork": "exported",
    "OtherNetwork": "other_network",
    "PredictionWriter": "predictions",
    "Shortcuts": "shortcuts.collecting",
    "StudyInferer": "inferers",
    "StudyMetric": "study_metric",
    "StudyPredictions": "studies",
    "ValidationEvidence": "validation_evidence",
    "WarnOfNoveltyd": "calibrated_studies",
    "WarnOfPlaned": "calibrated_studies",
    "classification_metrics": "metrics",
    "mean_top_probability": "predictions",
    "read_evidence": "evidence",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
