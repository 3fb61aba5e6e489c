"""Where ``suggest`` writes, and that nothing there is lost or taken for an image."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dwskd_monai.commands.suggest import suggestions
from tests.bundle.test_lock import HOLDER
from tests.commands.suggest.runs import names, origin, suggest
from tests.conftest import BUNDLE

pytestmark = pytest.mark.slow  # a second for each command


@pytest.fixture
def other_run(tmp_path) -> Iterator[None]:
    """Another process that writes to ``tmp_path/out``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield
        process.kill()


def test_a_second_run_in_a_folder_is_refused_and_leaves_the_files_of_the_first(both, unlabeled, other_run, capsys):
    out = both.parent / "out"
    for name in ("refused.partial.csv", "suggestions.csv"):
        (out / name).write_text("of the first")
    assert suggest(both, unlabeled)[0] == 2
    assert f"out: another run is writing to {out}; wait for its end, or give" in capsys.readouterr().err
    assert {path.read_text() for path in out.glob("*.csv")} == {"of the first"}
    assert not list(out.glob("*previous*"))


def test_a_folder_among_the_images_is_refused(both, unlabeled, tmp_path, capsys):
    """Its contact sheet would be suggested by the next run."""
    assert suggest(both, unlabeled, "--out", str(unlabeled / "next"))[0] == 2
    said = f"out: {unlabeled / 'next'} is in unlabeled_dir, {unlabeled}; pictures that commands write there would be"
    assert said in capsys.readouterr().err
    assert not (unlabeled / "next").exists()
    bundle = Path(shutil.copytree(BUNDLE, unlabeled / "bundle"))
    link = tmp_path / "link"
    link.symlink_to(unlabeled)
    assert suggest(both, link, bundle=bundle)[0] == 2
    assert f"bundle: {bundle} is in unlabeled_dir, {link}; pictures" in capsys.readouterr().err
    (unlabeled / "list.csv").write_text("image\n0.png\n1.png\n")
    assert suggest(both, unlabeled / "list.csv", bundle=bundle)[0] == 0, "a datalist names its images"


def test_a_file_name_that_is_not_utf_8_is_written_with_escapes(both, unlabeled):
    os.rename(unlabeled / "0.png", os.path.join(os.fsencode(unlabeled), b"gr\xfcn.png"))
    (unlabeled / "broken.png").write_bytes(b"no picture")
    code, rows = suggest(both, unlabeled)
    assert code == 3
    assert names(rows) == {"gr\\udcfcn.png", *(f"{number}.png" for number in range(1, 6))}
    assert (both.parent / "out" / "suggestions.png").is_file()


def test_the_tables_are_there_if_the_sheet_cannot_be_drawn(both, unlabeled, monkeypatch):
    def fail(*arguments: object) -> None:
        raise ValueError("no sheet")

    monkeypatch.setattr(suggestions, "draw_sheet", fail)
    code, rows = suggest(both, unlabeled)
    assert (code, len(rows), origin(both)["suggested"]) == (2, 6, 6)
