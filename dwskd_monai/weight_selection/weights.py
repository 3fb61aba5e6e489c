"""A teacher's tensors, from a network in memory or from a file that is read only as far as it is needed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dwskd_monai import checkpoints

# The pages of a file stay in memory while it is mapped, so it is mapped again after this many bytes of tensors.
MAPPED_BYTES = 64 * 2**20
# What programs put before the names of a network's tensors: DataParallel, torch.compile, Lightning and others
_WRAPPERS = {"module", "_orig_mod", "model", "encoder", "backbone", "network", "net"}
_KEYS = ("state_dict", "model")  # under which programs keep a state dict in a .pt file
_logger = logging.getLogger(__name__)


class Weights(Protocol):
    """A teacher's tensors by name."""

    def __str__(self) -> str:
        """Where they are, for messages."""

    def names(self) -> list[str]:
        """Names of all tensors."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor; its values are not read."""

    def __getitem__(self, name: str) -> Tensor:
        """A tensor, valid until the next one is requested; its values are read when they are used."""


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
        expected: names of the network's tensors. If the names in the file have a prefix from a program that wrapped the
            network, such as ``module.`` or ``_orig_mod.``, the prefix is left out, and the log says so.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is damaged, or does not hold a state dict of tensors.
    """

    def __init__(self, path: str | Path, expected: Collection[str] = ()) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"teacher_weights: no file {path}; give a .pt or .safetensors file with the teacher's state dict, or "
                "'pretrained' to download timm's"
            )
        self._is_safetensors = self.path.suffix == ".safetensors"
        self._open(known_whole=False)
        self._prefix = _prefix(self._names_in_file(), expected)
        if self._prefix:
            _logger.info("%s: the names of the tensors begin with %r; this prefix is left out", path, self._prefix)

    def _open(self, known_whole: bool) -> None:
        self._handed_out = 0
        if not self._is_safetensors:
            self._file: Any = checkpoints.load_tensors(self.path, _KEYS, mmap=True, known_whole=known_whole)
            return
        checkpoints.check_whole(self.path)
        try:
            self._file = safe_open(self.path, framework="pt")
        except SafetensorError as error:
            raise ValueError(f"{self.path}: damaged, or not a .safetensors file ({error})") from error

    def __str__(self) -> str:
        return str(self.path)

    def _names_in_file(self) -> list[str]:
        return list(self._file.keys())

    def names(self) -> list[str]:
        """Names of all tensors in the file, without the prefix."""
        return [name.removeprefix(self._prefix) for name in self._names_in_file()]

    def _name_in_file(self, name: str) -> str:
        prefixed = f"{self._prefix}{name}"
        return prefixed if prefixed in self._file.keys() else name  # noqa: SIM118  safetensors has keys alone

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header of the file."""
        name = self._name_in_file(name)
        return tuple(self._file.get_slice(name).get_shape() if self._is_safetensors else self._file[name].shape)

    def __getitem__(self, name: str) -> Tensor:
        """A tensor that is mapped into memory, not read."""
        if self._handed_out > MAPPED_BYTES:
            self._file = None
            self._open(known_whole=True)
        name = self._name_in_file(name)
        tensor: Tensor = self._file.get_tensor(name) if self._is_safetensors else self._file[name]
        self._handed_out += tensor.nbytes
        return tensor


def _prefix(names: Sequence[str], expected: Collection[str]) -> str:
    """The prefix of the names of a network's tensors in a file; nothing if they have none.

    If ``stem.weight`` is expected and the file has ``module.model.stem.weight``, the prefix is ``module.model.``.
    """
    if not expected or not set(expected).isdisjoint(names):
        return ""
    prefixes = {name.removesuffix(own) for name in names for own in expected if name.endswith(f".{own}")}
    wrapping = [prefix for prefix in prefixes if set(prefix.rstrip(".").split(".")) <= _WRAPPERS]
    return wrapping[0] if len(wrapping) == 1 else ""


@dataclass(frozen=True)
class Teacher:
    """The teacher's network and where its weights are.

    Args:
        network: the network; with ``weights`` it may be on the meta device, where it takes no memory.
        weights: a ``.safetensors`` or ``.pt`` file with its state dict, of which only what is needed is read; None: the
            network's own weights.

    Examples:
        >>> import tempfile, timm, torch
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
        """A teacher with the network's own weights; a teacher that is given is returned."""
        return teacher if isinstance(teacher, Teacher) else cls(teacher)

    def open(self) -> Weights:
        """The tensors."""
        return (
            NetworkWeights(self.network)
            if self.weights is None
            else FileWeights(self.weights, self.network.state_dict().keys())
        )
