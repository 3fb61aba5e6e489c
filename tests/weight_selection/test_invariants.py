"""What weight selection promises for every family: see the names of the tests."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from timm.layers import RmsNorm
from timm.layers.grn import GlobalResponseNorm
from torch import Tensor, nn

from dwskd_monai.weight_selection import Rules, SelectionReport, select_pair, select_weights
from dwskd_monai.weight_selection.networks import image_shape
from tests.conftest import tiny_convnext, tiny_vit
from tests.weight_selection.pairs import TINY

pytestmark = pytest.mark.slow

RULES = [
    Rules(),
    Rules(elements="consecutive", offset=0.5),
    Rules(elements="random", seed=3),
    Rules(elements="importance"),
    Rules(elements="uniform", offset=0.3),
]
CROSS_CHANNEL = (nn.LayerNorm, GlobalResponseNorm, RmsNorm)


def randomize(model: nn.Module) -> nn.Module:
    """Every tensor random, so that no test passes because of ones and zeros of an initialization."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.normal_(std=0.3)
            if name.endswith("running_var"):
                tensor.abs_().add_(0.5)
    return model


def scatter(report: SelectionReport, student: nn.Module, teacher: nn.Module) -> dict[str, Tensor]:
    """The teacher's state with zeros wherever the student took nothing, and the student's values where it did."""
    state = {name: torch.zeros_like(tensor) for name, tensor in teacher.state_dict().items()}
    values = student.state_dict()
    for tensor in report.tensors:
        if tensor.source is None:
            continue
        places = [
            torch.arange(length) if part is None else torch.as_tensor(part)
            for length, part in zip(tensor.source_shape, tensor.positions)
        ]
        grid = [
            place.reshape(*place.shape, *(1 for _ in places[axis + 1 :])) if place.ndim > 1
            else place.reshape(*(-1 if axis == other else 1 for other in range(len(places))))
            for axis, place in enumerate(places)
        ]  # fmt: skip
        value = values[tensor.name]
        state[tensor.source][tuple(grid)] = value.reshape([len(p) if p.ndim == 1 else p.shape[1] for p in places])
    return state


def without_cross_channel_norms(model: nn.Module) -> nn.Module:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, CROSS_CHANNEL):
                setattr(module, name, nn.Identity())
    return model


def features(model: nn.Module, images: Tensor) -> Tensor:
    """What goes into the classifier."""
    seen: list[Tensor] = []
    last = next(module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == 3)
    with torch.no_grad():
        handle = last.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        model.eval()(images)
        handle.remove()
    return seen[0]


@pytest.mark.parametrize("name", TINY)
def test_a_teacher_that_is_zero_elsewhere_computes_what_the_student_computes(name):
    teacher, student = (without_cross_channel_norms(net().double()) for net in (TINY[name].teacher, TINY[name].student))
    rules = RULES[sum(map(ord, name)) % len(RULES)]
    report = select_weights(randomize(teacher), student, rules)
    images = torch.randn(2, *image_shape(student), dtype=torch.float64)
    expected = features(student, images)
    teacher.load_state_dict(scatter(report, student, teacher))
    got = features(teacher, images)
    assert expected.abs().max() > 0
    kept = got.abs().amax(0) > 0
    assert torch.allclose(got[:, kept], expected[:, expected.abs().amax(0) > 0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: f"{rules.elements}, {rules.offset}")
@pytest.mark.parametrize("name", TINY)
def test_selected_put_back_and_selected_again_is_the_same_bit_for_bit(name, rules):
    teacher, student, again = randomize(TINY[name].teacher()), TINY[name].student(), TINY[name].student()
    before = copy.deepcopy(teacher.state_dict())
    report = select_weights(teacher, student, rules)
    assert all(torch.equal(tensor, before[key]) for key, tensor in teacher.state_dict().items()), "teacher untouched"
    if rules.elements == "importance":  # asks for the weights, of which the zero teacher has others
        return
    teacher.load_state_dict(scatter(report, student, teacher))
    second = select_weights(teacher, again, rules)
    new = {tensor.name for tensor in report.tensors if tensor.source is None}
    values = again.state_dict()
    assert all(torch.equal(tensor, values[key]) for key, tensor in student.state_dict().items() if key not in new)
    assert second.dimensions == report.dimensions


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: f"{rules.elements}, {rules.offset}")
@pytest.mark.parametrize("name", TINY)
def test_a_pair_shares_nothing_where_the_teacher_is_twice_as_wide(name, rules):
    teacher = randomize(TINY[name].teacher())
    report = select_pair(teacher, TINY[name].student(), TINY[name].student(), rules)
    assert report.main.dimensions.keys() == report.auxiliary.dimensions.keys()
    for dimension, main in report.main.dimensions.items():
        auxiliary = report.auxiliary.dimensions[dimension]
        assert len(set(main.indices)) == len(set(auxiliary.indices)) == main.student_size, "distinct"
        common = len(set(main.indices) & set(auxiliary.indices))
        if main.teacher_size == main.student_size:
            assert main.indices == auxiliary.indices
        else:
            assert common == max(0, 2 * main.student_size - main.teacher_size), dimension


@pytest.mark.parametrize("name", ["ViT", "EVA-02, SwiGLU, RoPE", "BEiT", "Swin", "Swin V2", "MONAI ViT"])
def test_heads_are_whole_and_the_same_in_every_projection(name):
    teacher, student = randomize(TINY[name].teacher()), TINY[name].student()
    report = select_weights(teacher, student, Rules(elements="random", seed=1))
    for tensor in report.tensors:
        if not tensor.name.endswith(("qkv.weight", "qkv.bias")):
            continue
        attention = tensor.name.rpartition(".qkv")[0]
        parts = tensor.positions[0].reshape(3, -1) - np.arange(3)[:, None] * (tensor.source_shape[0] // 3)
        assert np.array_equal(parts[0], parts[1])
        assert np.array_equal(parts[0], parts[2])
        heads = sorted({int(place) // 8 for place in parts[0]})
        assert np.array_equal(parts[0], [head * 8 + inner for head in heads for inner in range(8)])
        out = next(t for t in report.tensors if t.name in (f"{attention}.proj.weight", f"{attention}.out_proj.weight"))
        assert np.array_equal(out.positions[1], parts[0])


def test_statistics_of_batch_norm_travel_with_their_channels():
    teacher, student = randomize(TINY["ResNet"].teacher()), TINY["ResNet"].student()
    report = select_weights(teacher, student, Rules(elements="random"))
    taken = next(t for t in report.tensors if t.name == "layer2.0.conv1.weight").positions[0]
    for part in ("weight", "bias", "running_mean", "running_var"):
        teacher_values, student_values = (getattr(net.layer2[0].bn1, part) for net in (teacher, student))
        assert torch.equal(student_values, teacher_values[taken]), part
    assert student.layer2[0].bn1.num_batches_tracked == teacher.layer2[0].bn1.num_batches_tracked


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtype_and_training_mode_are_the_students(dtype):
    teacher, student = TINY["Swin"].teacher(), TINY["Swin"].student().to(dtype)
    student.layers[0].eval()
    modes = [module.training for module in student.modules()]
    select_weights(teacher, student)
    assert {tensor.dtype for tensor in student.state_dict().values()} == {dtype}
    assert [module.training for module in student.modules()] == modes
    assert all(module.training for module in teacher.modules())


@settings(derandomize=True, deadline=None, max_examples=6, phases=[Phase.explicit, Phase.generate])
@given(
    widths=st.lists(st.integers(4, 24), min_size=4, max_size=4),
    shares=st.lists(st.floats(0.2, 1.0), min_size=4, max_size=4),
    depths=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    elements=st.sampled_from(["uniform", "consecutive", "random", "importance"]),
)
def test_convnexts_of_any_shape_keep_one_index_set_per_dimension(widths, shares, depths, elements):
    teacher = randomize(without_cross_channel_norms(tiny_convnext(tuple(widths), tuple(depths)))).double()
    dims = tuple(max(2, math.floor(width * share)) for width, share in zip(widths, shares))
    student = without_cross_channel_norms(tiny_convnext(dims, tuple(max(1, d - 1) for d in depths))).double()
    report = select_weights(teacher, student, Rules(elements=elements))
    images = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    expected = features(student, images)
    teacher.load_state_dict(scatter(report, student, teacher))
    got = features(teacher, images)[:, list(report.dimensions["stages.3.downsample.1"].indices)]
    assert torch.allclose(got, expected, rtol=1e-6, atol=1e-9)


@settings(derandomize=True, deadline=None, max_examples=6, phases=[Phase.explicit, Phase.generate])
@given(
    heads=st.integers(1, 6),
    student_heads=st.integers(1, 6),
    unit=st.sampled_from([2, 4, 6]),
    ratio=st.sampled_from([1.0, 1.5, 4.0]),
    depth=st.integers(1, 3),
    elements=st.sampled_from(["uniform", "consecutive", "random", "importance"]),
)
def test_vits_of_any_shape_keep_one_index_set_per_dimension(heads, student_heads, unit, ratio, depth, elements):
    student_heads = min(heads, student_heads)
    teacher, student = (
        without_cross_channel_norms(tiny_vit(n * unit, n, d, mlp_ratio=ratio)).double()
        for n, d in ((heads, depth), (student_heads, max(1, depth - 1)))
    )
    report = select_weights(randomize(teacher), student, Rules(elements=elements))
    images = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    expected = features(student, images)
    teacher.load_state_dict(scatter(report, student, teacher))
    got = features(teacher, images)[:, list(report.dimensions["patch_embed.proj"].indices)]
    assert torch.allclose(got, expected, rtol=1e-6, atol=1e-9)
