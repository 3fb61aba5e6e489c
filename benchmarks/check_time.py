"""How long ``dwskd check`` takes for many pictures, with nothing kept and with everything kept.

    python benchmarks/check_time.py --data data/ct_pool --pictures 50000

Makes a folder of pictures, each another cut of one of the data, and runs the command twice.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fire
import numpy as np
from PIL import Image
from tqdm import tqdm

BUNDLE = Path(__file__).parents[1] / "bundles" / "chest_xray_classification"
CLASSES = ("covid19", "no_findings", "pneumonia")


def speed(data: str, pictures: int = 50000, seed: int = 0) -> None:
    """Run the command on many pictures, cold and warm, and say how many seconds it takes.

    Args:
        data: folder of pictures, of which each is a cut of 70 to 90 %.
        pictures: how many.
        seed: of the cuts.
    """
    files = sorted(path for path in Path(data).rglob("*") if path.suffix in (".jpg", ".png"))
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        for name in CLASSES:
            Path(folder, "data", name).mkdir(parents=True)
        for number in tqdm(range(pictures), "writing"):
            with Image.open(files[number % len(files)]) as picture:
                share = random.uniform(0.7, 0.9)
                width, height = (round(side * share) for side in picture.size)
                left, top = random.integers(picture.width - width + 1), random.integers(picture.height - height + 1)
                cut = picture.convert("L").crop((left, top, left + width, top + height))
                cut.save(Path(folder, "data", CLASSES[number % 3], f"{number}.jpg"), quality=90)
        command = [
            "-m",
            "dwskd_monai",
            "check",
            str(BUNDLE),
            "--dataset_dir",
            f"{folder}/data",
            "--out",
            f"{folder}/out",
        ]
        for name in ("cold", "warm"):
            start = time.perf_counter()
            code = subprocess.run([sys.executable, *command, "--cache_dir", f"{folder}/cache"]).returncode
            sys.stdout.write(f"{name}: {time.perf_counter() - start:.1f} s, exit code {code}\n")


if __name__ == "__main__":
    fire.Fire(speed)
