"""One run of the grid: training and evaluations by the bundle's own commands, and the numbers that result."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from monai.bundle import ConfigParser

from dwskd_monai.bundle.earlier import EARLIER
from dwskd_monai.bundle.settings_file import settings_beside
from dwskd_monai.commands.compare.process import ProcessError, locked_log, run_bundle
from dwskd_monai.commands.compare.results import METRICS, RESULT, read_result
from dwskd_monai.commands.compare.run_config import run_config, write_run_config
from dwskd_monai.commands.compare.runs import Run
from dwskd_monai.commands.compare.setting import SETTINGS, Setting, refuse_other_settings
from dwskd_monai.files import read_json, write_json
from dwskd_monai.training.both_students import COMBINATIONS

LOG = "log.txt"
PACKAGES = ("dwskd_monai", "monai", "timm", "torch", "scikit-learn")
_CONFIG = "run.yaml"
_NETWORK = "network.json"
_RECORD = "training.json"
_STATE = "training_state.pt"


class RunError(RuntimeError):
    """A run that failed; the message says why and where the log is."""


def execute(run: Run, setting: Setting, needed: Path | None = None, gpu: str | None = None) -> None:
    """Carry out the missing parts of a run; ``result.json`` in its folder is written last.

    A training that was interrupted is continued after its last epoch. The output of the processes goes to ``log.txt``.

    Args:
        run: the run.
        setting: of the grid.
        needed: folder of the finished run whose network the method needs.
        gpu: the only GPU that the run may see, as ``CUDA_VISIBLE_DEVICES`` names it; None: all.

    Raises:
        RunError: if anything fails.
    """
    folder = setting.out / run.folder
    try:
        with locked_log(folder / LOG, str(run)) as log:
            _finish(_Attempt(run, setting, folder, log, needed, gpu))
    except ProcessError as error:
        raise RunError(f"{error} (log: {folder / LOG})") from error
    except Exception as error:
        raise RunError(f"{type(error).__name__}: {error} (log: {folder / LOG})") from error


def _finish(attempt: _Attempt) -> None:
    if is_finished(attempt.run, attempt.setting):  # another command may have finished it in the meantime
        return
    try:
        attempt.finish()
    except ProcessError:
        raise  # its process has printed what is wrong
    except Exception:
        traceback.print_exc(file=attempt.log)
        raise


def is_finished(run: Run, setting: Setting) -> bool:
    """Whether a run was made with the same settings, and its network is there if others need it.

    Raises:
        ValueError: if it was made with other settings; the message names the difference.
    """
    folder = setting.out / run.folder
    refuse_other_settings(folder, setting.identity(run))
    result = read_result(setting.out, run)
    if result is None:
        return False
    model = result.get("model")
    return run.method.name not in setting.kept or model is None or (folder / model).is_file()


@dataclass(frozen=True)
class _Attempt:
    """A run in progress.

    Args:
        run, setting, needed, gpu: as for :func:`execute`.
        folder: of the run.
        log: the file to which its processes print.
    """

    run: Run
    setting: Setting
    folder: Path
    log: TextIO
    needed: Path | None
    gpu: str | None

    def finish(self) -> None:
        """Train, evaluate, and write the result."""
        write_json(self.folder / SETTINGS, self.setting.identity(self.run))
        result: dict[str, Any] = {
            "method": self.run.method.name,
            "fraction": self.run.fraction,
            "fold": self.run.fold,
            "seed": self.run.seed,
            "training_seconds": 0.0,
            "epochs": 0,
        }
        combinations: tuple[str, ...] = ()
        if self.run.method.trains:
            record = self._trained()
            result |= _figures(record)
            if record["students"] == 2 and record.get("deploy") != "both" and not self.run.tuning:
                combinations = COMBINATIONS
        result |= self._evaluated(combinations)
        result["needed_seconds"] = 0.0 if self.needed is None else read_json(self.needed / RESULT)["training_seconds"]
        result["versions"] = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        result["data_hash"] = self.setting.data_hash
        write_json(self.folder / RESULT, result)
        self._remove_networks(result.get("model"))

    def _trained(self) -> dict[str, Any]:
        """The record of the training, which is started or continued if it has not ended yet."""
        path = self.folder / _RECORD
        record = read_json(path) if path.is_file() else {}
        if "checkpoint" in record and (self.folder / Path(record["checkpoint"]).name).is_file():
            return record
        recorder = {
            "_target_": "dwskd_monai.commands.compare.TrainingRecord",
            "path": str(path),
            "validator": "@validate#evaluator",
            "best_model_saver": "@validate#best_model_saver",
            "facts": {"max_epochs": "@train#trainer#max_epochs"}
            | {name: f"@{name}" for name in ("checkpoint", "learning_rate", "deploy")},
        }
        resume = {"resume": (self.folder / _STATE).is_file()}
        self._run("training", self.folder, resume, {"train#handlers": [recorder]})
        return read_json(path)

    def _evaluated(self, combinations: Sequence[str]) -> dict[str, Any]:
        """Metrics of the network, and of combinations of two students, on validation and test images."""
        result: dict[str, Any] = {}
        images: dict[str, dict[str, Any]] = {"validation": {"split": "validation"}}
        if self.setting.test_dir is not None and not self.run.tuning:
            # only of the evaluation: the network of a probe is fitted on the training images of dataset_dir
            images["test"] = {"split": "all", "validate#dataset#data#dataset_dir": str(self.setting.test_dir)}
            if self.run.method.unlabeled and not self.run.method.trains:
                images["test"]["train#unlabeled#validation"] = self._validation()  # still left out
        for split, source in images.items():
            source["report"] = False  # nobody reads so many, and its intervals would take longer than the evaluation
            prefix = "" if split == "validation" else f"{split}_"
            where = self.folder / split
            counter = {
                "_target_": "dwskd_monai.commands.compare.write_parameters",
                "network": "@network",
                "path": str(where / _NETWORK),
            }
            self._run(None, where, source, {"run": [counter]}, "evaluate.yaml")
            result |= _metrics(where, prefix)
            result["parameters"] = read_json(where / _NETWORK)["parameters"]
            for combination in combinations:
                where = self.folder / f"{split}_{combination}"
                combine = source | {"combine": combination}
                self._run(None, where, combine, {}, "evaluate.yaml", "combine_students.yaml")
                result |= _metrics(where, f"{prefix}{combination}_")
        return result

    def _validation(self) -> Any:
        """How the config of the training reads its validation images."""
        parser = ConfigParser()
        parser.read_config([str(path) for path in self.setting.configs(self.run.method)])
        return parser["validate#dataset"]

    def _run(
        self,
        run_id: str | None,
        where: Path,
        more: Mapping[str, Any],
        added: Mapping[str, Sequence[Any]],
        *overlays: str,
    ) -> None:
        """Run the bundle; ``run.yaml``, in the folder of the results, has what the run changes."""
        overrides = {
            "ckpt_dir": str(self.folder),
            "cache_dir": str(self.setting.out / "cache"),
            **self.setting.overrides_of(self.run),
            "training_state": str(self.folder / _STATE),
            "output_dir": str(where),
            **more,
        }
        method = dict(self.run.method.overrides)
        if self.needed is not None:
            method["needed_weights"] = str(_network_of(self.needed))
        configs = self.setting.configs(self.run.method, *overlays)
        content = run_config(configs, overrides, method, added)
        variables = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        run_bundle(run_id, [*configs, write_run_config(where / _CONFIG, content)], self.log, variables)

    def _remove_networks(self, model: str | None) -> None:
        """Remove networks that are not to be kept: those of a whole grid fill a disk."""
        shutil.rmtree(self.folder / EARLIER, ignore_errors=True)  # of a training that was ended before it had a state
        for path in self.folder.glob("*.pt"):
            if self.run.method.name not in self.setting.kept or path.name != model:
                path.unlink()
                settings_beside(path).unlink(missing_ok=True)


def _network_of(folder: Path) -> Path:
    """The network of a finished run."""
    if not (folder / RESULT).is_file():
        raise FileNotFoundError(f"the run whose network is needed is missing: {folder}")
    return folder / str(read_json(folder / RESULT)["model"])


def _figures(record: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers in the result of a run that are about its training."""
    return {
        "training_seconds": sum(record["epoch_seconds"]),
        "epochs": int(record["max_epochs"]),
        "best_epoch": record["best_epoch"],
        "last_epoch_balanced_accuracy": record["last_metric"],
        "learning_rate": float(record["learning_rate"]),
        "model": Path(record["checkpoint"]).name,
    }


def _metrics(folder: Path, prefix: str) -> dict[str, Any]:
    """The metrics of studies that an evaluation wrote."""
    overall = read_json(folder / "metrics.json")["study"]["overall"]
    # JSON has no NaN: undefined values are null there
    return {prefix + name: float("nan") if overall[name] is None else overall[name] for name in METRICS}
