"""Does it win? One method against the others over several comparisons: what `compare` wrote for each set of images.

    python benchmarks/pool_comparisons.py --results results/chest_xray,results/lung_ct --out results/pooled

A pair is the same set, fraction, fold and seed. ``pooled.md`` has, for each method, the mean over all pairs with its
95 % interval (Student, over pairs), for fractions up to ``small`` and for the whole sets, and the ratio of training
times; ``by_fraction.png`` has a panel per set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fire
import pandas as pd
from matplotlib.figure import Figure

from dwskd_monai.compare.figures import methods_styles
from dwskd_monai.compare.statistics import differences, estimate
from dwskd_monai.compare.summary import with_combinations
from dwskd_monai.files import replacing

PAIR = ["fraction", "fold", "seed"]


def pooled_table(tables: dict[str, pd.DataFrame], method: str, small: float) -> pd.DataFrame:
    """A row per other method: mean difference ``method`` minus it, over the small fractions and over all images."""
    rows = []
    for other in dict.fromkeys(name for table in tables.values() for name in table["method"]):
        row: dict[str, object] = {"method": other}
        for part, wanted in (("small", lambda share: share <= small), ("all", lambda share: share == 1)):
            found: dict[str, list[float]] = {"difference": [], "value": [], "last": [], "ratio": []}
            for table in tables.values():
                here = table[wanted(table["fraction"])]
                found["difference"] += differences(here, method, other, "balanced_accuracy").tolist()
                found["last"] += differences(here, method, other, "last_epoch_balanced_accuracy").tolist()
                found["value"] += here.loc[here["method"] == other, "balanced_accuracy"].tolist()
                seconds = [
                    here[here["method"] == name].set_index(PAIR)["training_seconds"] for name in (other, "selection")
                ]
                found["ratio"] += (seconds[0] / seconds[1]).dropna().tolist()
            paired, last = estimate(found["difference"]), estimate(found["last"])
            row |= {
                f"{part} mean": estimate(found["value"]).mean,
                f"{part} pairs": paired.runs,
                f"{part} difference": paired.mean,
                f"{part} half width": paired.half_width,
                f"{part} difference, last epoch": last.mean,
                f"{part} half width, last epoch": last.half_width,
                f"{part} time": estimate(found["ratio"]).mean,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def as_markdown(table: pd.DataFrame, method: str, small: float) -> str:
    """The pooled table for people."""
    lines = []
    for part, title in (("small", f"up to {small:.0%} of the training images"), ("all", "all training images")):
        lines += [
            f"{title.capitalize()}:",
            "",
            f"| method | balanced accuracy | {method} minus it | by the last epoch | pairs | time / selection |",
            "|---|---|---|---|---|---|",
        ]
        for _, row in table.iterrows():
            cells = [row["method"], f"{row[f'{part} mean']:.3f}"]
            for suffix in ("", ", last epoch"):
                shown = f"{row[f'{part} difference{suffix}']:+.3f} ± {row[f'{part} half width{suffix}']:.3f}"
                cells.append("" if row["method"] == method or "nan" in shown else shown)
            cells += [f"{row[f'{part} pairs']}", f"{row[f'{part} time']:.2f}"]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


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


def pool(results: str | Sequence[str], out: str, method: str = "dws_skd_mutual", small: float = 0.25) -> None:
    """Write ``pooled.md`` and ``by_fraction.png``.

    Args:
        results: folders that `compare` wrote, one per set of images.
        out: folder of the files.
        method: that is compared with the others.
        small: largest share of the training images that counts as few.
    """
    folders = results.split(",") if isinstance(results, str) else results
    tables = {Path(folder).name: with_combinations(pd.read_csv(Path(folder) / "results.csv")) for folder in folders}
    table = pooled_table(tables, method, small)
    text = as_markdown(table, method, small)
    with replacing(Path(out) / "pooled.md") as temporary:
        temporary.write_text(text + "\n")
    with replacing(Path(out) / "by_fraction.png") as temporary:
        by_fraction(tables).savefig(temporary, format="png", dpi=130)
    print(text)


if __name__ == "__main__":
    fire.Fire(pool)
