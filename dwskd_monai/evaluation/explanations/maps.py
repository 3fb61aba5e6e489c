"""Maps over a slice: how much each place speaks for a class."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from monai.networks.utils import eval_mode
from monai.visualize import GradCAMpp
from monai.visualize.class_activation_maps import ModelWithHooks
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dwskd_monai.ensemble import Ensemble
from dwskd_monai.evaluation.explanations.fading import fades
from dwskd_monai.evaluation.explanations.feature_maps import NoFeatureMapError, SpatialLayer, spatial_layer
from dwskd_monai.evaluation.exported import ExportedNetwork

Map = Callable[[Tensor, int], Tensor]  # from an image (1, C, H, W) and a class to (H, W): higher speaks for the class
OCCLUSION = "occlusion"
GRAD_CAM = "Grad-CAM++"
_BATCH = 8


def occlusion(network: nn.Module) -> Map:
    """How much the probability of the class falls if the surroundings of a place fade to the mean gray.

    The average over 8 × 8 places, each with its fading as weight: 64 predictions (Zeiler and Fergus 2014, arXiv
    1311.2901). A network without gradients, such as an exported one, has these maps too.
    ``monai.visualize.OcclusionSensitivity`` does the same, but indexes tensors by lists of slices, which torch warns of
    as it will read them differently.
    """

    def of_image(image: Tensor, index: int) -> Tensor:
        hiding = torch.from_numpy(fades(*image.shape[2:]))[:, None].to(image.device)
        with torch.no_grad(), eval_mode(network):
            whole = _probability(network, image, index)
            hidden = torch.cat([_probability(network, image * (1 - part), index) for part in hiding.split(_BATCH)])
        falls = (whole - hidden)[:, None, None] * hiding[:, 0]
        return falls.sum(0) / hiding[:, 0].sum(0)

    return of_image


def _probability(network: nn.Module, images: Tensor, index: int) -> Tensor:
    return network(images).float().softmax(1)[:, index]


def grad_cam(network: nn.Module, image: Tensor) -> Map:
    """What the features at a place, weighted by their gradients, add to the logit of the class; the mean of students.

    :class:`monai.visualize.GradCAMpp` (Chattopadhay et al. 2018, arXiv 1710.11063).

    Args:
        network: of timm, or an :class:`~dwskd_monai.ensemble.Ensemble` of such networks; it is copied, as MONAI's hooks
            stay in a network.
        image: ``(1, C, H, W)``, to see the shapes of outputs.

    Raises:
        NoFeatureMapError: if the network has no layer that is known to have places.
    """
    if isinstance(network, ExportedNetwork):
        raise NoFeatureMapError("not available for an exported network, which has no gradients")
    members = [*network.networks] if isinstance(network, Ensemble) else [network]
    maps = [_of_member(member, image) for member in members]
    return lambda image, index: torch.stack([one(image, index) for one in maps]).mean(0)


def _of_member(network: nn.Module, image: Tensor) -> Map:
    layer = spatial_layer(network, image)
    hooked = _Hooked(copy.deepcopy(network).requires_grad_(True), layer)
    cam = GradCAMpp(hooked, layer.name)

    def of_image(image: Tensor, index: int) -> Tensor:
        with torch.enable_grad():
            small = cam.compute_map(image, class_idx=index).detach()
        large = interpolate(small, size=image.shape[2:], mode="bilinear", align_corners=False)[0, 0]
        return large / large.max().clamp_min(1e-12)

    return of_image


class _Hooked(ModelWithHooks):
    """MONAI's, for layers whose outputs have to be arranged as maps."""

    def __init__(self, network: nn.Module, layer: SpatialLayer) -> None:
        self._arrange = layer.arrange
        super().__init__(network, layer.name, register_forward=True, register_backward=True)

    def forward_hook(self, name: str) -> Callable[..., None]:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.activations[name] = self._arrange(output)

        return keep

    def backward_hook(self, name: str) -> Callable[..., None]:
        def keep(module: nn.Module, grad_inputs: Any, grad_outputs: tuple[Tensor, ...]) -> None:
            self.gradients[name] = self._arrange(grad_outputs[0])

        return keep
