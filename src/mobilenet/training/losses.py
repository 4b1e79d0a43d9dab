"""What training minimises, by task. Every loss gives its parts by name, and ``"total"``, the one to go down: () float tensors.

Letters: N pictures of a batch, K classes, A default boxes, B objects of a picture, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision import ops

from ..network.layers import Network
from ..tasks.boxes import CODE_SCALES, LARGEST_CODE
from ..tasks.detection import Codes, Scores, head_maps
from ..tasks.results import VOID

LossTerms = dict[str, Tensor]

MeanOverProcesses = Callable[[Tensor], Tensor]
"""Mean of a () tensor over all processes. Losses that divide by a count need it: gradients are averaged over processes, so
each must divide by the mean count for the sum to be that of one process with all pictures."""


def alone(count: Tensor) -> Tensor:
    """The `MeanOverProcesses` of one process."""
    return count


# Classification --------------------------------------------------------------------------------------------------------


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> LossTerms:
    """Mean cross-entropy of softmax: {"cross_entropy", "total"}.

    logits (N, K) float; target (N,) int64, or (N, K) float that sum to 1. `smoothing` gives this share of the truth to all
    classes alike (arXiv 1512.00567, section 7). In float32 whatever the logits are.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing {smoothing!r}: must be from 0 to below 1; for example 0.1")
    loss = F.cross_entropy(logits.float(), target, label_smoothing=smoothing)
    return {"cross_entropy": loss, "total": loss}


def distillation(
    logits: Tensor, teacher: Tensor, target: Tensor, weight: float = 0.5, temperature: float = 1.0, smoothing: float = 0.0
) -> LossTerms:
    """Knowledge distillation (arXiv 1503.02531): {"cross_entropy", "teacher", "total"}.

    (1 - weight) x cross-entropy + weight x T^2 x KL(teacher || student), both softened by T: the square keeps the gradient's
    size as T grows. logits, teacher (N, K) float, no gradient flows to the teacher; target as for `cross_entropy`.
    """
    if not (0 <= weight <= 1 and temperature > 0):
        raise ValueError(f"distillation: weight {weight!r} must be from 0 to 1, temperature {temperature!r} above 0")
    truth = cross_entropy(logits, target, smoothing)["total"]
    mine = F.log_softmax(logits.float() / temperature, dim=1)
    theirs = F.log_softmax(teacher.detach().float() / temperature, dim=1)
    answers = temperature**2 * F.kl_div(mine, theirs, reduction="batchmean", log_target=True)
    return {"cross_entropy": truth, "teacher": answers, "total": (1 - weight) * truth + weight * answers}


# Segmentation ----------------------------------------------------------------------------------------------------------


def pixel_cross_entropy(
    logits: Tensor, masks: Tensor, weights: Sequence[float] = (), average: MeanOverProcesses = alone
) -> LossTerms:
    """Mean cross-entropy over all pixels of the batch that are not void: {"cross_entropy", "total"}; 0 where all are void.

    logits (N, K, H, W) float; masks (N, H, W) of any integer type, `VOID` where no class is meant. With `weights`, one for
    each class, the mean is weighted by those of the pixels' classes.
    """
    if weights and len(weights) != logits.shape[1]:
        raise ValueError(f"{len(weights)} class weights for {logits.shape[1]} classes: must be one for each")
    target = masks.long()
    scale = torch.tensor(weights, dtype=torch.float32, device=logits.device) if weights else None
    total = F.cross_entropy(logits.float(), target, scale, ignore_index=VOID, reduction="sum")
    meant = target != VOID
    count = meant.sum().float() if scale is None else scale[target.where(meant, 0)].where(meant, 0).sum()
    loss = total / average(count).clamp_min(torch.finfo(torch.float32).tiny)
    return {"cross_entropy": loss, "total": loss}


# Detection -------------------------------------------------------------------------------------------------------------

Form = Literal["tensorflow", "torchvision"]


@dataclass(frozen=True)
class Matching:
    """What differs between the two forms of SSD's loss.

    Attributes:
        scores: "sigmoid", cross-entropy of each slot apart, the background's too; or "softmax" over all.
        codes: order of the four numbers of a box's code.
        shared_best: which object gets a default box that is the best of several: the "first" or the "last" of them.
        threshold: a default box holds the object that it overlaps most, if by an IoU of this or more.
        negatives: how many default boxes without an object count for each with one, the hardest first.
        least: how many of them count at least on each picture.
        duplicates: before the hard ones are chosen, of boxes as decoded that overlap by more than this IoU only the one with
            the largest loss stays, with an object or without; None lets all.
    """

    scores: Scores
    codes: Codes
    shared_best: Literal["first", "last"]
    threshold: float = 0.5
    negatives: float = 3.0
    least: int = 0
    duplicates: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.threshold <= 1 and self.negatives >= 0 and self.least >= 0):
            raise ValueError(f"matching: {self} must have a threshold from 0 to 1, negatives and least of at least 0")


TENSORFLOW = Matching("sigmoid", "yxhw", "first", least=3, duplicates=0.99)
TORCHVISION = Matching("softmax", "xywh", "last")
"""``ssdlite_mobilenet_v2_coco.config`` of TensorFlow's object detection API, and torchvision's ``SSD.compute_loss``."""

FORMS: Mapping[Form, Matching] = {"tensorflow": TENSORFLOW, "torchvision": TORCHVISION}


def outputs_of(outputs: Mapping[str, Tensor], network: Network) -> tuple[Tensor, Tensor]:
    """`detection.logits_and_codes` of a whole batch in torch: logits (N, A, K + 1), background first, and codes (N, A, 4)."""

    def rows(names: list[str], length: int) -> Tensor:
        maps = (outputs[name] for name in names)
        return torch.cat([each.permute(0, 2, 3, 1).reshape(len(each), -1, length) for each in maps], dim=1)

    class_maps, box_maps = head_maps(network)
    return rows(class_maps, network.settings["classes"] + 1), rows(box_maps, 4)


def ssd(
    logits: Tensor,
    codes: Tensor,
    targets: Sequence[Mapping[str, Tensor]],
    defaults: NDArray[np.float64],
    size: tuple[int, int],
    matching: Matching = TENSORFLOW,
    average: MeanOverProcesses = alone,
) -> LossTerms:
    """SSD's loss (arXiv 1512.02325, section 2.2): {"classes", "boxes", "total"}.

    Smooth L1 of the codes of default boxes that hold an object, and cross-entropy of these and the hardest others, both
    summed over the batch and divided by the number of default boxes that hold an object, or 1. Crowds are nobody's object.

    logits (N, A, K + 1) float, background first; codes (N, A, 4); targets: N of "boxes" (B, 4) corners in pixels of the
    input, "labels" (B,) int64 from 0, "crowd" (B,) bool; defaults (A, 4) centred, shares of the input, as
    `detection.default_boxes` has them; size: (height, width) of the input.
    """
    logits, codes = logits.float(), codes.float()
    centred = torch.from_numpy(defaults).to(codes)
    corners = torch.cat([centred[:, :2] - centred[:, 2:] / 2, centred[:, :2] + centred[:, 2:] / 2], dim=1)
    scale = torch.tensor((size[1], size[0], size[1], size[0])).to(codes)
    classes, wanted = [], []
    for target in targets:
        single = ~target["crowd"]
        boxes = target["boxes"][single].to(codes) / scale
        holds = match(boxes, corners, matching)
        classes.append(_taken(target["labels"][single] + 1, holds))
        wanted.append(_taken(boxes, holds))
    labels, found = torch.stack(classes), torch.stack(wanted)  # (N, A), (N, A, 4)
    positive = labels > 0
    truth = encode(found, centred)
    if matching.codes == "yxhw":
        truth = truth[..., (1, 0, 3, 2)]
    box_loss = F.smooth_l1_loss(codes[positive], truth[positive], reduction="none").sum(dim=1)
    class_loss = _class_loss(logits, labels, matching.scores)
    counted = torch.ones_like(positive)
    if matching.duplicates is not None:
        counted = _without_duplicates(codes.detach(), class_loss.detach(), centred, matching)
    chosen = hard_negatives(class_loss.detach(), counted & ~positive, counted & positive, matching.negatives, matching.least)
    matches = average(positive.sum().float()).clamp_min(1)
    box_part = (box_loss * counted[positive]).sum() / matches
    class_part = (class_loss * (chosen | (counted & positive))).sum() / matches
    return {"classes": class_part, "boxes": box_part, "total": class_part + box_part}


def match(boxes: Tensor, corners: Tensor, matching: Matching) -> Tensor:
    """Which object each default box holds: (B, 4) and (A, 4) corners, in the same units -> (A,) int64, -1 for none.

    The object that it overlaps most, from the threshold on. And every object is held by the default box that overlaps it
    most, whatever else that would hold.
    """
    if not len(boxes):
        return torch.full((len(corners),), -1, device=corners.device)
    overlap = ops.box_iou(boxes, corners)  # (B, A)
    most, number = overlap.max(dim=0)
    holds: Tensor = number.where(most >= matching.threshold, -1)
    best = overlap.argmax(dim=1).tolist()
    order = range(len(best)) if matching.shared_best == "last" else range(len(best) - 1, -1, -1)
    forced = {best[i]: i for i in order}  # of objects with the same best box the one that comes later here stays
    holds[list(forced)] = torch.tensor(list(forced.values()), device=holds.device)
    return holds


def _taken(values: Tensor, holds: Tensor) -> Tensor:
    """values (B, ...) of the object that each default box holds -> (A, ...), 0 where it holds none."""
    if not len(values):
        return values.new_zeros((len(holds), *values.shape[1:]))
    taken = values[holds.clamp_min(0)]
    return taken.where((holds >= 0).reshape(-1, *[1] * (values.ndim - 1)), 0)


def encode(boxes: Tensor, centred: Tensor) -> Tensor:
    """`boxes.encode` in torch: (..., A, 4) corners against (A, 4) centred default boxes -> codes dx, dy, dw, dh.

    Boxes without area, where nothing is held, have codes that mean nothing, but are finite.
    """
    centre, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    growth = (sides / centred[:, 2:]).clamp_min(torch.finfo(boxes.dtype).tiny).log()
    scales = torch.from_numpy(CODE_SCALES).to(boxes)
    return torch.cat([(centre - centred[:, :2]) / centred[:, 2:], growth], dim=-1) * scales


def decode(codes: Tensor, centred: Tensor) -> Tensor:
    """`boxes.decode` in torch: (..., A, 4) codes dx, dy, dw, dh against (A, 4) centred default boxes -> corners."""
    codes = codes / torch.from_numpy(CODE_SCALES).to(codes)
    half = codes[..., 2:].clamp_max(LARGEST_CODE).exp() * centred[:, 2:] / 2
    centre = codes[..., :2] * centred[:, 2:] + centred[:, :2]
    return torch.cat([centre - half, centre + half], dim=-1)


def _class_loss(logits: Tensor, labels: Tensor, scores: Scores) -> Tensor:
    """logits (N, A, K + 1), labels (N, A) from 0 for the background -> (N, A)."""
    if scores == "softmax":
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    truth = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(dim=-1)


def hard_negatives(losses: Tensor, negative: Tensor, positive: Tensor, ratio: float, least: int) -> Tensor:
    """Picture by picture the negatives of largest loss, `ratio` for each positive and no less than `least`: (N, A) bool.

    losses (N, A); negative and positive (N, A) bool. Equal losses by lower index.
    """
    order = losses.where(negative, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    most = (positive.sum(dim=1) * ratio).long().clamp_min(least)
    return negative & (rank < most[:, None])


def _without_duplicates(codes: Tensor, losses: Tensor, centred: Tensor, matching: Matching) -> Tensor:
    """(N, A) bool: the default boxes whose decoded box is nobody's duplicate with a larger loss."""
    codes = codes[..., (1, 0, 3, 2)] if matching.codes == "yxhw" else codes
    kept = torch.zeros_like(losses, dtype=torch.bool)
    for number, boxes in enumerate(decode(codes, centred)):
        indices: Any = ops.nms(boxes, losses[number], matching.duplicates)
        kept[number, indices] = True
    return kept
