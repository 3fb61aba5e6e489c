"""What two students took from their teacher, as a page and a figure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.figure

from dwskd_monai.files import replacing
from dwskd_monai.weight_selection import PairReport

FIGURE = "similarity.png"


def draw(similarity: Mapping[str, Mapping[str, float]], elements: str, path: Path, title: str) -> None:
    """Lines of CKA over the student's blocks, one for each rule."""
    figure = matplotlib.figure.Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for label, values in similarity.items():
        chosen = label.endswith(f"({elements})")
        style: dict[str, Any] = {"linewidth": 2.5, "marker": "o"} if chosen else {"linewidth": 1.2, "marker": "."}
        if label.startswith("auxiliary"):
            style["linestyle"] = "--"
        if label == "random weights":
            style |= {"linestyle": ":", "color": "gray"}
        axes.plot(range(len(values)), list(values.values()), label=label, **style)
    blocks = list(next(iter(similarity.values())))
    axes.set_xticks(range(len(blocks)), blocks, rotation=90, fontsize=7)
    axes.set_ylabel("linear CKA with the teacher's block")
    axes.set_title(f"{title}: features before training")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def as_markdown(content: Mapping[str, Any], report: PairReport) -> str:
    """``report.md``, from the content of ``report.json`` and the report that this was made from."""
    teacher = content["teacher"]
    student = content["student"]
    share = student["parameters"] / teacher["parameters"]
    lines = [
        f"# {teacher['name']} → {student['name']}",
        "",
        f"Teacher {teacher['parameters']:,} parameters ({teacher['weights']}), student {student['parameters']:,} "
        f"({share:.1%}). Main took {report.main.coverage:.1%} of the teacher's weights, the auxiliary "
        f"{report.auxiliary.coverage:.1%}, both together {report.coverage:.1%}; {report.overlap:.2%} are in both.",
        "",
        f"Rules: {json.dumps(report.main.as_json()['rules'])}.",
        "",
        "## Layers",
        "",
        "| stage | number of student's blocks | blocks of the teacher, counted from 0 |",
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
    """One row for dimensions of equal size in the blocks of a stage."""
    rows: Counter[tuple[Any, ...]] = Counter()
    for name, main in report.main.dimensions.items():
        auxiliary = report.auxiliary.dimensions[name]
        shared = len(set(main.indices) & set(auxiliary.indices))
        rows[_without_block(name, report), main.teacher_size, main.student_size, main.unit, shared] += 1
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
        "Linear CKA of each block of the student with the block of the teacher that it was taken from; 1 means equal "
        "up to rotation and scale.",
        "",
        "| block | " + " | ".join(similarity) + " |",
        "|---" * (len(similarity) + 1) + "|",
        *(f"| {block} | " + " | ".join(f"{v[block]:.3f}" for v in similarity.values()) + " |" for block in blocks),
    ]
