"""Run commands as processes of their own, without the seconds that each takes to import torch and MONAI.

For each command, a process that has imported them, and has done nothing else, forks. The fork behaves like ``python -m
MODULE``: it has its own arguments, environment, folder, output and exit code, and signals end it. Only the effects of
importing, and of what Python does after the functions of ``atexit``, are not tested this way; for these,
``tests/bundle/test_running.py`` and others start Python itself.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import inspect
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

MODULES = ("monai.bundle", "dwskd_monai", "torch.distributed.run", "tests.commands.compare.on_ray")
# Where the process listens: its forks may ask it for forks too
_ADDRESS = "DWSKD_TESTS_FORKS"
_MISSING = ("dwskd_monai", "itk", "pydicom")  # where a packed bundle runs with MONAI and timm alone
_WITHOUT_TORCH = ("__main__", "dicom_out", "listening", "runtime")  # rooms of what is exported; they use ONNX Runtime
_LARGEST = 2**17  # bytes of a request


class Fork:
    """The part of ``subprocess.Popen`` that is used, for commands that begin with ``python -m`` and a module of ours.

    Args:
        args: the words of the command, Python first; ``-u``, with which torchrun starts Python, is left out.
        cwd, env, stdout, stderr, start_new_session: as of ``Popen``; output goes to files.
        alone: whether Python has neither this package nor libraries that a packed bundle can do without.
        options: others, which change nothing here.
    """

    def __init__(
        self,
        args: Sequence[str],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: IO[Any] | None = None,
        stderr: IO[Any] | int | None = None,
        start_new_session: bool = False,
        alone: bool = False,
        **options: Any,
    ) -> None:
        python, option, *words = (word for word in args if word != "-u")
        assert (python, option) == (sys.executable, "-m"), args
        assert words[0] in MODULES, args
        address = _started(alone=True) if alone else _address()
        request = {
            "words": words,
            "cwd": str(cwd or Path.cwd()),
            "env": {**(os.environ if env is None else env), _ADDRESS: address},
            "group": 0 if start_new_session else os.getpgrp(),
        }
        out = 1 if stdout is None else stdout.fileno()
        error = out if stderr == subprocess.STDOUT else 2 if stderr is None else stderr.fileno()  # type: ignore[union-attr]
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(address)
        socket.send_fds(self._connection, [json.dumps(request).encode()], [out, error])
        self.pid = int(self._connection.recv(64))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended; an error if this takes longer than ``timeout`` seconds."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._connection.recv(64))
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """End it by SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Fork:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()


def _address() -> str:
    return os.environ.get(_ADDRESS) or _started()


@functools.cache
def _started(alone: bool = False) -> str:
    """Start the process that forks; it ends with this one."""
    address = str(Path(tempfile.mkdtemp()) / "forks")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tests.forks", address, *(["alone"] if alone else [])]
    folder = Path(__file__).parents[1]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    atexit.register(process.communicate)  # closes its input, which ends it
    return address


def _serve(address: str) -> dict[str, Any]:
    """Fork for each request; returns in the forks only, with the request."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            sys.exit()
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _forked(connection)
        connection.close()


def _forked(connection: socket.socket) -> dict[str, Any]:
    """Fork once more, for the command; this process waits for its end and tells its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    content, outputs, _, _ = socket.recv_fds(connection, _LARGEST, 2)
    process = os.fork()
    if process:
        connection.send(str(process).encode())
        _, status = os.waitpid(process, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    connection.close()
    for number, output in zip((1, 2), outputs, strict=True):
        os.dup2(output, number)
    request: dict[str, Any] = json.loads(content)
    return request


def _become(request: Mapping[str, Any]) -> None:
    """Become the process that was asked for."""
    os.setpgid(0, request["group"])  # 0: one of its own, which can be killed with all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background commands ignore Ctrl-C
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv = list(request["words"])


def _run(module: str) -> int:
    """Run a module as ``python -m`` does; its exit code."""
    try:
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]
    except SystemExit as ended:
        return _exit_code(ended)
    except BaseException:
        try:
            sys.excepthook(*sys.exc_info())
        except SystemExit as ended:  # as a bundle's hook says
            return _exit_code(ended)
        return 1
    return 0


def _exit_code(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    sys.stderr.write(f"{ended.code}\n")
    return 1


def _end(code: int) -> NoReturn:
    """End as Python does, but leave its modules as they are: to take them apart one by one takes two seconds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def let_ask_for_forks() -> None:
    """Let the process that was asked for ask for others."""
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    import dwskd_monai.bundle.monai_command
    import dwskd_monai.commands.compare.process

    forking = SimpleNamespace(Popen=Fork, DEVNULL=subprocess.DEVNULL, STDOUT=subprocess.STDOUT)
    for module in (dwskd_monai.bundle.monai_command, dwskd_monai.commands.compare.process):
        module.subprocess = forking  # type: ignore[attr-defined]
    subprocess_handler.Popen = Fork  # type: ignore  # of torchrun


def _import() -> None:
    """What commands import sooner or later."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import torch.distributed.run
    import torch.utils.tensorboard  # noqa: F401

    import dwskd_monai

    for module in pkgutil.walk_packages(dwskd_monai.__path__, "dwskd_monai."):
        if module.name.split(".")[1] not in _WITHOUT_TORCH:
            importlib.import_module(module.name)
    assert "onnxruntime" not in sys.modules, "its threads do not survive a fork"


class _Missing:
    """An importer that finds nothing of what is missing."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in _MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    is_alone = "alone" in sys.argv
    if is_alone:
        sys.meta_path.insert(0, _Missing())
    else:
        _import()

    import fire.core  # noqa: F401
    import monai.bundle  # noqa: F401
    import timm  # noqa: F401

    inspect.stack()  # Fire calls it too; the first call looks for the sources of all modules
    gc.collect()
    gc.freeze()  # else each fork goes through all objects of these modules, and so copies their memory
    wanted = _serve(sys.argv[1])
    _become(wanted)
    if not is_alone:
        let_ask_for_forks()
    _end(_run(wanted["words"][0]))
