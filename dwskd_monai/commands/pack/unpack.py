"""Checks a packed bundle and writes it as a folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from dwskd_monai.commands.pack.archive import CHECKSUMS


def unpack(file: Path, out: Path) -> Path:
    """Write the bundle in a zip file into a folder with its name.

    Args:
        file: a file that the command ``pack`` wrote.
        out: folder in which the bundle's folder is made.

    Returns:
        The bundle's folder.

    Raises:
        FileNotFoundError: if the file does not exist.
        FileExistsError: if the bundle's folder exists already.
        ValueError: if the file is not a packed bundle, or if a file in it was changed, removed or added, or has a path
            outside the bundle; nothing is written then.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; give the zip file that pack wrote")
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{file} is not a zip file, or is damaged; download or copy it again")
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory(dir=out, prefix=".unpacking") as name:
        files = [entry for entry in archive.infolist() if not entry.is_dir()]
        tops = {PurePosixPath(entry.filename).parts[0] for entry in files}
        if len(tops) != 1 or any({"..", "/"} & {*PurePosixPath(entry.filename).parts} for entry in files):
            raise ValueError(
                f"{file}: expected the folder of one bundle, got {', '.join(sorted(tops)[:5]) or 'nothing'}"
            )
        top = tops.pop()
        sums = _checksums(archive, top, file)
        found = {entry.filename.removeprefix(f"{top}/") for entry in files} - {CHECKSUMS}
        if found != set(sums):
            raise ValueError(f"{file}: {_difference(found, set(sums))}; get it again from its source")
        for path, expected in sums.items():
            content = _content(archive, f"{top}/{path}", file)
            if hashlib.sha256(content).hexdigest() != expected:
                raise ValueError(f"{file}: {path} was changed after it was packed; get it again from its source")
            target = Path(name) / top / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (Path(name) / top / CHECKSUMS).write_bytes(archive.read(f"{top}/{CHECKSUMS}"))
        if (out / top).exists():
            raise FileExistsError(f"{out / top} exists already; remove it, or give another folder: --out")
        os.replace(Path(name) / top, out / top)
    return out / top


def _checksums(archive: zipfile.ZipFile, top: str, file: Path) -> dict[str, str]:
    """The checksum of each file."""
    name = f"{top}/{CHECKSUMS}"
    if name not in archive.namelist():
        raise ValueError(f"{file}: {top} has no {CHECKSUMS}, so nothing can be checked; give a file that pack wrote")
    lines = _content(archive, name, file).decode("utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def _content(archive: zipfile.ZipFile, name: str, file: Path) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{file}: {name} is damaged ({error}); get it again from its source") from error


def _difference(found: set[str], expected: set[str]) -> str:
    missing = sorted(expected - found)
    more = sorted(found - expected)
    parts = [f"{missing[0]} is missing"] if missing else []
    return " and ".join(parts + ([f"{more[0]} was added"] if more else []))
