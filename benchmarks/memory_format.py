"""Time of a training step and of inference in torch's two memory formats (the bundles' key ``memory_format``).

    python benchmarks/memory_format.py

Prints the seconds of a batch in each format and their ratio, for networks of several families. The formats take turns
on the same batch, and medians are compared.
"""

from __future__ import annotations

import copy
import os
import statistics
import time

import fire
import timm
import torch
import torch.nn.functional as F
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from tqdm import tqdm

STUDENTS = "convnext_femto,efficientnet_b0,mobilenetv3_small_100,resnet18,vit_tiny_patch16_224"
FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


def training_step(network: nn.Module, optimizer: torch.optim.Optimizer, image: Tensor, label: Tensor) -> float:
    """Seconds of a step."""
    network.train()
    started = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    F.cross_entropy(network(image), label).backward()
    optimizer.step()
    return time.perf_counter() - started


@torch.inference_mode()
def inference(network: nn.Module, image: Tensor) -> float:
    """Seconds of a batch."""
    network.eval()
    started = time.perf_counter()
    network(image)
    return time.perf_counter() - started


def measure(student: str, image: Tensor, label: Tensor, rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of a step and of inference for each format, in turns, after one round of warming up."""
    torch.manual_seed(0)
    original = timm.create_model(student, in_chans=1, num_classes=3)
    networks = {name: copy.deepcopy(original).to(memory_format=value) for name, value in FORMATS.items()}
    optimizers = {name: create_optimizer_v2(network, opt="adamw", fused=True) for name, network in networks.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in FORMATS}
    for _ in range(rounds + 1):
        for name, network in networks.items():
            step = training_step(network, optimizers[name], image, label)
            times[name].append((step, inference(network, image)))
    return {
        name: (statistics.median(step for step, _ in pairs[1:]), statistics.median(batch for _, batch in pairs[1:]))
        for name, pairs in times.items()
    }


def benchmark(students: str = STUDENTS, batch_size: int = 16, image_size: int = 224, rounds: int = 7) -> None:
    """Measure the networks and print a table.

    Args:
        students: timm names, separated by commas.
        batch_size: images.
        image_size: side of the images in pixels.
        rounds: turns of the two formats.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((batch_size, 1, image_size, image_size), generator=generator)
    label = torch.randint(3, (batch_size,), generator=generator)
    print(
        f"batch {batch_size}, {image_size} px, torch {torch.__version__}, {torch.get_num_threads()} threads of "
        f"{os.cpu_count()} cores"
    )
    print("| network | training s | channels last s | ratio | inference s | channels last s | ratio |")
    print("|---|---|---|---|---|---|---|")
    names = students.split(",") if isinstance(students, str) else list(students)
    for student in tqdm(names, desc="networks"):
        (step, batch), (step_last, batch_last) = measure(student, image, label, rounds).values()
        tqdm.write(
            f"| {student} | {step:.3f} | {step_last:.3f} | {step_last / step:.2f} | {batch:.3f} | {batch_last:.3f} | "
            f"{batch_last / batch:.2f} |"
        )


if __name__ == "__main__":
    fire.Fire(benchmark)
