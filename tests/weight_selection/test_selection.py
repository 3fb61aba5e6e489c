from __future__ import annotations

import monai.networks.nets
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table_simple
from torch import Tensor, nn

from dwskd_monai.weight_selection import Rules, Teacher, select_pair, select_weights, weights
from tests.conftest import tiny_convnext, tiny_vit


def randomized(model: nn.Module) -> nn.Module:
    """Every tensor random, so that no test passes because of ones and zeros of an initialization."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def evenly(length: int, wanted: int) -> list[int]:
    """The paper's uniform element selection of one dimension."""
    return [i * length // wanted for i in range(wanted)]


def naive(tensor: Tensor, shape: torch.Size) -> Tensor:
    """The paper's uniform element selection of one tensor, axis by axis."""
    for axis, wanted in enumerate(shape):
        parts = tensor.unbind(axis)
        tensor = torch.stack([parts[i] for i in evenly(len(parts), wanted)], axis)
    return tensor


@pytest.mark.parametrize("dims", [(16, 32, 48, 64), (11, 21, 29, 37)])
def test_convnext_equals_the_naive_selection_of_each_tensor(dims):
    teacher = randomized(tiny_convnext(dims, (2, 1, 3, 1)))
    student = tiny_convnext((8, 16, 24, 32), (1, 1, 2, 1))
    classifier = {name: tensor.clone() for name, tensor in student.head.fc.state_dict().items()}
    select_weights(teacher, student)
    source = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        if name.startswith("head.fc."):
            assert torch.equal(tensor, classifier[name.removeprefix("head.fc.")]), "the classifier stays new"
        else:
            assert torch.equal(tensor, naive(source[name], tensor.shape)), name


@pytest.mark.parametrize(("teacher_heads", "student_heads"), [(4, 2), (5, 3), (3, 1)])
def test_vit_equals_the_naive_selection_with_heads_as_axes_of_their_own(teacher_heads, student_heads):
    width, wanted = 16 * teacher_heads, 16 * student_heads
    teacher, student = randomized(tiny_vit(width, teacher_heads, 3)), tiny_vit(wanted, student_heads, 2)
    select_weights(teacher, student)
    source = teacher.state_dict()
    for name, tensor in student.state_dict().items():
        if name in ("head.weight", "head.bias"):
            continue
        apart = source[name]  # q, k, v and heads as axes, so that each axis is one thing
        if ".attn.qkv." in name:
            rest = apart.shape[1:]
            apart = naive(apart.view(3, teacher_heads, 16, *rest), (3, student_heads, 16, *tensor.shape[1:]))
        elif name.endswith("attn.proj.weight"):
            apart = naive(apart.view(width, teacher_heads, 16), (wanted, student_heads, 16))
        else:
            apart = naive(apart, tensor.shape)
        assert torch.equal(tensor, apart.reshape(tensor.shape)), name


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
    assert select_weights(teacher, student, Rules(offset=offset)).dimensions["stem.0"].indices == tuple(expected)


def test_ratios_that_do_not_divide_use_one_index_set_per_dimension():
    teacher, student = randomized(tiny_convnext((11, 16, 24, 32))), tiny_convnext((4, 10, 17, 20))
    report = select_weights(teacher, student)
    block = teacher.stages[1].blocks[0]
    width = report.dimensions["stages.1.downsample.1"].indices
    hidden = report.dimensions["stages.1.blocks.0.mlp.fc1"].indices
    assert len(width) == 10
    assert len(hidden) == 40
    student_block = student.stages[1].blocks[0]
    assert torch.equal(student_block.mlp.fc1.weight, block.mlp.fc1.weight[list(hidden)][:, list(width)])
    assert torch.equal(student_block.mlp.fc2.weight, block.mlp.fc2.weight[list(width)][:, list(hidden)])
    assert torch.equal(student_block.conv_dw.weight, block.conv_dw.weight[list(width)])
    assert torch.equal(student_block.gamma, block.gamma[list(width)])


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
    for name, dimension in report.main.dimensions.items():
        assert not set(dimension.indices) & set(report.auxiliary.dimensions[name].indices), name
    assert report.overlap == 0
    assert report.coverage == pytest.approx(report.main.coverage + report.auxiliary.coverage)


def test_complementary_students_overlap_as_little_as_possible_below_twice_the_width():
    teacher = tiny_convnext((12, 12, 12, 12))
    report = select_pair(teacher, tiny_convnext((8, 8, 8, 8)), tiny_convnext((8, 8, 8, 8)))
    for dimension, chosen in report.main.dimensions.items():
        main_indices = chosen.indices
        auxiliary_indices = set(report.auxiliary.dimensions[dimension].indices)
        assert len(auxiliary_indices) == len(main_indices)
        assert len(set(main_indices) & auxiliary_indices) == len(main_indices) // 2, dimension
        assert len(set(main_indices) | auxiliary_indices) == len(main_indices) * 3 // 2, dimension


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

    assert report.teacher_values == backbone(teacher)
    assert report.coverage == pytest.approx(backbone(student) / backbone(teacher))
    stem = next(tensor for tensor in report.tensors if tensor.name == "stem.0.weight")
    assert (stem.source, stem.source_shape, stem.shape) == ("stem.0.weight", (16, 1, 4, 4), (8, 1, 4, 4))
    assert stem.steps == ("selected",)
    assert stem.positions[0].tolist() == list(range(0, 16, 2))
    assert stem.positions[1:] == (None, None, None)
    assert "new: head.fc.weight, head.fc.bias" in str(report)


def test_networks_with_tensors_of_the_same_shapes_are_told_apart():
    """Four heads of 16 and two heads of 32."""
    four, two = (randomized(tiny_vit(64, heads, 1)) for heads in (4, 2))
    two.load_state_dict(four.state_dict())
    students = [tiny_vit(32, 2, 1), tiny_vit(32, 2, 1), tiny_vit(32, 1, 1), tiny_vit(32, 2, 1)]
    for teacher, student in zip((four, four, two, four), students):
        select_weights(teacher, student)
    taken = [student.blocks[0].attn.qkv.bias for student in students]
    assert torch.equal(taken[0], taken[1])
    assert torch.equal(taken[2], four.blocks[0].attn.qkv.bias.view(3, 2, 32)[:, 0].flatten())
    assert not torch.equal(taken[0], taken[2])


def test_linear_layer_and_1x1_convolution_are_the_same():
    teacher = randomized(tiny_convnext((16, 32, 48, 64), conv_mlp=False))
    student = tiny_convnext((8, 16, 24, 32))
    report = select_weights(teacher, student)
    assert torch.equal(
        student.stages[0].blocks[0].mlp.fc1.weight[:, :, 0, 0], teacher.stages[0].blocks[0].mlp.fc1.weight[::2, ::2]
    )
    assert "reshaped" in next(t for t in report.tensors if t.name == "stages.0.blocks.0.mlp.fc1.weight").steps


def test_a_full_size_student_computes_what_the_teacher_computes():
    teacher, student = randomized(tiny_vit()), tiny_vit(num_classes=0)
    select_weights(teacher, student)
    images = torch.randn(2, 1, 32, 32)
    features = teacher.forward_head(teacher.forward_features(images), pre_logits=True)
    assert torch.equal(student(images), features)


def test_position_embeddings_are_resampled_to_the_grid_of_the_student():
    teacher, student = randomized(tiny_vit(64, 4)), tiny_vit(32, 2, img_size=48)
    report = select_weights(teacher, student)
    expected = resample_abs_pos_embed(teacher.pos_embed, [6, 6], old_size=[4, 4], num_prefix_tokens=1)[..., ::2]
    assert torch.equal(student.pos_embed, expected)
    assert next(t for t in report.tensors if t.name == "pos_embed").steps == ("resampled", "selected")


def test_an_rgb_convolution_becomes_one_of_one_channel_by_their_sum():
    teacher, student = randomized(tiny_convnext((16, 32, 48, 64), in_chans=3)), tiny_convnext()
    select_weights(teacher, student)
    expected = teacher.stem[0].weight.sum(1, keepdim=True)[::2]
    assert torch.allclose(student.stem[0].weight, expected, atol=1e-6)


def test_distilled_deit_has_two_new_classifiers():
    def deit(width: int, heads: int) -> nn.Module:
        return timm.create_model(
            "deit_tiny_distilled_patch16_224", embed_dim=width, num_heads=heads, depth=1, img_size=32, patch_size=8
        )

    report = select_weights(deit(32, 2), deit(16, 1))
    new = {tensor.name for tensor in report.tensors if tensor.steps == ("new",)}
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
            lambda: timm.create_model("resnet18", in_chans=1),
            "one family, got teacher ConvNeXt and student ResNet",
        ),
        (
            lambda: tiny_convnext((8, 16, 24, 32)),
            lambda: tiny_convnext((8, 16, 24, 40)),
            r"stages.3.downsample.1.weight: the student is wider than the teacher \(40 > 32 along axis 0\)",
        ),
        (
            lambda: tiny_convnext(depths=(1, 1, 1, 1)),
            lambda: tiny_convnext(depths=(1, 1, 2, 1)),
            r"stages.2.blocks: the student is deeper than the teacher \(2 > 1 blocks\)",
        ),
        (lambda: tiny_vit(64, 4), lambda: tiny_vit(32, 4), r"qkv.weight: axis 0 .*whole.*heads.* 16 elements .* 8 in"),
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
        ({"elements": "best"}, "elements must be one of uniform, consecutive, random, importance, got 'best'"),
        ({"layers": "last"}, "layers must be one of first, uniform or a map of stages, got 'last'"),
        ({"offset": 1.0}, "offset is a fraction"),
    ],
)
def test_unknown_rules_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        select_weights(tiny_convnext(), tiny_convnext(), Rules(**arguments))


def test_rules_that_do_not_exist_are_refused_when_they_are_made():
    with pytest.raises(ValueError, match="layers must be one of first, uniform or a map of stages, got 'last'"):
        Rules(layers="last")


def test_neither_student_is_changed_if_the_second_does_not_fit():
    teacher, main, auxiliary = tiny_convnext((16, 32, 48, 64)), tiny_convnext(), tiny_convnext((8, 16, 24, 80))
    before = {name: tensor.clone() for name, tensor in main.state_dict().items()}
    with pytest.raises(ValueError, match=r"stages.3.downsample.1.weight: the student is wider .*80 > 64"):
        select_pair(teacher, main, auxiliary)
    assert all(torch.equal(tensor, before[name]) for name, tensor in main.state_dict().items())


def test_what_to_avoid_is_of_the_same_teacher():
    avoid = select_weights(tiny_convnext((16, 32, 48, 64)), tiny_convnext()).taken
    with pytest.raises(ValueError, match=r"avoid: expected one entry for each of the teacher's \d+ elements, got"):
        select_weights(tiny_convnext((20, 40, 60, 80)), tiny_convnext(), avoid=avoid)


class Depthwise(nn.Module):
    """A depthwise convolution, which is an ordinary one if there is one channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 1, bias=False)
        self.depthwise = nn.Conv2d(width, width, 1, groups=width, bias=False)
        self.last = nn.Conv2d(width, 1, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.depthwise(self.stem(image)))


@pytest.mark.parametrize(("seed", "fits"), [(3, True), (0, False)])
def test_an_input_is_looked_for_among_those_of_the_output_that_is_taken(seed, fits):
    teacher, student = Depthwise(3), Depthwise(1)
    rules = Rules(elements="random", seed=seed)
    if not fits:  # the first input is drawn, and not the first output
        with pytest.raises(ValueError, match=r"depthwise.weight: .* an element of the student is not along"):
            select_weights(teacher, student, rules, input_shape=(1, 4, 4))
        return
    (index,) = select_weights(teacher, student, rules, input_shape=(1, 4, 4)).dimensions["stem"].indices
    assert torch.equal(student.stem.weight, teacher.stem.weight[[index]])
    assert torch.equal(student.depthwise.weight, teacher.depthwise.weight[[index]])


class SquareResidual(nn.Module):
    """The inputs of a layer are its outputs, since both are added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Linear(2, width, bias=False)
        self.square = nn.Linear(width, width, bias=False)
        self.last = nn.Linear(width, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        channels = self.stem(image)
        return self.last(channels + self.square(channels))


def test_importance_counts_the_inputs_of_a_layer_whose_outputs_are_added_to_them():
    teacher = SquareResidual(3)
    for layer in (teacher.stem, teacher.square, teacher.last):
        layer.weight.data.zero_()
    teacher.square.weight.data[0, 2] = 1.0  # an output of the first channel, an input of the third
    report = select_weights(teacher, SquareResidual(2), Rules(elements="importance"), input_shape=(2,))
    assert report.dimensions["stem"].indices == (0, 2)


def test_a_network_of_no_known_library_is_followed_too():
    class Perceptron(nn.Module):
        def __init__(self, hidden: int) -> None:
            super().__init__()
            self.inside, self.gate, self.last = nn.Linear(4, hidden), nn.Linear(4, hidden), nn.Linear(hidden, 3)

        def forward(self, image: Tensor) -> Tensor:
            left, right = self.inside(image), self.gate(image)
            return self.last(left * right.sigmoid())

    teacher, student = Perceptron(6), Perceptron(3)
    report = select_weights(teacher, student, input_shape=(4,))
    assert torch.equal(student.inside.weight, teacher.inside.weight[::2])
    assert torch.equal(student.gate.bias, teacher.gate.bias[::2])
    assert list(report.dimensions) == ["inside"]
    assert [tensor.name for tensor in report.tensors if tensor.source is None] == ["last.weight", "last.bias"]


def test_an_operation_without_a_rule_is_named_with_its_module():
    class Sorting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 4, 3)
            self.inner = nn.Module()

        def forward(self, image: Tensor) -> Tensor:
            return torch.sort(self.layer(image), dim=1).values.mean((2, 3))

    with pytest.raises(ValueError, match=r"Sorting could not be traced .*\(1, 64, 64\).*no rule for aten.sort"):
        select_weights(Sorting(), Sorting())


@pytest.mark.parametrize("layers", ["uniform", {"stages.2.blocks": [1, 2]}, "first"])
def test_layers_are_first_uniform_or_named(layers):
    teacher, student = randomized(tiny_convnext(depths=(1, 1, 4, 1))), tiny_convnext(depths=(1, 1, 2, 1))
    report = select_weights(teacher, student, Rules(layers=layers))
    expected = {"uniform": (0, 2), "first": (0, 1)}[layers] if isinstance(layers, str) else (1, 2)
    assert report.blocks == {
        "stages.0.blocks": (0,),
        "stages.1.blocks": (0,),
        "stages.2.blocks": expected,
        "stages.3.blocks": (0,),
    }
    for student_index, teacher_index in enumerate(expected):
        student_block = student.stages[2].blocks[student_index]
        teacher_block = teacher.stages[2].blocks[teacher_index]
        assert torch.equal(student_block.conv_dw.weight, teacher_block.conv_dw.weight)


def test_importance_takes_the_largest_norm_over_all_weights_of_a_dimension():
    teacher, student = randomized(tiny_convnext((16, 32, 48, 64))), tiny_convnext((6, 32, 48, 64))
    chosen = select_weights(teacher, student, Rules(elements="importance")).dimensions["stem.0"].indices
    block, down = teacher.stages[0].blocks[0], teacher.stages[1].downsample[1]
    norms = sum(
        weight.detach().double().square().flatten(1).sum(1)
        for weight in (
            teacher.stem[0].weight,
            block.conv_dw.weight,
            block.mlp.fc1.weight.transpose(0, 1),
            block.mlp.fc2.weight,
            down.weight.transpose(0, 1),
        )
    )
    assert list(chosen) == sorted(norms.topk(6).indices.tolist())


def test_random_elements_are_the_same_for_one_seed_and_others_for_another():
    teacher = randomized(tiny_convnext((16, 32, 48, 64)))
    chosen = [
        select_weights(teacher, tiny_convnext(), Rules(elements="random", seed=seed)).dimensions["stem.0"].indices
        for seed in (0, 0, 1)
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_consecutive_elements_are_adjacent():
    teacher = tiny_convnext((20, 32, 48, 64))
    report = select_pair(teacher, tiny_convnext(), tiny_convnext(), Rules(elements="consecutive"))
    assert report.main.dimensions["stem.0"].indices == tuple(range(8))
    assert report.auxiliary.dimensions["stem.0"].indices == tuple(range(8, 16))
    shifted = select_weights(teacher, tiny_convnext(), Rules(elements="consecutive", offset=0.5))
    assert shifted.dimensions["stem.0"].indices == tuple(range(6, 14))


def test_rescaling_makes_up_for_lost_inputs_of_layers_alone():
    teacher = randomized(tiny_convnext((16, 32, 48, 64)))
    plain, rescaled = tiny_convnext(), tiny_convnext()
    select_weights(teacher, plain)
    select_weights(teacher, rescaled, Rules(rescale=True))
    lost = ("mlp.fc1.weight", "mlp.fc2.weight", "downsample.1.weight")
    for name, tensor in rescaled.state_dict().items():
        if not name.startswith("head.fc"):
            factor = 2**0.5 if name.endswith(lost) else 1
            assert torch.allclose(tensor, plain.state_dict()[name] * factor), name


def test_a_table_of_relative_positions_is_resampled_for_another_window():
    def swin(heads: int, window: int) -> nn.Module:
        return timm.create_model(
            "swin_tiny_patch4_window7_224", embed_dim=8 * heads, depths=(1,), num_heads=(heads,), img_size=32,
            window_size=window, in_chans=1,
        )  # fmt: skip

    teacher, student = randomized(swin(4, 8)), swin(2, 4)
    report = select_weights(teacher, student)
    name = "layers.0.blocks.0.attn.relative_position_bias_table"
    table = teacher.get_parameter(name)
    expected = resize_rel_pos_bias_table_simple(table, (4, 4), (49, 4))[:, ::2]
    assert torch.equal(student.get_parameter(name), expected)
    assert next(t for t in report.tensors if t.name == name).steps == ("resampled", "selected")


def test_positions_of_a_volume_are_resampled():
    def vit(heads: int, side: int) -> nn.Module:
        return monai.networks.nets.ViT(
            1, (side,) * 3, (8,) * 3, hidden_size=12 * heads, mlp_dim=16, num_layers=1, num_heads=heads,
            classification=True,
        )  # fmt: skip

    teacher, student = randomized(vit(2, 16)), vit(1, 24)
    select_weights(teacher, student)
    table = teacher.patch_embedding.position_embeddings[..., ::2]
    volume = table.mT.reshape(1, 12, 2, 2, 2)
    expected = nn.functional.interpolate(volume, size=(3, 3, 3), mode="trilinear").flatten(2).mT
    assert torch.allclose(student.patch_embedding.position_embeddings, expected)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"stages.9.blocks": [0]}, "no stage stages.9.blocks; the student's stages are stages, stages.0.blocks"),
        ({"stages.2.blocks": [0]}, "stages.2.blocks needs 2 increasing numbers of the teacher's 4"),
        ({"stages.2.blocks": [1, 4]}, "stages.2.blocks needs 2 increasing numbers of the teacher's 4"),
        ({"stages.2.blocks": [2, 1]}, "stages.2.blocks needs 2 increasing numbers of the teacher's 4"),
    ],
)
def test_a_map_of_layers_that_cannot_be_is_named(layers, message):
    teacher, student = tiny_convnext(depths=(1, 1, 4, 1)), tiny_convnext(depths=(1, 1, 2, 1))
    with pytest.raises(ValueError, match=message):
        select_weights(teacher, student, Rules(layers=layers))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_gives_what_the_network_gives(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(weights, "MAPPED_BYTES", 1000)  # so that the file is opened anew again and again
    teacher = randomized(tiny_convnext((16, 32, 48, 64), in_chans=3))
    path = tmp_path / f"teacher{suffix}"
    (torch.save if suffix == ".pt" else save_file)(teacher.state_dict(), path)
    with torch.device("meta"):
        empty = tiny_convnext((16, 32, 48, 64))
    for elements in ("uniform", "importance"):
        expected, got = tiny_convnext(), tiny_convnext()
        select_weights(teacher, expected, Rules(elements=elements))
        select_weights(Teacher(empty, path), got, Rules(elements=elements))
        for name, tensor in got.state_dict().items():
            assert name.startswith("head.fc") or torch.equal(tensor, expected.state_dict()[name]), name


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_tells_a_shape(tmp_path, suffix):
    path = tmp_path / f"teacher{suffix}"
    (torch.save if suffix == ".pt" else save_file)({"stem.weight": torch.zeros(3, 2)}, path)
    assert weights.FileWeights(path).shape("stem.weight") == (3, 2)


def test_a_file_of_another_network_is_named(tmp_path):
    path = tmp_path / "teacher.pt"
    torch.save(tiny_convnext((16, 32, 48, 80)).state_dict(), path)
    with pytest.raises(
        ValueError, match=r"stages.3.downsample.1.weight: \(80, 48, 2, 2\) in the teacher's weights.*64"
    ):
        select_weights(Teacher(tiny_convnext((16, 32, 48, 64)), path), tiny_convnext())
    torch.save({"stem.0.weight": torch.zeros(16, 1, 4, 4)}, path)
    with pytest.raises(ValueError, match=r"teacher.pt: missing stem.0.bias, which a ConvNeXt has"):
        select_weights(Teacher(tiny_convnext((16, 32, 48, 64)), path), tiny_convnext())
