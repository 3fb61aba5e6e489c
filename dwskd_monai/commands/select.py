"""The command ``select``: weight selection from and to files, with its report."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import matplotlib.figure
import timm
import torch
from monai.transforms import Compose
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from dwskd_monai.files import replacing
from dwskd_monai.preprocessing.transforms import FitSlicesd, LoadStudyd, NormalizeSlicesd, ScalePercentilesd
from dwskd_monai.reading.find import find_images
from dwskd_monai.training.teachers import PRETRAINED, create_teacher, open_teacher
from dwskd_monai.weight_selection import PairReport, Rules, select_pair, select_weights
from dwskd_monai.weight_selection.layers import LayerSelection, stages
from dwskd_monai.weight_selection.networks import image_shape
from dwskd_monai.weight_selection.rules import ELEMENT_RULES
from dwskd_monai.weight_selection.similarity import block_grams, block_similarity

FILES = ("main.safetensors", "auxiliary.safetensors", "report.json", "report.md")
FIGURE = "similarity.png"
BATCH, MOST_IMAGES = 32, 128
_logger = logging.getLogger(__name__)


def select(
    teacher: str,
    student: str,
    out: str | Path,
    rules: Rules,
    *,
    teacher_weights: str = PRETRAINED,
    complementary: bool = True,
    in_chans: int = 1,
    num_classes: int = 0,
    img_size: int | None = None,
    images: str | Path | None = None,
    seed: int = 0,
    force: bool = False,
) -> PairReport:
    """Write main and auxiliary as safetensors, with the report of what they took from the teacher.

    Args:
        teacher: timm name of the large network.
        student: timm name of the small one.
        out: folder for ``main.safetensors``, ``auxiliary.safetensors``, ``report.json``, ``report.md``, and with
            ``images`` ``similarity.png``.
        rules: which blocks and elements are taken.
        teacher_weights: ``pretrained``, a file, or ``random``.
        complementary: False gives both students the same subset.
        in_chans: channels of the images.
        num_classes: outputs of the students' new classifiers; 0 for none.
        img_size: side of the images in pixels, for networks with position embeddings; None: the network's own.
        images: a folder of images; on up to 128 of them the features of students and teacher are compared.
        seed: of the new classifiers, and of what is random.
        force: overwrite files of an earlier run.

    Raises:
        FileExistsError: if there are such files and ``force`` is not set.
        FileNotFoundError, OSError, ValueError: see :func:`~dwskd_monai.training.teachers.open_teacher` and
            :func:`~dwskd_monai.weight_selection.select_pair`.
    """
    out = Path(out)
    there = [name for name in (*FILES, FIGURE) if (out / name).exists()]
    if there and not force:
        raise FileExistsError(f"{out} already holds {', '.join(there)}; choose another --out, or --force to overwrite")
    torch.manual_seed(seed)
    size = {} if img_size is None else {"img_size": img_size}
    source = open_teacher(teacher, teacher_weights, in_chans, **size)
    main, auxiliary, other = (
        timm.create_model(student, pretrained=False, in_chans=in_chans, num_classes=num_classes, **size)
        for _ in range(3)
    )
    batches = None if images is None else _read_images(Path(images), image_shape(main))
    report = select_pair(source, main, auxiliary, rules, complementary=complementary, progress=True)
    similarity = None
    if batches is not None:
        in_memory = create_teacher(teacher, teacher_weights, in_chans, **size) if source.weights else source.network
        similarity = _similarities(in_memory, main, auxiliary, other, rules, batches)
        _draw(similarity, rules.elements, out / FIGURE, f"{teacher} → {student}")
    content = {
        "teacher": {"name": teacher, "weights": str(teacher_weights), "parameters": _parameters(source.network)},
        "student": {"name": student, "parameters": _parameters(main), "in_chans": in_chans, "num_classes": num_classes},
        "complementary": complementary,
        "coverage": report.coverage,
        "overlap": report.overlap,
        "versions": {name: version(name) for name in ("dwskd_monai", "timm", "torch")},
        "similarity": similarity,
        "main": report.main.as_json(),
        "auxiliary": report.auxiliary.as_json(),
    }
    for name, network, own in (("main", main, report.main), ("auxiliary", auxiliary, report.auxiliary)):
        with replacing(out / f"{name}.safetensors") as temporary:
            save_file(network.state_dict(), temporary, metadata={"format": "pt", "report": json.dumps(own.as_json())})
    with replacing(out / "report.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    with replacing(out / "report.md") as temporary:
        temporary.write_text(_markdown(content, report), encoding="utf-8")
    if FIGURE in there and similarity is None:
        (out / FIGURE).unlink()  # of an earlier run, and no longer true
    _logger.info("%s", report)
    return report


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _read_images(folder: Path, shape: Sequence[int]) -> list[Tensor]:
    """Batches of the middle slices of up to 128 studies, evenly spaced in the order of their names."""
    if not folder.is_dir():
        raise FileNotFoundError(f"images: {folder} is not a folder")
    found, _ = find_images(folder, dicom_series=True)
    if len(found) < 4:
        raise ValueError(f"images: {folder} has {len(found)} images; to compare features takes at least 4")
    count = min(len(found), MOST_IMAGES)
    transform = Compose(
        [
            LoadStudyd("image"),
            FitSlicesd("image", shape[-1], keep_aspect=False),
            ScalePercentilesd("image"),
            NormalizeSlicesd("image", mean=0.5, std=0.5),
        ]
    )
    slices = []
    for index in tqdm(range(count), desc="reading images", leave=False):
        item = cast(dict[str, Any], transform({"image": found[index * len(found) // count]}))
        volume = torch.as_tensor(item["image"])
        slices.append(volume[:, volume.shape[1] // 2].expand(shape[0], -1, -1))
    batches = list(torch.stack(slices).split(BATCH))
    return batches if len(batches[-1]) >= 4 else batches[:-1]


def _similarities(
    teacher: nn.Module, main: nn.Module, auxiliary: nn.Module, other: nn.Module, rules: Rules, batches: Sequence[Tensor]
) -> dict[str, dict[str, float]]:
    """CKA of each block with the teacher's block: of both students, of each rule for elements, of random weights."""
    layers = LayerSelection(teacher, main, rules.layers)
    names = stages(main)
    blocks = {
        f"{stage}.{name}": layers.teacher_name(f"{stage}.{name}") for stage in layers.blocks for name in names[stage]
    }
    grams = block_grams(teacher, list(blocks.values()), batches)
    found = {
        f"main ({rules.elements})": block_similarity(grams, main, blocks, batches),
        f"auxiliary ({rules.elements})": block_similarity(grams, auxiliary, blocks, batches),
    }
    found["random weights"] = block_similarity(grams, other, blocks, batches)
    for elements in tqdm(
        [rule for rule in ELEMENT_RULES if rule != rules.elements], desc="comparing rules", leave=False
    ):
        select_weights(teacher, other, Rules(rules.layers, elements, rules.offset, rules.seed, rules.rescale))
        found[elements] = block_similarity(grams, other, blocks, batches)
    return found


def _draw(similarity: Mapping[str, Mapping[str, float]], elements: str, path: Path, title: str) -> None:
    """Lines of CKA over the student's blocks, one for each rule."""
    figure = matplotlib.figure.Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for label, values in similarity.items():
        chosen = label.endswith(f"({elements})")
        style: dict[str, Any] = {"linewidth": 2.5, "marker": "o"} if chosen else {"linewidth": 1.2, "marker": "."}
        if label.startswith("auxiliary"):
            style["linestyle"] = "--"
        if label == "random weights":
            style |= {"linestyle": ":", "color": "grey"}
        axes.plot(range(len(values)), list(values.values()), label=label, **style)
    blocks = list(next(iter(similarity.values())))
    axes.set_xticks(range(len(blocks)), blocks, rotation=90, fontsize=7)
    axes.set_ylabel("linear CKA with the teacher's block")
    axes.set_title(f"{title}: features before training")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def _markdown(content: Mapping[str, Any], report: PairReport) -> str:
    teacher, student = content["teacher"], content["student"]
    share = student["parameters"] / teacher["parameters"]
    lines = [
        f"# {teacher['name']} → {student['name']}",
        "",
        f"Teacher {teacher['parameters']:,} parameters ({teacher['weights']}), student {student['parameters']:,} "
        f"({share:.3f}). Main took {report.main.coverage:.1%} of the teacher's weights, auxiliary "
        f"{report.auxiliary.coverage:.1%}, both together {report.coverage:.1%}; {report.overlap:.2%} are in both.",
        "",
        f"Rules: {json.dumps(report.main.as_json()['rules'])}.",
        "",
        "## Layers",
        "",
        "| stage | student's blocks | of the teacher's, counted from 0 |",
        "|---|---|---|",
        *(
            f"| {stage or 'network'} | {len(blocks)} | {', '.join(map(str, blocks))} |"
            for stage, blocks in report.main.blocks.items()
        ),
        "",
        "## Channels",
        "",
        "One index set is used wherever a dimension occurs; it is named by the layer that makes it. A unit of more "
        "than one element is an attention head, or a group of a convolution.",
        "",
        "| dimension | times | teacher | student | elements per unit | in main and auxiliary |",
        "|---|---|---|---|---|---|",
        *_dimension_rows(report),
        "",
        "## Tensors",
        "",
        "| how | tensors |",
        "|---|---|",
        *(f"| {rule} | {count} |" for rule, count in report.main.rule_counts().items()),
        "",
        "New: " + (", ".join(t.name for t in report.main.tensors if t.source is None) or "none") + ".",
    ]
    if content["similarity"] is not None:
        lines += ["", "## Features before training", "", f"![linear CKA]({FIGURE})", "", *_similarity_rows(content)]
    return "\n".join(lines) + "\n"


def _dimension_rows(report: PairReport) -> list[str]:
    """Dimensions of equal size in the blocks of a stage are one row."""
    rows: Counter[tuple[Any, ...]] = Counter()
    for name, mine in report.main.dimensions.items():
        theirs = report.auxiliary.dimensions[name]
        shared = len(set(mine.indices) & set(theirs.indices))
        rows[_without_block(name, report), mine.teacher_size, mine.student_size, mine.unit, shared] += 1
    return [f"| {name} | {count} | {t} | {s} | {u} | {shared} |" for (name, t, s, u, shared), count in rows.items()]


def _without_block(name: str, report: PairReport) -> str:
    for stage in report.main.blocks:
        if name.startswith(f"{stage}."):
            _, _, inside = name[len(stage) + 1 :].partition(".")
            return f"{stage}.*.{inside}"
    return name


def _similarity_rows(content: Mapping[str, Any]) -> list[str]:
    similarity = content["similarity"]
    blocks = list(next(iter(similarity.values())))
    return [
        "Linear CKA of each of the student's blocks with the teacher's block that it was taken from: 1 is the same up "
        "to rotation and scale.",
        "",
        "| block | " + " | ".join(similarity) + " |",
        "|---" * (len(similarity) + 1) + "|",
        *(f"| {block} | " + " | ".join(f"{v[block]:.3f}" for v in similarity.values()) + " |" for block in blocks),
    ]
