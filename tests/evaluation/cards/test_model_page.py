from __future__ import annotations

import pytest

from dwskd_monai.evaluation.cards.model_page import model_page
from tests.conftest import BUNDLES
from tests.evaluation.cards.made import evaluated_facts, facts


@pytest.mark.parametrize("classes", [2, 3])
def test_the_page_of_the_bundle_has_the_numbers_in_its_place_and_is_else_as_it_was(classes):
    known = evaluated_facts(classes)
    page = model_page(known.page, known.metrics, known.evaluation)
    assert f"| balanced accuracy | {known.number('study', 'macro', 'sensitivity')} |" in page
    row = next(line for line in page.splitlines() if line.startswith("| ill |"))
    rates = [known.number("study", "classes", "ill", "predicted", rate) for rate in ("sensitivity", "ppv")]
    assert all(rate in row for rate in rates)
    assert "Measured on 160 studies (160 patients): the test images." in page
    before = (BUNDLES[0] / "docs" / "README.md").read_text()
    headings = [line for line in before.splitlines() if line.startswith("#")]
    assert [line for line in page.splitlines() if line.startswith("#")] == headings
    assert page.startswith(before.partition("## Performance")[0])


def test_without_an_evaluation_nothing_was_measured():
    assert "## Performance\n\nNothing was measured with this network.\n\n## " in model_page(facts().page, None)


def test_a_page_without_the_section_is_refused():
    with pytest.raises(ValueError, match="expected one section '## Performance'"):
        model_page("# A page\n", None)
