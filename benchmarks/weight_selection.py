"""Time and peak memory of weight selection, side by side with a straightforward implementation.

    python benchmarks/weight_selection.py

The reference is `benchmarks/published_selection.py`, which clones each of the teacher's tensors and index-selects one
dimension after another. Pairs in memory: in one process, in turns. From a file: the reference loads the state dict,
ours maps the file; each in a process of its own, peak memory above the process with the imports and the student made.
The file of the large teacher is made once, of random weights, in ``--directory``.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fire
import published_selection
import timm
import torch
from peak_memory import peak_kibibytes
from safetensors.torch import load_file, save_file
from torch import nn

from dwskd_monai.weight_selection import Teacher, select_weights

PAIRS = (
    ("vit_small_patch16_224", "vit_tiny_patch16_224"),
    ("convnext_tiny", "convnext_femto"),
    ("vit_large_patch16_224", "vit_small_patch16_224"),
)
# As wide and deep as ViT-g/14, with heads of 64 so that a ViT-S/14 can be taken from it.
LARGE: dict[str, Any] = {
    "model_name": "vit_giant_patch14_clip_224",
    "embed_dim": 1408,
    "num_heads": 22,
    "depth": 40,
    "mlp_ratio": 48 / 11,
}
SMALL: dict[str, Any] = LARGE | {"embed_dim": 384, "num_heads": 6, "depth": 12, "mlp_ratio": 4.0}
MIB = 2**20


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def in_memory(teacher_name: str, student_name: str, rounds: int) -> str:
    """One row: times of both implementations, in turns."""
    teacher = timm.create_model(teacher_name, num_classes=0)
    student = timm.create_model(student_name, num_classes=3)

    def reference() -> None:
        published_selection.select(teacher.state_dict(), student)

    def ours() -> None:
        select_weights(teacher, student)

    reference()
    ours()
    reference_times: list[float] = []
    our_times: list[float] = []
    for _ in range(rounds):
        reference_times.append(seconds(reference))
        our_times.append(seconds(ours))
    reference_time = statistics.median(reference_times)
    our_time = statistics.median(our_times)
    return (
        f"| {teacher_name} → {student_name} | {reference_time * 1e3:.1f} | {our_time * 1e3:.1f} | "
        f"{our_time / reference_time:.2f} |"
    )


def large_file(directory: Path) -> Path:
    """A safetensors file with the random weights of the large teacher."""
    path = directory / "large_teacher.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        with torch.device("meta"):
            network = timm.create_model(**LARGE, num_classes=0)
        save_file({name: torch.randn(tensor.shape) for name, tensor in network.state_dict().items()}, path)
    return path


def _from_file(kind: str, path: str) -> None:
    """Select once; print seconds and peak bytes above the process with the student made."""
    student = timm.create_model(**SMALL, num_classes=0)
    with torch.device("meta"):
        network: nn.Module = timm.create_model(**LARGE, num_classes=0)
    before = peak_kibibytes() * 1024
    started = time.perf_counter()
    if kind == "reference":
        published_selection.select(load_file(path), student)
    else:
        select_weights(Teacher(network, path), student)
    print(time.perf_counter() - started, peak_kibibytes() * 1024 - before)


def from_file(path: Path, rounds: int) -> str:
    """Rows of both implementations, each run in a process of its own, in turns."""
    results: dict[str, list[tuple[float, float]]] = {"reference": [], "ours": []}
    for _ in range(rounds):
        for kind, runs in results.items():
            command = [sys.executable, __file__, "_from_file", kind, str(path)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            runs.append((float(printed[-2]), float(printed[-1])))
    medians = {kind: [statistics.median(values) for values in zip(*runs)] for kind, runs in results.items()}
    ratio = medians["ours"][0] / medians["reference"][0]
    return "\n".join(
        f"| {kind} | {time_:.2f} | {memory / MIB:.0f} | {'' if kind == 'reference' else f'{ratio:.2f}'} |"
        for kind, (time_, memory) in medians.items()
    )


def benchmark(rounds: int = 9, file_rounds: int = 3, directory: str | None = None) -> None:
    """Print the tables.

    Args:
        rounds: selections of each kind, in memory.
        file_rounds: selections of each kind, from the file.
        directory: where the large teacher's file is kept, 4.5 GB; None: a temporary folder.
    """
    print(f"torch {torch.__version__}, timm {timm.__version__}, {torch.get_num_threads()} threads")
    print("| pair | reference ms | ours ms | ours / reference |")
    print("|---|---|---|---|")
    for teacher, student in PAIRS:
        print(in_memory(teacher, student, rounds), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        path = large_file(Path(directory or temporary))
        with torch.device("meta"):
            networks = [timm.create_model(**model, num_classes=0) for model in (LARGE, SMALL)]
        sizes = [[tensor.nbytes for tensor in network.state_dict().values()] for network in networks]
        print(
            f"\nfile {sum(sizes[0]) / MIB:.0f} MiB, its largest tensor {max(sizes[0]) / MIB:.0f} MiB, student "
            f"{sum(sizes[1]) / MIB:.0f} MiB (made before); goal: at most {(max(sizes[0])) / MIB + 200:.0f} MiB more"
        )
        print("| from a file | s | peak above the start MiB | ours / reference |")
        print("|---|---|---|---|")
        print(from_file(path, file_rounds))


if __name__ == "__main__":
    if sys.argv[1:2] == ["_from_file"]:
        _from_file(sys.argv[2], sys.argv[3])
    else:
        fire.Fire(benchmark)
