"""Time and memory of the classifier in one file, against the bare network.

    python benchmarks/one_file.py

In processes of one thread that take turns: the bare network in batches of 16 slices, the whole classifier, and a
classifier whose network only averages its input; and the peak memory of a process that only runs the classifier.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peak_memory import peak_kibibytes

# slices, rows, columns; a window of Hounsfield units, or percentiles
CASES = [
    ("X-ray", 1, 2500, 3000, "percentiles"),
    ("small X-ray", 1, 256, 256, "percentiles"),
    ("MR", 30, 256, 256, "percentiles"),
    ("CT", 300, 512, 512, "window"),
    ("large MR", 300, 512, 512, "percentiles"),
]
_SIDE, _BATCH, _RUNS = 224, 16, 3


def cost(student: str = "convnext_femto") -> None:
    """Print time and memory.

    Args:
        student: timm name of the network, with random weights.
    """
    print("| image | slices | network ms | classifier ms | ratio | preparation alone / network | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        _write(student, Path(folder))
        for case in CASES:
            turns = [_process(folder, case, what) for _ in range(_RUNS) for what in ("network", "classifier", "none")]
            best = {what: min(turn["seconds"] for turn in turns if turn["what"] == what) for what in _WHAT}
            peak = max(turn["peak"] for turn in turns if turn["what"] == "classifier")
            network, whole, none = (best[what] for what in _WHAT)
            name, slices, rows, columns, _ = case
            print(
                f"| {name}, {rows} × {columns} | {slices} | {network * 1e3:.0f} | {whole * 1e3:.0f} | "
                f"{whole / network:.2f} | {none / network:.2f} | {peak / 1024:.0f} |"
            )


_WHAT = ("network", "classifier", "none")


def _write(student: str, folder: Path) -> None:
    """The network, and classifiers of it and of no network."""
    import onnx
    import timm
    import torch

    from dwskd_monai.commands.export.formats import write_onnx
    from dwskd_monai.commands.export.graph.classifier import Decisions, classifier
    from dwskd_monai.commands.export.graph.steps import Steps
    from dwskd_monai.evaluation.aggregation import Aggregation
    from dwskd_monai.evaluation.evidence import Evidence
    from dwskd_monai.evaluation.novelty import Novelty

    torch.manual_seed(0)
    networks = {
        "classifier": timm.create_model(student, in_chans=1, num_classes=3).eval(),
        "none": torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(1, 3)).eval(),
    }
    decisions = Decisions(["a", "b", "c"], Aggregation(), Evidence(1.5, novelty=Novelty(np.zeros(28), np.eye(28))))
    intensities: dict[str, Any] = {
        "window": {"ranges": [(-1350.0, 150.0)]},
        "percentiles": {"percentiles": (0.5, 99.5)},
    }
    for what, network in networks.items():
        file = folder / ("network.onnx" if what == "classifier" else "none.onnx")
        write_onnx(network, torch.rand(2, 1, _SIDE, _SIDE), file, {})
        for name, intensity in intensities.items():
            model = classifier(onnx.load(file), Steps(_SIDE, True, 0.5, 0.25, **intensity), decisions)
            onnx.save(model, folder / f"{what}_{name}.onnx")


def _process(folder: str, case: tuple[Any, ...], what: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "_measure", folder, json.dumps(case), what]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result | {"what": what}


def _measure(folder: str, case: str, what: str) -> None:
    import onnxruntime

    _, slices, rows, columns, intensity = json.loads(case)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    file = "network.onnx" if what == "network" else f"{what}_{intensity}.onnx"
    session = onnxruntime.InferenceSession(f"{folder}/{file}", options, providers=["CPUExecutionProvider"])
    parts = list(_network_inputs(slices) if what == "network" else [_inputs(session, slices, rows, columns)])
    session.run(None, parts[0])
    started = time.perf_counter()
    for part in parts:
        session.run(None, part)
    print(json.dumps({"seconds": time.perf_counter() - started, "peak": peak_kibibytes()}))


def _network_inputs(slices: int) -> Iterator[dict[str, Any]]:
    images = np.random.default_rng(0).random((min(_BATCH, slices), 1, _SIDE, _SIDE), dtype=np.float32)
    for first in range(0, slices, _BATCH):
        yield {"image": images[: slices - first]}


def _inputs(session: Any, slices: int, rows: int, columns: int) -> dict[str, Any]:
    pixels = np.random.default_rng(0).random((slices, rows, columns), dtype=np.float32)
    pixels *= 4000
    given: dict[str, Any] = {
        "pixels": pixels,
        "slope": np.ones(1, np.float32),
        "intercept": np.full(1, -1024, np.float32),
    }
    given |= {"spacing": np.ones(2), "inverted": np.array(False), "padding": np.array(0, np.float32)}
    return {value.name: given[value.name] for value in session.get_inputs()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["_measure"]:
        _measure(*sys.argv[2:])
    else:
        import fire

        fire.Fire(cost)
