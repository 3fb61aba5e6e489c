"""Bundles as folders of files, rendered from a template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jinja2

from dwskd_monai.bundle.classes import class_names_of

TEMPLATE = Path(__file__).with_name("template")
METADATA = "configs/metadata.json"
_TRAINED = "configs/trained.yaml"
_WHERE_TO_EDIT = "In the repository: edit these, then dwskd render. A bundle of your own: edit it here."
_ALONE = (
    "configs/evaluate_exported.yaml",
    "configs/against.yaml",
    "configs/combine_students.yaml",
    "configs/train_teacher.yaml",
    "configs/multi_gpu_train.yaml",
    "configs/demo.yaml",
)
# A file of each bundle, and the parts of the template that it is made of.
RENDERED: dict[str, tuple[str, ...]] = {
    "configs/train.yaml": (
        "headers/{header}.yaml",
        "configs/settings.yaml",
        "configs/train.yaml",
        "configs/study_transforms.yaml",
        "configs/aggregation.yaml",
    ),
    "configs/inference.yaml": ("configs/settings.yaml", _TRAINED, "configs/inference.yaml", "configs/aggregation.yaml"),
    "configs/evaluate.yaml": ("configs/evaluate.yaml", _TRAINED),
    "docs/README.md": ("headers/{header}.md", "docs/README.md"),
    **{name: (name,) for name in (*_ALONE, "configs/logging.conf", "models/README.md", "LICENSE")},
}


class StaleBundleError(ValueError):
    """Rendered files of a bundle differ from their template."""


def render(bundles: str | Path, check: bool = False, template: str | Path = TEMPLATE) -> list[Path]:
    """Write each bundle's files from the template: the bundle's header, then the bodies that all share.

    There is a bundle for each ``headers/<bundle>_classification.yaml`` of the template. Its folder must have a
    ``configs/metadata.json``, which names the classes. Texts are joined as they are, so comments are kept; each file
    begins with a line that says where to edit it.

    Args:
        bundles: folder of the bundles.
        check: write nothing, and raise if a file is not as it would be written.
        template: folder of the headers and bodies; this package's by default.

    Returns:
        The files that were written.

    Raises:
        FileNotFoundError: if the template, a bundle's headers or its metadata is missing.
        StaleBundleError: with ``check``, if a file differs; the message names all of them.
    """
    bundles = Path(bundles)
    template = Path(template)
    headers = sorted((template / "headers").glob("*_classification.yaml"))
    if not headers:
        raise FileNotFoundError(f"template: {template} has no headers/<bundle>.yaml; give the folder of a template")
    changed = []
    for header in headers:
        bundle = bundles / header.stem
        if not (bundle / METADATA).is_file():
            raise FileNotFoundError(
                f"{bundle / METADATA} is missing; write it, with that of another bundle as an example: it names the "
                "classes and the input"
            )
        metadata = json.loads((bundle / METADATA).read_text(encoding="utf-8"))
        changed += write_rendered(bundle, header.stem, class_names_of(metadata), check, template)
    if check and changed:
        shown = ", ".join(str(path.relative_to(bundles)) for path in changed)
        raise StaleBundleError(f"not as rendered: {shown}; edit {template}, then run dwskd render")
    return changed


def write_rendered(
    bundle: Path, header: str, classes: Sequence[str], check: bool = False, template: Path = TEMPLATE
) -> list[Path]:
    """Write the files of one bundle that are not as rendered.

    Args:
        bundle: its folder.
        header: name of the files in ``headers`` that the bundle's files begin with.
        classes: names in the order of the network's outputs.
        check: write nothing.
        template: folder of the headers and bodies.

    Returns:
        The files that differed.
    """
    changed = []
    for name, parts in RENDERED.items():
        text = _rendered(template, name, [part.format(header=header) for part in parts], classes)
        path = bundle / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        changed.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return changed


def rendered_metadata(header: str, classes: Sequence[str], image_size: int, template: Path = TEMPLATE) -> str:
    """The text of a new bundle's ``metadata.json``.

    Args:
        header: name of the file in ``headers`` that describes the images.
        classes: names in the order of the network's outputs.
        image_size: side of the network's input in pixels.
        template: folder of the headers and bodies.
    """
    about = json.loads((template / "headers" / f"{header}.json").read_text(encoding="utf-8"))
    return _filled((template / METADATA).read_text(encoding="utf-8"), classes, image_size=image_size, **about)


def _rendered(template: Path, name: str, parts: Sequence[str], classes: Sequence[str]) -> str:
    """The parts, one after the other; files that can have comments begin with a line that names the parts."""
    missing = [part for part in parts if not (template / part).is_file()]
    if missing:
        raise FileNotFoundError(f"{template / missing[0]} is missing; {name} of each bundle needs it")
    text = "".join((template / part).read_text(encoding="utf-8") for part in parts)
    text = _filled(text, classes) if any(part.startswith("headers/") for part in parts) else text
    banner = f"From {', '.join(parts)} of dwskd_monai/bundle/template. {_WHERE_TO_EDIT}"
    if name.endswith((".yaml", ".conf")):
        return f"# {banner}\n{text}"
    return f"<!-- {banner} -->\n{text}" if name.endswith(".md") else text


def _filled(text: str, classes: Sequence[str], **about: str | int) -> str:
    """A text of the template with the names of the classes."""
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.from_string(text).render(classes=list(classes), code=_code, **about)


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
