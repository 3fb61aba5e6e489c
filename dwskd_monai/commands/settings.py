"""The command ``settings``."""

from __future__ import annotations

import shutil
import sys
from typing import Any


def settings(bundle: str, force: bool = False, **overrides: Any) -> None:
    """Write the settings of weights that were trained elsewhere: ``settings BUNDLE --checkpoint FILE``.

    A training with a bundle writes this file itself. All later commands that use the network rely on it, so give every
    setting that the training had.

    Args:
        bundle: folder of the bundle.
        force: replace a file that is there.
        overrides: keys of train.yaml as the training had them, such as --student NAME and --image_size N; --checkpoint
            FILE for weights other than models/model.pt.
    """
    from dwskd_monai.bundle.bundle import Bundle
    from dwskd_monai.bundle.decisive import decisive_settings
    from dwskd_monai.bundle.image_size import check_image_size
    from dwskd_monai.bundle.settings_file import digest_of, require_weights, settings_beside, versions, write_settings
    from dwskd_monai.bundle.trained_settings import TrainedSettings
    from dwskd_monai.bundle.training_config import without_places
    from dwskd_monai.files import previous_of, replacing

    given = Bundle(bundle, overrides)
    given.refuse_unknown_overrides("settings", "train")
    weights = require_weights(given.checkpoint)
    file = settings_beside(weights)
    if file.is_file() and not force:
        raise FileExistsError(
            f"{file} exists already; --force true replaces it, and keeps it as {previous_of(file).name}"
        )
    check_image_size(given.config("train"))
    origin = {"overrides": without_places(given.overrides), "versions": versions(), "images": {}}
    trained = TrainedSettings(
        decisive_settings(given.config("train")), given.class_names, origin, weights, digest_of(weights)
    )
    trained.load_network()  # raises if the weights do not fit
    if file.is_file():
        shutil.copy2(file, previous_of(file))  # it may be of other weights beside these
    with replacing(file) as temporary:
        write_settings(temporary, weights, trained, given.class_names, origin)
    sys.stdout.write(f"{file}\n")
