"""References of docstrings: they name a thing where it is, and its page where users find it."""

from __future__ import annotations

import pydoc
from importlib import import_module
from typing import Any

from _site.generated import PACKAGE, ROOMS


def resolve_reference(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Sphinx's ``missing-reference``: a link for a public name, plain text for what has no page.

    Returns:
        None, after which Sphinx warns, if nothing of this name exists.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith(f"{PACKAGE}."):
        return None
    if public := _public_name(target):
        domain = env.get_domain("py")
        return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], public, node, text)
    return None if pydoc.locate(target) is None else text


def _public_name(target: str) -> str | None:
    """``dwskd_monai.data.load_split`` for ``dwskd_monai.data.datalist.load_split``; None if it is public already."""
    _, room, *_, name = target.split(".")
    public = f"{PACKAGE}.{room}.{name}"
    is_public = room in ROOMS and name in import_module(f"{PACKAGE}.{room}").__all__
    return public if is_public and public != target else None
