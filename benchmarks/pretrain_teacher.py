"""Pretrain a teacher without any label of the target task, for machines that cannot reach timm's weights.

Weight selection needs a teacher that has learned something. Where the ImageNet weights of timm cannot be downloaded,
this script makes one from whatever other images there are: labeled folders (supervised) and unlabeled ones
(self-supervised). Every image is seen as two augmented views and three losses are added:

- cross-entropy of the labeled images, with one label space over all labeled folders;
- dihedral prediction: which of the eight rotations and reflections was applied (Gidaris et al., arXiv 1803.07728);
- instance discrimination: the two views of an image among all views of the batch (SimCLR, arXiv 2002.05709).

    python benchmarks/pretrain_teacher.py --out teacher.pt --model convnext_nano --epochs 16 \
        --labeled "['brain_mri/train','lung_ct/train']" --unlabeled "['ct_pool']"

The result is a plain state dict for ``timm.create_model(model, in_chans=1, num_classes=0)``; training is continued
from ``<out>.state`` when it was interrupted.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fire
import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from tqdm import tqdm

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


def read_square(path: Path, size: int) -> Tensor:
    """Gray image as a ``(1, size, size)`` uint8 tensor: shorter side resized to ``size``, then center-cropped."""
    with Image.open(path) as image:
        gray = image.convert("L")
    scale = size / min(gray.size)
    gray = gray.resize((max(size, round(gray.width * scale)), max(size, round(gray.height * scale))), Image.BILINEAR)
    left, top = (gray.width - size) // 2, (gray.height - size) // 2
    return torch.from_numpy(np.array(gray.crop((left, top, left + size, top + size)))).unsqueeze(0)


def read_images(labeled: Sequence[str], unlabeled: Sequence[str], size: int) -> tuple[Tensor, Tensor, list[str]]:
    """All images ``(N, 1, size, size)``, their labels ``(N,)`` (-1 where there is none), and the class names."""
    classes = [folder for root in labeled for folder in sorted(Path(root).iterdir()) if folder.is_dir()]
    items = [(path, index) for index, folder in enumerate(classes) for path in sorted(folder.iterdir())]
    items += [(path, -1) for root in unlabeled for path in sorted(Path(root).iterdir())]
    items = [(path, label) for path, label in items if path.suffix.lower() in IMAGE_SUFFIXES]
    if not items:
        raise FileNotFoundError(f"no images below labeled={list(labeled)} or unlabeled={list(unlabeled)}")
    with ThreadPoolExecutor() as pool:
        reading = pool.map(lambda item: read_square(item[0], size), items)
        images = list(tqdm(reading, total=len(items), desc="reading"))
    return torch.stack(images), torch.tensor([label for _, label in items]), [folder.name for folder in classes]


def augmented_view(images: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One random view ``(B, 1, size, size)`` of uint8 images, and the dihedral element ``(B,)`` that was applied."""
    batch, device = len(images), images.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(batch, generator=generator, device=device) * (high - low) + low

    area, aspect = uniform(0.3, 1.0), torch.exp(uniform(-0.25, 0.25))
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    shift_x, shift_y = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
    dihedral = torch.randint(8, (batch,), generator=generator, device=device)
    turn, mirror = dihedral % 4 * math.pi / 2, torch.where(dihedral < 4, 1.0, -1.0)
    angle = turn + uniform(-0.2, 0.2)
    theta = torch.zeros(batch, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 0, 2] = width * angle.cos() * mirror, -width * angle.sin(), shift_x
    theta[:, 1, 0], theta[:, 1, 1], theta[:, 1, 2] = height * angle.sin() * mirror, height * angle.cos(), shift_y
    grid = F.affine_grid(theta, [batch, 1, size, size], align_corners=False)
    view = F.grid_sample(images.float() / 255, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    view = view.clamp(1e-4, 1) ** torch.exp(uniform(-0.5, 0.5)).view(-1, 1, 1, 1)
    view = (view - 0.5) * uniform(0.6, 1.4).view(-1, 1, 1, 1) + 0.5 + uniform(-0.2, 0.2).view(-1, 1, 1, 1)
    view = view + torch.randn(view.shape, generator=generator, device=device) * uniform(0, 0.05).view(-1, 1, 1, 1)
    return view, dihedral


def instance_loss(embedding: Tensor, temperature: float = 0.2) -> Tensor:
    """SimCLR loss of ``(2B, D)`` embeddings, where rows i and i + B are two views of one image."""
    embedding = F.normalize(embedding, dim=1)
    similarity = embedding @ embedding.T / temperature
    similarity.fill_diagonal_(-torch.inf)
    half = len(embedding) // 2
    return F.cross_entropy(similarity, torch.arange(2 * half, device=embedding.device).roll(half))


class PretrainingModel(nn.Module):
    """A timm backbone with one head for each of the three losses."""

    def __init__(self, model: str, num_classes: int, **model_args: Any) -> None:
        super().__init__()
        self.backbone = timm.create_model(model, in_chans=1, num_classes=0, **model_args)
        width = self.backbone.num_features
        self.classifier = nn.Linear(width, num_classes)
        self.dihedral = nn.Linear(width, 8)
        self.projection = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 128))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.backbone(images)
        return self.classifier(features), self.dihedral(features), self.projection(features)


def save(content: object, path: Path) -> None:
    """Write to a temporary file and rename it, so that an interruption never leaves half a file."""
    temporary = path.with_name(path.name + ".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def pretrain(
    out: str,
    labeled: Sequence[str] = (),
    unlabeled: Sequence[str] = (),
    model: str = "convnext_nano",
    image_size: int = 64,
    read_size: int = 110,
    epochs: int = 20,
    batch_size: int = 64,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    drop_path_rate: float = 0.0,
    seed: int = 0,
    **model_args: Any,
) -> None:
    """Pretrain ``model`` and write its backbone's state dict to ``out``.

    Args:
        out: file for the state dict; ``<out>.state`` holds what is needed to continue.
        labeled: folders with one folder per class.
        unlabeled: folders of images.
        model: timm name of the teacher.
        image_size: side of the square views, in pixels; smaller than at the later use saves time, and helps since a
            crop is magnified (Touvron et al., arXiv 1906.06423).
        read_size: side of the square that views are cropped from, in pixels.
        epochs: passes over all images, two views each.
        batch_size: images per step (each seen as two views).
        lr: peak learning rate of AdamW, one cycle.
        weight_decay: weight decay of AdamW.
        drop_path_rate: stochastic depth of the teacher.
        seed: of initialization, order and augmentation.
        model_args: further arguments of ``timm.create_model``; a ViT needs ``--img_size``, that of ``image_size``.
    """
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, labels, classes = read_images(labeled, unlabeled, read_size)
    images, labels = images.to(device), labels.to(device)
    network = PretrainingModel(model, max(len(classes), 1), drop_path_rate=drop_path_rate, **model_args)
    network.to(device).to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(network, opt="adamw", lr=lr, weight_decay=weight_decay, fused=True)
    steps = len(images) // batch_size
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * steps, pct_start=0.1)
    state_path, first = Path(f"{out}.state"), 0
    state_path.parent.mkdir(parents=True, exist_ok=True)
    if state_path.exists():
        state = torch.load(state_path, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        first = state["epoch"]
    print(f"{len(images)} images, classes {classes}, {steps} steps an epoch, starting at epoch {first + 1}")

    for epoch in range(first, epochs):
        generator = torch.Generator(device).manual_seed(seed * 1000 + epoch)
        order = torch.randperm(len(images), generator=generator, device=device)
        sums, started = torch.zeros(5, device=device), time.perf_counter()
        for step in tqdm(range(steps), desc=f"epoch {epoch + 1}/{epochs}", mininterval=10):
            chosen = order[step * batch_size : (step + 1) * batch_size]
            views = [augmented_view(images[chosen], image_size, generator) for _ in range(2)]
            batch = torch.cat([view for view, _ in views]).to(memory_format=torch.channels_last)
            dihedral, target = torch.cat([element for _, element in views]), labels[chosen].repeat(2)
            class_logits, dihedral_logits, embedding = network(batch)
            known = target >= 0
            supervised = (
                F.cross_entropy(class_logits[known], target[known], label_smoothing=0.1)
                if known.any()
                else class_logits.sum() * 0
            )
            losses = [supervised, F.cross_entropy(dihedral_logits, dihedral), instance_loss(embedding)]
            optimizer.zero_grad(set_to_none=True)
            (losses[0] + losses[1] + 0.5 * losses[2]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            scheduler.step()
            with torch.no_grad():
                right = (class_logits[known].argmax(1) == target[known]).float()
                turned = (dihedral_logits.argmax(1) == dihedral).float().mean()
                accuracy = right.mean() if known.any() else torch.zeros((), device=device)
                sums += torch.stack([*(loss.detach() for loss in losses), accuracy, turned])
        means = (sums / steps).tolist()
        print(
            f"epoch {epoch + 1}: class loss {means[0]:.3f}, dihedral {means[1]:.3f}, instance {means[2]:.3f}, "
            f"class accuracy {means[3]:.3f}, dihedral accuracy {means[4]:.3f}, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )
        save({name: value.cpu() for name, value in network.backbone.state_dict().items()}, Path(out))
        save(
            {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "epoch": epoch + 1,
            },
            state_path,
        )


if __name__ == "__main__":
    fire.Fire(pretrain)
