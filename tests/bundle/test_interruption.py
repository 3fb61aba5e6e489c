from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from weakref import WeakSet

import pytest
from monai.bundle import ConfigParser

from dwskd_monai.bundle import interruption
from dwskd_monai.bundle.errors import end_with_one_message
from dwskd_monai.bundle.interruption import (
    INTERRUPTED,
    command_again,
    is_interruption,
    keep_from_workers,
    said_at_interruption,
)

MAIN = "/somewhere/monai/bundle/__main__.py"
TRAIN = [MAIN, "run", "training", "--config_file", "b/configs/train.yaml", "--network_def#dims", "[8, 16]"]
SHOWN = "python -m monai.bundle run training --config_file b/configs/train.yaml '--network_def#dims' '[8, 16]'"


@pytest.mark.parametrize(
    "given", [[], ["--resume", "true"], ["--resume", "false"], ["--resume=True"], ["--resume"]], ids=" ".join
)
def test_the_command_that_continues_has_resume_once(given):
    assert command_again([*TRAIN, *given], resume=True) == f"{SHOWN} --resume true"


def test_the_command_that_starts_again_is_the_same():
    assert command_again(TRAIN) == SHOWN
    assert command_again(["mine.py", "--x"]) == "the same program"
    assert command_again(["mine.py"], resume=True) == "the same program with resume=True"


def test_several_processes_are_started_again_by_torchrun(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert command_again(TRAIN, resume=True) == (
        f"torchrun --standalone --nproc_per_node=2 {SHOWN.removeprefix('python ')} --resume true"
    )


def test_errors_that_come_while_ctrl_c_ends_a_run_count_as_ctrl_c():
    error = RuntimeError("DataLoader worker (pid(s) 5) exited unexpectedly")
    assert not is_interruption(error)
    error.__context__ = KeyboardInterrupt()
    assert is_interruption(error)


class Run:
    """In place of a workflow."""


def _end_with_answer() -> None:
    os._exit(int(signal.getsignal(signal.SIGINT) is signal.SIG_IGN))


def worker_ignores_ctrl_c() -> bool:
    worker = multiprocessing.get_context("fork").Process(target=_end_with_answer)
    worker.start()
    worker.join()
    return bool(worker.exitcode)


def test_workers_ignore_ctrl_c_as_long_as_the_run_lives(monkeypatch, request):
    monkeypatch.setattr(interruption, "_runs", WeakSet())  # without those of other tests
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores Ctrl-C
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    assert not worker_ignores_ctrl_c()
    run = Run()
    keep_from_workers(run)
    assert worker_ignores_ctrl_c()
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    del run
    assert not worker_ignores_ctrl_c()


@pytest.fixture
def config(tmp_path, monkeypatch) -> ConfigParser:
    monkeypatch.setattr(sys, "argv", TRAIN)
    places = {"training_state": tmp_path / "training_state.pt", "checkpoint": tmp_path / "model.pt"}
    return ConfigParser(
        {"output_dir": str(tmp_path), "resume": False} | {key: str(path) for key, path in places.items()}
    )


def test_a_training_says_what_is_kept_and_how_to_continue(config, tmp_path):
    state = tmp_path / "training_state.pt"
    began = time.time()
    again = f"stopped by Ctrl-C before an epoch was completed. Start again: {SHOWN}"
    assert said_at_interruption(config, began) == again
    state.touch()
    os.utime(state, (began - 9, began - 9))
    assert said_at_interruption(config, began) == again, "the state is of an earlier training"
    os.utime(state, (began + 9, began + 9))
    kept = f"stopped by Ctrl-C; the epochs that were completed are kept in {state}. Continue: {SHOWN} --resume true"
    assert said_at_interruption(config, began) == kept
    os.utime(state, (began - 9, began - 9))
    config["resume"] = True
    assert said_at_interruption(config, began) == kept, "it had been resumed from that state"


def test_a_training_that_labels_images_names_the_network_from_before_its_restart(config, tmp_path):
    (tmp_path / "model_before_restart.pt").touch()
    (tmp_path / "training_state.pt").touch()
    said = said_at_interruption(config, since=0)
    assert f"the best network from before main started again in {tmp_path / 'model_before_restart.pt'}. Cont" in said


def test_a_prediction_says_where_the_rows_so_far_are(config, tmp_path):
    config["trained"] = {}
    began = time.time() - 9
    assert "no study was predicted yet. Start again: python" in said_at_interruption(config, began)
    partial = tmp_path / "predictions.partial.csv"
    partial.touch()
    assert f"the predictions so far are in {partial}. Start again: python" in said_at_interruption(config, began)


def test_the_process_ends_with_one_line_and_the_exit_code_of_a_shell(config, monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    end_with_one_message(config, config)
    with pytest.raises(SystemExit) as ended:
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert ended.value.code == INTERRUPTED == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_circle_of_causes_is_no_interruption():
    inner, outer = ValueError("inner"), RuntimeError("outer")
    outer.__cause__ = inner
    inner.__context__ = outer
    assert not is_interruption(outer)
    inner.__context__ = KeyboardInterrupt()
    assert is_interruption(outer)


def test_a_worker_that_loses_its_connection_as_the_run_ends_says_nothing(config, monkeypatch, capfd):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    end_with_one_message(config, config)

    def printed_in_a_worker(error: Exception) -> str:
        worker = multiprocessing.get_context("fork").Process(target=sys.excepthook, args=(type(error), error, None))
        worker.start()
        worker.join()
        assert worker.exitcode == 0
        return capfd.readouterr().err

    assert printed_in_a_worker(ConnectionResetError(104, "Connection reset by peer")) == ""
    assert "ValueError: a fault" in printed_in_a_worker(ValueError("a fault"))
