"""Command line: ``python -m dwskd_monai COMMAND``."""

from __future__ import annotations

import sys

import fire

from dwskd_monai.arguments import flag, optional
from dwskd_monai.bundle import render as render_bundles
from dwskd_monai.data.phantoms import make_phantoms
from dwskd_monai.networks import PRETRAINED
from dwskd_monai.select import select as select_to_files
from dwskd_monai.weight_selection import Rules


def phantoms(modality: str, directory: str, count: int | None = None, seed: int = 0) -> None:
    """Write synthetic studies: ``phantoms lung_ct DIR``.

    Args:
        modality: chest_xray, lung_ct or brain_mri.
        directory: a new or empty folder.
        count: number of studies; each modality has its own default.
        seed: the same seed writes the same bytes.
    """
    datalist = make_phantoms(modality, str(directory), count, seed)
    sys.stdout.write(f"phantoms written, listed in {datalist}\n")


def select(
    teacher: str,
    student: str,
    out: str,
    teacher_weights: str = PRETRAINED,
    layers: str | dict[str, list[int]] = "first",
    elements: str = "uniform",
    offset: float = 0.0,
    seed: int = 0,
    rescale: bool = False,
    complementary: bool = True,
    in_chans: int = 1,
    num_classes: int = 0,
    img_size: int | None = None,
    images: str | None = None,
    force: bool = False,
) -> None:
    """Weights for two students from one teacher: ``select --teacher NAME --student NAME --out DIR``.

    Args:
        teacher: timm name of the large network.
        student: timm name of the small one, of the same family.
        out: folder for main.safetensors, auxiliary.safetensors, report.json and report.md.
        teacher_weights: pretrained (timm's, downloaded), a .safetensors or .pt file, or random.
        layers: first, uniform, or the teacher's blocks for a stage: "{'stages.2.blocks': [0, 2, 4, 6, 8, 10]}".
        elements: uniform, consecutive, random or importance.
        offset: shift of uniform and consecutive, in [0, 1).
        seed: of random, and of the new classifiers.
        rescale: larger weights where inputs were lost.
        complementary: false: both students get the same subset.
        in_chans: channels of the images.
        num_classes: outputs of the students' new classifiers; 0: none.
        img_size: side of the images in pixels, for networks with position embeddings.
        images: a folder of images on which the features of students and teacher are compared (similarity.png).
        force: overwrite what an earlier run wrote.
    """
    rules = Rules(layers, elements, offset, seed, flag("rescale", rescale))
    report = select_to_files(
        teacher,
        student,
        out,
        rules,
        teacher_weights=teacher_weights,
        complementary=flag("complementary", complementary),
        in_chans=in_chans,
        num_classes=num_classes,
        img_size=optional(img_size),
        images=optional(images),
        seed=seed,
        force=flag("force", force),
    )
    sys.stdout.write(f"{report}\nwritten to {out}: main, auxiliary, report.md\n")


def render(bundles: str = "bundles", check: bool = False) -> None:
    """Write the bundles' files from ``bundles/_template``.

    Args:
        bundles: folder with the template and the bundles.
        check: write nothing; end with exit code 2 if a file is not as it would be written.
    """
    changed = render_bundles(str(bundles), check)
    sys.stdout.write("".join(f"{path}\n" for path in changed) or "all files are as rendered\n")


def main(arguments: list[str] | None = None) -> None:
    """Run one command; bad input ends with its message and exit code 2."""
    try:
        fire.Fire(
            {"phantoms": phantoms, "render": render, "select": select}, command=arguments, name="python -m dwskd_monai"
        )
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
