"""Whether the exported classifier says the same as the bundle it was made from, for images of every format.

    python benchmarks/parity.py --bundles "['BUNDLE', ...]" --images "['DIR', ...]"

Each bundle is exported, with a novelty score that is fitted to noise, and its answers are compared with those of the
bundle's transforms, network and evidence, on all images of the folders that can be read; whether a bundle is for an
image of this kind does not matter. The table has the largest differences for each format.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_BATCH = 16
_FITTED = 40  # slices of noise to which the novelty score is fitted


def parity(bundles: Sequence[str], images: Sequence[str], most: int = 300, series: bool = True) -> None:
    """Print the table of the largest differences.

    Args:
        bundles: folders of trained bundles.
        images: folders.
        most: images of a folder, drawn at random.
        series: whether DICOM files in one folder are one image; False: each file is one.
    """
    sys.path.insert(0, str(Path(__file__).parent))  # for networks of benchmarks
    from dwskd_monai.reading.find import find_images
    from dwskd_monai.reading.read import read_image
    from dwskd_monai.reading.refusal import RefusedImage

    paths = []
    for folder in images:
        found = find_images(Path(folder), series)[0]
        random.Random(0).shuffle(found)
        paths += found[:most]
    with tempfile.TemporaryDirectory() as folder:
        pairs = [_Pair(Path(bundle), Path(folder)) for bundle in bundles]
        rows: dict[str, list[Any]] = defaultdict(list)
        refused = 0
        for path in paths:
            try:
                image = read_image(path)
            except RefusedImage:
                refused += 1
                continue
            rows[_kind_of(path)].append([pair.differences(image) for pair in pairs])
    print(f"{len(paths)} images, {refused} refused\n")
    print("| format | images | slices | largest difference of a probability | of a novelty score, relative |")
    print("|---|---|---|---|---|")
    for kind, results in sorted(rows.items()):
        known = [one for each in results for one in each if one is not None]
        slices = sum(max((one[2] for one in each if one is not None), default=0) for each in results)
        worst = [max(one[index] for one in known) for index in (0, 1)]
        print(f"| {kind} | {len(results)} | {slices} | {worst[0]:.1e} | {worst[1]:.1e} |")


class _Pair:
    """A bundle and its classifier."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        from dwskd_monai.bundle.bundle import Bundle
        from dwskd_monai.bundle.trained import TrainedBundle
        from dwskd_monai.commands.export.classifier import decisions_of, export_classifier, prepared_images
        from dwskd_monai.commands.export.studies import comparison_items
        from dwskd_monai.evaluation.novelty import describe_slices
        from dwskd_monai.evaluation.novelty_fitting import fit_novelty
        from dwskd_monai.preprocessing import ExpectImaged, LoadSlicesd
        from dwskd_monai.runtime.classifier import Classifier

        self.trained = TrainedBundle(Bundle(bundle))
        settings = self.trained.settings
        with comparison_items(self.trained.bundle) as items:
            compared = prepared_images(self.trained, items)
            channels, side = compared[0].slices.shape[1:3]
            noise = np.random.default_rng(0).normal(0, 1, (2 * _FITTED, channels, side, side)).cumsum(3) / 8
            looks = describe_slices(noise)
            fitted = fit_novelty(looks[:_FITTED], looks[_FITTED:], np.arange(_FITTED), [None] * _FITTED)
            settings.evidence = {**settings.evidence, "novelty": fitted}
            out = export_classifier(self.trained, compared, folder / f"{bundle.name}.onnx").file
        self.classifier = Classifier(out, threads=1)
        self.decisions = decisions_of(self.trained)
        before = (LoadSlicesd, ExpectImaged)
        self.transforms = [one for one in settings.create_transforms() if not isinstance(one, before)][1:]

    def differences(self, image: Any) -> tuple[float, float, int] | None:
        """Of a probability, of a score, and the number of slices; None if such an image has no meaning for it."""
        import torch

        from dwskd_monai.evaluation.studies import predict_study
        from dwskd_monai.reading.refusal import RefusedImage

        item: dict[Any, Any] = {"image": image.pixels[None], "image_spacing": image.spacing, "image_kind": image.kind}
        item["image_padding"] = image.padding
        try:
            answer = self.classifier.answer(image)
            for transform in self.transforms:
                item = transform(item)
        except RefusedImage:  # a picture for a CT bundle
            return None
        slices = torch.as_tensor(item["image"]).movedim(1, 0)
        with torch.inference_mode():
            logits = torch.cat([self.trained.network(part) for part in slices.split(_BATCH)])
        expected = predict_study("x", logits.softmax(1).double().numpy(), self.decisions.aggregation)
        calibrated = self.decisions.evidence.calibrated(expected.probabilities)
        novelty = self.decisions.evidence.novelty
        assert novelty is not None
        assert answer.slice_novelty is not None
        of_slices, of_study = answer.slices - expected.slices, answer.probabilities - calibrated
        scores = answer.slice_novelty / novelty.of_slices(slices.numpy()) - 1
        return max(np.abs(of_slices).max(), np.abs(of_study).max()), np.abs(scores).max(), len(slices)


def _kind_of(path: Path) -> str:
    """Format of an image, and for DICOM how its pixels are stored."""
    import pydicom

    from dwskd_monai.reading.formats import files_of_series, is_dicom

    series = "series, " if path.is_dir() else ""
    file = files_of_series(path)[0] if path.is_dir() else path
    if not is_dicom(file):
        return "".join(path.suffixes).lstrip(".").lower() or "no suffix"
    header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
    syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
    inverted = ", MONOCHROME1" if header.get("PhotometricInterpretation") == "MONOCHROME1" else ""
    return f"DICOM {series}{'without a preamble' if syntax is None else syntax.name}{inverted}"


if __name__ == "__main__":
    import fire

    fire.Fire(parity)
