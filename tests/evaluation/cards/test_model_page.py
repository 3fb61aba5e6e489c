from __future__ import annotations

import pytest

from dwskd_monai.evaluation.cards.model_page import classifier_page, model_page
from tests.conftest import BUNDLES
from tests.evaluation.cards.made import evaluated_facts, facts


@pytest.mark.parametrize("classes", [2, 3])
def test_the_page_of_the_bundle_has_the_numbers_in_its_place_and_is_else_as_it_was(classes):
    known = evaluated_facts(classes)
    page = model_page(known.page, known.metrics)
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


def test_the_page_of_a_classifier_alone_describes_its_network_and_no_training():
    known = evaluated_facts(3)
    page = classifier_page(known.page, known.metrics, {"student": "convnext_atto", "best epoch": "7"})
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["Authors", "Tags", "Model Description", "Performance", "Limitations", "Citation"]
    assert page.startswith("# Chest X-ray classification")
    assert "## Model Description\n\n- student: convnext_atto\n- best epoch: 7\n\n## Performance" in page
    assert f"| balanced accuracy | {known.number('study', 'macro', 'sensitivity')} |" in page
    assert "Research only; not a medical device" in page
    for only_of_a_bundle in ("No data and no weights", "configs/train.yaml", "models/model.yaml"):
        assert only_of_a_bundle not in page


def test_a_page_without_a_section_for_a_classifier_is_refused():
    for name in ("Performance", "Model Description"):
        page = facts().page.replace(f"## {name}\n", f"## About {name}\n")
        with pytest.raises(ValueError, match=f"expected one section '## {name}', into which"):
            classifier_page(page, None, {})
