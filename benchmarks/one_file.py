"""The exported classifier against the bundle it was made from: the same numbers, time and memory.

    python benchmarks/one_file.py parity --bundles "['BUNDLE', ...]" --images "['DIR', ...]" [--most 300]
    python benchmarks/one_file.py cost [--student convnext_femto]

``parity`` exports each bundle, with a novelty score that is fitted to noise, and compares its answers with
those of the bundle's transforms, network and evidence, on all images of the folders that can be read; whether a bundle
is for an image of this kind does not matter. It prints the largest differences for each format.

``cost`` measures, in processes of one thread that take turns, the bare network in batches of 16 slices against the
whole classifier, and the peak memory of a process that only runs the classifier.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from peak_memory import peak_kibibytes

# slices, rows, columns; a window of Hounsfield units, or percentiles
CASES = [
    ("X-ray", 1, 2500, 3000, "percentiles"),
    ("small X-ray", 1, 256, 256, "percentiles"),
    ("MR", 30, 256, 256, "percentiles"),
    ("CT", 300, 512, 512, "window"),
    ("large MR", 300, 512, 512, "percentiles"),
]
_SIDE, _BATCH, _RUNS = 224, 16, 3
_FITTED = 40  # slices of noise to which the novelty score is fitted


def parity(bundles: Sequence[str], images: Sequence[str], most: int = 300) -> None:
    """Print the table of the largest differences.

    Args:
        bundles: folders of trained bundles.
        images: folders.
        most: images of a folder, drawn at random.
    """
    sys.path.insert(0, str(Path(__file__).parent))  # for networks of benchmarks
    from dwskd_monai.reading.find import find_images
    from dwskd_monai.reading.read import read_image
    from dwskd_monai.reading.refusal import RefusedImage

    paths = []
    for folder in images:
        found = find_images(Path(folder), dicom_series=True)[0]
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
        from dwskd_monai.commands.export.classifier import _decisions, export_classifier, prepared_images
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
        self.decisions = _decisions(self.trained)
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


def cost(student: str = "convnext_femto") -> None:
    """Print time and memory.

    Args:
        student: timm name of the network, with random weights.
    """
    print("| image | slices | network ms | classifier ms | ratio | preparation alone / network | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        _write(student, Path(folder))
        for case in CASES:
            turns = [_process(folder, case, what) for _ in range(_RUNS) for what in ("network", "classifier", "none")]
            best = {what: min(turn["seconds"] for turn in turns if turn["what"] == what) for what in _WHAT}
            peak = max(turn["peak"] for turn in turns if turn["what"] == "classifier")
            network, whole, none = (best[what] for what in _WHAT)
            name, slices, rows, columns, _ = case
            print(
                f"| {name}, {rows} × {columns} | {slices} | {network * 1e3:.0f} | {whole * 1e3:.0f} | "
                f"{whole / network:.2f} | {none / network:.2f} | {peak / 1024:.0f} |"
            )


_WHAT = ("network", "classifier", "none")


def _write(student: str, folder: Path) -> None:
    """The network, and classifiers of it and of no network."""
    import onnx
    import timm
    import torch

    from dwskd_monai.commands.export.formats import write_onnx
    from dwskd_monai.commands.export.graph.classifier import Decisions, classifier
    from dwskd_monai.commands.export.graph.steps import Steps
    from dwskd_monai.evaluation.aggregation import Aggregation
    from dwskd_monai.evaluation.evidence import Evidence
    from dwskd_monai.evaluation.novelty import Novelty

    torch.manual_seed(0)
    networks = {
        "classifier": timm.create_model(student, in_chans=1, num_classes=3).eval(),
        "none": torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(1, 3)).eval(),
    }
    decisions = Decisions(["a", "b", "c"], Aggregation(), Evidence(1.5, novelty=Novelty(np.zeros(28), np.eye(28))))
    intensities: dict[str, Any] = {
        "window": {"ranges": [(-1350.0, 150.0)]},
        "percentiles": {"percentiles": (0.5, 99.5)},
    }
    for what, network in networks.items():
        file = folder / ("network.onnx" if what == "classifier" else "none.onnx")
        write_onnx(network, torch.rand(2, 1, _SIDE, _SIDE), file, {})
        for name, intensity in intensities.items():
            model = classifier(onnx.load(file), Steps(_SIDE, True, 0.5, 0.25, **intensity), decisions)
            onnx.save(model, folder / f"{what}_{name}.onnx")


def _process(folder: str, case: tuple[Any, ...], what: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "_measure", folder, json.dumps(case), what]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result | {"what": what}


def _measure(folder: str, case: str, what: str) -> None:
    import onnxruntime

    _, slices, rows, columns, intensity = json.loads(case)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    file = "network.onnx" if what == "network" else f"{what}_{intensity}.onnx"
    session = onnxruntime.InferenceSession(f"{folder}/{file}", options, providers=["CPUExecutionProvider"])
    parts = list(_network_inputs(slices) if what == "network" else [_inputs(session, slices, rows, columns)])
    session.run(None, parts[0])
    started = time.perf_counter()
    for part in parts:
        session.run(None, part)
    print(json.dumps({"seconds": time.perf_counter() - started, "peak": peak_kibibytes()}))


def _network_inputs(slices: int) -> Iterator[dict[str, Any]]:
    images = np.random.default_rng(0).random((min(_BATCH, slices), 1, _SIDE, _SIDE), dtype=np.float32)
    for first in range(0, slices, _BATCH):
        yield {"image": images[: slices - first]}


def _inputs(session: Any, slices: int, rows: int, columns: int) -> dict[str, Any]:
    pixels = np.random.default_rng(0).random((slices, rows, columns), dtype=np.float32)
    pixels *= 4000
    given: dict[str, Any] = {
        "pixels": pixels,
        "slope": np.ones(1, np.float32),
        "intercept": np.full(1, -1024, np.float32),
    }
    given |= {"spacing": np.ones(2), "inverted": np.array(False), "padding": np.array(0, np.float32)}
    return {value.name: given[value.name] for value in session.get_inputs()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["_measure"]:
        _measure(*sys.argv[2:])
    else:
        import fire

        fire.Fire({"parity": parity, "cost": cost})
