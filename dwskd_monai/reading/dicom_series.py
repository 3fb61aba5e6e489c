"""The files of a folder as one DICOM series: what else lies there, and which series and sorts of images are mixed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dwskd_monai.reading.dicom_header import Header, read_header
from dwskd_monai.reading.dicom_kind import sort_of
from dwskd_monai.reading.dicom_values import CT
from dwskd_monai.reading.formats import DICOM, is_called_image, is_dicom
from dwskd_monai.reading.refusal import RefusedImage, listed, shortened

_OF_ONE_SERIES = ("Modality", "SOPClassUID", "RescaleType", "StudyInstanceUID", "BodyPartExamined")


def strays(folder: Path, paths: Sequence[Path]) -> list[RefusedImage]:
    """Files among those of a series that are not part of it, though they may be meant to be.

    Args:
        folder: of the series.
        paths: its files that are DICOM, or have the name of one.
    """
    found = []
    for path in paths:
        if not is_dicom(path):
            what = "an empty file (0 bytes)" if path.stat().st_size == 0 else "not a DICOM file, whatever it is called"
            found.append(RefusedImage(path, f"{what}; expected one slice of the series in {folder}", "format"))
    files = sorted(folder.iterdir())
    images = [path for path in files if is_called_image(path)]
    for path in images:
        if not path.exists():
            found.append(
                RefusedImage(path, f"a link to nothing; expected one slice of the series in {folder}", "missing")
            )
    forms = {_form(path.name) for path in paths}
    for path in files:
        if path.exists() and path not in paths and _form(path.name) in forms:
            reason = f"not a DICOM file, though it is called like the slices of the series in {folder}; copy it again"
            found.append(RefusedImage(path, reason, "damaged"))
    known = {refusal.path for refusal in found}
    others = [path.name for path in images if not DICOM.has_name(path) and path not in known]
    if others:
        reason = f"{shortened(others)} among the DICOM files of a series; expected slices only; move it away"
        found.append(RefusedImage(folder, reason, "geometry"))
    return found


def _form(name: str) -> str:
    """What the names of a series have in common: ``IM005.dcm.gz`` and ``im7.dcm`` both become ``im0.dcm``."""
    return re.sub(r"\d+", "0", name.lower().removesuffix(".gz"))


def read_headers(paths: Sequence[Path], tags: Sequence[str]) -> tuple[list[Header], list[RefusedImage]]:
    """The headers of files, and a refusal for each that cannot be read; no pixel is read."""
    headers = []
    refusals = []
    for path in paths:
        try:
            headers.append(read_header(path, tags))
        except RefusedImage as refusal:
            refusals.append(refusal)
    return headers, refusals


def refuse_several_series(folder: Path, headers: Sequence[Header], bad: Sequence[RefusedImage]) -> None:
    """Refuse a folder of several series, or of several sorts of images in one, such as a localizer among slices.

    Args:
        folder: of the files.
        headers: of those that can be read.
        bad: what is wrong with the others, which the message includes.

    Raises:
        RefusedImage: with each series: its SeriesInstanceUID, number of files, modality, sort and image type.
    """
    groups: dict[tuple[str, str], list[Header]] = {}
    for header in headers:
        sort = sort_of(header)
        # compressing a slice makes it derived, and export may lose its ImageType, so one series may have all of these
        sort = "slices" if sort in ("original", "derived", "image") else sort
        groups.setdefault((header.text("SeriesInstanceUID"), sort), []).append(header)
    if len(groups) < 2:
        return
    count = len({series for series, _ in groups})
    shown = shortened([_described(files) for files in groups.values()], "; ")
    what = f"{count} DICOM series in one folder" if count > 1 else "images of several sorts in one DICOM series"
    reason = f"{what} ({shown}); expected one; give each a folder of its own, or name the files in a datalist"
    if bad:
        reason += f"; beside them, {len(bad)} files cannot be used: {listed(bad)}"
    raise RefusedImage(folder, reason, "geometry", headers[0].series if count == 1 else None)


def _described(headers: Sequence[Header]) -> str:
    files = "file" if len(headers) == 1 else "files like"
    sorts = sorted({sort_of(header) for header in headers}) if headers[0].raw("Rows") else ["without pixels"]
    types = sorted({header.text("ImageType") for header in headers} - {""})
    facts = [headers[0].text("Modality"), " and ".join(sorts), *types[:1]]
    uid = headers[0].series or "without SeriesInstanceUID"
    return f"{len(headers)} {files} {headers[0].path.name} of series {uid}: {', '.join(fact for fact in facts if fact)}"


def refuse_mixtures(folder: Path, headers: Sequence[Header], frames: Sequence[int]) -> None:
    """Refuse files of one series that are not slices of one volume.

    Args:
        folder: of the files.
        headers: of each.
        frames: number of frames of each.

    Raises:
        RefusedImage: if an attribute differs that must be the same for all.
    """
    multiframe = [header.path.name for header, count in zip(headers, frames) if count > 1]
    if multiframe:
        reason = f"{multiframe[0]} is a volume (multi-frame) among {len(headers)} files of one series"
        raise RefusedImage(folder, f"{reason}; expected slices only", "geometry")
    if len({header.decoded("PatientID") for header in headers}) > 1:
        raise RefusedImage(folder, "slices of several patients in one folder; give each patient a folder", "header")
    intercepts = {header.number("RescaleIntercept") for header in headers}
    if headers[0].text("Modality") == CT and len(intercepts) > 1:
        shown = ", ".join(sorted(str(intercept) for intercept in intercepts))
        raise RefusedImage(folder, f"slices of one series with different RescaleIntercept ({shown})", "header")
    for name in _OF_ONE_SERIES:
        values = {header.text(name): header.path for header in headers}
        if len(values) > 1:
            shown = ", ".join(f"{path.name} {value or 'nothing'}" for value, path in values.items())
            raise RefusedImage(folder, f"slices of one series with different {name} ({shown})", "header")
    sizes = {(header.whole("Rows"), header.whole("Columns")): header.path for header in headers}
    if len(sizes) > 1:
        shown = ", ".join(f"{path.name} {rows} × {columns}" for (rows, columns), path in sizes.items())
        raise RefusedImage(folder, f"slices of different sizes in one series ({shown})", "geometry")
