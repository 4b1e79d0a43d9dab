"""Mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899): pairs of images in a batch are combined, and their labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from .augment import ClassificationAugmentation, drawing_from


def mixes(augmentation: ClassificationAugmentation) -> bool:
    return augmentation.mixup > 0 or augmentation.cutmix > 0


def mix(
    images: Tensor, labels: Tensor, classes: int, augmentation: ClassificationAugmentation, seed: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """A batch (N, 3, H, W) float with labels (N,) int64 -> the mixed batch and its soft labels (N, classes) float32.

    Images 2k and 2k + 1 are partners, and one random draw from `seed` decides for the whole batch, so a batch that is divided
    over processes at even places gives the same result. (torchvision pairs each image with the next; an epoch's order is
    random, so both pair at random.) An odd last image stays as it is.
    """
    with drawing_from(*seed):
        cut = augmentation.cutmix > 0 and (augmentation.mixup == 0 or float(torch.rand(())) < 0.5)
        alpha = augmentation.cutmix if cut else augmentation.mixup
        share = float(torch.distributions.Beta(alpha, alpha).sample())
        center = torch.rand(2).tolist()
    partner = torch.arange(len(images), device=images.device) ^ 1
    if len(images) % 2:
        partner[-1] = len(images) - 1
    soft = one_hot(labels, classes).to(torch.float32)
    if cut:
        rows, columns = images.shape[-2:]
        (y0, y1), (x0, x1) = (_interval(place, side, share) for place, side in zip(center, (rows, columns), strict=True))
        mixed = images.clone()
        mixed[..., y0:y1, x0:x1] = images[partner][..., y0:y1, x0:x1]
        share = 1 - (y1 - y0) * (x1 - x0) / (rows * columns)  # the share that remains; the rectangle ends at the edges
    else:
        mixed = torch.lerp(images[partner], images, share)
    return mixed, soft * share + soft[partner] * (1 - share)


def _interval(place: float, side: int, share: float) -> tuple[int, int]:
    """Begin and end of the cut rectangle along one side, as torchvision computes them."""
    center, half = int(place * side), int(0.5 * (1 - share) ** 0.5 * side)
    return max(center - half, 0), min(center + half, side)
