"""All checks, in their order; ``page`` shows what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.errors import parsed_content
from dwskd_monai.commands.check.confounds import Confound, find_confounds
from dwskd_monai.commands.check.copies import Pair, find_pairs, patients_with_copies, report_pairs
from dwskd_monai.commands.check.counts import Table, count
from dwskd_monai.commands.check.facts import Facts, read_facts
from dwskd_monai.commands.check.findings import Findings
from dwskd_monai.commands.check.listing import UNLABELED, ListedImage, list_labeled, list_unlabeled
from dwskd_monai.data.refused import RefusedImages, shown_counts, shown_kinds
from dwskd_monai.reading.refusal import ASIDE, RefusedImage

_MOST_OUTLIERS = 12
_LEAST_FOR_OUTLIERS = 50  # images
_SAMPLED = 2000  # images from which the main differences between images are found


@dataclass(frozen=True)
class Preflight:
    """What a check found.

    Args:
        findings: with their levels.
        images: those that can be read.
        facts: of each image.
        tables: counts by class.
        pairs: images that show the same.
        confounds: what tells the class.
        outliers: images that are least like the others, the strangest first.
        refused: rows of ``refused.csv``.
    """

    findings: Findings
    images: Sequence[ListedImage]
    facts: Sequence[Facts]
    tables: dict[str, Table]
    pairs: Sequence[Pair]
    confounds: Sequence[Confound]
    outliers: Sequence[ListedImage]
    refused: Sequence[dict[str, str]]


def examine(bundle: Bundle, dataset_dir: str | None, unlabeled_dir: str | None, refused: RefusedImages) -> Preflight:
    """Check the images that a bundle is to be trained with.

    Args:
        bundle: with its overrides.
        dataset_dir: labeled images; None: those that the bundle names.
        unlabeled_dir: images without labels, or None.
        refused: the list of those that are refused.
    """
    findings = Findings()
    refused.begin()
    listed = list_labeled(bundle, dataset_dir, refused, findings)
    if unlabeled_dir is not None:
        listed += list_unlabeled(bundle, unlabeled_dir, refused, findings)
    images, facts = _read(bundle, listed, refused)
    _report_refused(bundle, listed, refused, findings)
    pairs = find_pairs(images, facts) if images else []
    report_pairs(pairs, findings)
    _report_patients(images, findings)
    confounds = _confounds(bundle, images, facts, pairs)
    _report_confounds(confounds, findings)
    outliers = _outliers(images, facts)
    if outliers:
        shown = [image.path for image in outliers]
        findings.note(
            "unusual images", f"the {len(outliers)} images that are least like the others; look at them", shown
        )
    tables = count(images, facts, bundle.class_names) if images else {}
    return Preflight(findings, images, facts, tables, pairs, confounds, outliers, refused.rows())


def _read(
    bundle: Bundle, listed: Sequence[ListedImage], refused: RefusedImages
) -> tuple[list[ListedImage], list[Facts]]:
    parser = bundle.config("train")
    transforms = parsed_content(parser, "study_transforms")
    cache_dir = parsed_content(parser, "cache_dir")
    read = read_facts([image.path for image in listed], transforms, cache_dir, parsed_content(parser, "num_workers"))
    images, facts = [], []
    for rank, (image, result) in enumerate(zip(listed, read)):
        if isinstance(result, RefusedImage):
            refused.add(result, {"image": image.path}, rank)
        else:
            images.append(image)
            facts.append(result)
    return images, facts


def _report_refused(bundle: Bundle, listed: Sequence[ListedImage], refused: RefusedImages, findings: Findings) -> None:
    unlabeled = {image.path for image in listed if image.part == UNLABELED} - {
        image.path for image in listed if image.part != UNLABELED
    }
    rows = refused.rows()
    aside = [row for row in rows if row["kind"] == ASIDE]
    if aside:
        reasons = shown_counts(row["reason"] for row in aside)
        findings.note("other files", f"{len(aside)} files are not images: {reasons}", [row["path"] for row in aside])
    kept_out = [row for row in rows if row["kind"] != ASIDE and row["path"] in unlabeled]
    if kept_out:
        message = f"{_counted(kept_out)} without a label cannot be used, and are left out"
        findings.warn("refused images", message, _lines(kept_out))
    needed = [row for row in rows if row["kind"] != ASIDE and row["path"] not in unlabeled]
    if needed and bundle.parsed("skip_refused", "train"):
        message = f"{_counted(needed)} cannot be used; with skip_refused, a training goes on without them"
        findings.warn("refused images", message, _lines(needed))
    elif needed:
        way_out = "fix or remove them; a training stops, or goes on without them: --skip_refused true"
        findings.error("refused images", f"{_counted(needed)} cannot be used; {way_out}", _lines(needed))


def _counted(rows: Sequence[dict[str, str]]) -> str:
    return f"{len(rows)} image{'s' if len(rows) > 1 else ''} ({shown_kinds(rows)})"


def _lines(rows: Sequence[dict[str, str]]) -> list[str]:
    return [f"{row['path']}: {row['reason']}" for row in rows]


def _report_patients(images: Sequence[ListedImage], findings: Findings) -> None:
    """Report unlabeled images of patients who have validation or test images."""
    measured = {image.patient for image in images if image.part in ("validation", "test")} - {None}
    seen = [image.name for image in images if image.part == UNLABELED and image.patient in measured]
    if seen:
        findings.warn("patients", f"{len(seen)} unlabeled images are of patients of validation or test images", seen)


def _confounds(
    bundle: Bundle, images: Sequence[ListedImage], facts: Sequence[Facts], pairs: Sequence[Pair]
) -> list[Confound]:
    labeled = [(image.label, one) for image, one in zip(images, facts) if image.label is not None]
    if not labeled:
        return []
    groups = patients_with_copies(images, pairs)
    return find_confounds([one for _, one in labeled], [label for label, _ in labeled], groups, bundle.class_names)


def _report_confounds(confounds: Sequence[Confound], findings: Findings) -> None:
    for what in dict.fromkeys(confound.what for confound in confounds):
        suspicious = [confound for confound in confounds if confound.what == what and confound.is_suspicious]
        if suspicious:
            shown = ", ".join(_shown(confound) for confound in suspicious)
            findings.warn(
                "shortcut",
                f"{what} alone tell{'' if what == 'borders' else 's'} the class (AUC with its interval): {shown}; a "
                "network may learn this in place of the disease, so measure it on images of another source",
            )
    little = {confound.class_name: confound.auc for confound in confounds if isinstance(confound.auc, str)}
    if little:
        shown = ", ".join(f"{name}: {reason}" for name, reason in little.items())
        findings.note("shortcut", f"it cannot be said whether anything but the disease tells the class; {shown}")


def _shown(confound: Confound) -> str:
    auc = confound.auc
    assert not isinstance(auc, str), "only what has an AUC is suspicious"
    return f"{confound.class_name} {auc['value']:.2f} [{auc['low']:.2f}, {auc['high']:.2f}]"


def _outliers(images: Sequence[ListedImage], facts: Sequence[Facts]) -> list[ListedImage]:
    """By an isolation forest (Liu et al. 2008, doi 10.1109/ICDM.2008.17) on the main differences between thumbnails."""
    if len(images) < _LEAST_FOR_OUTLIERS:
        return []
    pixels = np.stack([one.thumbnail for one in facts]).reshape(len(facts), -1).astype(np.float32) / 255
    sample = pixels[:: -(-len(pixels) // _SAMPLED)]
    components = PCA(16, random_state=0).fit(sample).transform(pixels)
    scores = IsolationForest(random_state=0).fit(components).score_samples(components)
    return [images[index] for index in np.argsort(scores)[:_MOST_OUTLIERS]]
