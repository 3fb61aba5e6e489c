"""Several sites: how good the network is at each of them, and how unlike the training images their images are."""

from __future__ import annotations

from typing import Any

import numpy as np

from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.intervals import groups_of
from dwskd_monai.evaluation.page.novelty import Scores, described, known_scores, unlike
from dwskd_monai.evaluation.page.subgroups import MOST_VALUES, UNKNOWN, Columns
from dwskd_monai.evaluation.page.subsets import Predictions

COLUMN = "site"


def sites(columns: Columns, scores: Scores, evidence: Evidence, predictions: Predictions) -> dict[str, Any]:
    """The performance and the scores of all sites together and of each of them; ``reason`` if there are not several.

    Args:
        columns: of the datalist, one of which may be ``site``.
        scores: how unlike the training images each study is; None, or empty: there are none.
        evidence: of the training, with the limit of the scores.
        predictions: of the same studies.
    """
    if COLUMN not in columns:
        return {"reason": "the datalist has no column site"}
    named = np.array([UNKNOWN if value is None else value for value in columns[COLUMN]])
    names = sorted(set(named.tolist()), key=lambda name: (name == UNKNOWN, name))
    if len(names) < 2:
        return {"reason": f"each study is of the site {names[0]}"}
    if len(names) > MOST_VALUES:
        return {"reason": f"{len(names)} sites; at most {MOST_VALUES} are compared"}
    pooled = np.ones(len(named), dtype=bool)
    return {
        "pooled": _of(pooled, scores, evidence, predictions),
        "sites": {name: _of(named == name, scores, evidence, predictions) for name in names},
    }


def _of(chosen: Any, scores: Scores, evidence: Evidence, predictions: Predictions) -> dict[str, Any]:
    found = dict(predictions.of(chosen).performance)
    known = known_scores(scores)
    if known is None or evidence.novelty is None:
        return found
    groups = groups_of(chosen, predictions.groups)
    found["unlike"] = unlike(known[chosen], evidence.novelty.study_limit, groups)
    found["scores"] = described(known[chosen], groups)
    return found
