"""What a page has in place of a comment such as ``<!-- command: train -->``."""

from __future__ import annotations

import re

from _site.commands import command_reference
from _site.configs import config_reference, modality_reference
from _site.markdown import table
from dwskd_monai.evaluation.cards.facts import STATED

PACKAGE = "dwskd_monai"
ROOMS = ("weight_selection", "training", "evaluation", "data", "preprocessing", "reading", "dicom_out", "bundle")
_PLACE = re.compile(r"^<!-- (?P<kind>command|config|modalities|stated|api): (?P<name>\w+) -->$", re.MULTILINE)


def with_generated(text: str) -> str:
    """A text with what is generated in the places that are marked in it."""
    return _PLACE.sub(lambda place: _GENERATORS[place["kind"]](place["name"]), text)


def _api(room: str) -> str:
    return f"```{{eval-rst}}\n.. automodule:: {PACKAGE}.{room}\n```"


_GENERATORS = {
    "command": command_reference,
    "config": config_reference,
    "modalities": lambda _: modality_reference(),
    "stated": lambda _: table(["key", "what"], [[f"`{key}`", what] for key, what in STATED.items()]),
    "api": _api,
}
