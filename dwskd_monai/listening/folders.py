"""Where the files of studies lie; nothing in their names comes from a patient.

::

    DIR/journal.sqlite
    DIR/incoming/                                 images that are being received
    DIR/studies/STUDY/SERIES/INSTANCE.dcm
    DIR/answers/STUDY/INSTANCE.dcm
    DIR/refused/STUDY/reason.txt, SERIES/INSTANCE.dcm

Names in capitals are digests of UIDs. A folder is moved or removed as a whole, so that a killed process leaves either
the old or the new place.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dwskd_monai.files import replacing

OWNER_ONLY = 0o700
_ABANDONED = 600.0  # seconds; a connection on which nothing comes for one minute is closed


class Folders:
    """The folders of a listener, which are made if there are none.

    Only the user may look into them, since images of patients lie there.

    Args:
        root: the folder that they are in.

    Raises:
        OSError: if they cannot be written to.
    """

    def __init__(self, root: Path) -> None:
        self.incoming = root / "incoming"
        self._studies = root / "studies"
        self._answers = root / "answers"
        self._refused = root / "refused"
        self._removed = root / "removed"  # on the way to be removed
        for folder in (self.incoming, self._removed):
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        for folder in (self.incoming, self._studies, self._answers, self._refused, self._removed):
            folder.mkdir(OWNER_ONLY, exist_ok=True)

    def study(self, study: str) -> Path:
        """The folder of a study that is not refused."""
        return self._studies / study

    def answer(self, study: str, instance: str) -> Path:
        """The file of an answer."""
        return self._answers / study / f"{instance}.dcm"

    def refused(self, study: str) -> Path:
        """The folder of a study that is refused."""
        return self._refused / study

    def studies(self) -> Iterator[str]:
        """All studies that have files here."""
        for folder in (self._studies, self._refused):
            yield from (path.name for path in folder.iterdir())

    def take(self, file: Path, study: str, series: str, instance: str) -> None:
        """Move the file of an image, which is on disk, to its place; when this returns, it is there durably."""
        self.reopen(study)
        folder = self.study(study) / series
        folder.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
        os.replace(file, folder / f"{instance}.dcm")
        for earlier in self.study(study).glob(f"*/{instance}.dcm"):
            if earlier.parent != folder:  # its series was corrected; the image must not be there twice
                earlier.unlink()
        for changed in (folder, folder.parent, folder.parent.parent):
            _make_durable(changed)

    def write_answers(self, study: str, contents: Mapping[str, bytes]) -> None:
        """Write the answers of a study, by the digests of their instances, in place of earlier ones."""
        folder = self._answers / study
        folder.mkdir(OWNER_ONLY, exist_ok=True)
        for instance, content in contents.items():
            with replacing(self.answer(study, instance)) as temporary:
                temporary.write_bytes(content)
        for file in folder.iterdir():
            if file.stem not in contents:
                file.unlink()
        _make_durable(folder)
        _make_durable(self._answers)

    def refuse(self, study: str, reason: str) -> None:
        """Move a study to the refused ones, with the reason."""
        (self.study(study) / "reason.txt").write_text(f"{reason}\n", encoding="utf-8")
        os.replace(self.study(study), self.refused(study))
        self._discard(self._answers / study)

    def reopen(self, study: str) -> None:
        """Move a study back from the refused ones, if it is there."""
        if self.refused(study).is_dir() and not self.study(study).exists():
            (self.refused(study) / "reason.txt").unlink(missing_ok=True)
            os.replace(self.refused(study), self.study(study))

    def remove(self, study: str) -> None:
        """Remove all files of a study."""
        for folder in (self.study(study), self._answers / study, self.refused(study)):
            self._discard(folder)

    def remove_abandoned(self) -> None:
        """Remove what broken connections left of images."""
        for file in self.incoming.iterdir():
            with suppress(FileNotFoundError):  # its connection has gone on meanwhile
                if time.time() - file.stat().st_mtime > _ABANDONED:
                    file.unlink()

    def _discard(self, folder: Path) -> None:
        """Remove a folder; it is moved first, so that none is half there."""
        if folder.exists():
            removed = self._removed / folder.parent.name
            shutil.rmtree(removed, ignore_errors=True)
            os.replace(folder, removed)
            shutil.rmtree(removed)


def _make_durable(folder: Path) -> None:
    """Have the system write the names in a folder to the disk."""
    if os.name == "nt":  # folders cannot be opened there; the file system's own journal keeps their names
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
