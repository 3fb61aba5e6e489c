"""Images without labels, for inference."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.rows import Row, is_datalist, read_rows
from dwskd_monai.reading.find import find_images
from dwskd_monai.reading.formats import SUFFIXES
from dwskd_monai.reading.refusal import RefusedImage, shortened

_logger = logging.getLogger(__name__)


def list_images(
    dataset_dir: str | Path,
    dicom_series: bool = True,
    ignored_columns: Collection[str] | str = (),
    refused: RefusedImages | None = None,
    setting: str = "dataset_dir",
) -> list[dict[str, str]]:
    """Items ``{"image": path, "study": identifier}`` of one image, of a folder or of a datalist.

    An item has a ``patient`` too if the datalist names one.

    An image is a study of its own, unless a datalist names the study that it belongs to. A datalist is a CSV or JSON
    file that :func:`~dwskd_monai.data.datalist.load_split` takes; all its images are listed, whatever their split, in
    the order of the file. Labels are neither needed nor read.

    Args:
        dataset_dir: a file, a folder of images, the folder of a DICOM series, or a datalist.
        dicom_series: whether DICOM files in one folder are the slices of one volume.
        ignored_columns: columns of a datalist to ignore.
        refused: lists the files of a folder that are not images. None: all images of a datalist must exist.
        setting: the setting that named ``dataset_dir``, for messages.

    Raises:
        FileNotFoundError: if the path or an image of the datalist does not exist, or there is no image.
        ValueError: if something is wrong with the datalist.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "xray.png").touch()
        ...     items = list_images(folder)
        >>> [Path(item["image"]).name for item in items], items[0]["study"] == items[0]["image"]
        (['xray.png'], True)
    """
    root = existing(dataset_dir, setting)
    if root.is_file() and is_datalist(root):
        rows = read_rows(root, ("image",), lambda row: row, ignored_columns, missing_ok=refused is not None)
        _refuse_studies_of_two_patients(rows, root)
        items = [(row.image, row.study, row.patient) for row in rows]
    elif root.is_file():
        items = [(root, None, None)]
    else:
        images, others = find_images(root, dicom_series, root_is_series=True)
        if refused is not None:
            refused.list_others(others)
        _warn_of_parts([image for image in images if image.is_dir()])
        items = [(image, None, None) for image in images]
    if not items:
        raise FileNotFoundError(f"{setting}: no image ({', '.join(SUFFIXES)}) below {root}, or listed there")
    return [_item(*item) for item in items]


def list_unlabeled_tests(dataset_dir: str | Path, ignored_columns: Collection[str] | str = ()) -> list[dict[str, str]]:
    """Items of the test images that a JSON datalist lists without a label, as those of :func:`list_images`.

    :func:`~dwskd_monai.data.datalist.load_split` leaves them out, since nothing can be measured with them yet.

    Args:
        dataset_dir: labeled images: a folder or a datalist. There are none if it does not exist.
        ignored_columns: keys to ignore.
    """
    root = Path(dataset_dir).expanduser()
    if not root.is_file() or not is_datalist(root):
        return []
    rows = read_rows(root, ("image",), lambda row: None if row.has_label else row, ignored_columns)
    return [_item(row.image, row.study, row.patient) for row in rows if row is not None]


def _warn_of_parts(folders: Sequence[Path]) -> None:
    """Say which folders have files of one DICOM series: some exports begin a new folder after a number of files."""
    if len(folders) < 2:
        return
    from dwskd_monai.reading.dicom import series_of  # pydicom is needed only where there is DICOM

    parts: dict[tuple[str, ...], list[str]] = {}
    for folder in folders:
        with suppress(RefusedImage):  # reading names what is wrong
            parts.setdefault(series_of(folder), []).append(str(folder))
    for identifiers, names in parts.items():
        if len(identifiers) < 2 or len(names) < 2:  # without a study and a series, nothing can be told
            continue
        _logger.warning(
            "%s: files in %d folders, each of which is taken for an image of its own (%s); if they are the slices of "
            "one volume, put them into one folder",
            identifiers[1],
            len(names),
            shortened(names),
        )


def _item(image: Path, study: str | None, patient: str | None) -> dict[str, str]:
    item = {"image": str(image), "study": str(image) if study is None else study}
    return item if patient is None else item | {"patient": patient}


def _refuse_studies_of_two_patients(rows: Sequence[Row], source: Path) -> None:
    patients: dict[str, str | None] = {}
    for row in rows:
        if row.study is not None and patients.setdefault(row.study, row.patient) != row.patient:
            raise ValueError(
                f"{source}: study {row.study} has images of two patients (that of the second is {row.place}); a study "
                "gets one prediction, so give the studies of the two patients different names"
            )


def existing(dataset_dir: str | Path, setting: str = "dataset_dir") -> Path:
    """The path of a source, which a setting names; raises FileNotFoundError if there is nothing there."""
    root = Path(dataset_dir).expanduser()
    if not root.exists():
        what = "a folder with one folder per class" if setting == "dataset_dir" else "a folder of images"
        raise FileNotFoundError(f"{setting}: {root} does not exist; give {what}, a CSV or a JSON datalist")
    return root
