"""Writes a Python package as a wheel (PEP 427).

A wheel of pure Python is a zip file with a list of its files and two short texts. Build backends make them from a
project with a ``pyproject.toml``, in an environment of their own that they install first; there is no project here.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from dwskd_monai.commands.deploy.package import EXTRAS, REQUIRES, Package
from dwskd_monai.files import replacing

_DAY_ONE = (1980, 1, 1, 0, 0, 0)  # a fixed date, so that the same content gives the same bytes
_TAG = "py3-none-any"


def write_wheel(package: Package, folder: Path) -> Path:
    """Write ``<name>-<version>-py3-none-any.whl`` into a folder, and return its path."""
    info = f"{package.module}-{package.version}.dist-info"
    files = dict(package.files) | {
        f"{info}/METADATA": _metadata(package),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: dwskd_monai\nRoot-Is-Purelib: true\nTag: {_TAG}\n".encode(),
        f"{info}/entry_points.txt": f"[console_scripts]\n{package.name} = {package.module}.__main__:run\n".encode(),
    }
    record = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    out = folder / f"{package.module}-{package.version}-{_TAG}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, _DAY_ONE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out


def _metadata(package: Package) -> bytes:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {package.name}",
        f"Version: {package.version}",
        f"Summary: {package.summary}",
        f"License-Expression: {package.license}",
        "Requires-Python: >=3.11",
        "Description-Content-Type: text/markdown",
        *(f"Requires-Dist: {requirement}" for requirement in REQUIRES),
    ]
    for extra, requirements in EXTRAS.items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {requirement}; extra == "{extra}"' for requirement in requirements]
    return "\n".join([*lines, "", package.description]).encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
