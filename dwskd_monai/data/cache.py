"""Keeps images that were read once on disk, where they are accessible slice by slice."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import monai
from monai.transforms import Compose
from monai.utils.enums import CommonKeys
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dwskd_monai.data.cache_key import describe
from dwskd_monai.data.items import PreparedImage, prepare
from dwskd_monai.files import remove_leftovers, replacing
from dwskd_monai.reading.formats import files_of_series

_INDEX = "index.json"
_logger = logging.getLogger(__name__)


class ImageCache:
    """Volumes ``(C, D, H, W)`` on disk, found by the content of their files and by the transforms that made them.

    ``monai.data.PersistentDataset`` loads a whole volume to give one slice of it. It finds a volume by its path, so a
    changed file goes unnoticed, and falls back to the names of the transforms, so a changed size goes unnoticed too.

    A file is hashed only if its path, size or time of change is new, as in git's index. A damaged entry is not used,
    but written again; entries are replaced in one step, so several processes may share a folder. If an entry is gone
    when one of its slices is needed, it is made again.

    Args:
        folder: the folder of the entries.
        transforms: the transforms whose results are kept. They are part of the key with all their attributes, and with
            their code if they do not belong to MONAI or this package. Transforms of this package have a version as an
            attribute, which is raised when their results change.
    """

    def __init__(self, folder: str | Path, transforms: Sequence[Any]) -> None:
        described = describe([monai.__version__, list(transforms)])
        folder = Path(folder).absolute()  # the working directory may change while threads read
        self.folder = folder / hashlib.blake2b(described.encode(), digest_size=8).hexdigest()
        self._index_path = folder / _INDEX
        self._index: dict[str, str] = _read_index(self._index_path)
        self._lock = threading.Lock()
        self._changed = False
        self._transform = Compose(list(transforms))
        self._images: dict[str, str] = {}  # by the name of their entry
        for used in (folder, self.folder):
            remove_leftovers(used)

    def __getstate__(self) -> dict[str, Any]:
        """Everything except the lock, which cannot be sent to another process."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()

    def path_of(self, image: str | Path) -> Path:
        """The path of the entry for a file, or for a folder with a DICOM series, whether it exists yet or not."""
        path = self.folder / f"{self.digest_of(image)}.safetensors"
        self._images[path.name] = str(image)
        return path

    def digest_of(self, image: str | Path) -> str:
        """Digest of the content of a file, or of the files of a folder."""
        files = files_of(Path(image))
        state = repr([(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files])
        key = f"{Path(image).resolve()} {hashlib.blake2b(state.encode(), digest_size=16).hexdigest()}"
        with self._lock:
            content = self._index.get(key)
        if content is None:
            content = _digest(files)
            with self._lock:
                self._index[key] = content
                self._changed = True
        return content

    def save(self, path: Path, image: PreparedImage) -> None:
        """Keep an image.

        Raises:
            OSError: if it cannot be written; the message has the path. A full disk leaves no broken entry.
        """
        volume = image.volume.contiguous()
        described = {"checksum": str(_checksum(volume)), "plane": image.plane}
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(save({"image": volume}, described))
        except OSError as error:
            raise OSError(error.errno, f"cache_dir: {path} cannot be written ({error.strerror})") from error

    def length_and_plane(self, path: Path) -> tuple[int, str] | None:
        """Number of slices of an entry, and their plane.

        None if there is no entry, if it is damaged, or if an earlier version wrote it, which did not keep the plane.
        """
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                volume = file.get_tensor("image")
                described = file.metadata()
                known = int(volume.shape[1]), described["plane"]
                return known if described["checksum"] == str(_checksum(volume)) else None
        except (SafetensorError, OSError, KeyError, TypeError):
            return None

    def slice_of(self, path: Path, index: int) -> Tensor:
        """One slice ``(C, H, W)``; no other is read. If the entry is gone, the image is read again.

        Raises:
            FileNotFoundError, ValueError: if the image is gone too, or its content has changed.
        """
        try:
            with safe_open(path, "pt") as file:
                return file.get_slice("image")[:, index]
        except (FileNotFoundError, SafetensorError):
            return self._made_again(path)[:, index]

    def _made_again(self, path: Path) -> Tensor:
        image = self._images[path.name]
        _logger.warning("%s: its entry %s in cache_dir is gone or damaged; the image is read again", image, path)
        if self.path_of(image) != path:
            raise ValueError(f"{image}: its content has changed since it was first read, and its entry {path} is gone")
        made = prepare(self._transform, {CommonKeys.IMAGE: image})
        self.save(path, made)
        return made.volume

    def save_index(self) -> None:
        """Write what is known about the files."""
        if self._changed:
            with replacing(self._index_path) as temporary:
                temporary.write_text(json.dumps(_read_index(self._index_path) | self._index))
            self._changed = False


def files_of(image: Path) -> list[Path]:
    """The files of an image: the file itself, or those that are read of the folder of a DICOM series.

    What else lies there, such as what a file manager leaves, does not make it another image.
    """
    return files_of_series(image) if image.is_dir() else [image]


def digest_of(image: str | Path) -> str:
    """Digest of the content of a file, or of the files of a folder with a DICOM series, whatever its path."""
    return _digest(files_of(Path(image)))


def _digest(files: Sequence[Path]) -> str:
    digests = []
    for file in files:
        with file.open("rb") as opened:
            digests.append(hashlib.file_digest(opened, "blake2b").digest())
    # ordered by their contents: a series whose files are renamed is the same series
    return hashlib.blake2b(b"".join(sorted(digests)), digest_size=20).hexdigest()


def _checksum(volume: Tensor) -> int:
    return zlib.crc32(volume.numpy().data)


def _read_index(path: Path) -> dict[str, str]:
    """The index that an earlier run wrote; if it is damaged, the files only have to be read once more."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
