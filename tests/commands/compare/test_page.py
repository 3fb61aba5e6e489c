from __future__ import annotations

import re

import pandas as pd
import pytest
from PIL import Image

from dwskd_monai.commands.compare.figures import by_fraction, draw, methods_styles
from dwskd_monai.commands.compare.methods import Method
from dwskd_monai.commands.compare.page import write_page
from dwskd_monai.commands.compare.summary import summarize
from tests.commands.compare.tables import runs

TABLE = runs(
    *(
        (method, fraction, seed, 0.5 + 0.1 * fraction + 0.01 * seed + bonus)
        for method, bonus in (("selection", 0.0), ("dws_skd_mutual", 0.05), ("probe_knn", -0.2))
        for fraction in (1.0, 0.1)
        for seed in (0, 1, 2)
    )
)
SUMMARY = summarize(TABLE, "selection")


@pytest.mark.slow
def test_the_figures_are_written_and_show_each_method(tmp_path):
    paths = draw(SUMMARY, tmp_path)
    assert [path.name for path in paths] == [
        "balanced_accuracy_by_fraction.png", "macro_auc_by_fraction.png", "accuracy_by_training_time.png",
        "accuracy_by_parameters.png",
    ]  # fmt: skip
    for path in paths:
        with Image.open(path) as image:
            assert image.width > 600
            assert len(image.convert("RGB").getcolors(1 << 24)) > 20


@pytest.mark.slow
def test_both_students_together_have_a_figure_of_their_own(tmp_path):
    both = SUMMARY[SUMMARY["method"] == "dws_skd_mutual"].assign(method="dws_skd_mutual+soup")
    names = [path.stem for path in draw(pd.concat([SUMMARY, both]), tmp_path)]
    assert "both_students_by_fraction" in names
    styles = methods_styles(["selection", "dws_skd_mutual", "dws_skd_mutual+soup"])
    assert styles["dws_skd_mutual+soup"]["color"] == styles["dws_skd_mutual"]["color"] != styles["selection"]["color"]


def test_a_line_has_the_means_and_a_band_its_interval():
    axes = by_fraction(SUMMARY, "balanced_accuracy", methods_styles(["selection", "dws_skd_mutual", "probe_knn"])).axes[
        0
    ]
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines["dws_skd_mutual"] == [pytest.approx([0.1, 0.57]), pytest.approx([1.0, 0.66])]
    assert len(axes.collections) == 3


@pytest.mark.slow
def test_the_page_holds_tables_figures_and_failures_and_needs_no_other_file(tmp_path):
    page = write_page(
        tmp_path, "chest: methods compared", SUMMARY, [Method("selection", "one student <b>")], draw(SUMMARY, tmp_path),
        {"baseline": "selection", "data": "abc"}, {"teacher, seed 0": "ValueError: broken & torn"},
    )  # fmt: skip
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 4
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "one student &lt;b&gt;" in text
    assert "ValueError: broken &amp; torn" in text
    assert re.search(r'class="ahead">\s*\+0\.050 ± 0\.000', text)
    assert re.search(r'class="behind">\s*-0\.200', text)
