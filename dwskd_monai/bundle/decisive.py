"""Which settings of a bundle decide a prediction, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

from dwskd_monai.bundle.overrides import as_id

# What makes a prediction: the student, and whether one of them is deployed or both; the steps from files to its input;
# which files are one image; the aggregation of slices to studies. A setting decides a prediction if one of these refers
# to it.
ROOTS = ("network_def", "deploy", "study_transforms", "dicom_series", "aggregation")
# The functions that make a root from the trained settings, which are their argument ``trained``
_TAKEN = {"network_def": "trained_network", "study_transforms": "trained_transforms"}


def decisive_settings(parser: ConfigParser) -> dict[str, Any]:
    """Each setting that decides a prediction, by its id, with values in place of references.

    What the roots refer to is found in the config itself. So settings and transforms that a user adds are among them.
    With ``image_size: 96`` and ``study_transforms: [{…, spatial_size: "@image_size"}]``::

        {"image_size": 96, "study_transforms": [{…, "spatial_size": 96}], …}

    Args:
        parser: of a config that trains; it is not changed.

    Raises:
        ValueError: if one of the roots is missing.
    """
    settings: dict[str, Any] = {}
    todo = list(ROOTS)
    while todo:
        name = todo.pop(0)
        if name in settings:
            continue
        if name not in parser:
            raise ValueError(f"{name} is missing in the config; a prediction depends on {', '.join(ROOTS)}")
        settings[name] = _value(parser, name)
        todo += sorted(_referred_to(parser[name]))
    return settings


def used_roots(parser: ConfigParser) -> dict[str, Any]:
    """The roots for which a config that uses a trained network has values of its own; references become values."""
    own = {}
    for name in ROOTS:
        content = parser.get(name)
        if isinstance(content, (Mapping, list)) and not _is_taken(content):
            own[name] = _value(parser, name)
    return own


def put_back_taken_roots(parser: ConfigParser) -> None:
    """Take a root, or a copy of it, from the trained settings again, if a command has repeated its function.

    If a training had ``--network_def#_target_ my_package.create_model``, and a later command repeats this option, it
    replaces the function that takes the network from the trained settings. Check first that it does not contradict
    them.

    Args:
        parser: of a config with ``trained``; it is changed.
    """
    room = parser["trained"]["_target_"].rpartition(".")[0]
    changed = False
    for name, content in parser.get().items():
        function = _TAKEN.get(name, _TAKEN["network_def"])  # auxiliary_def is a copy of network_def
        if _is_taken(content) and content["_target_"] != f"{room}.{function}":
            parser[f"{name}{ReferenceResolver.sep}_target_"] = f"{room}.{function}"
            changed = True
    if changed:
        parser.parse(reset=True)


def _is_taken(content: Any) -> bool:
    """Whether a root is taken from the trained settings, as in the template's ``trained.yaml``."""
    return isinstance(content, Mapping) and content.get("trained") == "@trained"


def _referred_to(content: Any) -> set[str]:
    """Ids that a part of a config refers to."""
    if isinstance(content, Mapping):
        return set().union(*map(_referred_to, content.values()))
    if isinstance(content, list):
        return set().union(*map(_referred_to, content))
    if isinstance(content, str):
        return {as_id(name) for name in ReferenceResolver.match_refs_pattern(content)}
    return set()


def _value(parser: ConfigParser, name: str) -> Any:
    """The content of an id, with the values of its references and expressions."""
    content = parser[name]
    if isinstance(content, Mapping):
        return {key: _value(parser, f"{name}{ReferenceResolver.sep}{key}") for key in content}
    if isinstance(content, (list, tuple)):
        return [_value(parser, f"{name}{ReferenceResolver.sep}{index}") for index in range(len(content))]
    if not isinstance(content, str):
        return content
    if content.startswith("@"):
        return _value(parser, content[1:])
    if not content.startswith("$"):
        return content
    value = parser.get_parsed_content(name)
    return value if is_plain(value) else content


def is_plain(value: Any) -> bool:
    """Whether YAML can hold a value: a text, a number, or lists and maps of them."""
    if isinstance(value, Mapping):
        return all(map(is_plain, value.values()))
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or type(value) in (str, bool, int, float)  # YAML does not take a number of numpy for one
