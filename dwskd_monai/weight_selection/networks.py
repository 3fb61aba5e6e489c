"""What weight selection must know of a network: its family, its classifier, the shape of its images, its coupling."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from dwskd_monai.weight_selection.coupling import Coupling, trace


def family_of(teacher: nn.Module, student: nn.Module) -> str:
    """Name of the class that both networks have in common.

    Raises:
        ValueError: if they have only classes of torch in common.
    """
    for kind in type(student).__mro__:
        if kind in nn.Module.__mro__ or kind.__module__.startswith("torch.nn"):
            break
        if isinstance(teacher, kind):
            return kind.__name__
    raise ValueError(
        f"teacher and student must be of one family, got teacher {type(teacher).__name__} and student "
        f"{type(student).__name__}; choose a student of the teacher's family"
    )


def in_classifier(name: str, network: nn.Module) -> bool:
    """Whether a tensor belongs to the classifier of a timm network, according to its ``default_cfg``.

    Examples:
        >>> import timm
        >>> network = timm.create_model("resnet18")
        >>> in_classifier("fc.weight", network), in_classifier("layer1.0.conv1.weight", network)
        (True, False)
    """
    names: str | Iterable[str] | None = cast(Any, getattr(network, "default_cfg", {})).get("classifier")
    modules = (names,) if isinstance(names, str) else names or ()
    return any(name.startswith(f"{module}.") for module in modules)


def image_shape(network: Any) -> tuple[int, ...]:
    """Shape ``(channels, *space)`` of an image that a network of timm or MONAI takes.

    Raises:
        ValueError: if the network has no convolution from which the shape can be read.

    Examples:
        >>> import timm
        >>> image_shape(timm.create_model("vit_tiny_patch16_224", depth=1, in_chans=1))
        (1, 224, 224)
    """
    config = getattr(network, "default_cfg", None)
    if config is not None:
        first = config["first_conv"]
        first = first if isinstance(first, str) else first[0]
        embedding = getattr(network, "patch_embed", None)
        # A MaxViT has no patches; timm 1.0.31 keeps its size here, earlier ones nowhere
        traits = getattr(network, "_traits", {})
        size = getattr(embedding, "img_size", None) or traits.get("img_size") or config["input_size"][1:]
        return network.get_submodule(first).weight.shape[1], *size
    convolution = next((m for m in network.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Conv3d))), None)
    if convolution is None:
        raise ValueError(
            f"{type(network).__name__} has no convolution that shows which images it takes; give input_shape, "
            "(channels, height, width)"
        )
    embedding = getattr(network, "patch_embedding", None)
    if embedding is None:
        return convolution.in_channels, *(64 for _ in convolution.kernel_size)
    side = round(int(embedding.n_patches) ** (1 / len(convolution.kernel_size)))
    return convolution.in_channels, *(side * length for length in convolution.kernel_size)


@dataclass(frozen=True)
class TracedNetwork:
    """A network with its coupling."""

    network: nn.Module
    coupling: Coupling

    @classmethod
    def of(cls, network: nn.Module, input_shape: Sequence[int] | None = None) -> TracedNetwork:
        """Trace a network on an image of ``input_shape``, or of the shape that it takes if it is timm's or MONAI's."""
        return cls(network, trace(network, input_shape or image_shape(network)))

    def is_classifier(self, name: str) -> bool:
        """Whether a tensor belongs to the classifier: by timm's configuration, or because the network ends with it."""
        return in_classifier(name, self.network) or name in self.coupling.classifier

    def count_values(self) -> int:
        """How many values all tensors have together, without the classifier."""
        tensors = self.network.state_dict()
        return sum(tensor.numel() for name, tensor in tensors.items() if not self.is_classifier(name))
