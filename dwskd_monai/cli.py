"""Command line: ``python -m dwskd_monai COMMAND``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire

from dwskd_monai.arguments import flag, optional
from dwskd_monai.bundle.render import TEMPLATE
from dwskd_monai.bundle.render import render as render_bundles
from dwskd_monai.commands.compare.methods import read_methods
from dwskd_monai.commands.select import select as select_to_files
from dwskd_monai.data.phantoms import make_phantoms
from dwskd_monai.training.teachers import PRETRAINED
from dwskd_monai.weight_selection import Rules

COMPARED = ("scratch", "selection", "selection_kd", "mean_teacher", "dws_skd_ema", "dws_skd_mutual", "teacher")


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


def compare(
    bundle: str,
    dataset_dir: str,
    out: str,
    methods: Sequence[str] = COMPARED,
    fractions: Sequence[float] = (1.0, 0.25, 0.1, 0.05),
    seeds: Sequence[int] = (0, 1, 2),
    folds: int | None = None,
    baseline: str = "selection",
    learning_rates: Sequence[float] = (),
    test_dir: str | None = None,
    demo: bool = False,
    jobs: int = 1,
    ray_address: str | None = None,
    methods_file: str | None = None,
    keep_models: bool = False,
    plan: bool = False,
    **overrides: Any,
) -> None:
    """Methods side by side on your data: ``compare --bundle BUNDLE --dataset_dir DIR --out DIR``.

    What is finished in ``out`` is not run again, so the same command continues a grid that was stopped, and one with
    more methods, fractions or seeds extends it.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labelled images, as for training.
        out: folder for results.csv, summary.md, summary.csv, index.html and figures.
        methods: of scratch, scratch_label_smoothing, selection, selection_kd, mean_teacher, mutual_scratch,
            mutual_selection_same, dws_skd_ema, dws_skd_mutual, teacher, probe_linear, probe_knn, and those of
            methods_file; all for each of them.
        fractions: shares of the training images.
        seeds: each gives other folds, subsets, initialisation and order.
        folds: each of so many stratified folds is the validation set once; without it the bundle's own split.
        baseline: the method that the others are compared with.
        learning_rates: each method's is chosen among these on a seed that is not measured; without them the config's.
        test_dir: labelled images on which each run is evaluated once, at its end; nothing is chosen by them.
        demo: apply the bundle's demo.yaml.
        jobs: runs at a time; GPUs are shared out among them.
        ray_address: of a Ray cluster to run on.
        methods_file: YAML with methods of your own.
        keep_models: keep each run's best network.
        plan: run nothing; say how large the grid is, and which differences it can show.
        overrides: any key of train.yaml, for all methods; KEY@FRACTION for one fraction alone.
    """
    # here, since monai.bundle takes longer to import than the other commands take to run
    from dwskd_monai.commands.compare.comparison import FailedRunsError, prepare

    if jobs < 1:
        raise ValueError(f"jobs must be 1 or more, got {jobs}")
    comparison = prepare(
        bundle,
        dataset_dir,
        out,
        _each(methods),
        _each(fractions),
        _each(seeds),
        optional(folds),
        baseline,
        optional(test_dir),
        flag("demo", demo),
        optional(methods_file),
        flag("keep_models", keep_models),
        overrides,
    )
    sys.stdout.write(comparison.plan())
    sys.stdout.flush()
    if not flag("plan", plan):
        command = shlex.join(["python", "-m", "dwskd_monai", *sys.argv[1:]])
        try:
            sys.stdout.write("\n" + comparison.run(jobs, optional(ray_address), _each(learning_rates), command))
        except FailedRunsError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)


def _each(values: Any) -> tuple[Any, ...]:
    """What ``--seeds 0,1`` and ``--seeds 0`` give, and ``--methods all``."""
    if values == "all":
        return tuple(read_methods())
    return tuple(values) if isinstance(values, (list, tuple)) else (values,)


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


def render(bundles: str = "bundles", check: bool = False, template: str | None = None) -> None:
    """Write the bundles' files from the template that they share.

    Args:
        bundles: folder of the bundles.
        check: write nothing; end with exit code 2 if a file is not as it would be written.
        template: folder of the headers and bodies; this package's by default.
    """
    changed = render_bundles(str(bundles), check, TEMPLATE if template is None else template)
    sys.stdout.write("".join(f"{path}\n" for path in changed) or "all files are as rendered\n")


def pack(
    bundle: str,
    out: str | None = None,
    models: str | None = None,
    metrics: str | None = None,
    dataset_dir: str | None = None,
    sample: str | None = None,
    **overrides: Any,
) -> None:
    """A trained bundle as one file to share: ``pack BUNDLE``.

    MONAI loads and runs what it holds with monai and timm alone; training needs this package.

    Args:
        bundle: folder of the bundle.
        out: the file; <name>_v<version>.zip beside the bundle by default.
        models: folder with model.pt and what export wrote; the bundle's models by default.
        metrics: metrics.json of an evaluation of this network, for its page.
        dataset_dir: labelled images that it was trained on; only their digest is kept.
        sample: a study to try the network on; a phantom by default.
        overrides: keys of the configs that the network was trained with, --student NAME for instance.
    """
    from dwskd_monai.commands.pack.pack import pack as pack_to_file

    folder = Path(bundle)
    paths = [None if optional(path) is None else Path(str(path)) for path in (out, models, metrics, sample)]
    data_hash = None
    if optional(dataset_dir) is not None:
        from dwskd_monai.commands.pack.provenance import hash_of_data

        data_hash = hash_of_data(folder, Path(str(dataset_dir)), overrides)
    file = pack_to_file(
        folder,
        paths[0],
        models=paths[1],
        metrics=paths[2],
        sample=paths[3],
        data_hash=data_hash,
        overrides=overrides,
    )
    sys.stdout.write(f"{file}\n")


def export(
    bundle: str,
    format: str = "onnx",
    out: str | None = None,
    models: str | None = None,
    dataset_dir: str | None = None,
    split: str = "validation",
    int8: bool = False,
    **overrides: Any,
) -> None:
    """A bundle's network in another format: ``export BUNDLE --format onnx``.

    It is compared with PyTorch on images first, and not written where a logit differs by more than 0.0001.

    Args:
        bundle: folder of the bundle.
        format: onnx, torchscript or exported_program.
        out: the file; beside model.pt by default.
        models: folder with model.pt; the bundle's models by default.
        dataset_dir: labelled images to compare on, and for int8 to calibrate and measure; without it, a phantom.
        split: of dataset_dir: validation, test or all.
        int8: quantise to 8 bits, for onnx.
        overrides: keys of the configs that the network was trained with, --student NAME for instance.
    """
    from dwskd_monai.commands.export.export import export as export_to_file

    folder = Path(bundle)
    paths = [None if optional(path) is None else Path(str(path)) for path in (out, models, dataset_dir)]
    result = export_to_file(
        folder,
        format,
        paths[0],
        models=paths[1],
        dataset_dir=paths[2],
        split=split,
        int8=flag("int8", int8),
        overrides=overrides,
    )
    for name, metrics in result.metrics.items():
        shown = ", ".join(f"{metric.replace('_', ' ')} {value:.4g}" for metric, value in metrics.items())
        sys.stdout.write(f"{name}: {shown}\n")
    sys.stdout.write(
        f"largest difference of a logit on {result.images} images: {result.difference:.2g}\n{result.file}\n"
    )


def unpack(file: str, out: str = ".") -> None:
    """Check a packed bundle and write its folder: ``unpack FILE``.

    Args:
        file: what pack wrote.
        out: folder in which the bundle's folder is made.
    """
    from dwskd_monai.commands.pack.unpack import unpack as unpack_to_folder

    sys.stdout.write(f"all checksums are right; written to {unpack_to_folder(Path(file), Path(out))}\n")


def main(arguments: list[str] | None = None) -> None:
    """Run one command; bad input ends with its message and exit code 2."""
    try:
        fire.Fire(
            {
                "compare": compare,
                "export": export,
                "pack": pack,
                "phantoms": phantoms,
                "render": render,
                "select": select,
                "unpack": unpack,
            },
            command=arguments,
            name="python -m dwskd_monai",
        )
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
