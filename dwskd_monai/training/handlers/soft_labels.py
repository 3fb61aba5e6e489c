"""In the middle of a training: ask networks about all images, and let main start again."""

from __future__ import annotations

from ignite.engine import Engine, Events

from dwskd_monai.training.distributed import unwrap
from dwskd_monai.training.handlers.best_model import BestModelSaver
from dwskd_monai.training.schedule import Phase
from dwskd_monai.training.soft_labels import SoftLabels
from dwskd_monai.training.trainer import DualStudentTrainer


class SoftLabelHandler:
    """When networks have learned from the labels, label all images softly, and let main start again.

    After ``label_epochs``, the networks that the :class:`~dwskd_monai.training.auxiliary.Auxiliary` names say what they
    think of each image. These soft labels stay as they are. Main gets the weights back that it had before the training,
    and learns from labels and soft labels; the best network is then one of these epochs. If the auxiliary labels no
    images, nothing happens.

    Attach it before the handler that saves the state, which must contain ``soft_labels``.

    Args:
        soft_labels: makes and keeps them.
        best_model: forgets the networks that knew no soft labels; None: there is none.
        interval: epochs between the validations that ``best_model`` needs; 1 if the last epoch is always validated.
    """

    def __init__(self, soft_labels: SoftLabels, best_model: BestModelSaver | None = None, interval: int = 1) -> None:
        self.soft_labels = soft_labels
        self.best_model = best_model
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Keep main's first weights at the start; label images when the networks have learned.

        Raises:
            ValueError: if there are unlabeled images that nothing is learned from, or if no network that has learned
                soft labels would be validated, and so deployed.
        """
        assert isinstance(engine, DualStudentTrainer)
        if self.soft_labels.dataset.unlabeled is not None and not engine.auxiliary.labels_images:
            raise ValueError(
                f"unlabeled_dir: nothing is learned from its images with a {type(engine.auxiliary).__name__}; leave it "
                "out, or set auxiliary: teacher_soft_labels"
            )
        if engine.auxiliary.labels_images:
            self._require_validation(engine)
            self.soft_labels.contents()  # now, since files may change later
            engine.add_event_handler(Events.STARTED, self.keep_first_weights)
            engine.add_event_handler(Events.EPOCH_STARTED, self.check)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)
            if self.best_model is not None:
                engine.add_event_handler(Events.COMPLETED, self.best_model.compare_with_forgotten)

    def _require_validation(self, engine: DualStudentTrainer) -> None:
        first, last = engine.schedule.distillation_epochs, engine.schedule.max_epochs
        if self.best_model is not None and last // self.interval <= first // self.interval:
            raise ValueError(
                f"val_interval: none of the epochs {first + 1} to {last}, in which main learns soft labels, is "
                f"validated; give {last - first} or less, got {self.interval}"
            )

    def keep_first_weights(self, engine: DualStudentTrainer) -> None:
        """Remember the weights that main starts again with; a restored state replaces them."""
        weights = unwrap(engine.network).state_dict()
        self.soft_labels.first_weights = {name: value.cpu().clone() for name, value in weights.items()}

    def check(self, engine: DualStudentTrainer) -> None:
        """A resumed training must not go back to the time before the soft labels, nor leave it out.

        Raises:
            ValueError: if it does.
        """
        if not self.soft_labels.there and engine.phase is Phase.FINE_TUNING:
            raise ValueError(
                f"resume: images were to be labeled after epoch {engine.schedule.distillation_epochs}, which is over, "
                "and they have no soft labels; resume with the same max_epochs and label_epochs"
            )
        if self.soft_labels.there and engine.phase is not Phase.FINE_TUNING:
            raise ValueError(
                f"resume: main has already started again, but epoch {engine.state.epoch} is now one of the "
                f"{engine.schedule.distillation_epochs} before that; resume with the same max_epochs and label_epochs"
            )

    def __call__(self, engine: DualStudentTrainer) -> None:
        """After the epochs of learning from labels alone, make the soft labels and restart main."""
        if engine.restarts_now:
            labelers = [unwrap(network) for network in engine.auxiliary.labelers(engine.network)]
            self.soft_labels.make(labelers, engine.inferer, engine.state.device)
            engine.restart(self.soft_labels.first_weights)
            if self.best_model is not None:
                self.best_model.forget()
