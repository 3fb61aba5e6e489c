"""What a training in MONAI Label's server can learn from besides the labels."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from dwskd_monai.training.auxiliary import AUTO, LABELING

_logger = logging.getLogger(__name__)
_STUDIES = "MONAI_LABEL_STUDIES"  # where the server says which studies it serves


def monai_label_studies(auxiliary: str, max_epochs: int) -> str | None:
    """The folder of the studies that MONAI Label serves, among them those that nobody has labeled yet.

    None outside of its server, for studies of a DICOMweb address, and for a training that cannot learn from them: one
    with another auxiliary, or of one epoch, after which no network could label the studies and be of use.

    Args:
        auxiliary: as of :func:`~dwskd_monai.training.auxiliary.chosen_auxiliary`.
        max_epochs: of the training.
    """
    studies = os.environ.get(_STUDIES, "")
    if not studies or auxiliary not in (AUTO, *LABELING) or max_epochs < 2:
        return None
    if not Path(studies).is_dir():
        _logger.warning("unlabeled_dir: the server's studies, %s, are in no folder, so none is learned from", studies)
        return None
    return studies
