"""The command ``compare``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any

from dwskd_monai.commands.compare.comparison import FailedRunsError, prepare
from dwskd_monai.commands.compare.methods import read_methods

COMPARED = ("scratch", "selection", "selection_kd", "mean_teacher", "dws_skd_ema", "dws_skd_mutual", "teacher")


def compare(
    bundle: str,
    dataset_dir: str,
    out: str,
    methods: Sequence[str] = COMPARED,
    fractions: Sequence[float] = (1.0, 0.25, 0.1, 0.05),
    seeds: Sequence[int] = (0, 1, 2),
    folds: int | None = None,
    baseline: str = "selection",
    learning_rates: Sequence[float] = (),
    test_dir: str | None = None,
    demo: bool = False,
    jobs: int = 1,
    ray_address: str | None = None,
    methods_file: str | None = None,
    keep_models: bool = False,
    plan: bool = False,
    **overrides: Any,
) -> None:
    """Methods side by side on your data: ``compare --bundle BUNDLE --dataset_dir DIR --out DIR``.

    What is finished in ``out`` is not run again, so the same command continues a grid that was stopped, and one with
    more methods, fractions or seeds extends it.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labelled images, as for training.
        out: folder for results.csv, summary.md, summary.csv, index.html and figures.
        methods: of scratch, scratch_label_smoothing, selection, selection_kd, mean_teacher, mutual_scratch,
            mutual_selection_same, dws_skd_ema, dws_skd_mutual, teacher, probe_linear, probe_knn, and those of
            methods_file; all for each of them.
        fractions: shares of the training images.
        seeds: each gives other folds, subsets, initialisation and order.
        folds: each of so many stratified folds is the validation set once; without it the bundle's own split.
        baseline: the method that the others are compared with.
        learning_rates: each method's is chosen among these on a seed that is not measured; without them the config's.
        test_dir: labelled images on which each run is evaluated once, at its end; nothing is chosen by them.
        demo: apply the bundle's demo.yaml.
        jobs: runs at a time; GPUs are shared out among them.
        ray_address: of a Ray cluster to run on.
        methods_file: YAML with methods of your own.
        keep_models: keep each run's best network.
        plan: run nothing; say how large the grid is, and which differences it can show.
        overrides: any key of train.yaml, for all methods; KEY@FRACTION for one fraction alone.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be 1 or more, got {jobs}")
    comparison = prepare(
        bundle,
        dataset_dir,
        out,
        _each(methods),
        _each(fractions),
        _each(seeds),
        folds,
        baseline,
        test_dir,
        demo,
        methods_file,
        keep_models,
        overrides,
    )
    sys.stdout.write(comparison.plan())
    sys.stdout.flush()
    if not plan:
        command = shlex.join(["python", "-m", "dwskd_monai", *sys.argv[1:]])
        try:
            sys.stdout.write("\n" + comparison.run(jobs, ray_address, _each(learning_rates), command))
        except FailedRunsError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)


def _each(values: Any) -> tuple[Any, ...]:
    """What ``--seeds 0,1`` and ``--seeds 0`` give, and ``--methods all``."""
    if values == "all":
        return tuple(read_methods())
    return tuple(values) if isinstance(values, (list, tuple)) else (values,)
