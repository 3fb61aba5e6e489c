"""Initialize a student from a subset of a teacher's weights, or two students from complementary subsets."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dwskd_monai.weight_selection.choosing import Mask, choose_elements, element_scores
from dwskd_monai.weight_selection.copying import copy_weights
from dwskd_monai.weight_selection.counterparts import find_counterparts
from dwskd_monai.weight_selection.dimensions import pair_dimensions
from dwskd_monai.weight_selection.kinds import find_kinds
from dwskd_monai.weight_selection.layers import select_layers
from dwskd_monai.weight_selection.networks import TracedNetwork, family_of
from dwskd_monai.weight_selection.plan import plan_tensors
from dwskd_monai.weight_selection.report import PairReport, SelectionReport
from dwskd_monai.weight_selection.rules import Rules
from dwskd_monai.weight_selection.weights import Teacher

AS_PUBLISHED = Rules()  # first layers, uniform elements (Xu et al.), with whole heads


def select_weights(
    teacher: nn.Module | Teacher,
    student: nn.Module,
    rules: Rules = AS_PUBLISHED,
    *,
    avoid: Mask | None = None,
    input_shape: Sequence[int] | None = None,
    progress: bool = False,
) -> SelectionReport:
    """Initialize ``student`` from a subset of a teacher's weights (Xu et al., arXiv 2311.18823).

    One index set per coupled dimension is used wherever that dimension occurs; what is coupled is found by tracing
    both networks (:mod:`~dwskd_monai.weight_selection.coupling`). Attention heads are taken whole, with the same heads
    of q, k, v and the output projection, so they must be of equal size in both. Groups of a convolution may be smaller
    in the student: each then loses the same number of channels. If the student has more groups, the teacher's are
    divided; if the teacher has none, any channels are taken.
    Tables of positions are resampled to the student's grid and the input convolution is adapted to its channels with
    timm's own functions; the classifier keeps its new initialization. The student is changed only if everything fits.

    Args:
        teacher: the large network; it is not changed.
        student: a network of the same class, at most as wide and as deep; changed in place, on its device and in its
            dtype.
        rules: which blocks and elements are taken.
        avoid: ``taken`` of the other student's report: for each of the teacher's elements, whether the other student
            has it. Such elements are taken only if no others are left.
        input_shape: ``(channels, height, width)`` or ``(channels, *space)`` of an image that both networks take; None:
            read from the networks, if they are timm's or MONAI's.
        progress: show a progress bar.

    Returns:
        What was taken from where.

    Raises:
        FileNotFoundError: if the teacher's file does not exist.
        ValueError: if the networks are of different families, the student is wider or deeper than the teacher, a tensor
            does not fit (the message has its name and both shapes), or ``avoid`` belongs to another teacher.

    Examples:
        >>> import timm
        >>> teacher = timm.create_model("convnext_atto", dims=(16, 32, 48, 64), depths=(1, 1, 2, 1))
        >>> student = timm.create_model("convnext_atto", dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), num_classes=3)
        >>> print(select_weights(teacher, student))
        ConvNeXt: 54 tensors from the teacher (first layers, uniform elements), new:
        head.fc.weight, head.fc.bias, coverage of the teacher 22.7%
        >>> bool((student.stem[0].weight == teacher.stem[0].weight[::2]).all())
        True
    """
    (report,) = _select(
        Teacher.of(teacher),
        (student,),
        rules,
        avoid=avoid,
        complementary=False,
        input_shape=input_shape,
        progress=progress,
    )
    return report


def select_pair(
    teacher: nn.Module | Teacher,
    main: nn.Module,
    auxiliary: nn.Module,
    rules: Rules = AS_PUBLISHED,
    *,
    complementary: bool = True,
    input_shape: Sequence[int] | None = None,
    progress: bool = False,
) -> PairReport:
    """Initialize two students of one architecture from complementary subsets of the teacher.

    In every coupled dimension, the auxiliary takes elements that main did not take. If the teacher is at least twice as
    wide as the students, they share nothing (Tsutsumi et al., arXiv 2508.20461). Neither student is changed unless both
    fit.

    Args:
        teacher: the large network; it is not changed.
        main: the student that is deployed; changed in place.
        auxiliary: the student that main learns with; changed in place.
        rules: which blocks and elements are taken.
        complementary: False gives both students the same subset (an ablation).
        input_shape: see :func:`select_weights`.
        progress: show progress bars.

    Returns:
        Both reports, with coverage and overlap.

    Raises:
        FileNotFoundError, ValueError: as :func:`select_weights`.

    Examples:
        >>> import timm
        >>> teacher = timm.create_model("convnext_atto", dims=(16, 32, 48, 64), depths=(1, 1, 2, 1))
        >>> settings = {"dims": (8, 16, 24, 32), "depths": (1, 1, 1, 1), "num_classes": 3}
        >>> main, auxiliary = (timm.create_model("convnext_atto", **settings) for _ in range(2))
        >>> report = select_pair(teacher, main, auxiliary)
        >>> f"{report.coverage:.1%} of the teacher, {report.overlap:.1%} twice"
        '45.3% of the teacher, 0.0% twice'
        >>> bool((auxiliary.stem[0].weight == teacher.stem[0].weight[1::2]).all())
        True
    """
    main_report, auxiliary_report = _select(
        Teacher.of(teacher),
        (main, auxiliary),
        rules,
        avoid=None,
        complementary=complementary,
        input_shape=input_shape,
        progress=progress,
    )
    return PairReport(main_report, auxiliary_report)


def _select(
    teacher: Teacher,
    students: Sequence[nn.Module],
    rules: Rules,
    *,
    avoid: Mask | None,
    complementary: bool,
    input_shape: Sequence[int] | None,
    progress: bool,
) -> list[SelectionReport]:
    """Plan for each student what is taken from where, then change all of them.

    Args:
        teacher: the large network.
        students: of one architecture if they are complementary.
        rules: which blocks and elements are taken.
        avoid: for each of the teacher's elements, whether the first student takes it only if no others are left.
        complementary: whether each further student avoids what the one before it takes.
        input_shape: see :func:`select_weights`.
        progress: show progress bars.
    """
    weights = teacher.open()
    families = [family_of(teacher.network, student) for student in students]  # raises before the slow trace
    traced_teacher = TracedNetwork.of(teacher.network, input_shape)
    teacher_values = traced_teacher.count_values()
    reports = []
    for student, family in zip(students, families, strict=True):
        layers = select_layers(teacher.network, student, rules.layers)
        traced_student = TracedNetwork.of(student, input_shape)
        counterparts = find_counterparts(traced_student, traced_teacher, weights, layers)
        kinds = find_kinds(traced_student.coupling, traced_teacher.coupling, counterparts.sources)
        pairing = pair_dimensions(kinds)
        scores = None
        if rules.elements == "importance":
            scores = element_scores(traced_teacher.coupling, weights, counterparts.sources.values())
        chosen = choose_elements(pairing, rules, scores, avoid)
        axes = chosen.along(pairing)
        tensors = plan_tensors(traced_student, traced_teacher, weights, counterparts, axes, rules.rescale)
        report = SelectionReport(
            family=family,
            rules=rules,
            tensors=tensors,
            dimensions=chosen.dimensions,
            blocks=layers.blocks,
            teacher_values=teacher_values,
            taken=chosen.taken,
        )
        reports.append(report)
        if complementary:
            avoid = chosen.taken
    for student, report in zip(students, reports, strict=True):
        copy_weights(report.tensors, weights, teacher.network, student, progress)
    return reports
