"""Two deployed students on the CPU: one after the other, as they are deployed, or as one network with grouped layers.

python benchmarks/two_students.py

In PyTorch and in ONNX Runtime, with one thread each, both forms take turns on the same images; the ratio of their
medians is printed. Weights are random, which does not change the speed.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import fire
import onnxruntime
import torch
from grouped import Grouped
from narrow_efficientnet import create_model
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from dwskd_monai.ensemble import Ensemble


class AsOne(nn.Module):
    """Networks as one with grouped layers: the mean of their probabilities."""

    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.grouped = Grouped(networks[0], [network.state_dict() for network in networks], torch.device("cpu"))
        self.grouped.parameters = {name: value.detach() for name, value in self.grouped.parameters.items()}
        self.count = len(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K)`` of images ``(N, 1, H, W)``."""
        return self.grouped(images.expand(self.count, *images.shape), training=False).softmax(2).mean(0).log()


def in_onnx(network: nn.Module, images: Tensor, file: Path) -> Callable[[Tensor], Tensor]:
    """A network as ONNX Runtime runs it, with one thread."""
    torch.onnx.export(network, (images,), file, input_names=["images"], dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options)
    return lambda given: torch.from_numpy(session.run(None, {"images": given.numpy()})[0])


@torch.no_grad()
def main(
    student: str = "tf_efficientnet_lite0_050", image_size: int = 96, rounds: int = 9, seconds: float = 0.5
) -> None:
    """Print a line for each way to run them and each size of a batch.

    Args:
        student: name of an EfficientNet-Lite, as of ``narrow_efficientnet.py``.
        image_size: side of the images in pixels.
        rounds: turns of each form.
        seconds: of each turn.
    """
    torch.set_num_threads(1)
    students = [create_model(student, in_chans=1, num_classes=4).eval() for _ in range(2)]
    forms = (Ensemble(*students).eval(), AsOne(students).eval())
    with tempfile.TemporaryDirectory() as folder:
        for batch in (1, 16):
            images = torch.randn(batch, 1, image_size, image_size)
            compiled = [in_onnx(form, images, Path(folder, f"{number}.onnx")) for number, form in enumerate(forms)]
            for way, pair in (("PyTorch", forms), ("ONNX Runtime", compiled)):
                expected, found = (network(images).softmax(1) for network in pair)
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
                first, second = _medians(pair, images, rounds, seconds)
                times = f"{1000 * first:.1f} ms one after the other, {1000 * second:.1f} ms as one"
                print(f"{way}, batch of {batch}: {times}, ratio {second / first:.2f}")


def _medians(pair: Sequence[Callable[[Tensor], Tensor]], images: Tensor, rounds: int, seconds: float) -> list[float]:
    timers = [Timer("network(images)", globals={"network": network, "images": images}) for network in pair]
    turns = [[timer.blocked_autorange(min_run_time=seconds).median for timer in timers] for _ in range(rounds)]
    return [statistics.median(times) for times in zip(*turns, strict=True)]


if __name__ == "__main__":
    fire.Fire(main)
