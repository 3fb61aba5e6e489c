"""How fast slices come from a cold and a warm cache, how fast the trainer takes them, and what a large volume costs.

    python benchmarks/data_loading.py

Per modality, on phantoms, through the bundle's own preprocessing and augmentation: slices per second of the first
epoch (files are read, resized, scaled and kept), of later epochs of another dataset on the same cache, and of a
training step on batches in memory, the two in turns. Then the time of reading and preprocessing a CT series and
pictures, with the numpy core and in turns with it the same steps by torch and MONAI. Then the peak memory of inference
on a volume of 512 × 512 × 600 in each format: the proportional set size of the process and its workers, above what they
hold with the network loaded and nothing read.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np
import timm
import torch
from engine_step import engine_loop, make_batches
from monai.bundle import ConfigParser
from monai.data import DataLoader, set_track_meta
from monai.transforms import (
    Compose,
    NormalizeIntensityd,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    SpatialPadd,
)
from PIL import Image
from torch.nn.functional import interpolate
from tqdm import tqdm

from dwskd_monai.commands.settings import settings as write_settings
from dwskd_monai.data.phantoms import make_phantoms
from dwskd_monai.data.phantoms.writing import write_multiframe, write_nifti, write_series
from dwskd_monai.preprocessing import LoadSlicesd
from dwskd_monai.preprocessing.fitting import fitted_size

BUNDLES = Path(__file__).parents[1] / "bundles"
MODALITIES = ("chest_xray", "lung_ct", "brain_mri")
FORMATS = ("nifti", "series", "multiframe")
READY = "the network is loaded"


def make_loader(modality: str, folder: Path, image_size: int, num_workers: int) -> DataLoader:
    """The training loader of a bundle, as its configs make it; the cache is below ``folder``."""
    configs = BUNDLES / f"{modality}_classification" / "configs"
    parser = ConfigParser()
    parser.read_config([configs / "train.yaml"])
    parser.read_meta(configs / "metadata.json")
    settings: dict[str, object] = {"image_size": image_size, "num_workers": num_workers, "bundle_root": str(folder)}
    settings |= {"dataset_dir": str(folder / "phantoms" / "datalist.csv"), "cache_dir": str(folder / "cache")}
    parser.update(settings)
    return parser.get_parsed_content("train#dataloader")


def seconds_of_an_epoch(loader: DataLoader) -> float:
    started = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - started


def loading(modality: str, image_size: int, num_workers: int, rounds: int, student: str) -> str:
    """One row of the table of slices per second."""
    set_track_meta(False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_phantoms(modality, folder / "phantoms")
        started = time.perf_counter()
        loader = make_loader(modality, folder, image_size, num_workers)
        slices = len(loader.dataset)
        seconds_of_an_epoch(loader)
        cold = slices / (time.perf_counter() - started)
        started = time.perf_counter()
        loader = make_loader(modality, folder, image_size, num_workers)
        opened = time.perf_counter() - started
        batches = make_batches(2, loader.batch_size or 1, image_size)
        steps = engine_loop(student, "none", batches, rounds + 1)
        next(steps)
        warm, trained = [], []
        for _ in tqdm(range(rounds), desc=modality):
            warm.append(slices / seconds_of_an_epoch(loader))
            trained += [len(batches[0]["label"]) / seconds for seconds in next(steps)]
    fed, taken = statistics.median(warm), statistics.median(trained)
    return f"| {modality} | {slices} | {cold:.0f} | {opened:.2f} | {fed:.0f} | {taken:.1f} | {fed / taken:.1f} |"


def write_volume(format_name: str, folder: Path, shape: Sequence[int]) -> Path:
    """A lung CT's worth of noise."""
    rng = np.random.default_rng(0)
    volume = np.empty(shape, np.float32)
    for index in range(shape[2]):
        volume[:, :, index] = rng.normal(-400, 300, shape[:2]).clip(-1024, 2000)
    affine = np.diag([0.7, 0.7, 0.6, 1.0])
    path = folder / {"nifti": "v.nii.gz", "series": "v", "multiframe": "v.dcm"}[format_name]
    if format_name == "nifti":
        write_nifti(volume, affine, path, "LPS")
    else:
        (write_series if format_name == "series" else write_multiframe)(volume, affine, path, "P1", "CT")
    return path


PICTURES = {"PNG 1024 × 1024": ((1024, 1024), "png"), "JPEG 2500 × 2000": ((2500, 2000), "jpg")}


def fit_by_torch(item: dict[str, Any], image_size: int, keep_aspect: bool) -> dict[str, Any]:
    """What ``FitSlicesd`` was before its numpy core."""
    pixels = np.asarray(item["image"])
    height, width = pixels.shape[-2:]
    size = fitted_size(height, width, item["image_spacing"], image_size, keep_aspect)
    fitted = torch.empty(*pixels.shape[:2], *size)
    for first in range(0, pixels.shape[1], 32):
        slab = np.ascontiguousarray(pixels[:, first : first + 32], dtype=np.float32)
        fitted[:, first : first + 32] = interpolate(torch.from_numpy(slab), size, mode="area")
    return item | {"image": fitted}


def reference_chain(modality: str, image_size: int) -> Compose:
    """Reading and preprocessing of a bundle with torch and MONAI in place of the numpy core."""
    ct = modality == "lung_ct"
    return Compose(
        [
            LoadSlicesd("image", slice_axis="axial" if ct else "thickest"),
            lambda item: fit_by_torch(item, image_size, keep_aspect=ct),
            ScaleIntensityRanged("image", -1350, 150, 0, 1, clip=True)
            if ct
            else ScaleIntensityRangePercentilesd("image", 0.5, 99.5, 0, 1, clip=True),
            SpatialPadd("image", [-1, image_size, image_size]),
            NormalizeIntensityd("image", 0.449, 0.226),
        ]
    )


def preprocessing_chain(modality: str, image_size: int) -> Compose:
    """Reading and preprocessing as the bundle has it."""
    bundle = BUNDLES / f"{modality}_classification"
    parser = ConfigParser()
    parser.read_config([bundle / "configs" / "train.yaml"])
    parser.read_meta(bundle / "configs" / "metadata.json")
    parser.update({"image_size": image_size, "bundle_root": str(bundle)})
    return Compose(parser.get_parsed_content("study_transforms"))


def time_of_preprocessing(name: str, modality: str, image: Path, image_size: int, rounds: int) -> str:
    """One row: seconds of the numpy core and of torch and MONAI, in turns, and the median ratio."""
    set_track_meta(False)
    chains = preprocessing_chain(modality, image_size), reference_chain(modality, image_size)
    seconds: list[list[float]] = []
    for _ in tqdm(range(rounds + 1), desc=name):
        turn = []
        for chain in chains:
            started = time.perf_counter()
            chain({"image": str(image)})
            turn.append(time.perf_counter() - started)
        seconds.append(turn)
    core, reference = (statistics.median(column) for column in zip(*seconds[1:], strict=True))
    ratio = statistics.median(turn[0] / turn[1] for turn in seconds[1:])
    return f"| {name} | {core * 1000:.1f} | {reference * 1000:.1f} | {ratio:.2f} |"


def times_of_preprocessing(image_size: int, rounds: int) -> None:
    """Print the table for a CT series of 300 slices and two pictures."""
    print("\n| image | numpy ms | torch and MONAI ms | ratio |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        series = write_volume("series", Path(folder), (512, 512, 300))
        row = time_of_preprocessing("CT series 512 × 512 × 300", "lung_ct", series, image_size, rounds)
        print(row, flush=True)
        rng = np.random.default_rng(0)
        for name, (shape, suffix) in PICTURES.items():
            coarse = Image.fromarray(rng.integers(0, 255, (shape[0] // 20, shape[1] // 20), dtype=np.uint8))
            path = Path(folder) / f"picture.{suffix}"
            coarse.resize(shape[::-1], Image.Resampling.BICUBIC).save(path)
            print(time_of_preprocessing(name, "chest_xray", path, image_size, 5 * rounds), flush=True)


def _write(format_name: str, folder: str, *shape: str) -> None:
    write_volume(format_name, Path(folder), [int(side) for side in shape])


def _predict(volume: str, folder: str, num_workers: str) -> None:
    """Inference by the bundle's config; says when all but the volume is loaded."""
    bundle = BUNDLES / "lung_ct_classification"
    parser = ConfigParser()
    parser.read_config([bundle / "configs" / "inference.yaml"])
    parser.read_meta(bundle / "configs" / "metadata.json")
    torch.save(timm.create_model("convnext_femto", in_chans=1, num_classes=2).state_dict(), Path(folder) / "model.pt")
    write_settings(str(bundle), force=True, ckpt_dir=folder)
    places = {"bundle_root": str(bundle), "ckpt_dir": folder, "output_dir": f"{folder}/eval/inference"}
    parser.update({**places, "dataset_dir": volume, "num_workers": int(num_workers)})
    evaluator = parser.get_parsed_content("evaluator")
    print(READY, flush=True)
    time.sleep(1)
    evaluator.run()


def proportional_set_size(process: int) -> int:
    """KiB of a process and its children, memory that they share counted once."""
    try:
        summary = Path(f"/proc/{process}/smaps_rollup").read_text()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0  # it has ended
    size = next(int(line.split()[1]) for line in summary.splitlines() if line.startswith("Pss:"))
    return size + sum(proportional_set_size(int(child)) for child in children)


def peak_of_inference(volume: Path, folder: Path, num_workers: int) -> tuple[float, float, float]:
    """Baseline and peak in MiB, and seconds from the loaded network to the written predictions."""
    command = [sys.executable, __file__, "_predict", str(volume), str(folder), str(num_workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    sizes: list[int] = []
    while READY not in process.stdout.readline():
        assert process.poll() is None, "inference ended before the network was loaded"
    started, baseline = time.perf_counter(), proportional_set_size(process.pid)

    def watch() -> None:
        while process.poll() is None:
            sizes.append(proportional_set_size(process.pid))
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.stdout.read()
    watcher.join()
    seconds = time.perf_counter() - started - 1
    assert process.returncode == 0, f"inference ended with {process.returncode}"
    assert (folder / "eval" / "inference" / "predictions.csv").exists()
    return baseline / 1024, max(sizes) / 1024, seconds


def benchmark(
    modalities: Sequence[str] = MODALITIES,
    formats: Sequence[str] = FORMATS,
    image_size: int = 224,
    num_workers: int = 0,
    rounds: int = 3,
    student: str = "convnext_femto",
    shape: Sequence[int] = (512, 512, 600),
) -> None:
    """Measure and print three tables.

    Args:
        modalities: chest_xray, lung_ct, brain_mri.
        formats: nifti, series, multiframe.
        image_size: side in pixels.
        num_workers: of the training loader; 0: the loader has one process, and threads for the first reading none.
        rounds: turns of loader and trainer.
        student: timm name of the network that is trained, without an auxiliary: the fastest consumer.
        shape: of the large volume, columns, rows, slices.
    """
    threads = torch.get_num_threads()
    print(f"{student}, {image_size} px, {num_workers} workers, torch {torch.__version__}, {threads} threads")
    print("| modality | slices | cold slices/s | opening s | warm slices/s | trainer slices/s | warm / trainer |")
    print("|---|---|---|---|---|---|---|")
    for modality in modalities:
        print(loading(modality, image_size, num_workers, rounds, student), flush=True)
    times_of_preprocessing(image_size, rounds)
    print("\n| format | workers | baseline MiB | peak MiB | above baseline MiB | seconds |")
    print("|---|---|---|---|---|---|")
    for format_name in formats:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            subprocess.run([sys.executable, __file__, "_write", format_name, name, *map(str, shape)], check=True)
            volume = next(path for path in folder.iterdir() if path.name.startswith("v"))
            for workers in (0, 2):
                baseline, peak, seconds = peak_of_inference(volume, folder, workers)
                row = f"{baseline:.0f} | {peak:.0f} | {peak - baseline:.0f} | {seconds:.0f}"
                print(f"| {format_name} | {workers} | {row} |", flush=True)


if __name__ == "__main__":
    hidden: dict[str, Callable[..., None]] = {"_write": _write, "_predict": _predict}
    if sys.argv[1:2] and sys.argv[1] in hidden:
        hidden[sys.argv[1]](*sys.argv[2:])
    else:
        fire.Fire(benchmark)
