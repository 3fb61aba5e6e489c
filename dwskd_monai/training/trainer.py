"""The trainer that knows that there are two students."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
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
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from dwskd_monai.arguments import flag, optional
from dwskd_monai.training.losses import SelfDistillationLoss

AUXILIARY_MODES = ("ema", "frozen", "mutual", "none")
VIEWS = ("same", "two")
DEPLOY = ("better", "main")
AUXILIARY_VIEW = "image_auxiliary"
AUXILIARY_LOSS = "auxiliary_loss"


class DualStudentTrainer(Trainer):
    """Train ``network`` (main) together with an auxiliary student, then fine-tune main alone.

    Both learn from the labels alone for ``independent_epochs``, then from each other too, by self-distillation
    (Tsutsumi et al., arXiv 2508.20461), until ``distillation_epochs``; then cross-entropy on main for the rest of
    ``max_epochs``. The auxiliary is

    - ``ema``: a moving average of main that started from its own weights, ``θ_a ← μ θ_a + (1 - μ) θ_m`` after each
      optimiser step, with μ(t) from ``momentum`` to 1 by a cosine (Grill et al., arXiv 2006.07733, section 3.3);
    - ``mutual``: a second student with the mirrored loss and its own gradient (Zhang et al., arXiv 1706.00384);
    - ``frozen``: any network that does not change, such as the fine-tuned teacher (Hinton et al., arXiv 1503.02531);
    - ``none``: absent; plain supervised training of main.

    ``SupervisedTrainer`` of MONAI has one network; beyond that, this trainer gives the networks plain tensors (the
    dispatch of ``MetaTensor`` costs time at each operation), clips gradients, keeps its gradient scaler between runs
    and uses automatic mixed precision on the device that it has. Its events, keys and argument names are MONAI's.
    ``engine.state.output`` holds IMAGE, LABEL, PRED (main's logits), LOSS (main's, unscaled), and with ``mutual``
    ``auxiliary_loss``.

    Args:
        device: where to train.
        max_epochs: epochs in all.
        train_data_loader: batches with IMAGE ``(B, C, H, W)`` and LABEL ``(B,)``; with ``views="two"`` also
            ``image_auxiliary`` ``(B, C, H, W)``, which :class:`~dwskd_monai.training.views.AugmentViewsd` makes.
        network: main, the student that is deployed.
        optimizer: of main's parameters, and with ``auxiliary="mutual"`` of the auxiliary's too.
        loss_function: the objective of one student.
        auxiliary_network: the other student, of main's architecture; not needed with ``auxiliary="none"``, and of any
            architecture with ``frozen``.
        auxiliary: ``ema``, ``mutual``, ``frozen`` or ``none``.
        views: ``same``: both students see one augmented image; ``two``: each sees its own augmentation.
        distillation_epochs: epochs with the auxiliary: a whole number of them, or a float, their share of
            ``max_epochs``; all by default.
        independent_epochs: how many of these pass before the students learn from each other, which is when the ramp of
            λ starts: a whole number, or a float, their share of ``distillation_epochs``.
        momentum: μ at the start, in [0, 1].
        deploy: ``better``: of two students, the better one by the validation metric is fine-tuned and deployed (see
            :class:`~dwskd_monai.training.handlers.BetterStudentHandler`); ``main``: always main.
        clip_grad_norm: largest norm of each student's gradient; None for no clipping.
        accumulation_steps: batches per optimiser step.
        amp: automatic mixed precision: True, False, or ``auto`` (True on CUDA). On the CPU it is bfloat16.
        amp_kwargs: further arguments of ``torch.autocast``, ``dtype`` for instance.
        epoch_length, non_blocking, prepare_batch, inferer, postprocessing, key_train_metric, additional_metrics,
            metric_cmp_fn, train_handlers, event_names, event_to_attr, decollate, optim_set_to_none, to_kwargs:
            as in :class:`monai.engines.SupervisedTrainer`.

    Raises:
        ValueError: for an argument outside its range, an auxiliary that is missing, or an optimiser that does not
            hold the parameters that it must train.
    """

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable | DataLoader,
        network: nn.Module,
        optimizer: Optimizer,
        loss_function: SelfDistillationLoss,
        auxiliary_network: nn.Module | None = None,
        auxiliary: str = "mutual",
        views: str = "same",
        distillation_epochs: int | float | None = None,
        independent_epochs: int | float = 0,
        momentum: float = 0.99,
        deploy: str = "better",
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
        train_handlers: Sequence | None = None,
        amp: bool | str = False,
        event_names: list[str | EventEnum | type[EventEnum]] | None = None,
        event_to_attr: dict | None = None,
        decollate: bool = True,
        optim_set_to_none: bool = True,
        to_kwargs: dict | None = None,
        amp_kwargs: dict | None = None,
    ) -> None:
        clip_grad_norm, amp = optional(clip_grad_norm), amp if amp == "auto" else flag("amp, unless auto,", amp)
        _one_of("auxiliary", auxiliary, AUXILIARY_MODES)
        _one_of("views", views, VIEWS)
        _one_of("deploy", deploy, DEPLOY)
        _in_range("max_epochs", max_epochs, 1, math.inf)
        if distillation_epochs is None:
            distillation_epochs = max_epochs
        distillation_epochs = _whole_epochs("distillation_epochs", distillation_epochs, max_epochs)
        independent_epochs = _whole_epochs("independent_epochs", independent_epochs, distillation_epochs)
        _in_range("momentum", momentum, 0, 1)
        _in_range("accumulation_steps", accumulation_steps, 1, math.inf)
        if clip_grad_norm is not None and not clip_grad_norm > 0:
            raise ValueError(f"clip_grad_norm must be greater than 0, or null for no clipping; got {clip_grad_norm}")
        if auxiliary != "none" and auxiliary_network is None:
            raise ValueError(f"auxiliary={auxiliary!r} needs an auxiliary_network")
        self.network = network
        self.auxiliary_network = auxiliary_network if auxiliary != "none" else None
        self.auxiliary, self.views, self.deploy = auxiliary, views, deploy
        self.optimizer, self.loss_function = optimizer, loss_function
        self.distillation_epochs, self.independent_epochs = distillation_epochs, independent_epochs
        self.momentum, self.clip_grad_norm = momentum, clip_grad_norm
        self.accumulation_steps, self.optim_set_to_none = accumulation_steps, optim_set_to_none
        self.inferer = SimpleInferer() if inferer is None else inferer
        self._check_optimizer()
        if self.auxiliary_network is not None and auxiliary != "mutual":
            self.auxiliary_network.requires_grad_(False)
        self._features = _PooledFeatures(self._students()) if loss_function.needs_features else None
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
            raise ValueError("the train_data_loader has no length: give epoch_length, the schedules need it")
        # bfloat16 has float32's range and needs no scaling; a disabled scaler passes values through.
        half = self.amp_kwargs.get("dtype", torch.float16) == torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp and device.type == "cuda" and half)

    def run(self) -> None:
        """Train; where it was stopped or restored, continue from there (``Trainer.run`` would reset the scaler)."""
        Workflow.run(self)

    @property
    def distilling(self) -> bool:
        """Whether the auxiliary takes part in the current epoch."""
        return self.auxiliary != "none" and self.state.epoch <= self.distillation_epochs

    @property
    def independent(self) -> bool:
        """Whether both students still learn from the labels alone."""
        return self.distilling and self.state.epoch <= self.independent_epochs

    @property
    def auxiliary_competes(self) -> bool:
        """Whether the auxiliary of the current epoch may be deployed in main's place."""
        return self.distilling and self.auxiliary in ("ema", "mutual") and self.deploy == "better"

    def promote_auxiliary(self) -> None:
        """Let the students change places, with their weights and optimiser states."""
        assert self.auxiliary_network is not None
        main, auxiliary = unwrap(self.network), unwrap(self.auxiliary_network)
        mains = copy.deepcopy(main.state_dict())
        main.load_state_dict(auxiliary.state_dict())
        auxiliary.load_state_dict(mains)
        if self.auxiliary != "mutual":
            return  # a moving average has no optimiser state
        state = self.optimizer.state
        for ours, theirs in zip(main.parameters(), auxiliary.parameters(), strict=True):
            held = [(ours, state.pop(theirs, None)), (theirs, state.pop(ours, None))]
            state.update({parameter: value for parameter, value in held if value is not None})

    def _students(self) -> list[nn.Module]:
        """Main, and the auxiliary if there is one."""
        return [self.network] if self.auxiliary_network is None else [self.network, self.auxiliary_network]

    def _trained(self) -> list[nn.Module]:
        """The students that have a gradient."""
        return self._students() if self.auxiliary == "mutual" else [self.network]

    def _check_optimizer(self) -> None:
        held = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        for role, student in zip(("network", "auxiliary_network"), self._trained()):
            missing = [name for name, p in student.named_parameters() if p.requires_grad and id(p) not in held]
            if missing:
                raise ValueError(
                    f"the optimizer does not hold {len(missing)} parameters of {role}, {missing[0]} for instance; "
                    f"with auxiliary={self.auxiliary!r} it must train {len(self._trained())} network(s)"
                )

    def _iteration(self, engine: DualStudentTrainer, batchdata: dict[str, Tensor]) -> dict:
        """One batch: forward of the students, losses, backward, and at the end of an accumulation a step."""
        if batchdata is None:
            raise ValueError("Must provide batch data for current iteration.")
        inputs, targets = (
            _plain(item)
            for item in self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)
        )
        self.state.output = {CommonKeys.IMAGE: inputs, CommonKeys.LABEL: targets}
        in_epoch = (self.state.iteration - 1) % self.state.epoch_length
        start = in_epoch - in_epoch % self.accumulation_steps
        accumulated = min(self.accumulation_steps, self.state.epoch_length - start)  # the last one may be shorter
        self.network.train()
        if in_epoch == start:
            self.optimizer.zero_grad(set_to_none=self.optim_set_to_none)
        with torch.autocast(self.state.device.type, enabled=self.amp, **self.amp_kwargs):
            loss = self._forward(inputs, targets, batchdata)
        assert self.scaler is not None
        self.scaler.scale(loss / accumulated).backward()
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        if in_epoch == start + accumulated - 1:
            self._step()
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return self.state.output

    def _forward(self, inputs: Tensor, targets: Tensor, batchdata: dict[str, Tensor]) -> Tensor:
        """Logits and losses of this batch into ``state.output``; returns what to differentiate."""
        logits = self.inferer(inputs, self.network)
        self.state.output[CommonKeys.PRED] = logits
        mutual = self.auxiliary == "mutual"
        if not self.distilling or (self.independent and not mutual):
            self.fire_event(IterationEvents.FORWARD_COMPLETED)
            loss = self.loss_function(logits, targets)
            self.state.output[CommonKeys.LOSS] = loss.detach()
            self.fire_event(IterationEvents.LOSS_COMPLETED)
            return loss
        assert self.auxiliary_network is not None
        self.auxiliary_network.train(mutual)  # what has no gradient teaches without dropout
        view = inputs if self.views == "same" else self._auxiliary_view(batchdata)
        with torch.set_grad_enabled(mutual):
            peer_logits = self.inferer(view, self.auxiliary_network)
        self.fire_event(IterationEvents.FORWARD_COMPLETED)
        features = self._features.take() if self._features is not None else [None, None]
        loss = self._objective(logits, targets, peer_logits, features)
        self.state.output[CommonKeys.LOSS] = loss.detach()
        if mutual:
            peer_loss = self._objective(peer_logits, targets, logits, features[::-1])
            self.state.output[AUXILIARY_LOSS] = peer_loss.detach()
            loss = loss + peer_loss
        self.fire_event(IterationEvents.LOSS_COMPLETED)
        return loss

    def _objective(
        self, logits: Tensor, targets: Tensor, peer_logits: Tensor, features: Sequence[Tensor | None]
    ) -> Tensor:
        """Loss of the student with ``logits``; ``features`` are its own and its peer's."""
        if self.independent:
            return self.loss_function(logits, targets)
        epoch = (self.state.iteration - 1) / self.state.epoch_length - self.independent_epochs
        return self.loss_function(logits, targets, peer_logits, *features, epoch=epoch)

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
        if self.clip_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            for student in self._trained() if self.distilling else [self.network]:
                nn.utils.clip_grad_norm_(student.parameters(), self.clip_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.distilling and self.auxiliary == "ema":
            self._average()

    @torch.no_grad()
    def _average(self) -> None:
        """θ_a ← μ(t) θ_a + (1 - μ(t)) θ_m, buffers included (counters are copied)."""
        main, auxiliary = (unwrap(student) for student in self._students())
        progress = self.state.iteration / (self.distillation_epochs * self.state.epoch_length)
        momentum = 1 - (1 - self.momentum) * (math.cos(math.pi * progress) + 1) / 2
        pairs = list(zip(auxiliary.state_dict(keep_vars=True).values(), main.state_dict(keep_vars=True).values()))
        real = [pair for pair in pairs if pair[0].is_floating_point()]
        get_ema_multi_avg_fn(momentum)([theirs for theirs, _ in real], [ours for _, ours in real], None)
        for theirs, ours in pairs:
            if not theirs.is_floating_point():
                theirs.copy_(ours)


class _PooledFeatures:
    """Catches the input of each student's classifier: the pooled features of the batch, in the students' order."""

    def __init__(self, students: Sequence[nn.Module]) -> None:
        self._caught: dict[int, Tensor] = {}
        self._order = range(len(students))
        for index, student in enumerate(students):
            model: Any = unwrap(student)
            if not hasattr(model, "get_classifier"):
                raise ValueError(
                    f"feature_weight > 0 and distillation: bake need a timm network, got {type(model).__name__}"
                )
            model.get_classifier().register_forward_pre_hook(self._hook(index))

    def _hook(self, index: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def catch(module: nn.Module, args: tuple[Any, ...]) -> None:
            self._caught[index] = args[0]

        return catch

    def take(self) -> list[Tensor | None]:
        return [self._caught.pop(index, None) for index in self._order]


def unwrap(network: nn.Module) -> nn.Module:
    """The network itself, where it is wrapped for distributed training."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def _plain(value: Tensor) -> Tensor:
    return value.as_tensor() if isinstance(value, MetaTensor) else value


def _whole_epochs(name: str, epochs: int | float, of: int) -> int:
    if isinstance(epochs, float):
        _in_range(f"{name}, as a share,", epochs, 0, 1)
        return round(epochs * of)
    _in_range(name, epochs, 0, of)
    return epochs


def _one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}; got {value!r}")


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}]; got {value}")
