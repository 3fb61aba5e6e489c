from __future__ import annotations

from pathlib import Path

import pytest

from dwskd_monai.runtime.classifier import Classifier
from tests.reading.dicom_files import write
from tests.runtime.made import make_classifier


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """The file of a chest X-ray classifier."""
    folder = tmp_path_factory.mktemp("dicom_out")
    return make_classifier(folder / "models", write(folder / "xray.dcm"))


@pytest.fixture(scope="session")
def classifier(model) -> Classifier:
    return Classifier(model)


@pytest.fixture
def xray(tmp_path) -> Path:
    return write(tmp_path / "xray.dcm", SeriesNumber=3, StudyDate="20260102")
