"""Pages from templates; each is one file that needs no other file and no network."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jinja2

from dwskd_monai.evaluation.html.numbers import number_text


def render(template: Path, **content: Any) -> str:
    """The page of a template.

    It may extend ``base.html.jinja``, which has the style of all pages, and import macros of ``parts.html.jinja``: how
    a measured number and pictures are shown.

    Args:
        template: the file; it includes others of its folder.
        content: what it shows; a name that is not given is an error.
    """
    return _environment(template.parent).get_template(template.name).render(**content)


@functools.cache  # to compile a template takes longer than to render it
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number_text
    return environment
