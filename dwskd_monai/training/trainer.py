"""The trainer that knows that there are two students."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from ignite.engine import EventEnum
from ignite.metrics import Metric
from monai.data import MetaTensor
from monai.engines import Trainer, Workflow, default_metric_cmp_fn, default_prepare_batch
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer, SimpleInferer
from monai.transforms import Transform
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from dwskd_monai.training.auxiliary import Auxiliary, NoAuxiliary
from dwskd_monai.training.checks import in_range, one_of
from dwskd_monai.training.distributed import naming_frozen_processes, unwrap
from dwskd_monai.training.features import PooledFeatures
from dwskd_monai.training.losses.objective import SelfDistillationLoss
from dwskd_monai.training.losses.term import StudentOutput
from dwskd_monai.training.schedule import Accumulation, EpochSchedule, Phase
from dwskd_monai.training.softly_labeled import NO_LABEL, SOFT_LABEL
from dwskd_monai.training.views import AUXILIARY_VIEW, VIEWS

AUXILIARY_LOSS = "auxiliary_loss"


class DualStudentTrainer(Trainer):
    """Train ``network`` (main) together with an auxiliary, then fine-tune main alone.

    For ``independent_epochs`` the students learn from the labels alone. Until ``distillation_epochs`` they also learn
    from each other, by self-distillation (Tsutsumi et al., arXiv 2508.20461). For the rest of ``max_epochs`` main
    learns alone, by cross-entropy. What main learns from is an :class:`~dwskd_monai.training.auxiliary.Auxiliary`.

    ``SupervisedTrainer`` of MONAI has only one network. Besides, this trainer gives the networks plain tensors (the
    dispatch of ``MetaTensor`` costs time at each operation), clips gradients, keeps its gradient scaler between runs,
    and uses automatic mixed precision on its own device. Its events, keys and argument names are MONAI's.
    ``engine.state.output`` holds IMAGE, LABEL, PRED (main's logits), LOSS (main's, unscaled), and ``auxiliary_loss`` if
    the auxiliary is trained. Arguments that are not described here are those of
    :class:`monai.engines.SupervisedTrainer`.

    Args:
        device: where to train.
        max_epochs: number of all epochs.
        train_data_loader: batches with IMAGE ``(B, C, H, W)`` and LABEL ``(B,)``; with ``views="two"`` also
            ``image_auxiliary`` ``(B, C, H, W)``, which :class:`~dwskd_monai.training.views.AugmentViewsd` makes.
        network: main, the student that is deployed.
        optimizer: of main's parameters, and of the auxiliary's if it is trained.
        loss_function: the objective of one student.
        auxiliary: what main learns from; None for plain supervised training.
        views: ``same``: both students see one augmented image; ``two``: each sees its own augmentation.
        distillation_epochs: epochs with the auxiliary: an int is their number, a float their share of ``max_epochs``;
            all by default.
        independent_epochs: how many of these pass before the students learn from each other and the ramp of λ starts:
            an int is their number, a float their share of ``distillation_epochs``.
        label_epochs: in place of these two, if the auxiliary labels images: epochs after which it does so, and main
            starts again; an int is their number, a float their share of ``max_epochs``.
        clip_grad_norm: largest norm of each network's gradient; None for no clipping.
        accumulation_steps: batches per optimizer step.
        amp: automatic mixed precision: True, False, or ``auto`` (True on CUDA). On the CPU it is bfloat16.
        amp_kwargs: further arguments of ``torch.autocast``, such as ``dtype``.

    Raises:
        ValueError: for an argument outside its range, or an optimizer that does not hold the parameters that it must
            train.

    Examples:
        >>> from dwskd_monai.training import MutualPeer
        >>> main, peer = (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)) for _ in range(2))
        >>> optimizer = torch.optim.SGD([*main.parameters(), *peer.parameters()], lr=0.1)
        >>> batch = {"image": torch.randn(8, 1, 2, 2), "label": torch.arange(8) % 2}
        >>> trainer = DualStudentTrainer(
        ...     "cpu", 2, [batch], main, optimizer, SelfDistillationLoss(weight=0.1), MutualPeer(peer), decollate=False
        ... )
        >>> trainer.run()
        >>> trainer.state.epoch, tuple(trainer.state.output["pred"].shape)
        (2, (8, 2))
    """

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable | DataLoader,
        network: nn.Module,
        optimizer: Optimizer,
        loss_function: SelfDistillationLoss,
        auxiliary: Auxiliary | None = None,
        views: str = "same",
        distillation_epochs: int | float | None = None,
        independent_epochs: int | float = 0,
        label_epochs: int | float = 0.5,
        clip_grad_norm: float | None = None,
        accumulation_steps: int = 1,
        epoch_length: int | None = None,
        non_blocking: bool = False,
        prepare_batch: Callable = default_prepare_batch,
        inferer: Inferer | None = None,
        postprocessing: Transform | None = None,
        key_train_metric: dict[str, Metric] | None = None,
        additional_metrics: dict[str, Metric] | None = None,
        metric_cmp_fn: Callable = default_metric_cmp_fn,
        train_handlers: Any = None,
        amp: bool | str = False,
        event_names: list[str | EventEnum] | None = None,
        event_to_attr: dict | None = None,
        decollate: bool = True,
        optim_set_to_none: bool = True,
        to_kwargs: dict | None = None,
        amp_kwargs: dict | None = None,
    ) -> None:
        one_of("amp", amp, ("auto", True, False))
        one_of("views", views, VIEWS)
        in_range("accumulation_steps", accumulation_steps, 1, math.inf)
        if clip_grad_norm is not None and not clip_grad_norm > 0:
            raise ValueError(f"clip_grad_norm must be greater than 0, or null for no clipping; got {clip_grad_norm}")
        self.network = network
        self.auxiliary = NoAuxiliary() if auxiliary is None else auxiliary
        if self.auxiliary.labels_images:
            self.schedule = EpochSchedule.with_restart(max_epochs, label_epochs)
            if loss_function.needs_features:
                raise ValueError(
                    f"auxiliary: soft labels have no features to compare; got {type(loss_function.term).__name__} and "
                    f"feature_weight {loss_function.feature_weight}. Set distillation_term to SoftenedKL or "
                    "LogitStandard, and feature_weight to 0"
                )
        else:
            self.schedule = EpochSchedule.of(max_epochs, distillation_epochs, independent_epochs)
        if self.auxiliary.joins and self.schedule.distillation_epochs < max_epochs:
            raise ValueError(
                f"deploy: both needs two students that learn to the end: distillation_epochs 1.0, or {max_epochs}; got "
                f"{distillation_epochs}"
            )
        self.views = views
        self.optimizer = optimizer
        self.loss_function = loss_function
        self.clip_grad_norm = clip_grad_norm
        self.accumulation_steps = accumulation_steps
        self.optim_set_to_none = optim_set_to_none
        self.inferer = SimpleInferer() if inferer is None else inferer
        self._check_optimizer()
        self._main_features: PooledFeatures | None = None
        self._auxiliary_features: PooledFeatures | None = None
        if self.auxiliary_network is not None and loss_function.needs_features:
            self._main_features = PooledFeatures(network)
            self._auxiliary_features = PooledFeatures(self.auxiliary_network)
        device = torch.device(device)
        amp = device.type == "cuda" if amp == "auto" else bool(amp)
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            data_loader=train_data_loader,
            epoch_length=epoch_length,
            non_blocking=non_blocking,
            prepare_batch=prepare_batch,
            postprocessing=postprocessing,
            key_metric=key_train_metric,
            additional_metrics=additional_metrics,
            metric_cmp_fn=metric_cmp_fn,
            handlers=train_handlers,
            amp=amp,
            event_names=event_names,
            event_to_attr=event_to_attr,
            decollate=decollate,
            to_kwargs=to_kwargs,
            amp_kwargs=amp_kwargs,
        )
        if self.state.epoch_length is None:
            raise ValueError("the train_data_loader has no length; give epoch_length, which the schedules need")
        # bfloat16 has float32's range and needs no scaling; a disabled scaler passes values through.
        half = self.amp_kwargs.get("dtype", torch.float16) == torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp and device.type == "cuda" and half)

    def run(self) -> None:
        """Train, or continue after a stop or a restored state (``Trainer.run`` would reset the scaler)."""
        with naming_frozen_processes():
            Workflow.run(self)

    @property
    def auxiliary_network(self) -> nn.Module | None:
        """The network that main learns from, if there is one."""
        return self.auxiliary.network

    @property
    def phase(self) -> Phase:
        """The phase of the current epoch."""
        return self.schedule.phase(self.state.epoch)

    @property
    def restarts_now(self) -> bool:
        """Whether images are labeled after the current epoch, and main then starts again."""
        return self.auxiliary.labels_images and self.state.epoch == self.schedule.distillation_epochs

    @property
    def auxiliary_competes(self) -> bool:
        """Whether the auxiliary of the current epoch may be deployed in main's place."""
        return self.auxiliary.competes and self.phase is not Phase.FINE_TUNING

    @property
    def students(self) -> int:
        """How many students this training makes: 2 if the auxiliary is a student and takes part, else 1."""
        return 2 if self.auxiliary.is_student and self.schedule.distillation_epochs > 0 else 1

    def restart(self, first_weights: Mapping[str, Tensor]) -> None:
        """Let main start again: with these weights, and without what the optimizer knows.

        The auxiliary rests from then on, so what the optimizer knows about its parameters would only take memory.
        """
        unwrap(self.network).load_state_dict(first_weights)
        self.optimizer.state.clear()

    def promote_auxiliary(self) -> None:
        """Exchange the students, with their weights and optimizer states."""
        self.auxiliary.promote(self.network, self.optimizer)

    def _trained(self) -> dict[str, nn.Module]:
        """The networks that have a gradient in any phase, by their names."""
        networks = {"network": self.network}
        if self.auxiliary.is_trained and self.auxiliary_network is not None:
            networks["auxiliary_network"] = self.auxiliary_network
        return networks

    def _check_optimizer(self) -> None:
        held = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        networks = self._trained()
        for role, network in networks.items():
            missing = [name for name, p in network.named_parameters() if p.requires_grad and id(p) not in held]
            if missing:
                raise ValueError(
                    f"the optimizer does not hold {len(missing)} parameters of {role}, such as {missing[0]}; "
                    f"with a {type(self.auxiliary).__name__} it must train {len(networks)} network(s)"
                )

    def _iteration(self, engine: DualStudentTrainer, batchdata: dict[str, Tensor]) -> dict:
        """One batch: forward, losses, backward, and an optimizer step after the last accumulated batch."""
        if batchdata is None:
            raise ValueError("Must provide batch data for current iteration.")
        batch = self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)
        inputs, targets = (_plain(item) for item in batch)
        self.state.output = {CommonKeys.IMAGE: inputs, CommonKeys.LABEL: targets}
        accumulation = Accumulation.at(self.state.iteration, self.state.epoch_length, self.accumulation_steps)
        self.network.train()
        if accumulation.is_first:
            self.optimizer.zero_grad(set_to_none=self.optim_set_to_none)
        with torch.autocast(self.state.device.type, enabled=self.amp, **self.amp_kwargs):
            main, auxiliary = self._forward(inputs, batchdata)
            loss = self._losses(main, auxiliary, targets, batchdata.get(SOFT_LABEL))
        assert self.scaler is not None
        self.scaler.scale(loss / accumulation.batches).backward()
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        if accumulation.is_last:
            self._step()
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return self.state.output

    def _forward(self, inputs: Tensor, batchdata: dict[str, Tensor]) -> tuple[StudentOutput, StudentOutput | None]:
        """The outputs of main and, if it takes part, of the auxiliary for this batch."""
        main = StudentOutput(self.inferer(inputs, self.network), _taken(self._main_features))
        self.state.output[CommonKeys.PRED] = main.logits
        auxiliary = None
        if self.auxiliary.takes_part(self.phase):
            view = inputs if self.views == "same" else self._auxiliary_view(batchdata)
            logits = self.auxiliary.logits(view, self.inferer)
            auxiliary = StudentOutput(logits, _taken(self._auxiliary_features))
        self.fire_event(IterationEvents.FORWARD_COMPLETED)
        return main, auxiliary

    def _losses(
        self, main: StudentOutput, auxiliary: StudentOutput | None, targets: Tensor, soft_labels: Tensor | None
    ) -> Tensor:
        """Write the losses of this batch into ``state.output``; returns the loss to differentiate."""
        if soft_labels is None:
            self._refuse_missing_soft_labels()
            loss = self._objective(main, auxiliary, targets)
        else:
            loss = self._soft_objective(main, targets, _plain(soft_labels).to(targets.device))
        self.state.output[CommonKeys.LOSS] = loss.detach()
        if auxiliary is not None:
            auxiliary_loss = self.auxiliary.loss(lambda: self._objective(auxiliary, main, targets))
            if auxiliary_loss is not None:
                self.state.output[AUXILIARY_LOSS] = auxiliary_loss.detach()
                loss = loss + auxiliary_loss
        self.fire_event(IterationEvents.LOSS_COMPLETED)
        return loss

    def _objective(self, student: StudentOutput, peer: StudentOutput | None, targets: Tensor) -> Tensor:
        """Loss of one student; its peer teaches it only in the epochs of distilling."""
        if peer is None or self.phase is not Phase.DISTILLING:
            return self.loss_function(student, targets)
        epochs = (self.state.iteration - 1) / self.state.epoch_length - self.schedule.independent_epochs
        return self.loss_function(student, targets, peer, epoch=epochs)

    def _refuse_missing_soft_labels(self) -> None:
        if self.auxiliary.labels_images and self.phase is Phase.FINE_TUNING:
            raise ValueError(
                f"epoch {self.state.epoch}: main learns soft labels now, but the batch has no {SOFT_LABEL!r}. Workers "
                "of the data loader that began before the images were labeled do not know them: leave "
                "persistent_workers out"
            )

    def _soft_objective(self, main: StudentOutput, targets: Tensor, soft_labels: Tensor) -> Tensor:
        """Main's loss with soft labels ``(B, C)``."""
        labeled = targets != NO_LABEL
        first = self.schedule.distillation_epochs
        epochs = (self.state.iteration - 1) / self.state.epoch_length - first
        of_ramp = self.loss_function.ramp_up_epochs / (0.5 * (self.schedule.max_epochs - first))
        epochs *= max(1.0, of_ramp)  # it ends after half of these epochs at the latest
        return self.loss_function.from_soft_labels(main, targets, labeled, soft_labels, epochs)

    def _auxiliary_view(self, batchdata: dict[str, Tensor]) -> Tensor:
        if AUXILIARY_VIEW not in batchdata:
            raise KeyError(
                f"views='two' needs {AUXILIARY_VIEW!r} in the batch, got {sorted(batchdata)}; "
                "AugmentViewsd(views='two') makes it"
            )
        view = batchdata[AUXILIARY_VIEW].to(self.state.device, non_blocking=self.non_blocking, **self.to_kwargs)
        return _plain(view)

    def _step(self) -> None:
        assert self.scaler is not None
        fine_tuning = self.phase is Phase.FINE_TUNING
        if self.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            for network in [self.network] if fine_tuning else self._trained().values():
                nn.utils.clip_grad_norm_(network.parameters(), self.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if not fine_tuning:
            iterations = self.schedule.distillation_epochs * self.state.epoch_length
            self.auxiliary.after_step(self.network, progress=self.state.iteration / iterations)


def _taken(features: PooledFeatures | None) -> Tensor | None:
    return None if features is None else features.take()


def _plain(value: Tensor) -> Tensor:
    return value.as_tensor() if isinstance(value, MetaTensor) else value
