"""Bundles as folders of files, rendered from a template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

TEMPLATE = Path(__file__).with_name("template")
_WITH_HEADER = ("headers/{bundle}.yaml", "configs/settings.yaml")
_ALONE = (
    "configs/evaluate.yaml",
    "configs/evaluate_exported.yaml",
    "configs/combine_students.yaml",
    "configs/train_teacher.yaml",
    "configs/multi_gpu_train.yaml",
    "configs/demo.yaml",
)
# A file of each bundle, and the parts of the template that it is made of.
RENDERED: dict[str, tuple[str, ...]] = {
    "configs/train.yaml": (*_WITH_HEADER, "configs/train.yaml", "configs/study_transforms.yaml"),
    "configs/inference.yaml": (*_WITH_HEADER, "configs/inference.yaml", "configs/study_transforms.yaml"),
    "docs/README.md": ("headers/{bundle}.md", "docs/README.md"),
    **{name: (name,) for name in (*_ALONE, "configs/logging.conf", "models/README.md", "LICENSE")},
}


class StaleBundleError(ValueError):
    """Rendered files of a bundle differ from their template."""


def render(bundles: str | Path, check: bool = False, template: str | Path = TEMPLATE) -> list[Path]:
    """Write each bundle's files from the template: the bundle's header, then the bodies that all share.

    A bundle is there for each ``headers/<bundle>.yaml`` of the template; it must have its own
    ``configs/metadata.json``. Texts are joined as they are, so comments survive; each file begins with a line that
    says where to edit it.

    Args:
        bundles: folder of the bundles.
        check: write nothing, and raise if a file is not as it would be written.
        template: folder of the headers and bodies; this package's by default.

    Returns:
        The files that were written anew.

    Raises:
        FileNotFoundError: if the template, a bundle's headers or its metadata is missing.
        StaleBundleError: with ``check``, if a file differs; the message names all of them.
    """
    bundles = Path(bundles)
    template = Path(template)
    headers = sorted((template / "headers").glob("*.yaml"))
    if not headers:
        raise FileNotFoundError(f"template: {template} has no headers/<bundle>.yaml; give the folder of a template")
    changed = []
    for header in headers:
        bundle = bundles / header.stem
        if not (bundle / "configs" / "metadata.json").is_file():
            raise FileNotFoundError(
                f"{bundle / 'configs' / 'metadata.json'} is missing; write it by the example of another "
                "bundle: it names the classes and the input"
            )
        for name, parts in RENDERED.items():
            text = _rendered(template, name, [part.format(bundle=bundle.name) for part in parts])
            path = bundle / name
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            changed.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if check and changed:
        shown = ", ".join(str(path.relative_to(bundles)) for path in changed)
        raise StaleBundleError(f"not as rendered: {shown}; edit {template}, then run python -m dwskd_monai render")
    return changed


def _rendered(template: Path, name: str, parts: Sequence[str]) -> str:
    """The parts, one after the other, under a line that names them, in files that can have comments."""
    missing = [part for part in parts if not (template / part).is_file()]
    if missing:
        raise FileNotFoundError(f"{template / missing[0]} is missing; {name} of each bundle needs it")
    text = "".join((template / part).read_text(encoding="utf-8") for part in parts)
    banner = f"Rendered by python -m dwskd_monai render; edit in dwskd_monai/bundle/template: {', '.join(parts)}"
    if name.endswith((".yaml", ".conf")):
        return f"# {banner}\n{text}"
    return f"<!-- {banner} -->\n{text}" if name.endswith(".md") else text
