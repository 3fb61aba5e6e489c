"""The reference of a command, from the function that its ``--help`` is made of."""

from __future__ import annotations

import inspect

from fire import docstrings

from _site.markdown import in_markdown, table
from dwskd_monai.cli import command

_EMPTY = inspect.Parameter.empty


def command_reference(name: str) -> str:
    """Usage, purpose and options of ``dwskd NAME``, in Markdown."""
    function = command(name)
    about = docstrings.parse(inspect.getdoc(function))
    parameters = inspect.signature(function).parameters.values()
    said = {argument.name: argument.description or "" for argument in about.args or []}
    required = [p.name for p in parameters if p.default is _EMPTY and p.kind is not p.VAR_KEYWORD]
    usage = f"```\ndwskd {' '.join([name, *(word.upper() for word in required), '[--option value …]'])}\n```"
    rows = [[_option(p), _default(p), in_markdown(said[p.name])] for p in parameters]
    parts = [usage, in_markdown(about.summary), in_markdown(about.description or "")]
    return "\n\n".join([*filter(None, parts), table(["", "default", ""], rows)])


def _option(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_KEYWORD:
        return "`--KEY VALUE`"
    return f"`{parameter.name.upper()}`" if parameter.default is _EMPTY else f"`--{parameter.name}`"


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is _EMPTY or parameter.default is None:
        return ""
    shown = {True: "true", False: "false"}.get(parameter.default) if isinstance(parameter.default, bool) else None
    return f"`{parameter.default if shown is None else shown}`"
