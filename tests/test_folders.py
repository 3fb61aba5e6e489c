from __future__ import annotations

import errno
import os
import tempfile

import pytest

from dwskd_monai.folders import UnusableFolderError, require_writable


def test_a_folder_that_can_be_written_to_or_made_is_taken_and_left_as_it_is(tmp_path):
    require_writable("output_dir", tmp_path)
    require_writable("output_dir", tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "said"), [(".", "written to"), ("a/b", "made in {}: it cannot be written to")])
def test_a_folder_that_the_system_lets_nobody_write_to_is_named(tmp_path, monkeypatch, name, said):
    def read_only(dir: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(UnusableFolderError) as caught:
        require_writable("cache_dir", tmp_path / name)
    assert str(caught.value) == (
        f"cache_dir: {tmp_path / name} cannot be {said.format(tmp_path)} (Read-only file system); "
        "give a folder that you can write to: --cache_dir DIR"
    )
