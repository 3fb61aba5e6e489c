from __future__ import annotations

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from dwskd_monai.weight_selection import Axis, Family, families, register_family, select_pair, select_weights
from tests.conftest import tiny_convnext, tiny_vit


def randomised(model: nn.Module) -> nn.Module:
    """Every tensor random, so that no test passes because of ones and zeros of an initialisation."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def every_other(tensor: Tensor, shape: torch.Size) -> Tensor:
    """The paper's uniform element selection at ratio 2, axis by axis."""
    for axis, length in enumerate(shape):
        if tensor.shape[axis] != length:
            tensor = torch.stack([part for i, part in enumerate(tensor.unbind(axis)) if i % 2 == 0], axis)
    return tensor


def test_convnext_equals_the_naive_selection_of_each_tensor():
    teacher = randomised(tiny_convnext((16, 32, 48, 64), (2, 1, 3, 1)))
    student = tiny_convnext((8, 16, 24, 32), (1, 1, 2, 1))
    classifier = {name: tensor.clone() for name, tensor in student.head.fc.state_dict().items()}
    select_weights(teacher, student)
    source = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        if name.startswith("head.fc."):
            assert torch.equal(tensor, classifier[name.removeprefix("head.fc.")]), "the classifier stays new"
        else:
            assert torch.equal(tensor, every_other(source[name], tensor.shape)), name


def test_vit_takes_whole_heads_and_the_same_ones_for_q_k_v_and_the_projection():
    teacher, student = randomised(tiny_vit(64, 4, 3)), tiny_vit(32, 2, 2)
    select_weights(teacher, student)
    source = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        if name in ("head.weight", "head.bias"):
            continue
        expected = source[name]
        if name.endswith("attn.qkv.weight"):  # (q k v, heads, head width, width)
            expected = expected.view(3, 4, 16, 64)[:, ::2, :, ::2].reshape(96, 32)
        elif name.endswith("attn.qkv.bias"):
            expected = expected.view(3, 4, 16)[:, ::2].reshape(96)
        elif name.endswith("attn.proj.weight"):
            expected = expected[::2].view(32, 4, 16)[:, ::2].reshape(32, 32)
        else:
            expected = every_other(expected, tensor.shape)
        assert torch.equal(tensor, expected), name


@pytest.mark.parametrize(
    ("teacher_size", "student_size", "offset", "expected"),
    [
        (6, 3, 0.0, [0, 2, 4]),
        (6, 3, 0.5, [1, 3, 5]),
        (7, 3, 0.0, [0, 2, 4]),
        (8, 2, 0.25, [1, 5]),
        (5, 4, 0.0, [0, 1, 2, 3]),
        (4, 4, 0.9, [0, 1, 2, 3]),
    ],
)
def test_uniform_elements_are_evenly_spaced(teacher_size, student_size, offset, expected):
    teacher = tiny_convnext((teacher_size, 8, 8, 8), (1, 1, 1, 1))
    student = tiny_convnext((student_size, 8, 8, 8), (1, 1, 1, 1))
    assert select_weights(teacher, student, offset=offset).indices["width.0"] == tuple(expected)


def test_ratios_that_do_not_divide_use_one_index_set_per_dimension():
    teacher, student = randomised(tiny_convnext((11, 16, 24, 32))), tiny_convnext((4, 10, 17, 20))
    report = select_weights(teacher, student)
    block = teacher.stages[1].blocks[0]
    width, hidden = report.indices["width.1"], report.indices["stages.1.blocks.0.hidden"]
    assert len(width) == 10
    assert len(hidden) == 40
    ours = student.stages[1].blocks[0]
    assert torch.equal(ours.mlp.fc1.weight, block.mlp.fc1.weight[list(hidden)][:, list(width)])
    assert torch.equal(ours.mlp.fc2.weight, block.mlp.fc2.weight[list(width)][:, list(hidden)])
    assert torch.equal(ours.conv_dw.weight, block.conv_dw.weight[list(width)])
    assert torch.equal(ours.gamma, block.gamma[list(width)])


@pytest.mark.parametrize(
    ("teacher", "student"),
    [
        (lambda: tiny_convnext((16, 32, 48, 64)), lambda: tiny_convnext((8, 16, 24, 32))),
        (lambda: tiny_convnext((20, 40, 60, 80)), lambda: tiny_convnext((8, 16, 24, 32))),
        (lambda: tiny_vit(64, 4), lambda: tiny_vit(32, 2)),
    ],
)
def test_complementary_students_share_nothing_where_the_teacher_is_twice_as_wide(teacher, student):
    teacher, main, auxiliary = teacher(), student(), student()
    report = select_pair(teacher, main, auxiliary)
    for dimension, indices in report.main.indices.items():
        assert not set(indices) & set(report.auxiliary.indices[dimension]), dimension
    assert report.overlap == 0
    assert report.coverage == pytest.approx(report.main.coverage + report.auxiliary.coverage)


def test_complementary_students_overlap_as_little_as_possible_below_twice_the_width():
    teacher = tiny_convnext((12, 12, 12, 12))
    report = select_pair(teacher, tiny_convnext((8, 8, 8, 8)), tiny_convnext((8, 8, 8, 8)))
    for dimension, indices in report.main.indices.items():
        theirs = set(report.auxiliary.indices[dimension])
        assert len(theirs) == len(indices)
        assert len(set(indices) & theirs) == len(indices) // 2, dimension
        assert len(set(indices) | theirs) == len(indices) * 3 // 2, dimension


def test_a_pair_that_is_not_complementary_is_the_same_twice():
    teacher, main, auxiliary = tiny_convnext((16, 32, 48, 64)), tiny_convnext(), tiny_convnext()
    report = select_pair(teacher, main, auxiliary, complementary=False)
    assert report.overlap == pytest.approx(report.main.coverage) == pytest.approx(report.coverage)
    assert torch.equal(main.stem[0].weight, auxiliary.stem[0].weight)


def test_coverage_is_the_share_of_the_teachers_elements():
    teacher, student = tiny_convnext((16, 32, 48, 64)), tiny_convnext()
    report = select_weights(teacher, student)

    def backbone(model: nn.Module) -> int:
        return sum(p.numel() for n, p in model.named_parameters() if not n.startswith("head.fc."))

    assert report.teacher_elements == backbone(teacher)
    assert report.coverage == pytest.approx(backbone(student) / backbone(teacher))
    stem = next(tensor for tensor in report.tensors if tensor.name == "stem.0.weight")
    assert (stem.source, stem.source_shape, stem.shape) == ("stem.0.weight", (16, 1, 4, 4), (8, 1, 4, 4))
    assert stem.rules == ("selected",)
    assert stem.dimensions == ("width.0", None, None, None)
    assert "new: head.fc.weight, head.fc.bias" in str(report)


def test_linear_layer_and_1x1_convolution_are_the_same():
    teacher = randomised(tiny_convnext((16, 32, 48, 64), conv_mlp=False))
    student = tiny_convnext((8, 16, 24, 32))
    report = select_weights(teacher, student)
    assert torch.equal(
        student.stages[0].blocks[0].mlp.fc1.weight[:, :, 0, 0], teacher.stages[0].blocks[0].mlp.fc1.weight[::2, ::2]
    )
    assert "reshaped" in next(t for t in report.tensors if t.name == "stages.0.blocks.0.mlp.fc1.weight").rules


def test_a_full_size_student_computes_what_the_teacher_computes():
    teacher, student = randomised(tiny_vit()), tiny_vit(num_classes=0)
    select_weights(teacher, student)
    images = torch.randn(2, 1, 32, 32)
    features = teacher.forward_head(teacher.forward_features(images), pre_logits=True)
    assert torch.equal(student(images), features)


def test_position_embeddings_are_resampled_to_the_grid_of_the_student():
    teacher, student = randomised(tiny_vit(64, 4)), tiny_vit(32, 2, img_size=48)
    report = select_weights(teacher, student)
    expected = resample_abs_pos_embed(teacher.pos_embed, [6, 6], old_size=[4, 4], num_prefix_tokens=1)[..., ::2]
    assert torch.equal(student.pos_embed, expected)
    assert next(t for t in report.tensors if t.name == "pos_embed").rules == ("resampled", "selected")


def test_colour_convolution_becomes_grey_by_the_sum_of_its_channels():
    teacher, student = randomised(tiny_convnext((16, 32, 48, 64), in_chans=3)), tiny_convnext()
    select_weights(teacher, student)
    expected = teacher.stem[0].weight.sum(1, keepdim=True)[::2]
    assert torch.allclose(student.stem[0].weight, expected, atol=1e-6)


def test_distilled_deit_has_two_new_classifiers():
    def deit(width: int, heads: int) -> nn.Module:
        return timm.create_model(
            "deit_tiny_distilled_patch16_224", embed_dim=width, num_heads=heads, depth=1, img_size=32, patch_size=8
        )

    report = select_weights(deit(32, 2), deit(16, 1))
    new = {tensor.name for tensor in report.tensors if tensor.rules == ("new",)}
    assert new == {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}


def test_the_teacher_is_untouched_and_dtype_is_the_students():
    teacher, student = tiny_convnext((16, 32, 48, 64)), tiny_convnext().bfloat16()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    select_weights(teacher, student)
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert {tensor.dtype for tensor in student.state_dict().values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("teacher", "student", "message"),
    [
        (tiny_convnext, tiny_vit, "one family, got teacher ConvNeXt .* student VisionTransformer"),
        (
            tiny_convnext,
            lambda: timm.create_model("resnet18"),
            "student: no weight selection for ResNet.*ConvNeXt, ViT",
        ),
        (
            lambda: tiny_convnext((8, 16, 24, 32)),
            lambda: tiny_convnext((8, 16, 24, 40)),
            r"stages.3.downsample.1.weight: teacher \(32, 24, 2, 2\) .* student \(40, 24, 2, 2\).*wider.*40 > 32",
        ),
        (
            lambda: tiny_convnext(depths=(1, 1, 1, 1)),
            lambda: tiny_convnext(depths=(1, 1, 2, 1)),
            "stages.2.blocks: the student is deeper than the teacher, 2 blocks against 1",
        ),
        (lambda: tiny_vit(64, 4), lambda: tiny_vit(32, 4), r"qkv.weight: teacher \(192, 64\).*taken whole.*16.* 8 "),
        (
            lambda: tiny_vit(64, 4, patch_size=8),
            lambda: tiny_vit(32, 2, patch_size=4),
            r"patch_embed.proj.weight: teacher \(64, 1, 8, 8\) does not fit student \(32, 1, 4, 4\)",
        ),
        (
            lambda: tiny_vit(64, 4),
            lambda: tiny_vit(32, 2, class_token=False, global_pool="avg"),
            "prefix tokens|has no counterpart",
        ),
        (
            lambda: tiny_vit(64, 4),
            lambda: tiny_vit(32, 2, init_values=0.1),
            r"blocks.0.ls1.gamma: the student's tensor of shape \(32,\) has no counterpart 'blocks.0.ls1.gamma'",
        ),
        (
            lambda: tiny_convnext((16, 32, 48, 64), in_chans=1),
            lambda: tiny_convnext(in_chans=3),
            "stem.0.weight.*timm adapts only an input convolution of 3 channels",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_leaves_the_student_as_it_was(teacher, student, message):
    teacher, student = teacher(), student()
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        select_weights(teacher, student)
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"elements": "best"}, "elements must be one of uniform, got 'best'"),
        ({"layers": "last"}, "layers must be one of first, got 'last'"),
        ({"offset": 1.0}, "offset is a fraction"),
    ],
)
def test_unknown_rules_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        select_weights(tiny_convnext(), tiny_convnext(), **arguments)


def test_a_family_can_be_added(monkeypatch):
    monkeypatch.setattr(families, "_FAMILIES", list(families._FAMILIES))

    class Perceptron(nn.Module):
        def __init__(self, hidden: int) -> None:
            super().__init__()
            self.inside, self.fc = nn.Linear(4, hidden), nn.Linear(hidden, 3)
            self.default_cfg = {"classifier": "fc"}

    hidden = Axis("hidden")
    register_family(
        Family(
            "MLP", Perceptron, lambda model: {"inside.weight": (hidden, None), "inside.bias": (hidden,)}, lambda m: []
        )
    )
    teacher, student = Perceptron(6), Perceptron(3)
    report = select_weights(teacher, student)
    assert torch.equal(student.inside.weight, teacher.inside.weight[::2])
    assert report.family == "MLP"
