from __future__ import annotations

import os

import pytest

from dwskd_monai.files import GrowingCsv, next_of, replacing, replacing_pair


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
