"""The two students of a training used together: the mean of their predictions, or of their weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dwskd_monai import checkpoints
from dwskd_monai.ensemble import Ensemble
from dwskd_monai.training.checks import one_of

COMBINATIONS = ("ensemble", "soup")


def combine_students(
    main: nn.Module,
    auxiliary: nn.Module,
    training_state: str | Path,
    combine: str,
    training_images: Collection[str] = (),
    main_weights: object = None,
) -> nn.Module:
    """Both students as they were at the end of a training, as one network.

    The deployed network is not one of them: it may be either student, at its best epoch.

    Args:
        main: a network of the students' architecture; its weights are replaced.
        auxiliary: a second such network; its weights are replaced.
        training_state: file that :class:`~dwskd_monai.training.handlers.training_state.TrainingStateHandler` wrote.
        combine: ``ensemble``: mean of the probabilities; ``soup``: mean of the weights (Wortsman et al., *Model soups*,
            arXiv 2203.05482), which needs students that correspond neuron by neuron.
        training_images: digests of the images that the deployed network was trained on; empty: unknown.
        main_weights: in configs of earlier versions; it is not used.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if ``combine`` is something else, the training made only one student, or deployed both, the deployed
            network is of another training, or the file is damaged.
    """
    one_of("combine", combine, COMBINATIONS)
    if isinstance(main, Ensemble):
        raise ValueError(
            f"combine {combine}: the network is both students already (deploy: both); evaluate it without "
            "combine_students.yaml"
        )
    if not Path(training_state).is_file():
        raise FileNotFoundError(
            f"combine {combine}: there is no file {training_state}; train with auxiliary: ema or mutual"
        )
    state = checkpoints.load(training_state)
    if not has_both(state):
        raise ValueError(
            f"combine {combine}: {training_state} has only one student; train with auxiliary: ema or mutual"
        )
    if not is_of_training(state, training_images):
        raise ValueError(f"combine {combine}: {training_state} is of another training than the deployed network")
    main.load_state_dict(state["network"])
    auxiliary.load_state_dict(state["auxiliary_network"])
    if combine == "ensemble":
        return Ensemble(main, auxiliary)
    _average_weights(main, auxiliary)
    return main


def has_both(state: Mapping[str, Any]) -> bool:
    """Whether a training state has two students; with ``auxiliary: none`` it holds an untrained network."""
    return "auxiliary_network" in state and state.get("trainer", {}).get("students") == 2


def is_of_training(
    state: Mapping[str, Any], training_images: Collection[str], origin: Mapping[str, Any] | None = None
) -> bool:
    """Whether a training state is of the training that made a network, as far as both tell.

    Args:
        state: the content of the file.
        training_images: digests of the images that the network was trained on; empty: unknown.
        origin: what the network's settings record about its training: its seed and overrides are compared too, and, if
            the training was not interrupted, its best epoch. None: unknown.
    """
    of_the_state = [digest for digest, _ in state.get("trained_settings", {}).get("images", {}).get("training", [])]
    if training_images and of_the_state and set(training_images) != set(of_the_state):
        return False
    return _has_settings(state, origin or {}) and _has_best(state, origin or {})


def progress_of(state: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """After which epoch a training wrote a state, and how many epochs it has; None: the state does not tell."""
    config = state.get("trained_settings", {}).get("config", {})
    # MONAI Label sets only the trainer's max_epochs, which the scheduler has too
    epochs = state.get("lr_scheduler", {}).get("t_total", config.get("max_epochs"))
    return state.get("trainer", {}).get("epoch"), epochs


def was_interrupted(state: Mapping[str, Any]) -> bool:
    """Whether a training wrote a state before its last epoch."""
    epoch, epochs = progress_of(state)
    return epoch is not None and epochs is not None and epoch < epochs


def _has_settings(state: Mapping[str, Any], origin: Mapping[str, Any]) -> bool:
    config = state.get("trained_settings", {}).get("config", {})
    recorded = {**origin.get("overrides", {}), **({"seed": origin["seed"]} if "seed" in origin else {})}
    recorded.pop("max_epochs", None)  # a training may be continued with more
    return all(config.get(key, value) == value for key, value in recorded.items())


def _has_best(state: Mapping[str, Any], origin: Mapping[str, Any]) -> bool:
    best, saver = origin.get("best"), state.get("best_model")
    if not best or not saver or was_interrupted(state):  # it may have ended before it wrote the state of its best epoch
        return True
    kept = [(saver["best_metric"], saver["best_epoch"]), saver.get("forgotten")]
    return (best["value"], best["epoch"]) in kept


def _average_weights(main: nn.Module, auxiliary: nn.Module) -> None:
    """Give main the mean of both networks' weights and buffers; it keeps its counters."""
    auxiliary_state = auxiliary.state_dict()
    mean = main.state_dict()
    for name, value in mean.items():
        if value.is_floating_point():
            mean[name] = (value + auxiliary_state[name]) / 2
    main.load_state_dict(mean)
