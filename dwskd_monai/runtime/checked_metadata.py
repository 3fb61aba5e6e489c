"""What an exported classifier says of itself, checked before it is believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwskd_monai.preprocessing.version import PREPROCESSING_VERSION

CLASSIFIER_FORMAT = 1  # raised if earlier versions would misread a file; not for a further entry of the metadata
DIGEST = "content_sha256"  # of the file, with zeros in place of this digest
UNKNOWN_DIGEST = "0" * 64
ADVICE = "expected one that dwskd export BUNDLE --format onnx wrote"
_NEEDED = (
    "class_codes", "classes", "evidence", "format", "name", "planes", "preprocessing", "reading", "settings", "studies",
    "version", "weights_sha256",
)  # fmt: skip


def with_digest(content: bytes) -> bytes:
    """The content of a file that has ``UNKNOWN_DIGEST`` among its metadata, with its digest there."""
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(_quoted(UNKNOWN_DIGEST), _quoted(digest))


def checked_description(file: Path, content: bytes, described: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of a classifier.

    Args:
        file: of the classifier.
        content: what was read from it.
        described: its metadata, as ONNX Runtime gives them: JSON.

    Raises:
        ValueError: if the file is damaged, is not a classifier, or needs another version of this package.
    """
    try:
        metadata = {name: json.loads(value) for name, value in described.items()}
    except ValueError as error:
        raise ValueError(f"{file}: its metadata cannot be read ({error}); {ADVICE}") from error
    missing = [name for name in _NEEDED if name not in metadata]
    if missing:
        raise ValueError(f"{file}: its metadata have no {', '.join(missing)}; {ADVICE}")
    if metadata["format"] != CLASSIFIER_FORMAT:
        raise ValueError(
            f"{file}: a classifier of format {metadata['format']}, expected {CLASSIFIER_FORMAT}; use the dwskd_monai "
            "that exported it, or export it again"
        )
    version = metadata["reading"]["preprocessing_version"]
    if version not in (None, PREPROCESSING_VERSION):
        raise ValueError(
            f"{file}: its network expects images of preprocessing version {version}, but this code prepares those of "
            f"version {PREPROCESSING_VERSION}; use the dwskd_monai that exported it"
        )
    _refuse_damaged(file, content, metadata.get(DIGEST))
    return metadata


def _refuse_damaged(file: Path, content: bytes, digest: str | None) -> None:
    """Refuse a file that has changed since it was written: ONNX Runtime does not notice changed weights."""
    if digest is None:
        raise ValueError(f"{file}: it has no digest, so an earlier version exported it; export it again")
    open_content = content.replace(_quoted(digest), _quoted(UNKNOWN_DIGEST))
    if hashlib.sha256(open_content).hexdigest() != digest:
        raise ValueError(f"{file}: damaged, or changed after its export; copy it again, or export it again")


def _quoted(digest: str) -> bytes:
    return json.dumps(digest).encode("ascii")
