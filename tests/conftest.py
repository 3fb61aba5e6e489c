"""Tiny networks, phantoms and files that many tests use."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # no test needs the network, and none waits for it

import pytest
import timm
import torch
from torch import nn

from dwskd_monai.data.phantoms import MODALITIES, make_phantoms

REPOSITORY = Path(__file__).parents[1]
BUNDLES = [REPOSITORY / "bundles" / f"{name}_classification" for name in ("chest_xray", "lung_ct", "brain_mri")]
BUNDLE = BUNDLES[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew, on purpose")


def tiny_convnext(
    dims: tuple[int, ...] = (8, 16, 24, 32), depths: tuple[int, ...] = (1, 1, 2, 1), **kwargs
) -> nn.Module:
    settings = {"in_chans": 1, "num_classes": 3} | kwargs
    return timm.create_model("convnext_atto", dims=dims, depths=depths, **settings)


def tiny_vit(embed_dim: int = 32, num_heads: int = 2, depth: int = 2, **kwargs) -> nn.Module:
    settings = {"in_chans": 1, "num_classes": 3, "img_size": 32, "patch_size": 8} | kwargs
    return timm.create_model("vit_tiny_patch16_224", embed_dim=embed_dim, num_heads=num_heads, depth=depth, **settings)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 60 chest X-ray phantoms with train and test, and datalist.csv."""
    folder = tmp_path_factory.mktemp("phantoms")
    make_phantoms("chest_xray", folder, count=60)
    return folder


# To make volumes takes long: tests that use them are run in one process
on_volumes = pytest.mark.xdist_group("trained volumes")


@pytest.fixture(scope="session")
def volume_phantoms(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """From ``lung_ct`` or ``brain_mri`` to a folder of the fewest phantoms."""

    @functools.cache
    def made(modality: str) -> Path:
        folder = tmp_path_factory.mktemp(modality)
        make_phantoms(modality, folder, count=MODALITIES[modality].LEAST)
        return folder

    return made
