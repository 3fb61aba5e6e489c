"""A teacher's tensors, from a network in memory or from a file, of which only what is asked for is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from torch import Tensor, nn

# A file's pages stay in memory while it is mapped; it is mapped anew after so many bytes of tensors were handed out.
MAPPED_BYTES = 64 * 2**20


class Weights(Protocol):
    """A teacher's tensors by name."""

    def __str__(self) -> str:
        """Where they are, for messages."""

    def names(self) -> list[str]:
        """Names of all tensors."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor; its values are not read."""

    def __getitem__(self, name: str) -> Tensor:
        """A tensor, valid until the next one is asked for; its values are read when they are used."""


class NetworkWeights:
    """The tensors of a network."""

    def __init__(self, network: nn.Module) -> None:
        self._tensors = network.state_dict()

    def __str__(self) -> str:
        return "the network's own weights"

    def names(self) -> list[str]:
        """Names of all tensors."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._tensors[name].shape)

    def __getitem__(self, name: str) -> Tensor:
        """The network's own tensor."""
        return self._tensors[name]


class FileWeights:
    """The tensors of a ``.safetensors`` or ``.pt`` file, mapped into memory rather than read.

    Args:
        path: a file with one state dict; in a ``.pt`` file it may also be under the key ``state_dict`` or ``model``.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it holds no state dict of tensors.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"teacher_weights: no file {path}; give a .pt or .safetensors file with the teacher's state dict, or "
                "'pretrained' to download timm's"
            )
        self._is_safetensors = self.path.suffix == ".safetensors"
        self._open()

    def _open(self) -> None:
        self._handed_out = 0
        try:
            if self._is_safetensors:
                self._file: Any = safe_open(self.path, framework="pt")
                self._names = list(self._file.keys())
            else:
                self._file = _state_dict(torch.load(self.path, map_location="cpu", mmap=True, weights_only=True))
                self._names = list(self._file)
        except Exception as error:  # torch and safetensors raise a dozen kinds for a file that they cannot read
            raise ValueError(
                f"{self.path}: not a .pt or .safetensors file with a state dict of tensors ({error})"
            ) from error

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        """Names of all tensors in the file."""
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the head of the file."""
        return tuple(self._file.get_slice(name).get_shape() if self._is_safetensors else self._file[name].shape)

    def __getitem__(self, name: str) -> Tensor:
        """A tensor that is mapped, not read."""
        if self._handed_out > MAPPED_BYTES:
            self._file = None
            self._open()
        tensor: Tensor = self._file.get_tensor(name) if self._is_safetensors else self._file[name]
        self._handed_out += tensor.nbytes
        return tensor


def _state_dict(content: Any) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(f"it holds {type(content).__name__}, not tensors by name")
    return content


@dataclass(frozen=True)
class Teacher:
    """The large network and where its weights are.

    Args:
        network: the network; with ``weights`` it may be on the meta device, where it takes no memory.
        weights: a ``.safetensors`` or ``.pt`` file with its state dict, of which only what is needed is read; None for
            the network's own.

    Examples:
        >>> import tempfile, timm
        >>> from safetensors.torch import save_file
        >>> with torch.device("meta"):
        ...     network = timm.create_model("resnet18")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file(timm.create_model("resnet18").state_dict(), f"{folder}/teacher.safetensors")
        ...     Teacher(network, f"{folder}/teacher.safetensors").open().shape("conv1.weight")
        (64, 3, 7, 7)
    """

    network: nn.Module
    weights: str | Path | None = None

    @classmethod
    def of(cls, teacher: nn.Module | Teacher) -> Teacher:
        """A network as a teacher whose weights are its own; a teacher as it is."""
        return teacher if isinstance(teacher, Teacher) else cls(teacher)

    def open(self) -> Weights:
        """The tensors."""
        return NetworkWeights(self.network) if self.weights is None else FileWeights(self.weights)
