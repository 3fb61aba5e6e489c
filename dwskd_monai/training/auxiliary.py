"""What main learns from: a second student, a moving average of main, a fixed network, soft labels, or nothing.

The trainer uses an :class:`Auxiliary` without knowing its kind; a config names the kind by a word, which
:func:`create_auxiliary` understands.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dwskd_monai.ensemble import Ensemble
from dwskd_monai.training.checks import in_range, one_of
from dwskd_monai.training.distributed import unwrap
from dwskd_monai.training.schedule import EpochSchedule, Phase

LABELING = ("own_soft_labels", "soft_labels", "teacher_soft_labels")  # those that learn from images without labels
KINDS = ("ema", "frozen", "mutual", "none", *LABELING)
AUTO = "auto"
DEPLOY = ("better", "main", "both")


class Auxiliary:
    """What main learns from; this base class is a network that gives main its logits and does not change.

    Args:
        network: gives logits ``(B, C)``; None only if :meth:`takes_part` is never true.
        competes: whether the network may be deployed in main's place.
        joins: whether the mean of main and the network is deployed.
    """

    is_student = False
    """Whether the network becomes a classifier like main, so that it can be deployed, or combined with main."""

    is_trained = False
    """Whether the network has a loss and a gradient of its own, so that the optimizer must hold its parameters."""

    labels_images = False
    """Whether main starts again after ``label_epochs`` and learns what :meth:`labelers` say about all images."""

    def __init__(self, network: nn.Module | None, competes: bool = False, joins: bool = False) -> None:
        self.network = network
        self.competes = competes
        self.joins = joins

    def takes_part(self, phase: Phase) -> bool:
        """Whether the network is asked for its logits in this phase."""
        return phase is Phase.DISTILLING

    def logits(self, images: Tensor, inferer: Inferer) -> Tensor:
        """Logits ``(B, C)`` of images ``(B, C_in, H, W)``, without dropout if the network is not trained."""
        assert self.network is not None
        self.network.train(self.is_trained)
        with torch.set_grad_enabled(self.is_trained):
            logits: Tensor = inferer(images, self.network)
        return logits

    def loss(self, objective: Callable[[], Tensor]) -> Tensor | None:
        """The network's own loss, if it is trained.

        Args:
            objective: computes main's loss with the two students exchanged.
        """
        return objective() if self.is_trained else None

    def after_step(self, main: nn.Module, progress: float) -> None:
        """Follow main after an optimizer step.

        Args:
            main: the network that made the step.
            progress: share of the epochs with the auxiliary that has passed, in [0, 1].
        """

    def labelers(self, main: nn.Module) -> list[nn.Module]:
        """The networks that label images, if any do."""
        return []

    def deployed(self, main: nn.Module) -> nn.Module:
        """The network that is validated and saved: main, or the mean of both, with the weights that they have then."""
        main = unwrap(main)
        if not self.joins:
            return main
        assert self.network is not None
        return Ensemble(main, unwrap(self.network))

    def promote(self, main: nn.Module, optimizer: Optimizer) -> None:
        """Change places with main: exchange the weights, and the optimizer's state for them."""
        raise NotImplementedError(f"{type(self).__name__} is not deployed in main's place")


class MutualPeer(Auxiliary):
    """A second student with the mirrored loss and its own gradient (Zhang et al., arXiv 1706.00384).

    Args:
        network: of main's architecture.
        competes: whether it may be deployed in main's place.
        joins: whether the mean of both is deployed.
    """

    is_student = True
    is_trained = True

    def __init__(self, network: nn.Module, competes: bool = True, joins: bool = False) -> None:
        super().__init__(network, competes, joins)

    def takes_part(self, phase: Phase) -> bool:
        """In all epochs except those of fine-tuning: before distilling, it learns from the labels alone."""
        return phase is not Phase.FINE_TUNING

    def promote(self, main: nn.Module, optimizer: Optimizer) -> None:
        """Change places with main."""
        assert self.network is not None
        _exchange_weights(main, self.network)
        _exchange_optimizer_states(main, self.network, optimizer)


class MovingAverage(Auxiliary):
    """A moving average of main, which starts from weights of its own.

    θ_a ← μ(t) θ_a + (1 - μ(t)) θ_m after each step, with μ(t) = 1 - (1 - μ) (cos(π t) + 1) / 2, which rises from μ to 1
    while the progress t goes from 0 to 1 (Grill et al., arXiv 2006.07733, section 3.3).

    ``ignite.handlers.EMAHandler`` and ``torch.optim.swa_utils.AveragedModel`` start from a copy of main, and their
    momentum is constant or warms up; the averaging itself is torch's.

    Args:
        network: of main's architecture.
        momentum: μ in [0, 1].
        competes: whether it may be deployed in main's place.
        joins: whether the mean of both is deployed.

    Examples:
        >>> main, average = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(main.weight, 1.0), nn.init.constant_(average.weight, 0.0)
        >>> MovingAverage(average, momentum=0.9).after_step(main, progress=0.0)
        >>> round(average.weight.item(), 4)
        0.1
    """

    is_student = True

    def __init__(self, network: nn.Module, momentum: float = 0.99, competes: bool = True, joins: bool = False) -> None:
        in_range("momentum", momentum, 0, 1)
        super().__init__(network, competes, joins)
        self.momentum = momentum

    @torch.no_grad()
    def after_step(self, main: nn.Module, progress: float) -> None:
        """Average weights and buffers with main's; counters are copied."""
        assert self.network is not None
        momentum = 1 - (1 - self.momentum) * (math.cos(math.pi * progress) + 1) / 2
        averaged = []
        of_main = []
        main_state = unwrap(main).state_dict(keep_vars=True)
        for name, value in unwrap(self.network).state_dict(keep_vars=True).items():
            if value.is_floating_point():
                averaged.append(value)
                of_main.append(main_state[name])
            else:
                value.copy_(main_state[name])
        get_ema_multi_avg_fn(momentum)(averaged, of_main, None)

    def promote(self, main: nn.Module, optimizer: Optimizer) -> None:
        """Change places with main; the optimizer has no state for an average."""
        assert self.network is not None
        _exchange_weights(main, self.network)


class FrozenPeer(Auxiliary):
    """Any network that does not change, such as the fine-tuned teacher (Hinton et al., arXiv 1503.02531).

    Args:
        network: gives logits for main's classes; its architecture may differ from main's.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)


class NoAuxiliary(Auxiliary):
    """Nothing: plain supervised training of main."""

    def __init__(self) -> None:
        super().__init__(None)

    def takes_part(self, phase: Phase) -> bool:
        """Never."""
        return False


class SoftLabeler(MutualPeer):
    """A second student that learns on its own, and then labels all images together with main.

    Args:
        network: of main's architecture.
    """

    labels_images = True

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, competes=False)

    def labelers(self, main: nn.Module) -> list[nn.Module]:
        """Both students."""
        assert self.network is not None
        return [main, self.network]


class TeacherLabeler(SoftLabeler):
    """The teacher, which is fine-tuned on the labels while main learns from them, and then labels all images.

    A large network makes more of few labels, and a small one learns it from the soft labels of further images (Chen et
    al., *Big self-supervised models are strong semi-supervised learners*, arXiv 2006.10029, section 2).

    Args:
        network: the teacher, with a classifier; it is not deployed, so its architecture may differ from main's.
    """

    is_student = False

    def labelers(self, main: nn.Module) -> list[nn.Module]:
        """The teacher."""
        assert self.network is not None
        return [self.network]


class OwnSoftLabels(NoAuxiliary):
    """No second student: main labels all images alone, before it starts again."""

    labels_images = True

    def labelers(self, main: nn.Module) -> list[nn.Module]:
        """Main."""
        return [main]


def chosen_auxiliary(auxiliary: str, unlabeled_dir: str | Path | None, labeling: str | None = "soft_labels") -> str:
    """The kind of auxiliary that ``auto`` stands for: ``labeling`` with unlabeled images, else ``mutual``.

    Args:
        auxiliary: ``auto``, or a kind, which stays as it is.
        unlabeled_dir: where the unlabeled images are; None: there are none.
        labeling: a kind that labels images. A config that makes the teacher its second network says so; older ones make
            a second student. None: there is no second network, so nothing is learned from unlabeled images.

    Raises:
        ValueError: for another word, or a kind that learns nothing from unlabeled images, if there are any.
    """
    one_of("auxiliary", auxiliary, (AUTO, *KINDS))
    if unlabeled_dir is not None and labeling is None:
        raise ValueError("unlabeled_dir: this training learns from labels alone; leave it out")
    if unlabeled_dir is not None and auxiliary not in (AUTO, *LABELING):
        raise ValueError(
            f"unlabeled_dir: nothing is learned from its images with auxiliary: {auxiliary}; leave it out, or set "
            "auxiliary: teacher_soft_labels"
        )
    if auxiliary != AUTO:
        return auxiliary
    return "mutual" if unlabeled_dir is None or labeling is None else labeling


def restart_epoch(auxiliary: str, max_epochs: int, label_epochs: float) -> int | None:
    """The epoch after which main starts again, and with it the learning rate; None if it does not.

    Args:
        auxiliary: its kind.
        max_epochs, label_epochs: as of :meth:`~dwskd_monai.training.schedule.EpochSchedule.with_restart`.
    """
    if auxiliary not in LABELING:
        return None
    return EpochSchedule.with_restart(max_epochs, label_epochs).distillation_epochs


def create_auxiliary(kind: str, network: nn.Module | None, momentum: float = 0.99, deploy: str = "better") -> Auxiliary:
    """The auxiliary that a config names.

    Args:
        kind: ``mutual``: :class:`MutualPeer`; ``ema``: :class:`MovingAverage`; ``frozen``: :class:`FrozenPeer`;
            ``none``: :class:`NoAuxiliary`; ``soft_labels``: :class:`SoftLabeler`; ``teacher_soft_labels``:
            :class:`TeacherLabeler`; ``own_soft_labels``: :class:`OwnSoftLabels`.
        network: the auxiliary's; with ``none`` and ``own_soft_labels`` it is not used, and may be None.
        momentum: μ of the moving average at the start, in [0, 1].
        deploy: ``better``: the student with the better validation metric is fine-tuned and deployed; ``main``: always
            main; ``both``: the mean of their probabilities, as one network.

    Raises:
        ValueError: for another kind, a momentum outside its range, a missing network, or ``both`` of one student.

    Examples:
        >>> type(create_auxiliary("ema", nn.Linear(2, 2))).__name__
        'MovingAverage'
        >>> create_auxiliary("average", None)
        Traceback (most recent call last):
        ValueError: auxiliary must be one of ema, frozen, mutual, none, own_soft_labels, soft_labels, ...; got 'average'
    """
    one_of("auxiliary", kind, KINDS)
    one_of("deploy", deploy, DEPLOY)
    in_range("momentum", momentum, 0, 1)  # whatever the kind: a wrong setting is never ignored
    if deploy == "both" and kind not in ("ema", "mutual"):
        raise ValueError(
            f"deploy: both needs two students, auxiliary: mutual or ema, but auxiliary is {kind}; leave deploy out, or "
            "train two students"
        )
    if kind == "none":
        return NoAuxiliary()
    if kind == "own_soft_labels":
        return OwnSoftLabels()
    if network is None:
        raise ValueError(f"auxiliary={kind!r} needs an auxiliary_network")
    if kind == "frozen":
        return FrozenPeer(network)
    if kind == "soft_labels":
        return SoftLabeler(network)
    if kind == "teacher_soft_labels":
        return TeacherLabeler(network)
    competes = deploy == "better"
    joins = deploy == "both"
    if kind == "ema":
        return MovingAverage(network, momentum, competes, joins)
    return MutualPeer(network, competes, joins)


def _exchange_weights(main: nn.Module, auxiliary: nn.Module) -> None:
    main = unwrap(main)
    auxiliary = unwrap(auxiliary)
    main_state = copy.deepcopy(main.state_dict())
    main.load_state_dict(auxiliary.state_dict())
    auxiliary.load_state_dict(main_state)


def _exchange_optimizer_states(main: nn.Module, auxiliary: nn.Module, optimizer: Optimizer) -> None:
    states = optimizer.state
    pairs = zip(unwrap(main).parameters(), unwrap(auxiliary).parameters(), strict=True)
    for main_parameter, auxiliary_parameter in pairs:
        main_state = states.pop(main_parameter, None)  # None for what has had no gradient yet
        auxiliary_state = states.pop(auxiliary_parameter, None)
        if auxiliary_state is not None:
            states[main_parameter] = auxiliary_state
        if main_state is not None:
            states[auxiliary_parameter] = main_state
