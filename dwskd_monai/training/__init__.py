"""Training two students together, one of which is deployed; nothing outside this package knows that there are two.

``teachers`` gives networks their first weights. ``trainer``, ``auxiliary`` (what main learns from), ``schedule``
(when), ``learning_rate`` and ``losses`` are the method. ``views`` augments images, ``softly_labeled`` adds those
without labels, ``soft_labels`` asks the students or the teacher about them. ``handlers`` watch and save,
``distributed`` is for several processes, ``unused`` warns of settings without effect, and ``both_students`` combines
the two students of a finished training.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "AugmentViewsd": "views",
    "Auxiliary": "auxiliary",
    "BatchEnsembled": "losses.batch_ensembled",
    "BestModelSaver": "handlers.best_model",
    "BetterStudentHandler": "handlers.better_student",
    "DeployedModelHandler": "handlers.deployed_model",
    "DistillationTerm": "losses.term",
    "DualStudentTrainer": "trainer",
    "EpochLogHandler": "handlers.epoch_log",
    "EpochSeedHandler": "handlers.epoch_seed",
    "EpochSchedule": "schedule",
    "FrozenPeer": "auxiliary",
    "LastEpochHandler": "handlers.last_epoch",
    "LogitStandard": "losses.logit_standard",
    "MovingAverage": "auxiliary",
    "MutualPeer": "auxiliary",
    "NoAuxiliary": "auxiliary",
    "NonFiniteLossHandler": "handlers.non_finite_loss",
    "SelfDistillationLoss": "losses.objective",
    "SimilarityPreserving": "losses.similarity_preserving",
    "SoftenedKL": "losses.softened_kl",
    "SoftLabelHandler": "handlers.soft_labels",
    "SoftLabels": "soft_labels",
    "SoftlyLabeledSlices": "softly_labeled",
    "StudentOutput": "losses.term",
    "TrainingStateHandler": "handlers.training_state",
    "WarmupCosine": "learning_rate",
    "chosen_auxiliary": "auxiliary",
    "combine_students": "both_students",
    "drops_last_batch": "last_batch",
    "create_auxiliary": "auxiliary",
    "create_teacher": "teachers",
    "fixed_size": "teachers",
    "from_labeled": "softly_labeled",
    "initialize_students": "teachers",
    "initialize_teacher": "teachers",
    "is_not_first": "distributed",
    "leave_process_group": "distributed",
    "monai_label_studies": "monai_label",
    "open_teacher": "teachers",
    "parameter_groups": "learning_rate",
    "restart_epoch": "auxiliary",
    "probability": "views",
    "slices_per_epoch": "schedule",
    "stochastic_depth": "teachers",
    "start_process_group": "distributed",
    "warn_unused": "unused",
    "wrap": "distributed",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
