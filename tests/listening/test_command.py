"""What is wrong with the settings is said in one line, before anything is received."""

from __future__ import annotations

import socket
import sys

import pytest

from dwskd_monai.listening import command
from dwskd_monai.listening.journal import Journal

TO = ["--to", "127.0.0.1:11113"]


def run(capsys, *words: str, model: str = "model.onnx") -> tuple[int, str]:
    """The exit code, and what is said on the way."""
    try:
        code = command.main(words, model, "chest-xray")
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "the following arguments are required: --to"),
        (["--to", "pacs"], "argument --to: expected HOST:PORT or https://HOST/…/studies, got 'pacs'"),
        (["--to", "pacs:0"], "argument --to: expected HOST:PORT or https://HOST/…/studies, got 'pacs:0'"),
        (["--to", "pacs:1/x:2"], "argument --to: expected HOST:PORT or https://HOST/…/studies, got 'pacs:1/x:2'"),
        ([*TO, "--port", "65536"], "argument --port: expected a port from 0 to 65535, got '65536'"),
        ([*TO, "--port", "x"], "argument --port: expected a port from 0 to 65535, got 'x'"),
        ([*TO, "--aet", "A" * 17], "argument --aet: expected an AE title of 1 to 16 ASCII characters"),
        ([*TO, "--to_aet", "Ä"], "argument --to_aet: expected an AE title of 1 to 16 ASCII characters"),
        ([*TO, "--allow_aet", "A,,B"], "argument --allow_aet: expected an AE title of 1 to 16 ASCII characters"),
        ([*TO, "--allow_address", "10.0.0.1/8"], "argument --allow_address: expected addresses such as 10.1.2.3"),
        ([*TO, "--quiet_time", "-1"], "argument --quiet_time: expected seconds, 0 or more; got '-1'"),
        ([*TO, "--keep", "nan"], "argument --keep: expected seconds, 0 or more; got 'nan'"),
        ([*TO, "--max_studies", "0"], "argument --max_studies: expected a whole number, 1 or more; got '0'"),
        ([*TO, "--threads", "-1"], "argument --threads: expected a whole number, 0 or more; got '-1'"),
        (
            [*TO, "--accept", "[view=LATERAL]"],
            "argument --accept: expected a list such as ['view=LATERAL', 'slices=any']",
        ),
        ([*TO, "--workers", "0"], "argument --workers: expected a whole number, 1 or more; got '0'"),
        ([*TO, "--tls_key", "x.key"], "--tls_certificate and --tls_key: expected both or neither"),
        ([*TO, "--tls_certificate", "x.pem", "--tls_key", "x.key"], "--tls_certificate: x.pem does not exist"),
        ([*TO, "--to_tls", "--tls_ca", "x.pem"], "--tls_ca: x.pem does not exist; expected a PEM file"),
        (["--to", "https://pacs/studies", "--to_tls"], "--to_tls: --to says https already; leave it out"),
        (["--to", "https://pacs/studies", "--tls_ca", "x.pem"], "--tls_ca: x.pem does not exist; expected a PEM file"),
        ([*TO, "--tls_ca", "ca.pem"], "--tls_ca: nothing is encrypted that it could check; give --tls_certificate"),
        (["--to", "http://pacs/studies", "--tls_ca", "ca.pem"], "--tls_ca: nothing is encrypted that it could check"),
        (
            [*TO, "--accept", "[1]"],
            "argument --accept: expected a list such as ['view=LATERAL', 'slices=any'], got [1]",
        ),
        (TO, "model.onnx does not exist; expected one that dwskd export BUNDLE --format onnx wrote"),
        ([*TO, "--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_settings_end_with_one_line(capsys, tmp_path, monkeypatch, words, expected):
    monkeypatch.chdir(tmp_path)
    code, said = run(capsys, *words)
    assert code == 2
    assert said.startswith(f"chest-xray listen: {expected}")
    assert said.count("\n") == 1
    assert not [*tmp_path.iterdir()]


class AnyClassifier:
    def __init__(self, path, threads, accept) -> None:
        pass


@pytest.fixture
def _no_model(monkeypatch):
    monkeypatch.setattr("dwskd_monai.runtime.classifier.Classifier", AnyClassifier)


@pytest.mark.usefixtures("_no_model")
def test_what_is_in_use_already_is_named(capsys, tmp_path):
    folder = tmp_path / "listener"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option in ("--port", "--health_port"):
            code, said = run(capsys, *TO, "--folder", str(folder), option, port)
            assert code == 2
            assert said == f"chest-xray listen: {option} {port} of 127.0.0.1: Address already in use\n"
    journal = Journal(folder / "journal.sqlite")
    code, said = run(capsys, *TO, "--folder", str(folder))
    journal.close()
    assert code == 2
    assert said.endswith("another listener uses this folder; stop it, or give another --folder\n")


@pytest.mark.usefixtures("_no_model")
def test_a_folder_that_cannot_be_written_to_is_named(capsys, tmp_path):
    (tmp_path / "listener").write_text("a file")
    code, said = run(capsys, *TO, "--folder", str(tmp_path / "listener"))
    assert (code, said.count("\n")) == (2, 1)
    assert str(tmp_path / "listener") in said


def test_a_library_that_is_missing_is_named_with_its_extra(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "dwskd_monai.listening.listener", raising=False)
    monkeypatch.delitem(sys.modules, "dwskd_monai.listening.receiving", raising=False)
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    monkeypatch.delitem(sys.modules, "dwskd_monai.listening.c_store", raising=False)
    code, said = run(capsys, *TO)
    assert code == 2
    assert said == "chest-xray listen: pynetdicom is not installed; pip install 'chest-xray[listen]'\n"


def test_the_help_names_what_a_user_has_to_give(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"], "model.onnx", "chest-xray")
    shown = capsys.readouterr().out
    assert shown.startswith("usage: chest-xray listen [-h] --to NODE")
    assert "127.0.0.1 by default" in shown
