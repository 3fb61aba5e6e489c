"""What a config takes from a training: its settings, and the network and the transforms that they describe.

The template's ``trained.yaml`` names these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from torch import nn

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.config_files import ConfigFiles
from dwskd_monai.bundle.decisive import decisive_settings
from dwskd_monai.bundle.overrides import knows
from dwskd_monai.bundle.running import files_of_run, overrides_of_run
from dwskd_monai.bundle.settings_file import digest_of, read_settings
from dwskd_monai.bundle.trained_settings import TrainedSettings


def load_trained_settings(weights: str | Path | None, bundle_root: str | Path) -> TrainedSettings:
    """The settings that a bundle's network was trained with; before any training, those it would be trained with.

    Args:
        weights: the file of the network's state dict; None for a network that is not trained by a bundle, such as a
            probe of a frozen one.
        bundle_root: folder of the bundle.

    Raises:
        ValueError: see :func:`~dwskd_monai.bundle.settings_file.read_settings`; also if the bundle's classes are not
            those of the training.
    """
    bundle = Bundle(bundle_root)
    if weights is not None and Path(weights).is_file():
        trained = read_settings(weights)
        trained.check_classes(bundle.class_names)
        return trained
    file = None if weights is None else Path(weights)
    return TrainedSettings(decisive_settings(_training_config(bundle)), bundle.class_names, {}, file, None)


class RefuseReplacedWeights:
    """Ends a run whose network was replaced after its settings were read, as by a training that still goes on.

    Attach it after MONAI's ``CheckpointLoader``, which loads the weights when the run starts. An evaluation has
    read all images by then.

    Args:
        trained: the settings.
    """

    def __init__(self, trained: TrainedSettings) -> None:
        self.trained = trained

    def attach(self, engine: Engine) -> None:
        """Check at the start."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Compare the weights with what was read of them.

        Raises:
            ValueError: if they are others.
        """
        weights = self.trained.weights
        if weights is not None and digest_of(weights) != self.trained.sha256:
            raise ValueError(
                f"{weights} was replaced after its settings were read, as by a training that still goes on; start again"
            )


def load_other_settings(against: str | Path | None) -> TrainedSettings:
    """The settings of another trained network, with which one is compared.

    Args:
        against: folder of its bundle, or the file of its weights, which has its settings beside it.

    Raises:
        FileNotFoundError, ValueError: if there is none, or it is not trained; see
            :func:`~dwskd_monai.bundle.settings_file.read_settings`.
    """
    if not isinstance(against, (str, Path)):
        wanted = "give the other network: the folder of its bundle, or the file of its weights"
        raise ValueError(f"against: {wanted}" + ("" if against is None else f"; got {against!r}"))
    place = Path(against).expanduser()
    if not place.exists():
        raise FileNotFoundError(f"against: {place} does not exist; give the folder of a bundle, or a file of weights")
    return read_settings(Bundle(place).checkpoint if place.is_dir() else place)


def _training_config(bundle: Bundle) -> ConfigParser:
    """The config that would train: that of the command with its overrides, or else the bundle's ``train.yaml``."""
    files = [file for file in files_of_run() if "trained" not in ConfigFiles.load_config_file(file)]
    if not files:
        return bundle.config("train")
    parser = ConfigFiles()
    parser.read_config(files)
    parser["_meta_"] = bundle.metadata
    parser.update(pairs={key: value for key, value in overrides_of_run().items() if knows(parser, key)})
    return parser


def trained_network(trained: TrainedSettings, **given: Any) -> nn.Module:
    """The network that was trained, without its weights.

    Args:
        trained: its settings.
        given: arguments that a command repeats, such as ``network_def#img_size``.

    Raises:
        ValueError: if one of them contradicts the training.
    """
    trained.check({f"network_def#{name}": value for name, value in given.items()})
    return trained.create_network()


def trained_transforms(trained: TrainedSettings, accept: Sequence[str] | None = None) -> list[Any]:
    """The transforms that a network was trained with, from the files of an image to its input.

    Args:
        trained: its settings.
        accept: which unexpected images are accepted, for a transform with this argument; None: as in the training.
    """
    return trained.create_transforms(accept)
