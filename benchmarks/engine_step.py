"""Time and memory of a DualStudentTrainer iteration, side by side with a bare PyTorch loop of the same arithmetic.

    python benchmarks/engine_step.py

Prints the ratio of engine and bare loop for each auxiliary, and of ``ema`` and ``mutual`` to ``none``. The runs are
interleaved (engine, loop, engine, loop, …) on the same batches, and medians are compared. Peak memory is the resident
set of a process of its own for each kind of run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import fire
import timm
import torch
import torch.nn.functional as F
from ignite.engine import Engine, Events
from peak_memory import peak_kibibytes
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dwskd_monai.training import DualStudentTrainer, SelfDistillationLoss, create_auxiliary

Batch = dict[str, Tensor]


def make_batches(count: int, batch_size: int, image_size: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size, 1, image_size, image_size)
    return [
        {
            "image": torch.randn(shape, generator=generator),
            "label": torch.randint(3, (batch_size,), generator=generator),
        }
        for _ in range(count)
    ]


def make_students(student: str) -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    main, auxiliary = (timm.create_model(student, in_chans=1, num_classes=3) for _ in range(2))
    both = nn.ModuleList([main, auxiliary])
    return main, auxiliary, create_optimizer_v2(both, opt="adamw", lr=1e-4, weight_decay=0.05, fused=True)


def bare_loop(student: str, auxiliary_mode: str, batches: list[Batch]) -> Iterator[float]:
    """Yields the seconds of each iteration of a plain loop."""
    main, auxiliary, optimizer = make_students(student)
    if auxiliary_mode == "ema":
        auxiliary.requires_grad_(False).eval()
    while True:
        for batch in batches:
            started = time.perf_counter()
            image, label = batch["image"], batch["label"]
            optimizer.zero_grad(set_to_none=True)
            logits = main(image)
            loss = F.cross_entropy(logits, label)
            if auxiliary_mode != "none":
                with torch.set_grad_enabled(auxiliary_mode == "mutual"):
                    peer = auxiliary(image)
                loss = loss + divergence(logits, peer)
            if auxiliary_mode == "mutual":
                loss = loss + F.cross_entropy(peer, label) + divergence(peer, logits)
            loss.backward()
            nn.utils.clip_grad_norm_(main.parameters(), 5.0)
            if auxiliary_mode == "mutual":
                nn.utils.clip_grad_norm_(auxiliary.parameters(), 5.0)
            optimizer.step()
            if auxiliary_mode == "ema":
                with torch.no_grad():
                    get_ema_multi_avg_fn(0.99)(list(auxiliary.parameters()), list(main.parameters()), None)
            loss.item()
            yield time.perf_counter() - started


def divergence(logits: Tensor, peer: Tensor) -> Tensor:
    log_peer = F.log_softmax(peer.detach() / 2, dim=1)
    return F.kl_div(F.log_softmax(logits / 2, dim=1), log_peer, reduction="batchmean", log_target=True) * 4


class IterationTimer:
    """Collects the seconds of each iteration of an engine."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.stop)

    def start(self, engine: Engine) -> None:
        self._started = time.perf_counter()

    def stop(self, engine: Engine) -> None:
        self.seconds.append(time.perf_counter() - self._started)


def engine_loop(student: str, auxiliary_mode: str, batches: list[Batch], epochs: int) -> Iterator[list[float]]:
    """Yields the seconds of each epoch's iterations, decollation included."""
    main, auxiliary, optimizer = make_students(student)
    for _ in range(epochs):
        timer = IterationTimer()
        DualStudentTrainer(
            device="cpu",
            max_epochs=1,
            train_data_loader=batches,
            network=main,
            optimizer=optimizer,
            loss_function=SelfDistillationLoss(),
            auxiliary=create_auxiliary(auxiliary_mode, auxiliary),
            clip_grad_norm=5.0,
            train_handlers=[timer],
        ).run()
        yield timer.seconds


def measure(student: str, auxiliary_mode: str, batches: list[Batch], rounds: int) -> tuple[list[float], list[float]]:
    """Seconds per iteration of engine and bare loop, in turns, after one round of warming up."""
    loop, engine = (
        bare_loop(student, auxiliary_mode, batches),
        engine_loop(student, auxiliary_mode, batches, rounds + 1),
    )
    bare_times, engine_times = [], []
    for index in range(rounds + 1):
        here, there = next(engine), [next(loop) for _ in batches]
        if index:
            engine_times += here
            bare_times += there
    return engine_times, bare_times


def peak_memory(kind: str, student: str, auxiliary_mode: str, batch_size: int, image_size: int) -> int:
    """Peak resident MiB above the start of a run of one kind, in a process of its own."""
    arguments = ["_peak", kind, student, auxiliary_mode, str(batch_size), str(image_size)]
    result = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return int(result.stdout.split()[-1])


def _peak(kind: str, student: str, auxiliary_mode: str, batch_size: int, image_size: int) -> None:
    batches = make_batches(4, batch_size, image_size)
    before = peak_kibibytes()
    if kind == "engine":
        next(engine_loop(student, auxiliary_mode, batches, 1))
    else:
        loop = bare_loop(student, auxiliary_mode, batches)
        for _ in batches:
            next(loop)
    print((peak_kibibytes() - before) // 1024)


def benchmark(
    student: str = "convnext_femto", batch_size: int = 16, image_size: int = 224, iterations: int = 4, rounds: int = 5
) -> None:
    """Measure all kinds and print a table.

    Args:
        student: timm name.
        batch_size: images per iteration.
        image_size: side of the images in pixels.
        iterations: iterations per turn.
        rounds: turns of engine and bare loop.
    """
    batches = make_batches(iterations, batch_size, image_size)
    print(
        f"{student}, batch {batch_size}, {image_size} px, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    )
    print("| auxiliary | engine s | bare loop s | engine / loop | to none | engine peak MiB | loop peak MiB |")
    print("|---|---|---|---|---|---|---|")
    results: dict[str, Any] = {}
    none = 0.0
    for auxiliary_mode in ("none", "ema", "mutual"):
        engine_times, bare_times = measure(student, auxiliary_mode, batches, rounds)
        engine, bare = statistics.median(engine_times), statistics.median(bare_times)
        none = none or engine
        peaks = [peak_memory(kind, student, auxiliary_mode, batch_size, image_size) for kind in ("engine", "loop")]
        results[auxiliary_mode] = {"engine": engine, "bare": bare, "peaks": peaks}
        print(
            f"| {auxiliary_mode} | {engine:.3f} | {bare:.3f} | {engine / bare:.3f} | {engine / none:.3f} | "
            f"{peaks[0]} | {peaks[1]} |",
            flush=True,
        )
    print(json.dumps(results))


if __name__ == "__main__":
    if sys.argv[1:2] == ["_peak"]:
        _peak(*sys.argv[2:5], *map(int, sys.argv[5:7]))  # type: ignore[arg-type]
    else:
        fire.Fire(benchmark)
