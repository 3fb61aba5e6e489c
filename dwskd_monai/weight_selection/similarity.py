"""How similar the features of a student and its teacher are, block by block, before any training: linear CKA.

Reference: Kornblith et al., *Similarity of Neural Network Representations Revisited*, ICML 2019, arXiv 1905.00414; the
unbiased estimate over batches is from Nguyen et al., arXiv 2010.15327. No library that this project depends on has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Grams = dict[str, Tensor]


def cka(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Linear centered kernel alignment of two representations of the same images; 1 if they are equal.

    It does not change when a representation is rotated or scaled.

    Args:
        first: for each batch of images, the inner products ``(B, B)`` of their features; B is at least 4.
        second: the same for the other representation.

    Returns:
        The estimate; about 0, and sometimes below, for unrelated features.

    Raises:
        ValueError: if a batch has fewer than 4 images.
    """
    cross = sum(_hsic(a, b) for a, b in zip(first, second, strict=True))
    first_norm = sum(_hsic(gram, gram) for gram in first)
    second_norm = sum(_hsic(gram, gram) for gram in second)
    product = first_norm * second_norm
    return float(cross / product**0.5) if product > 0 else float("nan")


def _hsic(first: Tensor, second: Tensor) -> float:
    """Unbiased Hilbert-Schmidt independence criterion (Nguyen et al., eq. 3)."""
    count = len(first)
    if count < 4:
        raise ValueError(f"similarity needs batches of at least 4 images, got {count}")
    a = _without_diagonal(first)
    b = _without_diagonal(second)
    trace = (a * b).sum()
    means = a.sum() * b.sum() / ((count - 1) * (count - 2))
    rows = 2 * (a.sum(0) @ b.sum(0)) / (count - 2)
    return float((trace + means - rows) / (count * (count - 3)))


def _without_diagonal(gram: Tensor) -> Tensor:
    return gram.double() - torch.diag(gram.double().diagonal())


@contextmanager
def _hooked(network: nn.Module, names: Sequence[str]) -> Iterator[Grams]:
    """Inner products of the outputs of some modules, filled by a forward pass."""
    grams: Grams = {}

    def keep(name: str, output: Tensor) -> None:
        features = output.detach().flatten(1).double()
        features = features / features.norm(dim=1).mean().clamp(min=1e-12)  # CKA does not depend on the scale
        grams[name] = features @ features.T

    hooks = [
        network.get_submodule(name).register_forward_hook(lambda module, inputs, output, name=name: keep(name, output))
        for name in names
    ]
    try:
        yield grams
    finally:
        for hook in hooks:
            hook.remove()


def block_grams(network: nn.Module, blocks: Sequence[str], batches: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Inner products of the features of each block, for each batch of images.

    Args:
        network: run in evaluation mode; its mode is restored.
        blocks: names of modules whose output is one tensor.
        batches: images ``(B, C, H, W)``.

    Returns:
        For each block, a matrix ``(B, B)`` for each batch.
    """
    result: dict[str, list[Tensor]] = {name: [] for name in blocks}
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.no_grad(), _hooked(network, blocks) as grams:
            for images in batches:
                network(images)
                for name in blocks:
                    result[name].append(grams[name])
    finally:
        for module in training:
            module.training = True
    return result


def block_similarity(
    teacher: Mapping[str, Sequence[Tensor]], student: nn.Module, blocks: Mapping[str, str], batches: Sequence[Tensor]
) -> dict[str, float]:
    """CKA of each block of a student with the teacher's block that it was taken from.

    Args:
        teacher: the teacher's :func:`block_grams`.
        student: the student.
        blocks: for each block of the student, the teacher's.
        batches: the images of ``teacher``.

    Examples:
        >>> import timm
        >>> _ = torch.manual_seed(0)
        >>> network = timm.create_model("convnext_atto", dims=(8, 16, 24, 32), depths=(1, 1, 1, 1))
        >>> batches = [torch.randn(8, 3, 32, 32)]
        >>> grams = block_grams(network, ["stages.0"], batches)
        >>> similarity = block_similarity(grams, network, {"stages.0": "stages.0"}, batches)
        >>> round(similarity["stages.0"], 6)
        1.0
    """
    grams = block_grams(student, list(blocks), batches)
    return {name: cka(grams[name], teacher[source]) for name, source in blocks.items()}
