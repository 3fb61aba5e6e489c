"""One cell of the grid: train by the bundle's configs, evaluate, and leave the figures in its folder."""

from __future__ import annotations

import copy
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from dwskd_monai.bundle.errors import cause_of
from dwskd_monai.commands.compare.cells import Cell, Setting, refuse_other_settings
from dwskd_monai.evaluation.metrics import compared_names
from dwskd_monai.files import replacing
from dwskd_monai.training.both_students import COMBINATIONS

RESULT, LOG = "result.json", "log.txt"
METRICS = compared_names()
CELL = ("method", "fraction", "fold", "seed")
PACKAGES = ("dwskd_monai", "monai", "timm", "torch", "scikit-learn")
_TRAINED, _ATTEMPT, _STATE = "trained.json", "attempt.json", "training_state.pt"


class CellError(RuntimeError):
    """A cell that failed; the message says why and where the log is."""


def run_cell(cell: Cell, setting: Setting, needed: Path | None = None, device: str | None = None) -> None:
    """Run what is missing of a cell; ``result.json`` in its folder is written last.

    A training that was interrupted is continued after its last epoch. What is printed goes to ``log.txt``.

    Args:
        cell: what to run.
        setting: of the grid.
        needed: folder of the finished run whose network the method needs.
        device: ``cuda:1`` for instance; None: the config's.

    Raises:
        CellError: if anything fails.
    """
    folder = setting.out / cell.folder
    folder.mkdir(parents=True, exist_ok=True)
    with _printing_to(folder / LOG):
        try:
            if is_finished(cell, setting):  # by another command meanwhile
                return
            _write(folder / "settings.json", setting.identity(cell))
            method_overrides = dict(cell.method.overrides)
            if needed is not None:
                if not (needed / RESULT).is_file():
                    raise FileNotFoundError(f"{cell.method.name} needs the network of a run that is missing: {needed}")
                method_overrides["needed_weights"] = str(needed / _read(needed / RESULT)["model"])
            own = {"ckpt_dir": str(folder), "output_dir": str(folder), "cache_dir": str(setting.out / "cache")}
            own |= setting.overrides_of(cell)
            if device is not None:
                own["device"] = f"$torch.device('{device}')"
            result: dict[str, Any] = dict(zip(CELL, (cell.method.name, cell.fraction, cell.fold, cell.seed)))
            if cell.method.trains:
                result |= _train(cell, setting, own, method_overrides, folder)
            two = result.pop("two_students", False) and not cell.tuning
            result |= _evaluate(cell, setting, own, method_overrides, folder, two)
            result["needed_seconds"] = 0.0 if needed is None else _read(needed / RESULT)["training_seconds"]
            result["versions"] = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
            result["data_hash"] = setting.data_hash
            _write(folder / RESULT, result)
            for path in folder.glob("*.pt"):  # a grid of networks fills a disk
                if cell.method.name not in setting.kept or path.name != result.get("model"):
                    path.unlink()
        except Exception as error:
            traceback.print_exc()
            cause = cause_of(error)
            raise CellError(f"{type(cause).__name__}: {cause} (log: {folder / LOG})") from None


def is_finished(cell: Cell, setting: Setting) -> bool:
    """Whether a cell was run, with the same settings, and its network is there if others need it.

    Raises:
        ValueError: if it was run with other settings; the message names what differs.
    """
    folder = setting.out / cell.folder
    refuse_other_settings(folder, setting.identity(cell))
    if not (folder / RESULT).is_file():
        return False
    model = _read(folder / RESULT).get("model")
    return cell.method.name not in setting.kept or model is None or (folder / model).is_file()


def _train(
    cell: Cell, setting: Setting, own: Mapping[str, Any], method: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    if (folder / _TRAINED).is_file():
        trained = _read(folder / _TRAINED)
        if (folder / trained["model"]).is_file():
            return trained
    started = (folder / _STATE).is_file()
    spent = _seconds_before(folder) if started else 0.0
    workflow = _workflow(
        setting.configs(cell.method), {**own, "resume": started, "training_state": str(folder / _STATE)}, method
    )
    workflow.initialize()
    get = workflow.parser.get_parsed_content
    get("first_weights")  # in the order of the bundle's run
    get("train#trainer")  # reads the data, which is not training time
    _write(folder / _ATTEMPT, {"started": time.time(), "spent": spent})
    clock = time.perf_counter()
    workflow.run()
    seconds = spent + time.perf_counter() - clock
    evaluator = get("validate#evaluator")
    if not evaluator.state.metrics:  # continued after its last epoch
        evaluator.run()
    last = float(evaluator.state.metrics[evaluator.state.key_metric_name])
    workflow.finalize()
    trained = {
        "training_seconds": seconds,
        "epochs": int(get("max_epochs")),
        "best_epoch": get("validate#best_model_saver").best_epoch,
        "last_epoch_balanced_accuracy": last,
        "learning_rate": float(get("learning_rate")),
        "model": Path(get("best_model")).name,
        "two_students": get("auxiliary") in ("ema", "mutual"),
    }
    _write(folder / _TRAINED, trained)
    return trained


def _evaluate(
    cell: Cell, setting: Setting, own: Mapping[str, Any], method: Mapping[str, Any], folder: Path, two: bool
) -> dict[str, Any]:
    """Metrics on the validation images, and on those of ``test_dir``; of the two students together too."""
    result: dict[str, Any] = {}
    splits: dict[str, dict[str, Any]] = {"validation": {"split": "validation"}}
    if setting.test_dir is not None and not cell.tuning:
        splits["test"] = {"split": "all", "dataset_dir": str(setting.test_dir)}
    for split, source in splits.items():
        for combination in ("", *(COMBINATIONS if two else ())):
            more = ["evaluate.yaml", *(["combine_students.yaml"] if combination else [])]
            where = folder / "_".join(filter(None, (split, combination)))
            settings = {**own, **source, "output_dir": str(where), "training_state": str(folder / _STATE)}
            if combination:
                settings["combine"] = combination
            workflow = _workflow(setting.configs(cell.method, *more), settings, method)
            workflow.initialize()
            workflow.run()
            network = workflow.parser.get_parsed_content("network")
            workflow.finalize()
            prefix = ("test_" if split == "test" else "") + (f"{combination}_" if combination else "")
            overall = _read(where / "metrics.json")["study"]["overall"]
            result |= {prefix + name: overall[name] for name in METRICS}
            if not combination:
                result["parameters"] = sum(parameter.numel() for parameter in network.parameters())
    return {"training_seconds": 0.0, "epochs": 0} | result if not cell.method.trains else result


def _workflow(configs: list[str], own: Mapping[str, Any], method: Mapping[str, Any]) -> ConfigWorkflow:
    """The config with the grid's overrides, and then the method's, in which macros are copied already."""
    workflow = ConfigWorkflow(config_file=configs, **copy.deepcopy(dict(own)))  # it rewrites what it is given
    workflow.parser.resolve_macro_and_relative_ids()
    workflow.parser.update(pairs=copy.deepcopy(dict(method)))
    return workflow


def _seconds_before(folder: Path) -> float:
    """Seconds that earlier attempts spent on the epochs that they finished."""
    if not (folder / _ATTEMPT).is_file():
        return 0.0
    attempt = _read(folder / _ATTEMPT)
    return float(attempt["spent"]) + max(0.0, (folder / _STATE).stat().st_mtime - attempt["started"])


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Whatever the block prints, by Python or a library, goes to the end of a file; ``sys.path`` is restored."""
    before = list(sys.path)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with path.open("a") as log:
        try:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in zip((1, 2), kept):
                os.dup2(old, number)
                os.close(old)
            sys.path[:] = before


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
