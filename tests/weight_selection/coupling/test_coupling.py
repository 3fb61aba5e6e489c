"""Which axes of which tensors are one dimension: ten-line networks, each with its coupling written by hand.

A picture has one line for each tensor and one part for each axis, with a letter for each element along it::

    first.weight   a b c | .            the axis of outputs has the elements a, b and c; . is an axis that is fixed
    second.weight  d | a b c            the inputs of the second layer are the outputs of the first
    qkv.weight     a1 b1 c2 d2 | …      a and b are only taken together, in group 1; so are c and d, in group 2
    grouped.weight a~1 b~1 c~2 d~2 | …  the same, but each group may lose elements, each as many
    grouped.weight … | a b, a b, c d    the inputs of a grouped convolution, for each output
"""

from __future__ import annotations

from string import ascii_letters

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dwskd_monai.weight_selection.coupling import Coupling, trace


def picture(coupling: Coupling) -> dict[str, str]:
    """The coupling in letters and numbers, both in the order in which they are met."""
    letters: dict[int, str] = {}
    groups: dict[int, int] = {}
    size = np.bincount(coupling.groups)

    def element(number: int) -> str:
        letter = letters.setdefault(number, ascii_letters[len(letters)])
        group = int(coupling.groups[number])
        if size[group] == 1:
            return letter
        mark = "" if coupling.whole[group] else "~"
        return f"{letter}{mark}{groups.setdefault(group, len(groups) + 1)}"

    def row(numbers: np.ndarray) -> str:
        return " ".join(element(int(number)) for number in numbers)

    def axis(name: str, place: int, numbers: np.ndarray) -> str:
        if (name, place) in coupling.fixed:
            return "."
        return row(numbers) if numbers.ndim == 1 else ", ".join(row(each) for each in numbers)

    return {
        name: " | ".join(axis(name, place, numbers) for place, numbers in enumerate(axes))
        for name, axes in coupling.axes.items()
        if axes
    }


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.second = nn.Linear(3, 2)
        self.last = nn.Linear(2, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.second(self.first(image).relu()))


def test_outputs_of_a_layer_are_the_inputs_of_the_next():
    coupling = trace(Chain(), (4,))
    assert picture(coupling) == {
        "first.weight": "a b c | .",
        "first.bias": "a b c",
        "second.weight": "d e | a b c",
        "second.bias": "d e",
        "last.weight": "f g | d e",
        "last.bias": "f g",
    }
    assert coupling.classifier == {"last.weight", "last.bias"}
    assert coupling.layers == {"first.weight", "second.weight", "last.weight"}
    assert not coupling.unused


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 3)
        self.inside = nn.Linear(3, 2)
        self.back = nn.Linear(2, 3)
        self.last = nn.Linear(3, 1)

    def forward(self, image: Tensor) -> Tensor:
        stem = self.stem(image)
        return self.last(stem + self.back(self.inside(stem)))


def test_a_sum_makes_both_its_sides_one_dimension():
    assert picture(trace(Residual(), (4,))) == {
        "stem.weight": "a b c | .",
        "stem.bias": "a b c",
        "inside.weight": "d e | a b c",
        "inside.bias": "d e",
        "back.weight": "a b c | d e",
        "back.bias": "a b c",
        "last.weight": "f | a b c",
        "last.bias": "f",
    }


def test_a_layer_is_not_a_classifier_if_another_reads_its_outputs():
    network = Residual()
    network.last = nn.Identity()
    assert not trace(network, (4,)).classifier


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 3)
        self.left = nn.Linear(3, 2)
        self.right = nn.Linear(3, 2)

    def forward(self, image: Tensor) -> Tensor:
        stem = self.stem(image)
        return (self.left(stem) + self.right(stem)) / 2


def test_two_layers_whose_outputs_are_averaged_are_both_the_classifier():
    assert trace(TwoHeads(), (4,)).classifier == {"left.weight", "left.bias", "right.weight", "right.bias"}


class Concatenation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, 2)
        self.right = nn.Linear(4, 3)
        self.last = nn.Linear(5, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(torch.cat([self.left(image), self.right(image)], dim=1))


def test_joined_tensors_keep_their_own_dimensions_one_after_the_other():
    assert picture(trace(Concatenation(), (4,))) == {
        "left.weight": "a b | .",
        "left.bias": "a b",
        "right.weight": "c d e | .",
        "right.bias": "c d e",
        "last.weight": "f | a b c d e",
        "last.bias": "f",
    }


class Attention(nn.Module):
    """Tokens of an image of one row of four pixels, and self-attention with a fused projection."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Conv1d(1, width, 2, stride=2)
        self.projections = nn.ModuleList([nn.Linear(width, 3 * width)] if fused else
                                         [nn.Linear(width, width) for _ in range(3)])  # fmt: skip
        self.out = nn.Linear(width, 1)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.embed(image).transpose(1, 2)
        batch, length, width = tokens.shape
        apart = torch.cat([projection(tokens) for projection in self.projections], dim=-1)
        query, key, value = apart.reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-2, -1)).softmax(dim=-1)
        return self.out((weights @ value).transpose(1, 2).reshape(batch, length, width).mean(1))


def test_heads_of_a_fused_projection_are_taken_whole_with_queries_keys_and_values():
    assert picture(trace(Attention(4, 2, fused=True), (1, 4))) == {
        "embed.weight": "a b c d | . | .",
        "embed.bias": "a b c d",
        # Queries, keys and values of both heads. A query's elements meet those of a key one by one, so they are the
        # same; a head is the group of its two elements of queries and keys, and its two of values.
        "projections.0.weight": "e1 f1 g2 h2 e1 f1 g2 h2 i1 j1 k2 l2 | a b c d",
        "projections.0.bias": "e1 f1 g2 h2 e1 f1 g2 h2 i1 j1 k2 l2",
        "out.weight": "m | i1 j1 k2 l2",
        "out.bias": "m",
    }


def test_one_head_is_one_group():
    assert picture(trace(Attention(2, 1, fused=True), (1, 4))) == {
        "embed.weight": "a b | . | .",
        "embed.bias": "a b",
        "projections.0.weight": "c1 d1 c1 d1 e1 f1 | a b",
        "projections.0.bias": "c1 d1 c1 d1 e1 f1",
        "out.weight": "g | e1 f1",
        "out.bias": "g",
    }


@pytest.mark.parametrize("heads", [1, 2])
def test_separate_projections_are_coupled_as_a_fused_one(heads):
    separate = picture(trace(Attention(2 * heads, heads, fused=False), (1, 4)))
    fused = picture(trace(Attention(2 * heads, heads, fused=True), (1, 4)))
    assert " ".join(separate[f"projections.{number}.bias"] for number in range(3)) == fused["projections.0.bias"]
    assert separate["embed.weight"] == fused["embed.weight"]


class ScaledDotProduct(nn.Module):
    """Queries, keys and values of two heads with two elements each, in torch's own attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(1, 2, 2, stride=2)
        self.query = nn.Linear(2, 4)
        self.key = nn.Linear(2, 4)
        self.value = nn.Linear(2, 4)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.embed(image).transpose(1, 2)
        layers = (self.query, self.key, self.value)
        query, key, value = (layer(tokens).view(1, -1, 2, 2).transpose(1, 2) for layer in layers)
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(1, -1, 4)


def test_torchs_attention_is_followed():
    assert picture(trace(ScaledDotProduct(), (1, 4))) == {
        "embed.weight": "a b | . | .",
        "embed.bias": "a b",
        "query.weight": "c1 d1 e2 f2 | a b",
        "query.bias": "c1 d1 e2 f2",
        "key.weight": "c1 d1 e2 f2 | a b",
        "key.bias": "c1 d1 e2 f2",
        "value.weight": "g1 h1 i2 j2 | a b",
        "value.bias": "g1 h1 i2 j2",
    }


class MultiheadAttention(nn.Module):
    """torch's module, which runs functions of torch inside another function of torch."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(1, 2 * heads, 2, stride=2)
        self.attention = nn.MultiheadAttention(2 * heads, heads, batch_first=True)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.embed(image).transpose(1, 2)
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


@pytest.mark.parametrize(
    ("heads", "projection"),
    [(1, "c1 d1 c1 d1 e1 f1 | a b"), (2, "e1 f1 g2 h2 e1 f1 g2 h2 i1 j1 k2 l2 | a b c d")],
)
def test_torchs_attention_module_is_followed_although_its_functions_lie_inside_another(heads, projection):
    got = picture(trace(MultiheadAttention(heads), (1, 4)))
    assert got["attention.in_proj_weight"] == projection
    values = projection.split(" | ")[0].split()[-2 * heads :]
    assert got["attention.out_proj.weight"].split(" | ")[1].split() == values


class Written(nn.Module):
    """A layer's outputs are written into another tensor before the next layer reads them."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first = nn.Linear(4, 3, bias=False)
        self.last = nn.Linear(3, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        channels = self.first(image)
        if self.how == "whole":
            channels = torch.empty_like(channels).copy_(channels)
        elif self.how == "a part":
            wider = channels.new_zeros(1, 4)
            wider[:, :3] = channels
            channels = wider[:, :3]
        elif self.how == "a number":
            channels[:, 0] = 0
        elif self.how == "onto itself":
            channels[:, :2] += 1
        return self.last(channels)


@pytest.mark.parametrize("how", ["whole", "a number", "onto itself"])
def test_what_is_written_into_a_tensor_keeps_its_channels(how):
    assert picture(trace(Written(how), (4,))) == {"first.weight": "a b c | .", "last.weight": "d | a b c"}


def test_channels_that_are_written_into_a_part_of_a_tensor_are_an_error_rather_than_lost():
    with pytest.raises(ValueError, match="written into a part of a tensor"):
        trace(Written("a part"), (4,))


class OverHeads(nn.Module):
    """A convolution whose channels are the heads of a layer with two elements each."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.mixing = nn.Conv1d(2, 3, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.mixing(self.first(image).view(1, 2, 2))


def test_a_convolution_over_heads_does_not_see_the_image():
    coupling = trace(OverHeads(), (4,))
    assert not coupling.image_weights
    assert picture(coupling) == {"first.weight": ". | .", "mixing.weight": "a b c | . | ."}


class OverTokens(nn.Module):
    """A convolution whose channels are the tokens of an image of three pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(1, 2, 1, bias=False)
        self.mixing = nn.Conv1d(3, 3, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.mixing(self.embed(image).transpose(1, 2))


def test_a_convolution_over_tokens_does_not_see_the_image():
    coupling = trace(OverTokens(), (1, 3))
    assert coupling.image_weights == {"embed.weight"}
    assert coupling.fixed >= {("mixing.weight", 1)}


def convolutions(groups: int, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, width, 3, groups=groups), nn.Conv2d(width, 1, 1))


def test_inputs_and_outputs_of_a_convolutions_group_belong_together_and_may_be_thinned_out():
    coupling = trace(convolutions(groups=2), (1, 8, 8))
    assert picture(coupling) == {
        "0.weight": "a~1 b~1 c~2 d~2 | . | . | .",
        "0.bias": "a~1 b~1 c~2 d~2",
        "1.weight": "e~1 f~1 g~2 h~2 | a~1 b~1, a~1 b~1, c~2 d~2, c~2 d~2 | . | .",
        "1.bias": "e~1 f~1 g~2 h~2",
        "2.weight": "i | e~1 f~1 g~2 h~2 | . | .",
        "2.bias": "i",
    }
    assert coupling.image_weights == {"0.weight"}


def test_outputs_of_a_depthwise_convolution_are_its_inputs():
    assert picture(trace(convolutions(groups=4), (1, 8, 8))) == {
        "0.weight": "a b c d | . | . | .",
        "0.bias": "a b c d",
        "1.weight": "a b c d | a, b, c, d | . | .",
        "1.bias": "a b c d",
        "2.weight": "e | a b c d | . | .",
        "2.bias": "e",
    }


def test_two_outputs_of_each_channel_belong_to_it():
    assert picture(trace(convolutions(groups=4, width=8), (1, 8, 8)))["1.weight"] == (
        "e~1 f~1 g~2 h~2 i~3 j~3 k~4 l~4 | a~1, a~1, b~2, b~2, c~3, c~3, d~4, d~4 | . | ."
    )


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.again = nn.Linear(3, 3, bias=False)
        self.again.weight = self.first.weight
        self.last = nn.Linear(3, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.again(self.first(image)))


def test_a_weight_that_is_used_twice_has_one_dimension_at_both_its_sides():
    coupling = trace(Tied(), (3,))
    assert picture(coupling)["again.weight"] == picture(coupling)["first.weight"]
    assert picture(coupling)["last.weight"].endswith("| " + picture(coupling)["first.weight"].split(" | ")[0])


@pytest.mark.parametrize(
    "norm",
    [lambda: nn.BatchNorm2d(3), lambda: nn.GroupNorm(1, 3), lambda: nn.GroupNorm(3, 3)],
    ids=["batch", "layer, as one group", "instance, as groups of one"],
)
def test_a_norms_tensors_run_along_the_channels(norm):
    network = nn.Sequential(nn.Conv2d(1, 3, 3), norm(), nn.Conv2d(3, 1, 1))
    got = picture(trace(network, (1, 8, 8)))
    expected = {name: "a b c" for name in network.state_dict() if name.startswith("1.")}
    expected.pop("1.num_batches_tracked", None)
    assert {name: axes for name, axes in got.items() if name.startswith("1.")} == expected
    assert got["2.weight"] == "d | a b c | . | ."


def test_layer_norm_runs_along_the_last_axis():
    got = picture(trace(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 1)), (4,)))
    assert got["1.weight"] == got["1.bias"] == got["0.bias"] == "a b c"
    assert got["2.weight"] == "d | a b c"


def test_groups_of_a_norm_may_be_thinned_out():
    got = picture(trace(nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 1, 1)), (1, 8, 8)))
    assert got["1.weight"] == got["0.bias"] == "a~1 b~1 c~2 d~2"


def test_a_flattened_image_repeats_each_channel_for_each_pixel():
    got = picture(trace(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 2 * 2, 1)), (1, 4, 4)))
    assert got == {
        "0.weight": "a b | . | . | .",
        "0.bias": "a b",
        "2.weight": "c | a a a a b b b b",
        "2.bias": "c",
    }


class Positions(nn.Module):
    """A class token, a table of positions, and a tensor that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(1, 2, 2, stride=2)
        self.token = nn.Parameter(torch.zeros(1, 1, 2))
        self.positions = nn.Parameter(torch.zeros(1, 3, 2))
        self.spare = nn.Parameter(torch.zeros(5))
        self.last = nn.Linear(2, 1)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.embed(image).transpose(1, 2)
        joined = torch.cat([self.token.expand(len(image), -1, -1), tokens], dim=1)
        return self.last((joined + self.positions)[:, 0])


def test_positions_are_fixed_and_a_tensor_without_use_is_told():
    coupling = trace(Positions(), (1, 4))
    assert picture(coupling) == {
        "token": ". | . | a b",
        "positions": ". | . | a b",
        "spare": ".",
        "embed.weight": "a b | . | .",
        "embed.bias": "a b",
        "last.weight": "c | a b",
        "last.bias": "c",
    }
    assert coupling.unused == {"spare"}


class Gated(nn.Module):
    """Half of a layer's outputs gates the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Linear(4, 4, bias=False)
        self.last = nn.Linear(2, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        value, gate = self.both(image).chunk(2, dim=-1)
        return self.last(value * gate.sigmoid())


def test_halves_that_are_multiplied_are_one_dimension():
    assert picture(trace(Gated(), (4,))) == {"both.weight": "a b a b | .", "last.weight": "c | a b"}


def test_a_network_is_as_it_was_and_its_values_are_not_read():
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout())
    network[2].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.device("meta"):
        empty = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout())
    assert picture(trace(network, (1, 8, 8))) == picture(trace(empty, (1, 8, 8)))
    assert [module.training for module in network] == [True, True, False]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_network_is_followed_in_inference_mode_too():
    with torch.inference_mode():
        coupling = trace(Attention(4, 2, fused=True), (1, 4))
    assert picture(coupling) == picture(trace(Attention(4, 2, fused=True), (1, 4)))


def test_an_image_that_does_not_fit_is_an_error_that_names_the_module():
    with pytest.raises(ValueError, match=r"Sequential could not be traced .*\(2, 8, 8\), in module '0'"):
        trace(convolutions(groups=1), (2, 8, 8))
