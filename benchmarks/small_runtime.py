"""The runtime without torch against the bundle's own inference, on the same files.

    python benchmarks/small_runtime.py

In processes that take turns, each from its start to its files: one picture, 500 pictures and a CT series of 300 slices,
by ``dwskd predict``, by ``python -m dwskd_monai.runtime``, and by the latter with a network of 8 bits. The network is
the default student with random weights, which do not change the time. Ratios are medians of those of each turn.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

BUNDLES = Path(__file__).parents[1] / "bundles"
PICTURES, SLICES, SIDE = 500, 300, 512
CASES = {"one picture": "chest_xray", f"{PICTURES} pictures": "chest_xray", f"CT of {SLICES} slices": "lung_ct"}
WAYS = ("bundle", "runtime", "runtime, int8")


def main(rounds: int = 3) -> None:
    """Print the table.

    Args:
        rounds: how often the processes take turns.
    """
    print("| files | way | seconds | / bundle | peak MiB | / bundle |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {task: _models(folder / task, task) for task in set(CASES.values())}
        for case, task in CASES.items():
            studies = (
                _pictures(folder, 1 if case == "one picture" else PICTURES) if task == "chest_xray" else _ct(folder)
            )
            turns = [
                {way: _run(_command(way, task, models[task], studies, folder / "out")) for way in WAYS}
                for _ in range(rounds)
            ]
            for way in WAYS:
                seconds, peak, slower, larger = (
                    statistics.median(values)
                    for values in zip(
                        *(
                            (*turn[way], turn[way][0] / turn["bundle"][0], turn[way][1] / turn["bundle"][1])
                            for turn in turns
                        )
                    )
                )
                print(f"| {case} | {way} | {seconds:.1f} | {slower:.2f} | {peak / 1024:.0f} | {larger:.2f} |")


def _models(folder: Path, task: str) -> Path:
    """A folder with a bundle's network of random weights, and its classifiers in one file."""
    folder.mkdir()
    bundle = BUNDLES / f"{task}_classification"
    # by a process of its own: the peak memory of a process includes that of the one that started it
    _quiet([sys.executable, __file__, "_weights", str(bundle), str(folder / "model.pt")])
    where = ["--ckpt_dir", str(folder)]
    dwskd = [sys.executable, "-m", "dwskd_monai"]
    _quiet([*dwskd, "settings", str(bundle), *where])
    _quiet([*dwskd, "export", str(bundle), *where])
    data = folder / "phantoms"
    _quiet([*dwskd, "phantoms", task, str(data)])
    options = ["--int8", "--dataset_dir", str(data / "datalist.csv"), "--split", "test"]
    _quiet([*dwskd, "export", str(bundle), *where, *options])
    return folder


def _weights(bundle: str, file: str) -> None:
    import torch

    from dwskd_monai.bundle.bundle import Bundle

    torch.manual_seed(0)
    torch.save(Bundle(bundle).parsed("network_def", "train").state_dict(), file)


def _pictures(folder: Path, count: int) -> Path:
    """A folder of chest X-ray phantoms of usual size."""
    from PIL import Image

    made = folder / f"pictures{count}"
    made.mkdir(exist_ok=True)
    source = next((folder / "chest_xray" / "phantoms" / "test").rglob("*.png"))
    with Image.open(source) as picture:
        picture.resize((2 * SIDE, 2 * SIDE)).save(made / "0.png")
    for number in range(1, count):
        shutil.copyfile(made / "0.png", made / f"{number}.png")
    return made


def _ct(folder: Path) -> Path:
    """The folder of a CT series."""
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    made = folder / "ct"
    if made.exists():
        return made
    made.mkdir()
    pixels = np.random.default_rng(0).integers(0, 2000, (SIDE, SIDE), dtype=np.int16)
    series = generate_uid(entropy_srcs=["series"])
    for number in range(SLICES):
        one = pydicom.Dataset()
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid(entropy_srcs=[str(number)])
        one.StudyInstanceUID = one.SeriesInstanceUID = series
        one.Modality, one.BodyPartExamined, one.PatientID = "CT", "CHEST", "phantom"
        one.Rows = one.Columns = SIDE
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 1
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit = 15
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = "1", "-1024", "HU"
        one.PixelSpacing, one.SliceThickness = ["0.7", "0.7"], "1"
        one.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        one.ImagePositionPatient = ["-180", "-180", str(number)]
        one.InstanceNumber = number + 1
        one.PixelData = np.roll(pixels, number).tobytes()
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.save_as(made / f"{number}.dcm", enforce_file_format=True)
    return made


def _command(way: str, task: str, models: Path, studies: Path, out: Path) -> list[str]:
    if way == "bundle":
        bundle = str(BUNDLES / f"{task}_classification")
        return ["-m", "dwskd_monai", "predict", bundle, str(studies), "--out", str(out), "--ckpt_dir", str(models)]
    model = models / ("model.onnx" if way == "runtime" else "model_int8.onnx")
    return ["-m", "dwskd_monai.runtime", str(model), str(studies), "--out", str(out)]


def _run(command: Sequence[str]) -> tuple[float, float]:
    """Seconds from start to end of a process, and its peak memory in KiB."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read() if process.stderr else ""
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(command)}:\n{said[-2000:]}")
    return time.perf_counter() - started, float(used.ru_maxrss)


def _quiet(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["_weights"]:
        _weights(*sys.argv[2:])
    else:
        import fire

        fire.Fire(main)
