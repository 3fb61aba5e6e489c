"""The command ``settings``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def settings(bundle: str, force: bool = False, **overrides: Any) -> None:
    """Write what weights were trained with that were made elsewhere: ``settings BUNDLE --checkpoint FILE``.

    A training writes this file itself. Everything that uses the network later relies on it, so give each setting that
    the training had.

    Args:
        bundle: folder of the bundle.
        force: replace what a training wrote.
        overrides: keys of train.yaml as the training had them: --checkpoint FILE for other weights than
            models/model.pt, --student NAME, --image_size N.
    """
    import pickle

    import torch

    from dwskd_monai.bundle.bundle import Bundle
    from dwskd_monai.bundle.decisive import decisive_settings
    from dwskd_monai.bundle.errors import parsed_content
    from dwskd_monai.bundle.settings_file import settings_beside, versions, write_settings
    from dwskd_monai.bundle.settings_record import PLACES
    from dwskd_monai.files import replacing

    given = Bundle(bundle, overrides)
    given.refuse_unknown_overrides("settings", "train")
    config = given.config("train")
    weights = Path(parsed_content(config, "checkpoint"))
    if not weights.is_file():
        raise FileNotFoundError(f"checkpoint: {weights} does not exist")
    file = settings_beside(weights)
    if file.is_file() and not force:
        raise FileExistsError(f"{file} is there already; --force true replaces it")
    network = parsed_content(config, "network_def")
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (RuntimeError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{weights} does not fit the network of these settings; give those of its training: {error}"
        ) from error
    overrides = {key: value for key, value in given.overrides.items() if key not in PLACES}
    origin = {"overrides": overrides, "versions": versions(), "images": {}}
    with replacing(file) as temporary:
        write_settings(temporary, weights, decisive_settings(config), given.class_names, origin)
    sys.stdout.write(f"{file}\n")
