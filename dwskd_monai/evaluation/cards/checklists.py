"""``claim.md``: what CLAIM 2024 and TRIPOD+AI ask authors for, item by item, with the number, the place or "not done".

CLAIM 2024: Tejani et al., Radiology: Artificial Intelligence 2024, 6(4):e240300. TRIPOD+AI: Collins et al., BMJ 2024,
385:e078378. The topics here are short names; the items themselves are in these articles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dwskd_monai.evaluation.cards import answers
from dwskd_monai.evaluation.cards import measured_answers as measured
from dwskd_monai.evaluation.cards.answers import Answer
from dwskd_monai.evaluation.cards.facts import STATED, Facts

NOT_DONE = "not done"
_BY_AUTHORS = "stated by the authors"


class Item(NamedTuple):
    """An item of a checklist.

    Args:
        number: as in the checklist.
        topic: what it asks for.
        key: of what the authors may state, which comes first; None: they cannot.
        answer: what the bundle and its evaluation say; None: nothing.
    """

    number: str
    topic: str
    key: str | None = None
    answer: Callable[[Facts], Answer | None] | None = None


CLAIM = (
    Item("1", "the method is named", None, answers.task),
    Item("2", "summary", None, measured.summary),
    Item("3", "background, intended use and role", "workflow", answers.intended_use),
    Item("4", "aims and hypotheses", "objectives"),
    Item("5", "prospective or retrospective", "study_design"),
    Item("6", "goal of the study", "objectives"),
    Item("7", "sources of the data", "data_sources"),
    Item("8", "inclusion and exclusion", "eligibility"),
    Item("9", "preprocessing", None, answers.preprocessing),
    Item("10", "selection of parts of the data", None, answers.subsets),
    Item("11", "de-identification", "deidentification"),
    Item("12", "missing data", None, answers.missing_data),
    Item("13", "acquisition of the images", "acquisition"),
    Item("14", "reference standard: definition", "reference_standard"),
    Item("15", "reference standard: rationale", "reference_standard"),
    Item("16", "reference standard: annotators", "annotators"),
    Item("17", "annotation of the test images", "annotators"),
    Item("18", "agreement of annotators", "rater_variability"),
    Item("19", "assignment to partitions", None, answers.partition),
    Item("20", "level at which partitions are disjoint", None, answers.disjoint),
    Item("21", "intended sample size", "sample_size"),
    Item("22", "description of the model", None, answers.model),
    Item("23", "software", None, answers.software),
    Item("24", "initial parameters", None, answers.initialization),
    Item("25", "training", None, answers.training),
    Item("26", "selection of the final model", None, answers.selection),
    Item("27", "ensembles", None, answers.ensemble),
    Item("28", "metrics", None, measured.metrics),
    Item("29", "uncertainty and significance", None, measured.uncertainty),
    Item("30", "robustness", None, measured.robustness),
    Item("31", "explanations", None, measured.explanations),
    Item("32", "testing on internal data", None, measured.internal_testing),
    Item("33", "testing on external data", "external", measured.sites),
    Item("34", "registration of a trial", "registration"),
    Item("35", "numbers included and excluded", None, measured.counts),
    Item("36", "characteristics of the patients in each partition", None, measured.characteristics),
    Item("37", "performance with its uncertainty", None, measured.performance),
    Item("38", "diagnostic performance with its precision", None, measured.diagnostic_performance),
    Item("39", "analysis of errors", None, measured.failures),
    Item("40", "limitations", None, measured.limitations),
    Item("41", "implications for practice", "benefits"),
    Item("42", "protocol, and further details", "protocol"),
    Item("43", "availability of software, model and data", "availability", answers.specification),
    Item("44", "funding", "funding"),
)
TRIPOD_AI = (
    Item("1", "title", None, answers.task),
    Item("2", "abstract", None, measured.summary),
    Item("3a", "healthcare context and rationale", "workflow"),
    Item("3b", "target population, purpose, users", "population", answers.intended_use),
    Item("3c", "known health inequalities", "inequalities"),
    Item("4", "objectives", "objectives"),
    Item("5a", "sources of the data", "data_sources"),
    Item("5b", "dates", "data_sources"),
    Item("6a", "setting", "data_sources"),
    Item("6b", "eligibility", "eligibility"),
    Item("6c", "treatments"),
    Item("7", "preparation of the data", None, answers.preprocessing),
    Item("8a", "outcome: definition", "reference_standard"),
    Item("8b", "outcome: assessors", "annotators"),
    Item("8c", "outcome: blinding", "annotators"),
    Item("9a", "predictors: choice", None, answers.preprocessing),
    Item("9b", "predictors: definition", "acquisition", answers.preprocessing),
    Item("9c", "predictors: assessors", None, answers.no_assessors),
    Item("10", "sample size", "sample_size"),
    Item("11", "missing data", None, answers.missing_data),
    Item("12a", "partition of the data", None, answers.partition),
    Item("12b", "handling of predictors", None, answers.preprocessing),
    Item("12c", "type and building of the model, internal validation", None, answers.training),
    Item("12d", "heterogeneity: methods", None, measured.sites),
    Item("12e", "measures and plots of performance", None, measured.metrics),
    Item("12f", "updating: methods", None, measured.updating),
    Item("12g", "how predictions are calculated", None, answers.specification),
    Item("13", "class imbalance"),
    Item("14", "fairness: methods", None, measured.subgroups),
    Item("15", "output and its thresholds", None, answers.output),
    Item("16", "development against evaluation data", "external", measured.robustness),
    Item("17", "ethical approval and consent", "ethics"),
    Item("18a", "funding", "funding"),
    Item("18b", "conflicts of interest", "conflicts"),
    Item("18c", "protocol", "protocol"),
    Item("18d", "registration", "registration"),
    Item("18e", "availability of the data", "availability"),
    Item("18f", "availability of the code", "availability", answers.software),
    Item("19", "involvement of patients and the public", "stakeholders"),
    Item("20a", "flow of participants", None, measured.counts),
    Item("20b", "characteristics of participants", None, measured.characteristics),
    Item("20c", "distributions against the development data", None, measured.robustness),
    Item("21", "numbers in each analysis", None, answers.partition),
    Item("22", "the whole model", "availability", answers.specification),
    Item("23a", "performance with intervals, also of subgroups", None, measured.diagnostic_performance),
    Item("23b", "heterogeneity: results", None, measured.sites),
    Item("24", "updating: results", None, measured.updating),
    Item("25", "interpretation", "benefits"),
    Item("26", "limitations", None, measured.limitations),
    Item("27a", "poor or missing input", None, answers.poor_input),
    Item("27b", "interaction and expertise of users", "users"),
    Item("27c", "next steps"),
)


def checklist_page(facts: Facts) -> str:
    """The page, as Markdown."""
    lines = [
        f"# {facts.about('name')}, version {facts.about('version')}: checklists for authors",
        "",
        f"Weights: {facts.weights_sha256 or 'unknown'}. {facts.evaluation}",
        "",
        "Numbers have their 95 % interval in brackets. Places are files of the bundle and of its evaluation.",
        "",
        "An answer is not a judgment: whether it is enough, only a reader can say.",
    ]
    for title, items in (("CLAIM 2024", CLAIM), ("TRIPOD+AI", TRIPOD_AI)):
        lines += ["", *_table(title, items, facts)]
    return "\n".join(lines) + "\n"


def answer_to(item: Item, facts: Facts) -> Answer | None:
    """What the authors state, then what is known; None: it is not done."""
    if item.key is not None and item.key in facts.stated:
        return Answer(facts.stated[item.key], _BY_AUTHORS)
    return None if item.answer is None else item.answer(facts)


def _table(title: str, items: Sequence[Item], facts: Facts) -> Iterator[str]:
    found = [answer_to(item, facts) for item in items]
    yield f"## {title}: {sum(one is not None for one in found)} of {len(items)} items are answered"
    yield from ("", "| item | asks for | answer | place |", "|---|---|---|---|")
    for item, answer in zip(items, found, strict=True):
        shown = answer or Answer(_not_done(item), "")
        yield f"| {item.number} | {item.topic} | {_cell(shown.text)} | {_cell(shown.place)} |"


def _not_done(item: Item) -> str:
    """If only the authors can answer, what they would state."""
    if item.key is None:
        return NOT_DONE
    return f"{NOT_DONE}; authors can state {item.key}: {STATED[item.key]}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
