"""Speed, memory and start-up of the deployed student and of its teacher in each format, side by side on the CPU.

    python benchmarks/inference.py

Per network and format, in processes of their own that take turns: seconds from the start of the process to its first
prediction (for eager PyTorch: import torch and timm, make the network, load its weights; for ONNX Runtime neither is
imported), then images per second and the 50th and 95th percentile of a batch's latency, with 1 and with 32 images in a
batch, and the peak of the process's resident memory. Weights and images are random: neither changes the speed. What
int8 costs in accuracy is measured by ``python -m dwskd_monai export --int8`` on images of one's own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peak_memory import peak_kibibytes

BATCHES = (1, 32)
FORMATS = {"eager": ".pt", "torchscript": ".ts", "onnxruntime": ".onnx", "int8": "_int8.onnx"}
STUDENT, TEACHER = "student", "teacher"
_CLASSES, _WARM_UP = 3, 3


def benchmark(
    student: str = "convnext_femto",
    teacher: str = "convnext_tiny",
    image_size: int = 224,
    rounds: int = 3,
    singles: int = 40,
    batches: int = 6,
) -> None:
    """Measure everything and print a table.

    Args:
        student: timm name of the small network.
        teacher: timm name of the large one.
        image_size: side of the images in pixels; they have one channel.
        rounds: processes of each network and format; they take turns.
        singles: predictions of one image in each process.
        batches: predictions of 32 images in each process.
    """
    import os

    import onnxruntime
    import torch
    from tqdm import tqdm

    networks = {STUDENT: student, TEACHER: teacher}
    measured: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for role, network in networks.items():
            write_formats(network, image_size, folder / role)
        turns = [(role, form) for _ in range(rounds) for role in networks for form in FORMATS]
        for role, form in tqdm(turns, unit="process"):
            counts = dict(zip(BATCHES, (singles, batches)))
            measured.setdefault((role, form), []).append(run_process(form, networks[role], folder / role, counts))
    print(
        f"{student} and {teacher}, {image_size} px, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, onnxruntime {onnxruntime.__version__}; medians of {rounds} processes"
    )
    print_table(networks, {which: summarize(results) for which, results in measured.items()})


def write_formats(network: str, image_size: int, stem: Path) -> None:
    """``stem`` with each format's suffix, and ``stem`` ``.npy`` with the images of the largest batch."""
    import numpy as np
    import timm
    import torch

    from dwskd_monai.commands.export import formats
    from dwskd_monai.commands.export.quantize import quantize

    torch.manual_seed(0)
    model = timm.create_model(network, in_chans=1, num_classes=_CLASSES).eval()
    images = torch.rand(max(BATCHES), 1, image_size, image_size)
    np.save(stem.with_suffix(".npy"), images.numpy())
    files = {form: stem.with_name(stem.name + suffix) for form, suffix in FORMATS.items()}
    torch.save(model.state_dict(), files["eager"])
    formats.write_torchscript(model, images[:2], files["torchscript"], {})
    formats.write_onnx(model, images[:2], files["onnxruntime"], {})
    quantize(files["onnxruntime"], images[:8], files["int8"])


def run_process(form: str, network: str, stem: Path, counts: dict[int, int]) -> dict[str, Any]:
    """What one process measured of itself, and the seconds until it had predicted once."""
    arguments = [form, network, str(stem), json.dumps(list(counts.items()))]
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, __file__, "_measure", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        startup = time.perf_counter() - started
        result: dict[str, Any] = json.loads(process.stdout.readline())
    return result | {"startup": startup}


def _measure(form: str, network: str, stem: str, counts: str) -> None:
    import numpy as np

    file = Path(stem + FORMATS[form])
    images = np.load(stem + ".npy")
    predict = {"eager": _eager, "torchscript": _torchscript}.get(form, _onnxruntime)(file, network)
    predict(images[:1])
    print("predicted", flush=True)
    result: dict[str, Any] = {}
    for batch, count in json.loads(counts):
        part, seconds = np.ascontiguousarray(images[:batch]), []
        for _ in range(_WARM_UP + count):
            started = time.perf_counter()
            predict(part)
            seconds.append(time.perf_counter() - started)
        result[str(batch)] = {"seconds": seconds[_WARM_UP:], "peak": peak_kibibytes() / 1024}
    print(json.dumps(result), flush=True)


def _eager(file: Path, network: str) -> Callable[[Any], Any]:
    import timm
    import torch

    model = timm.create_model(network, in_chans=1, num_classes=_CLASSES)
    model.load_state_dict(torch.load(file, weights_only=True))
    return _in_torch(model.eval())


def _torchscript(file: Path, network: str) -> Callable[[Any], Any]:
    import torch

    return _in_torch(torch.jit.load(file))


def _in_torch(model: Any) -> Callable[[Any], Any]:
    import torch

    @torch.inference_mode()
    def predict(images: Any) -> Any:
        return model(torch.from_numpy(images)).numpy()

    return predict


def _onnxruntime(file: Path, network: str) -> Callable[[Any], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"image": images})[0]


def summarize(results: list[dict[str, Any]]) -> dict[str, float]:
    """Medians over the processes of one network and format."""
    summary = {"startup": statistics.median(result["startup"] for result in results)}
    for batch in BATCHES:
        runs = [result[str(batch)] for result in results]
        centiles = [statistics.quantiles(run["seconds"], n=20, method="inclusive") for run in runs]
        summary |= {
            f"speed_{batch}": statistics.median(batch / statistics.fmean(run["seconds"]) for run in runs),
            f"p50_{batch}": 1000 * statistics.median(statistics.median(run["seconds"]) for run in runs),
            f"p95_{batch}": 1000 * statistics.median(cuts[-1] for cuts in centiles),
            f"peak_{batch}": statistics.median(run["peak"] for run in runs),
        }
    return summary


def print_table(networks: dict[str, str], rows: dict[tuple[str, str], dict[str, float]]) -> None:
    """One row per network and format, and the ratios to eager PyTorch."""
    print("| network | format | start-up s | images/s, 1 | p50 / p95 ms, 1 | images/s, 32 | p50 / p95 ms, 32 "
          "| peak MiB, 1 / 32 | speed to teacher eager, 1 / 32 | start-up to eager |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    slow = rows[TEACHER, "eager"]
    for (role, form), row in rows.items():
        print(
            f"| {networks[role]} | {form} | {row['startup']:.2f} | {row['speed_1']:.1f} | {row['p50_1']:.1f} / "
            f"{row['p95_1']:.1f} | {row['speed_32']:.1f} | {row['p50_32']:.0f} / {row['p95_32']:.0f} | "
            f"{row['peak_1']:.0f} / {row['peak_32']:.0f} | {row['speed_1'] / slow['speed_1']:.2f} / "
            f"{row['speed_32'] / slow['speed_32']:.2f} | {row['startup'] / rows[role, 'eager']['startup']:.2f} |"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["_measure"]:
        _measure(*sys.argv[2:])
    else:
        import fire

        fire.Fire(benchmark)
