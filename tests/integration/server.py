"""A real MONAI Label server, driven over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

START_SECONDS = 180


class Server:
    """What a client of MONAI Label does, with one model.

    Args:
        url: of the server.
        model: name of the bundle.
        folder: of the bundle that is served.
    """

    def __init__(self, url: str, model: str, folder: Path) -> None:
        self.url, self.model, self.folder = url, model, folder

    def info(self) -> dict[str, Any]:
        return self._ask("GET", "/info/")

    def infer(self, image: str | Path, upload: bool = False) -> dict[str, float]:
        """Scores by class of an image of the datastore, or a path on the server, or a file that is uploaded."""
        if upload:
            reply = self._ask("POST", f"/infer/{self.model}?output=json", file=("file", Path(image)))
        else:
            name = urllib.parse.quote(str(image))
            reply = self._ask("POST", f"/infer/{self.model}?output=json&image={name}")
        return {row["label"]: row["score"] for row in reply["prediction"]}

    def submit(self, image: str, label: str, folder: Path) -> None:
        file = folder / "label.json"
        file.write_text(json.dumps({"label": label}))
        self._ask("PUT", f"/datastore/label?image={image}&tag=final", file=("label", file))

    def train(self, **settings: Any) -> None:
        """Train, and wait for the end."""
        self._ask("POST", f"/train/{self.model}?run_sync=true", json.dumps({"device": "cpu"} | settings).encode())

    def _ask(self, method: str, path: str, body: bytes | None = None, file: tuple[str, Path] | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if file is not None:
            mark = uuid.uuid4().hex
            head = f'Content-Disposition: form-data; name="{file[0]}"; filename="{file[1].name}"'
            body = f"--{mark}\r\n{head}\r\n\r\n".encode() + file[1].read_bytes() + f"\r\n--{mark}--\r\n".encode()
            headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=600) as reply:
            return json.loads(reply.read() or b"{}")


@contextmanager
def serving(file: Path, studies: Path, folder: Path) -> Iterator[Server]:
    """Start a server as users do, and stop it at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "server.log"
    folder.mkdir()
    with log.open("w") as printed:
        command = [REPOSITORY / "tools" / "monailabel.sh", file, studies, folder, str(port)]
        process = subprocess.Popen(command, env=environment, stdout=printed, stderr=subprocess.STDOUT)
    name = file.stem
    server = Server(f"http://127.0.0.1:{port}", name, folder / "monaibundle" / "model" / name)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                server.info()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"no server: {process.poll()}") from None
                time.sleep(0.5)
        yield server
    except Exception as error:
        error.add_note(log.read_text()[-4000:])
        raise
    finally:
        process.terminate()
        process.wait(30)
