"""What a command left for MLflow and TensorBoard."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TRACKING = ("--tracking", "mlflow")
METRICS = {"accuracy", "balanced_accuracy", "macro_auc", "slice_balanced_accuracy", "slice_macro_auc"}


def check_training_is_tracked(bundle: Path) -> None:
    status, metrics, artifacts = tracked(bundle / "eval")
    assert status == "FINISHED"
    assert metrics > METRICS | {"train_loss", "train_accuracy"}
    assert [name.startswith("config_") for name in artifacts] == [True], "the config as it was run"
    assert scalars(bundle / "eval" / "tensorboard" / "train") > {"train_loss", "train_accuracy"}
    assert scalars(bundle / "eval" / "tensorboard" / "validate") == METRICS


def check_evaluation_is_tracked(bundle: Path) -> None:
    status, metrics, artifacts = tracked(bundle / "eval" / "test")
    assert (status, metrics, len(artifacts)) == ("FINISHED", METRICS, 1)
    assert scalars(bundle / "eval" / "test" / "tensorboard") == METRICS


def check_inference_is_tracked(bundle: Path) -> None:
    status, metrics, artifacts = tracked(bundle / "eval" / "inference")
    assert (status, metrics, len(artifacts)) == ("FINISHED", set(), 1), "nothing is measured where nothing is labeled"
    assert scalars(bundle / "eval" / "inference" / "tensorboard") == {"mean_top_probability"}


def tracked(folder: Path) -> tuple[str, set[str], list[str]]:
    """Status of the one MLflow run in a folder's SQLite store, names of its metrics, and its artifacts."""
    with contextlib.closing(sqlite3.connect(folder / "mlruns.db")) as store:
        ((status, artifacts),) = store.execute("SELECT status, artifact_uri FROM runs").fetchall()
        metrics = {name for (name,) in store.execute("SELECT key FROM metrics")}
    return status, metrics, [path.name for path in Path(artifacts.removeprefix("file://")).iterdir()]


def scalars(folder: Path) -> set[str]:
    """Names of the curves that TensorBoard draws of a folder."""
    (file,) = folder.glob("events*")
    events = EventAccumulator(str(file))
    events.Reload()
    return set(events.Tags()["scalars"])
