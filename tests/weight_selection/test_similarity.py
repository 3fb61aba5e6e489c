from __future__ import annotations

import pytest
import torch

from dwskd_monai.weight_selection.similarity import block_grams, block_similarity, cka
from tests.conftest import tiny_convnext


def grams(features: torch.Tensor, size: int) -> list[torch.Tensor]:
    return [part @ part.T for part in features.double().split(size)]


def test_cka_of_one_batch_equals_the_formula():
    """Nguyen et al., arXiv 2010.15327, eq. 3, sum by sum."""

    def hsic(k: torch.Tensor, l_: torch.Tensor) -> float:
        n = len(k)
        k, l_ = k - torch.diag(k.diag()), l_ - torch.diag(l_.diag())
        one = torch.ones(n, 1, dtype=torch.float64)
        trace = torch.trace(k @ l_)
        middle = (one.T @ k @ one) * (one.T @ l_ @ one) / ((n - 1) * (n - 2))
        last = 2 / (n - 2) * (one.T @ k @ l_ @ one)
        return float((trace + middle - last) / (n * (n - 3)))

    x, y = torch.randn(12, 5), torch.randn(12, 7)
    (k,) = grams(x, 12)
    (l_,) = grams(y, 12)
    assert cka([k], [l_]) == pytest.approx(hsic(k, l_) / (hsic(k, k) * hsic(l_, l_)) ** 0.5)


def test_cka_is_one_up_to_rotation_and_scale_and_near_zero_for_unrelated_features():
    x = torch.randn(256, 6, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    assert cka(grams(x, 32), grams(3 * x @ rotation, 32)) == pytest.approx(1)
    assert abs(cka(grams(x, 32), grams(torch.randn(256, 6), 32))) < 0.1


def test_cka_needs_four_images():
    with pytest.raises(ValueError, match="at least 4 images, got 3"):
        cka(grams(torch.randn(3, 2), 3), grams(torch.randn(3, 2), 3))


def test_a_network_is_as_itself_and_keeps_its_mode():
    network = tiny_convnext()
    network.head.eval()
    batches = [torch.randn(6, 1, 32, 32) for _ in range(2)]
    blocks = {f"stages.2.blocks.{i}": f"stages.2.blocks.{i}" for i in range(2)}
    got = block_similarity(block_grams(network, list(blocks), batches), network, blocks, batches)
    assert got == {name: pytest.approx(1) for name in blocks}
    assert network.training
    assert not network.head.training
    assert not any(module._forward_hooks for module in network.modules())
