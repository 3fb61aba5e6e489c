"""The files of a classifier's Python package, and what pip must know of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.dicom_out.answers import HIGHDICOM
from dwskd_monai.evaluation.cards.model_page import classifier_page
from dwskd_monai.evaluation.exported import describe_onnx, has_evidence, weights_of
from dwskd_monai.evaluation.metric_files import check_metrics
from dwskd_monai.evaluation.page.network import Trained, in_words
from dwskd_monai.inference_code import inference_code

_TARGETS = ("dwskd_monai.runtime.command.main", "dwskd_monai.runtime.predicting.predict_studies")
_MODEL = "model.onnx"
_CARD = "card.md"
# The first versions with which the runtime was tried
REQUIRES = (HIGHDICOM, "nibabel>=5.2", "numpy>=1.26", "onnxruntime>=1.21.1", "pillow>=10.3", "pydicom>=3.0")
EXTRAS = {
    "compressed": ("python-gdcm>=3.0.26",),  # 45 MB, to decode compressed DICOM as ITK, of 550 MB, does
    "listen": ("prometheus_client>=0.20", "pynetdicom>=3.0", "requests>=2.31"),  # 15 MB, to run beside a PACS
}
_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+(\.[a-z0-9]+)*)?")  # of PEP 440
_INIT = '''"""{title}, a classifier that dwskd_monai deployed. {intended_use}"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

__version__ = "{version}"
MODEL = Path(__file__).with_name("{model}")
CARD = Path(__file__).with_name("{card}")


@functools.cache
def classifier() -> Any:
    """The classifier, loaded once."""
    from {module}.runtime.classifier import Classifier

    return Classifier(MODEL)


def predict(path: str | Path) -> Any:
    """What is said of the image in a file, or in the folder of a series; see ``runtime.classifier.Answer``.

    Raises:
        ValueError: if it cannot be read, or is not of the kind that the classifier is for.
    """
    return classifier().predict(path)
'''
_MAIN = '''"""The command ``{command}``."""

import sys

from {module} import CARD, MODEL, __version__
from {module}.runtime.command import main


def run() -> int:
    """Classify studies; the exit code is 0, 2 for bad input, or 3 if images were refused."""
    return main(model=MODEL, name="{command}", version=__version__, card=CARD)


if __name__ == "__main__":
    sys.exit(run())
'''


@dataclass(frozen=True)
class Package:
    """A Python package.

    Args:
        name: of the distribution, and of its command.
        module: the name under which it is imported.
        version: of the bundle.
        summary: one line.
        license: name of the license.
        description: the page, in Markdown.
        files: content of each file, by its path.
    """

    name: str
    module: str
    version: str
    summary: str
    license: str
    description: str
    files: Mapping[str, bytes]


def package_of(
    trained: TrainedBundle, classifier: Path | None = None, metrics: Mapping[str, Any] | None = None
) -> Package:
    """The package of a bundle's classifier.

    Args:
        trained: the bundle.
        classifier: the exported file; ``model.onnx`` beside the weights by default.
        metrics: content of the ``metrics.json`` of an evaluation, for the page.

    Raises:
        FileNotFoundError: if it was not exported.
        ValueError: if it was exported from other weights, or is a network alone; if the metrics are of another network,
            or of images that it was trained on; or if pip would not take the name or the version.
    """
    file = trained.models / _MODEL if classifier is None else classifier
    if not file.is_file():
        raise FileNotFoundError(f"classifier: {file} does not exist; dwskd export {trained.bundle.folder} writes it")
    if weights_of(file) != trained.settings.sha256:
        raise ValueError(f"classifier: {file} was not exported from {trained.weights}; export it again")
    if not has_evidence(file, trained.settings.evidence):
        raise ValueError(f"classifier: {file} was exported before the evidence of the bundle changed; export it again")
    if "reading" not in describe_onnx(file):
        raise ValueError(f"classifier: {file} is a network alone; dwskd export --format onnx writes a classifier")
    if metrics is not None:
        check_metrics(metrics, trained.settings, trained.weights)
    module = _module_of(trained)
    version = _version_of(trained)
    name = module.replace("_", "-")
    title, intended_use = (" ".join(trained.bundle.metadata[key].split()) for key in ("name", "intended_use"))
    words = {
        "title": _in_docstring(title),
        "intended_use": _in_docstring(intended_use),
        "version": version,
        "model": _MODEL,
        "card": _CARD,
        "module": module,
        "command": name,
    }
    network = in_words(Trained(dict(trained.settings), trained.settings.origin), trained.settings.sha256)
    page = classifier_page((trained.bundle.folder / "docs" / "README.md").read_text(encoding="utf-8"), metrics, network)
    files = {path: text.encode() for path, text in inference_code(_TARGETS, module).items()}
    files |= {
        f"{module}/__init__.py": _INIT.format(**words).encode(),
        f"{module}/__main__.py": _MAIN.format(**words).encode(),
        f"{module}/{_CARD}": page.encode(),
        f"{module}/{_MODEL}": file.read_bytes(),
    }
    return Package(name, module, version, f"{title}. {intended_use}", "Apache-2.0", page, files)


def _module_of(trained: TrainedBundle) -> str:
    module = re.sub(r"\W+", "_", trained.bundle.name).strip("_").lower()
    if not module.isascii() or not module.isidentifier():
        raise ValueError(
            f"bundle: {trained.bundle.name!r} cannot be the name of a Python package; call the folder otherwise"
        )
    return module


def _version_of(trained: TrainedBundle) -> str:
    version = str(trained.bundle.metadata["version"])
    if not _VERSION.fullmatch(version):
        raise ValueError(f"version: expected one that pip takes, such as 0.2.0 or 1.0rc1, got {version!r}")
    return version


def _in_docstring(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
