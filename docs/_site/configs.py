"""The reference of a config, from the comments beside its keys."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from _site.markdown import table, with_code
from dwskd_monai.bundle.render import TEMPLATE

HEADERS = ("picture", "ct", "mr", "chest_xray_classification", "lung_ct_classification", "brain_mri_classification")
_SECTION = re.compile(r"^# -{3,} (?P<title>.+)$")
_KEY = re.compile(r"^(?P<name>[\w#]+):(?P<value>\s+\"[^\"]*\"|.*?)(?:\s+# (?P<comment>.*))?$")
_MORE = re.compile(r"^\s+# (?P<comment>.*)$")  # a comment goes on
_TARGET = re.compile(r"^  _target_: (?P<target>[\w.]+)\s*(?:# (?P<comment>.*))?$")


class Key(NamedTuple):
    """A top-level key of a config, as its file has it."""

    name: str
    section: str
    value: str
    comment: str
    target: str = ""  # class or function of a component

    @property
    def is_setting(self) -> bool:
        """Whether it is there to be set; the others are the wiring."""
        literal = bool(self.value) and not self.value.startswith(("$", "@", "%"))
        return literal or bool(self.section and (self.value or self.comment))


def read_keys(text: str) -> list[Key]:
    """The keys of a config in their order.

    Args:
        text: YAML of a config; ``# ---- TITLE`` begins a section, an empty line ends it.
    """
    keys: list[Key] = []
    section = ""
    for line in text.splitlines():
        if titled := _SECTION.match(line):
            section = titled["title"]
        elif not line:
            section = ""
        elif key := _KEY.match(line):
            keys.append(Key(key["name"], section, key["value"].strip(' "'), key["comment"] or ""))
        elif keys and (more := _MORE.match(line)):
            keys[-1] = _and(keys[-1], more["comment"])
        elif keys and not keys[-1].target and (component := _TARGET.match(line)):
            keys[-1] = _and(keys[-1], component["comment"])._replace(target=component["target"])
    return keys


def config_reference(name: str) -> str:
    """What a config of the template is for, its settings by section, and its components, in Markdown.

    Args:
        name: of a file in ``configs`` of the template, without its suffix.
    """
    text = (TEMPLATE / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    keys = read_keys(text)
    parts = [_introduction(text)]
    for section, members in itertools.groupby(filter(lambda key: key.is_setting, keys), lambda key: key.section):
        parts += [
            f"### {section[0].upper()}{section[1:]}" if section else "",
            table(["key", "", "default"], map(_row, members)),
        ]
    wiring = [_row(key) for key in keys if not key.is_setting and (_value(key) or key.comment)]
    if wiring:
        parts += ["What these settings are given to:", table(["key", "", "is"], wiring)]
    return "\n\n".join(filter(None, parts))


def modality_reference() -> str:
    """The settings that each modality has its own defaults of, in Markdown."""
    read = {name.removesuffix("_classification"): _header(name) for name in HEADERS}
    names = dict.fromkeys(itertools.chain.from_iterable(read.values()))
    rows = []
    for name in names:
        modalities = {modality: keys[name] for modality, keys in read.items() if name in keys}
        comment = max((key.comment for key in modalities.values()), key=len)
        rows.append([f"`{name}`", with_code(comment), _values(modalities)])
    return table(["key", "", "default"], rows)


def _header(name: str) -> dict[str, Key]:
    text = (TEMPLATE / "headers" / f"{name}.yaml").read_text(encoding="utf-8")
    return {key.name: key for key in read_keys(text)}


def _row(key: Key) -> list[str]:
    return [f"`{key.name}`", with_code(key.comment), _value(key)]


def _values(keys: dict[str, Key]) -> str:
    """The one value that all have, or the modalities of each."""
    modalities: dict[str, list[str]] = {}
    for modality, key in keys.items():
        modalities.setdefault(_value(key), []).append(modality)
    if len(modalities) == 1 and len(keys) == len(HEADERS):
        return next(iter(modalities))
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in modalities.items())


def _value(key: Key) -> str:
    if key.target.startswith("dwskd_monai."):
        return f"{{py:obj}}`~{key.target}`"
    if key.value.startswith("{{"):
        return ""  # create fills it in
    shown = key.target or key.value
    return f"`{shown}`" if shown else ""


def _introduction(text: str) -> str:
    """The comment that a config begins with; its indented lines are commands."""
    lines = itertools.takewhile(
        lambda line: line.startswith("# ") and not _SECTION.match(line), text.lstrip().splitlines()
    )
    blocks = []
    for is_command, members in itertools.groupby(lines, lambda line: line.startswith("#   ")):
        said = [line[2:].strip() for line in members]
        blocks.append("\n".join(["```", *said, "```"]) if is_command else with_code(" ".join(said)))
    return "\n\n".join(blocks)


def _and(key: Key, comment: str | None) -> Key:
    return key._replace(comment=" ".join(filter(None, [key.comment, comment])))
