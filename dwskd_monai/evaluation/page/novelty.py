"""How many studies are unlike the training images, and how good predictions are with and without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.evidence import Evidence
from dwskd_monai.evaluation.intervals import Groups, group_count, too_few
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS, Measured, share
from dwskd_monai.evaluation.novelty import score_quantiles
from dwskd_monai.evaluation.page.subsets import Predictions

BINS = 24
FAR = 5  # times the limit, where the last bin ends
_EARLIER = "an earlier version trained the network, and kept no such scores"
Scores = Sequence[float | None]


def novelty(scores: Scores, evidence: Evidence, predictions: Predictions) -> dict[str, Any]:
    """The distribution of the scores, the share beyond the limit, and the performance of both parts.

    Args:
        scores: of the studies; None, or empty: there are none.
        evidence: of the training, with the limit.
        predictions: of the same studies.

    Returns:
        ``limit``; ``promised``, the share of studies like the validation images that are beyond it; and measured parts.
        ``reason`` alone if there is no score; without a limit, no part beyond it.
    """
    known = known_scores(scores)
    if known is None or evidence.novelty is None:
        return {"reason": lacking_score(evidence)}
    limit = evidence.novelty.study_limit
    found: dict[str, Any] = {
        "validation": of_validation(evidence),
        "scores": described(known, predictions.groups),
        "distribution": _distribution(known, limit),
        "unlike": unlike(known, limit, predictions.groups),
    }
    if limit is None:
        return found | {"limit": None, "reason": _no_limit(evidence)}
    beyond = known > limit
    parts = {"all": np.ones(len(known), dtype=bool), "like": ~beyond, "unlike": beyond}
    found["limit"] = round(limit, 4)
    within = evidence.record.get("novelty", {}).get("share")
    found["promised"] = None if within is None else round(1 - within, 6)
    found["performance"] = {name: predictions.of(chosen).performance for name, chosen in parts.items()}
    return found


def known_scores(scores: Scores) -> NDArray[np.float64] | None:
    """The scores ``(N,)``, if there are any."""
    if not len(scores) or any(score is None for score in scores):
        return None
    return np.array(scores, dtype=np.float64)


def unlike(scores: NDArray[np.float64], limit: float | None, groups: Groups) -> Measured:
    """The share of studies beyond the limit."""
    if limit is None:
        return "unknown: there is no limit"
    return share(scores > limit, np.ones(len(scores), dtype=bool), groups)


def described(scores: NDArray[np.float64], groups: Groups) -> dict[str, Any] | str:
    """How scores are spread."""
    if group_count(groups) < LEAST_PATIENTS:
        return too_few(groups)
    return {"quantiles": score_quantiles(scores), "n": len(scores)}


def of_validation(evidence: Evidence) -> dict[str, Any] | str:
    """How the scores of the validation images of the training are spread."""
    studies = evidence.record.get("novelty", {}).get("studies", {})
    if "quantiles" not in studies:
        return str(studies.get("reason", _EARLIER))
    return {"quantiles": dict(studies["quantiles"]), "n": studies["n"]}


def lacking_score(evidence: Evidence) -> str:
    """Why there is no score."""
    of_novelty = evidence.record.get("novelty", {})
    return str(of_novelty.get("reason") or evidence.record.get("reason") or "an earlier version trained the network")


def _no_limit(evidence: Evidence) -> str:
    return str(evidence.record.get("novelty", {}).get("studies", {}).get("reason", "not fitted"))


def _distribution(scores: NDArray[np.float64], limit: float | None) -> dict[str, Any]:
    """Counts in bins of equal width; the limit is the end of one of them.

    The last bin also has what is far beyond, of which one study would leave all others a single bar.
    """
    usual = float(np.quantile(scores, 0.95)) if limit is None else limit
    largest = float(scores.max()) * 1.0001
    top = min(largest, FAR * usual) if usual > 0 else largest
    edges = np.linspace(0, top, BINS + 1)
    if limit is not None and limit < top:
        below = max(1, round(BINS * limit / top))
        edges = np.concatenate([np.linspace(0, limit, below + 1), np.linspace(limit, top, BINS - below + 2)[1:]])
        # a score at the limit is not beyond it
        edges[below] = np.nextafter(limit, np.inf)
    counts, _ = np.histogram(scores.clip(max=top), edges)
    return {
        "edges": [round(float(edge), 6) for edge in edges],
        "counts": counts.tolist(),
        "off_scale": int((scores > top).sum()),
    }


def novelty_sentences(content: Mapping[str, Any]) -> Iterator[str]:
    """What it means, among the limits of the report."""
    measured = content["unlike"] if "unlike" in content else content["reason"]
    if isinstance(measured, str):
        reason = content.get("reason", measured)
        yield f"How many studies are unlike the training images is unknown: {reason}."
        return
    count = round(measured["value"] * measured["n"])
    looks = "look" if measured["n"] > 1 else "looks"
    sentence = (
        f"{count:,} of {measured['n']:,} studies ({100 * measured['value']:.0f} %) {looks} unlike the training images"
    )
    if content["promised"] is not None:
        sentence += f"; of studies like the validation images, about {100 * content['promised']:.0f} % do"
    yield f"{sentence}. Do not rely on their predictions." if count else f"{sentence}."
