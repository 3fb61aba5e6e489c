"""Describes transforms by what they do, as a text: the key of their results in the cache."""

from __future__ import annotations

import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

_STATE = ("_tracing",)  # what MONAI adds to a transform at its first call
# Packages whose code is known by its name: MONAI's version is in the key, transforms of this package have a version as
# an attribute, and the others do not change pixels.
_KNOWN = {*sys.stdlib_module_names, "monai", "dwskd_monai", "torch", "numpy"}
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib"))


def describe(value: Any) -> str:
    """A text that is equal for equal values in each process: class names and attributes, and those of the attributes.

    For a function or class that does not belong to a library, the text contains its code and what it refers to. So if a
    lambda of a config or a user's own transform is changed, its description changes.

    The bytes of pickle, which MONAI hashes, differ if equal strings are not the same object, and know functions only by
    their names.

    Raises:
        TypeError: for a value that has another name in each run.
    """
    return _Describer().text_of(value)


class _Describer:
    """Describes one value; each function and class in it is described once, and then named."""

    def __init__(self) -> None:
        self._open: set[int] = set()  # ids of what is being described, since a value may contain itself
        self._coded: list[Any] = []  # functions and classes whose code was described already

    def text_of(self, value: Any) -> str:
        if id(value) in self._open:
            return "…"
        self._open.add(id(value))
        try:
            return self._text_of(value)
        finally:
            self._open.remove(id(value))

    def _text_of(self, value: Any) -> str:
        if isinstance(value, Mapping):
            return (
                "{" + ", ".join(sorted(f"{self.text_of(key)}: {self.text_of(one)}" for key, one in value.items())) + "}"
            )
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(map(self.text_of, value)) + "]"
        if isinstance(value, Set):
            return "{" + ", ".join(sorted(map(self.text_of, value))) + "}"
        if isinstance(value, (np.ndarray, torch.Tensor)):
            return _of_numbers(value)
        if isinstance(value, functools.partial):
            return f"partial{self.text_of([value.func, value.args, value.keywords])}"
        if isinstance(value, MethodType):
            return f"method{self.text_of([value.__self__, value.__func__])}"
        if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
            return f"{value.__module__}.{value.__qualname__}{self._code_of(value)}"
        if isinstance(value, ModuleType):
            return f"module {value.__name__}"
        kind = type(value)
        if hasattr(value, "__dict__"):
            attributes = {name: item for name, item in vars(value).items() if name not in _STATE}
            return f"{kind.__module__}.{kind.__qualname__}{self.text_of(attributes)}{self._code_of(kind)}"
        text = repr(value)
        if " at 0x" in text:
            raise TypeError(f"a transform that is cached has {text}, which has another name in each run")
        return text + self._code_of(kind)

    def _code_of(self, value: type | FunctionType | BuiltinFunctionType) -> str:
        """The code of a function or a class, unless its name is enough."""
        if _is_known(_module_of(value)) or isinstance(value, BuiltinFunctionType):
            return ""
        if any(value is one for one in self._coded):
            return ""
        self._coded.append(value)
        if isinstance(value, type):
            return " " + self.text_of([_members(one) for one in value.__mro__ if not _is_known(one.__module__)])
        cells = [cell.cell_contents for cell in value.__closure__ or () if _has_content(cell)]
        parts = [_instructions(value.__code__), value.__defaults__, value.__kwdefaults__, cells, _referred_to(value)]
        return " " + self.text_of(parts)


def _of_numbers(value: np.ndarray | torch.Tensor) -> str:
    """A digest of all numbers of an array: its ``repr`` leaves out those in the middle."""
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    digest = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).hexdigest()
    return f"{type(value).__name__} {array.dtype} {array.shape} {digest}"


def _module_of(value: type | FunctionType | BuiltinFunctionType) -> str:
    """The name of a module; "" for a function of an expression, such as a lambda in a config."""
    if isinstance(value, FunctionType):
        return str(value.__globals__.get("__name__", ""))
    return value.__module__ or ""


def _members(kind: type) -> dict[str, Any]:
    """Methods and constants that a class defines itself."""
    members: dict[str, Any] = {}
    for name, value in vars(kind).items():
        plain = getattr(value, "__func__", getattr(value, "fget", getattr(value, "func", value)))
        if isinstance(plain, (FunctionType, int, float, str, tuple, list, dict)) and name not in (
            "__module__", "__doc__", "__qualname__", "__firstlineno__", "__static_attributes__", "__annotations__",
        ):  # fmt: skip
            members[name] = plain
    return members


def _instructions(code: CodeType) -> list[Any]:
    """The instructions of a function, without its position in the file."""
    constants = [_instructions(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    return [hashlib.blake2b(code.co_code, digest_size=16).hexdigest(), constants, code.co_names, code.co_varnames]


def _referred_to(function: FunctionType) -> dict[str, Any]:
    """Functions, classes and constants that a function uses, also those in a user's own module."""
    names = set(_names(function.__code__))
    found: dict[str, Any] = {}
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, ModuleType):
            if not _is_library(value.__name__):
                inner = {other: vars(value)[other] for other in sorted(names & vars(value).keys())}
                found[name] = {other: one for other, one in inner.items() if _tells(one)}
        elif _tells(value):
            found[name] = value
    return found


def _tells(value: Any) -> bool:
    if isinstance(value, (type, FunctionType)):
        return not _is_library(_module_of(value))
    return isinstance(value, (int, float, str, tuple, list, dict, set, np.ndarray, torch.Tensor, functools.partial))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _names(one)


def _has_content(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  an empty one raises
    except ValueError:
        return False
    return True


def _is_known(module: str) -> bool:
    return module.partition(".")[0] in _KNOWN


def _is_library(module: str) -> bool:
    """Whether a module belongs to a library; what it uses in turn is not described."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return _is_known(module) or (file is not None and any(Path(file).is_relative_to(path) for path in _LIBRARIES))
