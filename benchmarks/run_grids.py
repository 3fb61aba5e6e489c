"""One comparison on three sets of images: all grids of a folder, and one table of what they say together.

    python benchmarks/run_grids.py benchmarks/grids/imagenet_few --seeds 0,1 --methods selection,dws_skd_mutual

It goes on where it was stopped. A grid says what is compared; what is given here comes before it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire

from dwskd_monai.commands.compare.grid_file import make_grid, read_grid

COMMON = "common.yaml"  # what the grids of a folder include


def run_grids(
    folder: str,
    sets: Sequence[str] | str | None = None,
    methods: Sequence[str] | str | None = None,
    seeds: Sequence[int] | int | None = None,
    baseline: str | None = None,
    learning_rate: float | None = None,
    jobs: int = 2,
) -> None:
    """Run ``compare`` for each set, one after the other, and ``pool_comparisons.py`` for all.

    Args:
        folder: of grids, one per set of images.
        sets: of these; all by default.
        methods, seeds, baseline: as of ``compare``; those of the grids by default.
        learning_rate: another than the grids', with results in a folder of its own.
        jobs: runs at a time.
    """
    grids = Path(folder).resolve()
    names = sorted(path.stem for path in grids.glob("*.yaml") if path.name != COMMON)
    options = {"methods": methods, "seeds": seeds, "baseline": baseline, "learning_rate": learning_rate, "jobs": jobs}
    given: list[str] = []
    for name, value in options.items():
        if value is not None:
            given += [f"--{name}", _joined(value)]
    results = []
    for name in names if sets is None else _joined(sets).split(","):
        file = grids / f"{name}.yaml"
        out = make_grid(read_grid(file)).out
        if learning_rate is not None:
            out = out.parent.with_name(f"{out.parent.name}_lr{learning_rate:g}") / out.name
        _run("-m", "dwskd_monai", "compare", str(file), *given, "--out", str(out))
        results.append(out)
    pooled = results[0].parent / "pooled"
    script = Path(__file__).with_name("pool_comparisons.py")
    _run(str(script), "--results", ",".join(map(str, results)), "--out", str(pooled))


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _run(*arguments: str) -> None:
    """Run Python with a thread for each process, and with the networks of this folder."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, *arguments], env=environment, check=True)


if __name__ == "__main__":
    fire.Fire(run_grids)
