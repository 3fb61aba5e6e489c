from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dwskd_monai.files import GrowingCsv, next_of, remove_leftovers, replacing, replacing_pair


def test_the_file_is_there_whole_or_as_it_was(tmp_path):
    path = tmp_path / "deep" / "x.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half of tw")
        raise RuntimeError
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_a_pair_is_there_whole_or_as_it_was(tmp_path):
    file, companion = tmp_path / "x.pt", tmp_path / "x.yaml"
    with replacing_pair(file, companion) as temporaries:
        for temporary in temporaries:
            temporary.write_text("one")
    with pytest.raises(RuntimeError), replacing_pair(file, companion) as temporaries:
        for temporary in temporaries:
            temporary.write_text("half of tw")
        raise RuntimeError
    assert [path.read_text() for path in (file, companion)] == ["one", "one"]
    assert sorted(tmp_path.iterdir()) == [file, companion]


@pytest.mark.parametrize("interrupted_at", range(3))
def test_a_pair_that_is_interrupted_leaves_a_companion_of_its_file(tmp_path, monkeypatch, interrupted_at):
    """After each of the steps: the next companion, the file, the companion."""
    file, companion = tmp_path / "x.pt", tmp_path / "x.yaml"
    for path in (file, companion):
        path.write_text("old")
    replaced = []

    def replace(source, target):
        if len(replaced) == interrupted_at:
            raise KeyboardInterrupt
        replaced.append(target)
        os.rename(source, target)

    monkeypatch.setattr("dwskd_monai.files.os.replace", replace)
    with pytest.raises(KeyboardInterrupt), replacing_pair(file, companion) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
    companions = {path.read_text() for path in (companion, next_of(companion)) if path.exists()}
    assert file.read_text() in companions
    assert file.read_text() == ("new" if interrupted_at == 2 else "old")


def test_rows_are_on_disk_at_once_and_the_old_file_stays_until_the_end(tmp_path):
    path = tmp_path / "deep" / "x.csv"
    rows = GrowingCsv(path)
    rows.write({"a": 1, "b": "x,y"})
    assert (tmp_path / "deep" / "x.partial.csv").read_text() == 'a,b\n1,"x,y"\n'
    assert rows.finish() == 1
    assert [file.name for file in path.parent.iterdir()] == ["x.csv"]
    rows.write({"a": 2, "b": ""})
    assert path.read_bytes() == b'a,b\r\n1,"x,y"\r\n'
    rows.finish()
    assert path.read_bytes() == b"a,b\r\n2,\r\n"


def test_without_a_row_there_is_no_file(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("of an earlier run")
    assert GrowingCsv(path).finish() == 0
    assert not list(tmp_path.iterdir())


def test_threads_may_replace_one_file_at_a_time(tmp_path):
    def write(number: int) -> None:
        with replacing(tmp_path / "x.txt") as temporary:
            temporary.write_text(f"{number:04}" * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    text = (tmp_path / "x.txt").read_text()
    assert text == text[:4] * 1000
    assert list(tmp_path.iterdir()) == [tmp_path / "x.txt"]


def make_old(path: Path) -> Path:
    path.touch()
    os.utime(path, (0, 0))
    return path


def test_leftovers_are_removed_and_neither_what_is_written_now_nor_other_files(tmp_path):
    leftovers = [make_old(tmp_path / name) for name in (".model.pt.4711.0123abcd.tmp", ".x.json.1.tmp")]
    others = [make_old(tmp_path / name) for name in ("x.tmp", ".x.tmp", ".x.word.tmp", "model.pt", ".model.yaml.next")]
    (tmp_path / ".young.pt.4711.0123abcd.tmp").touch()
    with replacing(tmp_path / "y.txt") as temporary:
        temporary.write_text("now")
        make_old(temporary)
        remove_leftovers(tmp_path)
        assert not any(leftover.exists() for leftover in leftovers)
        assert all(other.exists() for other in (*others, temporary, tmp_path / ".young.pt.4711.0123abcd.tmp"))
    assert (tmp_path / "y.txt").read_text() == "now"
    remove_leftovers(tmp_path / "nowhere")


@pytest.mark.slow
def test_what_a_killed_process_was_writing_is_removed_by_the_next_one_that_writes_there(tmp_path):
    code = (
        "import sys, time; from dwskd_monai.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    print(temporary, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        temporary = Path(process.stdout.readline().strip())
        os.utime(temporary, (0, 0))
        remove_leftovers(tmp_path)
        assert temporary.exists(), "its process lives"
        process.send_signal(signal.SIGKILL)
    with replacing(tmp_path / "y.txt") as own:
        own.write_text("whole")
    assert list(tmp_path.iterdir()) == [tmp_path / "y.txt"]
