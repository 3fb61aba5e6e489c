"""``check.html``, one file to look at, and ``check.json`` with the same content for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dwskd_monai.commands.check.copies import PROBLEMS, Pair
from dwskd_monai.commands.check.preflight import Preflight
from dwskd_monai.evaluation.html.picture import data_uri
from dwskd_monai.evaluation.html.rendering import render
from dwskd_monai.evaluation.shortcuts.telling import MUCH, RULE
from dwskd_monai.files import replacing
from dwskd_monai.preprocessing.intensity import scale_percentiles
from dwskd_monai.reading import RefusedImage, read_image

_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_SIDE = 144  # pixels of a picture on the page
_MOST_PAIRS = 24
_MOST_LINES = 100  # of images below a finding; check.json has all of them


def write_json(path: Path, checked: Preflight, facts: dict[str, str]) -> None:
    """Everything that was found.

    Args:
        path: of the file.
        checked: what was found.
        facts: what was checked, name and value.
    """
    content = {
        **facts,
        "exit_code": checked.findings.exit_code,
        "findings": [asdict(finding) for finding in checked.findings.in_order()],
        "counts": checked.tables,
        "near_copies": [_described(pair) for pair in checked.pairs],
        "shortcuts": [asdict(confound) for confound in checked.confounds],
        "unusual": [image.path for image in checked.outliers],
        "refused": list(checked.refused),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_page(path: Path, checked: Preflight, facts: dict[str, str]) -> None:
    """A page that needs no other file and no network; arguments as of :func:`write_json`."""
    shown = _most_telling(checked.pairs)
    page = render(
        _TEMPLATE,
        facts=facts,
        findings=checked.findings.in_order(),
        tables=checked.tables,
        confounds=checked.confounds,
        much=MUCH,
        rule=RULE,
        pairs=[(pair, _picture(pair.first.path), _picture(pair.second.path)) for pair in shown],
        pair_count=len(checked.pairs),
        outliers=[(image, _picture(image.path)) for image in checked.outliers],
        most_lines=_MOST_LINES,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _described(pair: Pair) -> dict[str, Any]:
    return {
        "first": pair.first.path,
        "second": pair.second.path,
        "similarity": pair.similarity,
        "change": pair.change,
        "problem": pair.problem,
    }


def _most_telling(pairs: Sequence[Pair]) -> list[Pair]:
    """For each kind of problem, the least similar pairs, since a person has to judge those."""
    shown: list[Pair] = []
    for problem in (*PROBLEMS, ""):
        of_kind = [pair for pair in pairs if pair.problem == problem]
        shown += sorted(of_kind, key=lambda pair: pair.similarity)[: _MOST_PAIRS // 3]
    return shown[:_MOST_PAIRS]


def _picture(path: str) -> str:
    """The middle slice as the address of an image; empty if the image is gone."""
    try:
        pixels = read_image(path).pixels
    except RefusedImage:
        return ""
    gray = scale_percentiles(pixels[len(pixels) // 2], 0.5, 99.5)
    picture = Image.fromarray((255 * gray).astype(np.uint8))
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return data_uri(file.getvalue(), "png")
