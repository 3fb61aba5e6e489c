from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dwskd_monai.training import drops_last_batch
from tests.conftest import tiny_convnext


def with_batch_norm() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1, 2))


@pytest.mark.parametrize(
    ("count", "batch_size", "batches"),
    [(9, 4, [4, 4]), (10, 4, [4, 4, 2]), (8, 4, [4, 4]), (5, 2, [2, 2]), (3, 8, [3])],
)
def test_a_last_batch_of_one_image_is_left_out_and_no_other(count, batch_size, batches):
    images = TensorDataset(torch.randn(count, 1, 4, 4))
    network = with_batch_norm()
    drop_last = drops_last_batch(network, images, batch_size)
    loader = DataLoader(images, batch_size, drop_last=drop_last)
    assert [len(network(batch)) for (batch,) in loader] == batches


def test_it_is_said(caplog):
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        assert drops_last_batch(with_batch_norm(), range(9), 4)
        assert not drops_last_batch(with_batch_norm(), range(10), 4)
    assert [record.message for record in caplog.records] == [
        "batch norm: the last batch of an epoch would have one image (9 slices in batches of 4); each epoch "
        "leaves out one slice, chosen at random"
    ]


@pytest.mark.parametrize(("count", "batch_size"), [(1, 4), (1, 1), (5, 1)])
def test_an_epoch_keeps_its_only_images(count, batch_size):
    assert not drops_last_batch(with_batch_norm(), range(count), batch_size)


def test_a_network_without_batch_norm_sees_each_image():
    assert not drops_last_batch(tiny_convnext(), range(9), 4)
