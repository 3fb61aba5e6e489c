"""Does it win? One method against the others over several comparisons: what `compare` wrote for each set of images.

    python benchmarks/pool_comparisons.py --results results/chest_xray,results/lung_ct --out results/pooled

A pair is the same set, fraction, fold and seed. ``pooled.md`` has, for each method, the mean over all pairs with its
95 % interval (Student, over pairs), for fractions up to ``small`` and for the whole sets, on the images that chose the
epoch and on test images where there are any, and the ratio of training times; ``by_fraction.png`` has a panel per set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fire
import pandas as pd
from matplotlib.figure import Figure

from dwskd_monai.commands.compare.figures import methods_styles
from dwskd_monai.commands.compare.statistics import by_pair, differences, estimate
from dwskd_monai.commands.compare.summary import with_combinations
from dwskd_monai.files import replacing

MEASURES = {
    "balanced accuracy": "balanced_accuracy",
    "by the last epoch": "last_epoch_balanced_accuracy",
    "macro AUC": "macro_auc",
    "balanced accuracy, test": "test_balanced_accuracy",
    "macro AUC, test": "test_macro_auc",
}


def pooled_table(tables: dict[str, pd.DataFrame], method: str, share: tuple[float, float]) -> pd.DataFrame:
    """A row per method: its mean, and the mean difference ``method`` minus it with its interval.

    Args:
        tables: results of each set of images.
        method: name of the method.
        share: smallest and largest share of the training images.
    """
    parts = [table[table["fraction"].between(*share)] for table in tables.values()]
    known = [name for name, column in MEASURES.items() if all(column in part for part in parts)]
    rows = []
    for compared in dict.fromkeys(name for part in parts for name in part["method"]):
        values: list[float] = []
        ratios: list[float] = []
        pairs = 0
        for part in parts:
            values += by_pair(part, compared, "balanced_accuracy").tolist()
            seconds = by_pair(part, compared, "training_seconds") / by_pair(part, "selection", "training_seconds")
            ratios += seconds.dropna().tolist()
            pairs += len(differences(part, method, compared, "balanced_accuracy"))
        row: dict[str, object] = {"method": compared, "mean": f"{estimate(values).mean:.3f}"}
        for name in known:
            paired = estimate([each for part in parts for each in differences(part, method, compared, MEASURES[name])])
            row[name] = f"{paired.mean:+.3f} ± {paired.half_width:.3f}" if paired.runs and compared != method else ""
        row |= {"pairs": pairs, "time / selection": f"{estimate(ratios).mean:.2f}"}
        rows.append(row)
    return pd.DataFrame(rows)


def as_markdown(table: pd.DataFrame, method: str) -> str:
    """The pooled table for people."""
    names = {"mean": "balanced accuracy", "balanced accuracy": f"{method} minus it"}
    rows = [[names.get(name, name) for name in table], ["---"] * len(table.columns), *table.values.tolist()]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows) + "\n"


def by_fraction(tables: dict[str, pd.DataFrame]) -> Figure:
    """Balanced accuracy against the share of the training images, a panel per set, without combinations."""
    figure = Figure(figsize=(4.4 * len(tables) + 2.6, 4.8), layout="constrained")
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    names = list(dict.fromkeys(name for table in tables.values() for name in table["method"] if "+" not in name))
    styles = methods_styles(names)
    for axes, (title, table) in zip(panels, tables.items()):
        for name in names:
            runs = table[table["method"] == name]
            means = runs.groupby("fraction")["balanced_accuracy"].mean()
            axes.plot(means.index, means, label=name, **styles[name])
        shares = sorted(table["fraction"].unique())
        axes.set_xscale("log")
        axes.set_xticks(shares, [f"{share:.3g}" for share in shares])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title)
        axes.set_xlabel("share of the training images")
    panels[0].set_ylabel("balanced accuracy, mean over seeds")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize="small")
    return figure


def pool(
    results: str | Sequence[str],
    out: str,
    method: str = "dws_skd_mutual",
    small: float = 0.25,
    without: str | None = None,
) -> None:
    """Write ``pooled.md`` and ``by_fraction.png``.

    Args:
        results: folders that `compare` wrote, one per set of images.
        out: folder of the files.
        method: that is compared with the others.
        small: largest share of the training images that counts as few.
        without: runs that are left out, as a query of pandas; for instance one that failed to learn.
    """
    folders = results.split(",") if isinstance(results, str) else results
    tables = {}
    for folder in map(Path, folders):
        table = pd.read_csv(folder / "results.csv")
        tables[folder.name] = with_combinations(table if without is None else table.query(f"not ({without})"))
    text = ""
    for title, share in ((f"Up to {small:.0%} of", (0.0, small)), ("All", (1.0, 1.0))):
        if any(table["fraction"].between(*share).any() for table in tables.values()):
            text += f"{title} the training images:\n\n{as_markdown(pooled_table(tables, method, share), method)}\n"
    with replacing(Path(out) / "pooled.md") as temporary:
        temporary.write_text(text)
    with replacing(Path(out) / "by_fraction.png") as temporary:
        by_fraction(tables).savefig(temporary, format="png", dpi=130)
    print(text)


if __name__ == "__main__":
    fire.Fire(pool)
