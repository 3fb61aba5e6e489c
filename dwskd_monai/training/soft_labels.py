"""Soft labels: what the networks of a training say about each image, with a label or without."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from monai.data import DataLoader
from monai.data.utils import set_rnd
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.utils.data import Subset
from tqdm import tqdm

from dwskd_monai.training.checks import in_range
from dwskd_monai.training.softly_labeled import SoftlyLabeledSlices

_MUCH = 0.1
_HOW_TO_LEAVE_IT = (
    "; if the labeled images were not drawn at random, but chosen by class or as suggested, set match_classes: false"
)
_logger = logging.getLogger(__name__)


class SoftLabels:
    """Make soft labels of all images, and keep what must survive an interruption after that.

    A soft label is the mean of the networks' probabilities over the slices of an image and over several augmented views
    of each.

    Args:
        dataset: of the images; it gets the soft labels.
        views: how many augmented views of each slice are looked at.
        match_classes: whether the soft labels of unlabeled images are corrected to the shares of the classes among the
            labeled ones (:func:`with_prior`), if each class has one. This is right if the labeled images were drawn at
            random; the log says how much it changed, and warns if that is much.
        batch_size: slices at a time.
        num_workers: processes that read and augment them.
        seed: of the views.
    """

    def __init__(
        self,
        dataset: SoftlyLabeledSlices,
        views: int = 4,
        match_classes: bool = True,
        batch_size: int = 16,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        in_range("label_views", views, 1, float("inf"))
        self.dataset = dataset
        self.views = views
        self.match_classes = match_classes
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.first_weights: dict[str, Tensor] = {}
        """Main's before the training, with which it starts again."""
        self._contents: list[str] | None = None
        self.agreement: float | None = None
        """Share of the images to which all networks give the same class; None before, or of one network."""

    @property
    def there(self) -> bool:
        """Whether they have been made."""
        return self.dataset.soft_labels is not None

    def make(self, networks: Sequence[nn.Module], inferer: Inferer, device: torch.device) -> None:
        """Ask the networks about all images; several processes share the work.

        Args:
            networks: they give logits ``(B, C)``.
            inferer: applies them.
            device: where they are.
        """
        opinions = torch.stack([self._opinion(network.eval(), inferer, device) for network in networks])
        soft_labels = opinions.mean(0)
        agree = (opinions.argmax(2) == opinions[0].argmax(1)).all(0).float().mean()
        self.agreement = float(agree) if len(opinions) > 1 else None
        count = self.dataset.every_slice.labeled_count
        if self.match_classes and len(soft_labels) > count:
            soft_labels[count:] = self._matched(soft_labels[count:])
        self.dataset.soft_labels = soft_labels
        if idist.get_rank() == 0:
            self._tell(soft_labels, count)

    def unlabeled_contents(self) -> list[str]:
        """The digest of the content of each image without a label."""
        unlabeled = self.dataset.unlabeled
        return [] if unlabeled is None else [digest for digest, _ in unlabeled.contents()]

    def contents(self) -> list[str]:
        """The digest of the content of each image, with a label or without, as it was when this was asked first."""
        if self._contents is None:
            labeled = [digest for digest, _ in self.dataset.labeled.contents()]
            self._contents = [*labeled, *self.unlabeled_contents()]
        return self._contents

    def state_dict(self) -> dict[str, Any]:
        """What must survive an interruption."""
        return {
            "first_weights": self.first_weights,
            "soft_labels": self.dataset.soft_labels,
            "contents": self.contents() if self.there else None,
            "agreement": self.agreement,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`'s content. Images may have other names and another order now.

        Raises:
            ValueError: if there is an image that has no soft label.
        """
        self.first_weights = dict(state["first_weights"])
        self.agreement = state["agreement"]
        soft_labels = state["soft_labels"]
        if soft_labels is None:
            self.dataset.soft_labels = None
            return
        places = _places(self.contents(), state.get("contents") or self.contents())  # older states have none
        self.dataset.soft_labels = soft_labels.cpu()[places]

    def _tell(self, soft_labels: Tensor, count: int) -> None:
        """Log how many there are, and how good those of the ``count`` labeled images are."""
        labels = torch.tensor(self.dataset.labeled.labels())
        right = float((soft_labels[:count].argmax(1) == labels).float().mean())
        _logger.info(
            "soft labels of %d images, %d of them without a label; right for %.1f %% of the labeled images%s; main "
            "starts again with its first weights", len(soft_labels), len(soft_labels) - count, 100 * right,
            "" if self.agreement is None else f"; the students agree on {100 * self.agreement:.1f} % of all",
        )  # fmt: skip
        if right <= float(self._prior(soft_labels.shape[1]).max()):
            _logger.warning(
                "soft labels are right for %.1f %% of the labeled images, no more than if all had the most frequent "
                "class: what labeled them has learned nothing; try another learning_rate (of the teacher: "
                "teacher_learning_rate), or more label_epochs",
                100 * right,
            )

    def _matched(self, soft_labels: Tensor) -> Tensor:
        """Soft labels of images without a label, corrected to the shares of the classes among the labeled ones."""
        prior = self._prior(soft_labels.shape[1])
        first = idist.get_rank() == 0
        if not prior.all():
            if first:
                _logger.warning(
                    "match_classes: no labeled image has class %s, so soft labels are not corrected to the shares of "
                    "the classes among the labeled images",
                    ", ".join(str(number) for number in (prior == 0).nonzero().flatten().tolist()),
                )
            return soft_labels
        matched = with_prior(soft_labels, prior)
        changed = float((matched.argmax(1) != soft_labels.argmax(1)).float().mean())
        if first:
            _logger.log(
                logging.WARNING if changed > _MUCH else logging.INFO,
                "match_classes: shares of the classes among images without a label, by their soft labels: %s, "
                "corrected towards those of the labeled images (%s): %s. The most probable class of %.1f %% of them "
                "changed%s",
                _listed(soft_labels.mean(0)), _listed(prior), _listed(matched.mean(0)), 100 * changed,
                _HOW_TO_LEAVE_IT if changed > _MUCH else "",
            )  # fmt: skip
        return matched

    def _prior(self, classes: int) -> Tensor:
        labels = torch.tensor(self.dataset.labeled.labels())
        return torch.bincount(labels, minlength=classes) / len(labels)

    @torch.no_grad()
    def _opinion(self, network: nn.Module, inferer: Inferer, device: torch.device) -> Tensor:
        """Mean probabilities ``(N, C)`` of one network."""
        slices = self.dataset.every_slice
        own = Subset(slices, range(idist.get_rank(), len(slices), idist.get_world_size()))
        loader = DataLoader(own, num_workers=self.num_workers, batch_size=self.batch_size)
        sums: Tensor | None = None
        counts = torch.zeros(slices.images, 1, dtype=torch.float64)
        hidden = None if idist.get_rank() == 0 else True
        bar = tqdm(total=self.views * len(own), desc="labeling images", unit="slice", disable=hidden)
        for view in range(self.views):
            torch.manual_seed(self.seed * 1_009 + view)
            set_rnd(self.dataset, self.seed * 1_009 + view)
            for batch in loader:
                # on the CPU, in one order: a GPU adds in any order, and a resumed training would differ
                probabilities = inferer(batch[CommonKeys.IMAGE].to(device), network).float().softmax(1).cpu().double()
                sums = probabilities.new_zeros(slices.images, probabilities.shape[1]) if sums is None else sums
                sums.index_add_(0, batch["place"], probabilities)
                counts.index_add_(0, batch["place"], torch.ones_like(probabilities[:, :1]))
                bar.update(len(probabilities))
        bar.close()
        assert sums is not None, "each process has a slice"
        if idist.get_world_size() > 1:
            sums, counts = (idist.all_reduce(each.to(device)).cpu() for each in (sums, counts))
        return (sums / counts).float()


def with_prior(soft_labels: Tensor, prior: Tensor) -> Tensor:
    """Soft labels ``(N, C)`` whose mean is closer to the shares of the classes ``(C,)``.

    q ∝ p · prior / mean(p) (*distribution alignment*; Berthelot et al., ReMixMatch, arXiv 1911.09785, section 3.1).
    Without it, a class that the labelers prefer by mistake would be preferred even more by one that learns from them.

    Examples:
        >>> with_prior(torch.tensor([[0.9, 0.1], [0.7, 0.3]]), torch.tensor([0.5, 0.5]))
        tensor([[0.6923, 0.3077],
                [0.3684, 0.6316]])
    """
    scaled = soft_labels * prior / soft_labels.mean(0).clamp_min(torch.finfo(soft_labels.dtype).tiny)
    return scaled / scaled.sum(1, keepdim=True)


def _places(contents: Sequence[str], saved: Sequence[str]) -> list[int]:
    """Where each content is among the saved ones; equal contents are taken in their order.

    Raises:
        ValueError: if one is not there.
    """
    places: dict[str, list[int]] = {}
    for place, content in enumerate(saved):
        places.setdefault(content, []).append(place)
    try:
        return [places[content].pop(0) for content in contents]
    except (KeyError, IndexError):
        raise ValueError(
            "resume: there are images that got no soft label before; resume with the same images, or train again "
            "without resume"
        ) from None


def _listed(shares: Tensor) -> str:
    return ", ".join(f"{float(share):.2f}" for share in shares)
