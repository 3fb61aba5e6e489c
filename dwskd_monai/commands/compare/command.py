"""The command ``compare`` and its options."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def compare(
    grid: str | None = None,
    bundle: str | None = None,
    dataset_dir: str | None = None,
    out: str | None = None,
    methods: Sequence[str] | None = None,
    fractions: Sequence[float] | None = None,
    seeds: Sequence[int] | None = None,
    folds: int | None = None,
    baseline: str | None = None,
    learning_rates: Sequence[float] | None = None,
    test_dir: str | None = None,
    demo: bool | None = None,
    methods_file: str | None = None,
    keep_models: bool | None = None,
    jobs: int = 1,
    ray_address: str | None = None,
    plan: bool = False,
    **overrides: Any,
) -> None:
    """Compare methods on your data: ``compare GRID``, or ``compare --bundle BUNDLE --dataset_dir DIR --out DIR``.

    Finished runs in ``out`` are not repeated. So the same command continues a grid that was stopped, and a command with
    more methods, fractions or seeds extends it.

    Args:
        grid: YAML file with any of these options except jobs, ray_address and plan, and a map of overrides. The command
            line overrides it. OUT/grid.yaml is such a file.
        bundle: folder of the bundle.
        dataset_dir: labeled images, as for training.
        out: folder for results.csv, summary.md, summary.csv, index.html, figures and grid.yaml.
        methods: some of scratch, scratch_label_smoothing, selection, selection_longer, selection_kd, mean_teacher,
            mutual_scratch, mutual_selection_same, dws_skd_ema, dws_skd_mutual, two_starts, both_deployed,
            teacher_soft_labels, soft_labels, soft_labels_same, own_soft_labels, teacher, probe_linear, probe_knn,
            label_spreading, and those of methods_file; or all, for these twenty. By default scratch, selection,
            selection_kd, mean_teacher, dws_skd_ema, dws_skd_mutual and teacher; with --unlabeled_dir selection,
            selection_longer, two_starts, soft_labels, teacher_soft_labels, label_spreading and teacher.
        fractions: shares of the training images; 1.0, 0.25, 0.1 and 0.05 by default.
        seeds: each gives different folds, subsets, initialization and order; 0, 1 and 2 by default.
        folds: number of stratified folds, each of which is the validation set once; by default the bundle's own split.
        baseline: the method that the others are compared with; selection by default.
        learning_rates: the rate of each method is chosen from these, on a seed that is not used for the results; by
            default, the rate of the config.
        test_dir: labeled images on which each run is evaluated once, at its end; nothing is chosen by them.
        demo: apply the bundle's demo.yaml.
        methods_file: YAML with methods of your own.
        keep_models: keep each run's best network.
        jobs: how many runs at a time; they share the GPUs.
        ray_address: address of a Ray cluster to run on.
        plan: run nothing; say how large the grid is, and how small a difference it can show.
        overrides: any key of train.yaml, for all methods; --KEY@FRACTION for one fraction only.
    """
    from dwskd_monai.commands.compare.comparison import FailedRunsError, prepare
    from dwskd_monai.commands.compare.grid_file import absolute, make_grid, merged, read_grid
    from dwskd_monai.commands.compare.process import ending_by_sigterm

    if jobs < 1:
        raise ValueError(f"jobs must be 1 or more, got {jobs}")
    options = {
        "bundle": bundle,
        "dataset_dir": dataset_dir,
        "out": out,
        "methods": methods,
        "fractions": fractions,
        "seeds": seeds,
        "folds": folds,
        "baseline": baseline,
        "learning_rates": learning_rates,
        "test_dir": test_dir,
        "demo": demo,
        "methods_file": methods_file,
        "keep_models": keep_models,
        "overrides": overrides,
    }
    given = {key: value for key, value in options.items() if value is not None}
    content = merged({} if grid is None else read_grid(grid), absolute(given, Path.cwd()))
    comparison = prepare(make_grid(content))
    sys.stdout.write(comparison.plan())
    sys.stdout.flush()
    if plan:
        return
    command = shlex.join(["python", "-m", "dwskd_monai", *sys.argv[1:]])
    try:
        with ending_by_sigterm():
            sys.stdout.write("\n" + comparison.run(jobs, ray_address, command))
    except FailedRunsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
