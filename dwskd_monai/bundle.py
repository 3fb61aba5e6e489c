"""Bundles as folders of files: rendered from a template, found by their configs, explaining what is wrong."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from monai.bundle import ConfigWorkflow

TEMPLATE = "_template"
_WITH_HEADER = ("headers/{bundle}.yaml", "configs/settings.yaml")
_ALONE = (
    "configs/evaluate.yaml",
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
_MACHINERY = (str(Path("monai", "bundle")), str(Path("monai", "utils", "module.py")))


def find_bundle_root() -> str:
    """Folder of the bundle that runs.

    ``monai.bundle`` tells a config nowhere where it lies, and a command may be started from any working directory. The
    workflow that is evaluating the config knows, and is found among the callers; a workflow that has begun to run has
    put the bundle's folder on ``sys.path``. Without either, the working directory.
    """
    for entry in (*_folder_of_the_calling_workflow(), *sys.path[1:]):
        if (Path(entry) / "configs" / "metadata.json").is_file():
            return str(Path(entry).resolve())
    return str(Path.cwd())


def _folder_of_the_calling_workflow() -> list[str]:
    frame = inspect.currentframe()
    while frame is not None:
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            return [str(Path(workflow.config_root_path).resolve().parent)]
        frame = frame.f_back
    return []


def check_classes(class_names: Sequence[str] | Mapping[str, str], num_classes: int) -> None:
    """Raise where the network has another number of outputs than ``metadata.json`` names classes.

    Args:
        class_names: names in the order of the outputs, or metadata's ``channel_def``.
        num_classes: outputs of the network.
    """
    names = list(class_names.values() if isinstance(class_names, Mapping) else class_names)
    if len(names) != num_classes:
        raise ValueError(
            f"num_classes is {num_classes}, configs/metadata.json names {len(names)} classes ({', '.join(names)}); set "
            "num_classes in the configs, or channel_def and num_channels of outputs.pred in metadata.json"
        )


def explain_errors() -> None:
    """Let an uncaught error end with its own message.

    A config's errors come out of MONAI as "Failed to instantiate component …", what is wrong a hundred lines above it.
    The traceback stays as it is; one line with the cause follows it.
    """
    if not isinstance(sys.excepthook, _Explanation):
        sys.excepthook = _Explanation()


class _Explanation:
    """An exception hook that adds the cause of an error."""

    def __init__(self) -> None:
        self._before = sys.excepthook

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._before(kind, error, trace)
        cause = cause_of(error)
        if cause is not error:
            sys.stderr.write(f"\n{type(cause).__name__}: {cause}\n")


def cause_of(error: BaseException) -> BaseException:
    """The first cause of an error that MONAI's config machinery did not raise itself."""
    while error.__cause__ is not None and _raised_by_machinery(error):
        error = error.__cause__
    return error


def _raised_by_machinery(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(part in frames[-1].filename for part in _MACHINERY)


class StaleBundleError(ValueError):
    """Rendered files of a bundle differ from their template."""


def render(bundles: str | Path, check: bool = False) -> list[Path]:
    """Write each bundle's files from the template: the bundle's header, then the bodies that all share.

    A bundle is there for each ``_template/headers/<bundle>.yaml``; it must have its own ``configs/metadata.json``.
    Texts are joined as they are, so comments survive; each file begins with a line that says where to edit it.

    Args:
        bundles: folder with ``_template`` and the bundles.
        check: write nothing, and raise if a file is not as it would be written.

    Returns:
        The files that were written anew.

    Raises:
        FileNotFoundError: if the template, a bundle's headers or its metadata is missing.
        StaleBundleError: with ``check``, if a file differs; the message names all of them.
    """
    bundles = Path(bundles)
    template = bundles / TEMPLATE
    headers = sorted((template / "headers").glob("*.yaml"))
    if not headers:
        raise FileNotFoundError(
            f"{template}: no headers/<bundle>.yaml; expected a folder with {TEMPLATE} and the bundles"
        )
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
    banner = f"Rendered by python -m dwskd_monai render; edit in bundles/{TEMPLATE}: {', '.join(parts)}"
    if name.endswith((".yaml", ".conf")):
        return f"# {banner}\n{text}"
    return f"<!-- {banner} -->\n{text}" if name.endswith(".md") else text
