"""Losses by task. Every loss returns its terms by name; ``"total"`` is the value to minimize. All are scalar float tensors.

Letters: N images of a batch, K classes, A default boxes, B objects of an image, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision import ops

from ..network.heads import detector_settings
from ..network.layers import Network
from ..settings import Rules, Settings
from ..tasks.boxes import CODE_SCALES, MAX_LOG_SCALE
from ..tasks.detection import Codes, Scores
from ..tasks.results import VOID
from .recipes.recipe import Form

LossTerms = dict[str, Tensor]

MeanOverProcesses = Callable[[Tensor], Tensor]
"""The mean of a scalar tensor over all processes. Losses that divide by a count need it: gradients are averaged over processes,
so each process must divide by the mean count to get the gradient of one process with all images."""


def one_process(count: Tensor) -> Tensor:
    """The `MeanOverProcesses` of a single process."""
    return count


# Classification --------------------------------------------------------------------------------------------------------


def cross_entropy(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> LossTerms:
    """Mean cross-entropy of softmax: {"cross_entropy", "total"}.

    logits (N, K) float; target (N,) int64, or (N, K) float with rows that sum to 1. `smoothing` spreads this share of the truth
    over all classes (arXiv 1512.00567, section 7). Computed in float32 whatever the type of the logits.
    """
    loss = F.cross_entropy(logits.float(), target, label_smoothing=smoothing)
    return {"cross_entropy": loss, "total": loss}


def distillation(
    logits: Tensor, teacher: Tensor, target: Tensor, weight: float = 0.5, temperature: float = 1.0, smoothing: float = 0.0
) -> LossTerms:
    """Knowledge distillation (arXiv 1503.02531): {"cross_entropy", "teacher", "total"}.

    (1 - weight) x cross-entropy + weight x T^2 x KL(teacher || student), both softened by the temperature T; the square keeps
    the size of the gradient as T grows. logits, teacher: (N, K) float logits; the teacher gets no gradient. target: as for
    `cross_entropy`.
    """
    truth = cross_entropy(logits, target, smoothing)["total"]
    student_log = F.log_softmax(logits.float() / temperature, dim=1)
    teacher_log = F.log_softmax(teacher.detach().float() / temperature, dim=1)
    answers = temperature**2 * F.kl_div(student_log, teacher_log, reduction="batchmean", log_target=True)
    return {"cross_entropy": truth, "teacher": answers, "total": (1 - weight) * truth + weight * answers}


# Segmentation ----------------------------------------------------------------------------------------------------------


def pixel_cross_entropy(
    logits: Tensor, masks: Tensor, weights: Sequence[float] = (), average: MeanOverProcesses = one_process
) -> LossTerms:
    """Mean cross-entropy over all pixels of the batch that are not void: {"cross_entropy", "total"}; 0 if all are void.

    logits (N, K, H, W) float; masks (N, H, W) of any integer type, class indices or `VOID`. With `weights`, one for each class,
    the mean is weighted by the weights of the pixels' classes.
    """
    target = masks.long()
    scale = torch.tensor(weights, dtype=torch.float32, device=logits.device) if weights else None
    total = F.cross_entropy(logits.float(), target, scale, ignore_index=VOID, reduction="sum")
    labeled = target != VOID
    count = labeled.sum().float() if scale is None else scale[target.where(labeled, 0)].where(labeled, 0).sum()
    loss = total / average(count).clamp_min(torch.finfo(torch.float32).tiny)
    return {"cross_entropy": loss, "total": loss}


# Detection -------------------------------------------------------------------------------------------------------------


class Matching(Settings):
    """What differs between TensorFlow's and torchvision's form of SSD's loss.

    Attributes:
        scores: "sigmoid", binary cross-entropy for each class and the background; or "softmax" over all of them.
        codes: order of the four numbers of a box's code.
        shared_best: if one default box is the best match of several objects, which of them it is matched to.
        threshold: minimum IoU of a default box with its best object to be matched to it.
        negatives: maximum number of unmatched default boxes that count, for each matched one; those of largest loss.
        min_negatives: minimum of that number on each image.
        duplicates: of decoded boxes that overlap by more than this IoU, only the one with the largest loss counts, matched or
            not; applied before negatives are chosen. None keeps all.
    """

    scores: Scores
    codes: Codes
    shared_best: Literal["first", "last"]
    threshold: float = 0.5
    negatives: float = 3.0
    min_negatives: int = 0
    duplicates: float | None = None

    def rules(self) -> Rules:
        yield "threshold", 0 < self.threshold <= 1, "above 0 and at most 1"
        yield "negatives", self.negatives >= 0, "at least 0"
        yield "min_negatives", self.min_negatives >= 0, "at least 0"


TENSORFLOW = Matching("sigmoid", "yxhw", "first", min_negatives=3, duplicates=0.99)
TORCHVISION = Matching("softmax", "xywh", "last")
"""``ssdlite_mobilenet_v2_coco.config`` of TensorFlow's object detection API, and torchvision's ``SSD.compute_loss``."""

FORMS: Mapping[Form, Matching] = {"tensorflow": TENSORFLOW, "torchvision": TORCHVISION}


def split_outputs(outputs: Mapping[str, Tensor], network: Network) -> tuple[Tensor, Tensor]:
    """`detection.logits_and_codes` of a whole batch in torch: logits (N, A, K + 1), background first, and codes (N, A, 4)."""

    def rows(names: tuple[str, ...], length: int) -> Tensor:
        maps = (outputs[name] for name in names)
        return torch.cat([each.permute(0, 2, 3, 1).reshape(len(each), -1, length) for each in maps], dim=1)

    return rows(network.heads.classes, detector_settings(network).classes + 1), rows(network.heads.boxes, 4)


def ssd(
    logits: Tensor,
    codes: Tensor,
    targets: Sequence[Mapping[str, Tensor]],
    defaults: NDArray[np.float64],
    size: tuple[int, int],
    matching: Matching = TENSORFLOW,
    average: MeanOverProcesses = one_process,
) -> LossTerms:
    """SSD's loss (arXiv 1512.02325, section 2.2): {"classes", "boxes", "total"}.

    Smooth L1 of the codes of matched default boxes, and cross-entropy of these and of the hardest others, both summed over the
    batch and divided by the number of matched default boxes, at least 1. Crowd regions match nothing.

    Args:
        logits: (N, A, K + 1) float, background first.
        codes: (N, A, 4) float.
        targets: N of "boxes" (B, 4), corners x1 y1 x2 y2 in pixels of the input, "labels" (B,) int64 from 0, "crowd" (B,) bool.
        defaults: (A, 4) centers and sides as shares of the input, see `detection.default_boxes`.
        size: (height, width) of the input in pixels.
    """
    logits, codes = logits.float(), codes.float()
    centered = torch.from_numpy(defaults).to(codes)
    corners = torch.cat([centered[:, :2] - centered[:, 2:] / 2, centered[:, :2] + centered[:, 2:] / 2], dim=1)
    scale = torch.tensor((size[1], size[0], size[1], size[0])).to(codes)
    classes, matched_boxes = [], []
    for target in targets:
        single = ~target["crowd"]
        boxes = target["boxes"][single].to(codes) / scale
        objects = match(boxes, corners, matching)
        classes.append(_of_object(target["labels"][single] + 1, objects))
        matched_boxes.append(_of_object(boxes, objects))
    labels, matched = torch.stack(classes), torch.stack(matched_boxes)  # (N, A), (N, A, 4)
    positive = labels > 0
    truth = encode(matched, centered)
    if matching.codes == "yxhw":
        truth = truth[..., (1, 0, 3, 2)]
    box_loss = F.smooth_l1_loss(codes[positive], truth[positive], reduction="none").sum(dim=1)
    class_loss = _class_loss(logits, labels, matching.scores)
    counted = torch.ones_like(positive)
    if matching.duplicates is not None:
        counted = _without_duplicates(codes.detach(), class_loss.detach(), centered, positive, matching)
    chosen = hard_negatives(class_loss.detach(), counted & ~positive, counted & positive, matching)
    num_matched = average(positive.sum().float()).clamp_min(1)
    box_part = (box_loss * counted[positive]).sum() / num_matched
    class_part = (class_loss * (chosen | (counted & positive))).sum() / num_matched
    return {"classes": class_part, "boxes": box_part, "total": class_part + box_part}


def match(boxes: Tensor, corners: Tensor, matching: Matching) -> Tensor:
    """The object that each default box is matched to: (B, 4) and (A, 4) corners, in the same units -> (A,) int64, -1 for none.

    A default box is matched to the object of largest IoU if that reaches the threshold; and every object is matched to the
    default box of largest IoU, whatever that would be matched to otherwise.
    """
    if not len(boxes):
        return torch.full((len(corners),), -1, device=corners.device)
    overlap = ops.box_iou(boxes, corners)  # (B, A)
    max_overlap, number = overlap.max(dim=0)
    objects: Tensor = number.where(max_overlap >= matching.threshold, -1)
    best = overlap.argmax(dim=1).tolist()
    order = range(len(best)) if matching.shared_best == "last" else range(len(best) - 1, -1, -1)
    forced = {best[i]: i for i in order}  # of objects with the same best box, the last in this order stays
    objects[list(forced)] = torch.tensor(list(forced.values()), device=objects.device)
    return objects


def _of_object(values: Tensor, objects: Tensor) -> Tensor:
    """values (B, ...) of the object that each default box is matched to -> (A, ...), 0 for unmatched default boxes."""
    if not len(values):
        return values.new_zeros((len(objects), *values.shape[1:]))
    of_object = values[objects.clamp_min(0)]
    return of_object.where((objects >= 0).reshape(-1, *[1] * (values.ndim - 1)), 0)


def encode(boxes: Tensor, centered: Tensor) -> Tensor:
    """`boxes.encode` in torch: (..., A, 4) corners against (A, 4) centered default boxes -> codes dx, dy, dw, dh.

    Boxes without area (of unmatched default boxes) get finite codes without a meaning.
    """
    center, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    growth = (sides / centered[:, 2:]).clamp_min(torch.finfo(boxes.dtype).tiny).log()
    scales = torch.from_numpy(CODE_SCALES).to(boxes)
    return torch.cat([(center - centered[:, :2]) / centered[:, 2:], growth], dim=-1) * scales


def decode(codes: Tensor, centered: Tensor) -> Tensor:
    """`boxes.decode` in torch: (..., A, 4) codes dx, dy, dw, dh against (A, 4) centered default boxes -> corners."""
    codes = codes / torch.from_numpy(CODE_SCALES).to(codes)
    half = codes[..., 2:].clamp_max(MAX_LOG_SCALE).exp() * centered[:, 2:] / 2
    center = codes[..., :2] * centered[:, 2:] + centered[:, :2]
    return torch.cat([center - half, center + half], dim=-1)


def _class_loss(logits: Tensor, labels: Tensor, scores: Scores) -> Tensor:
    """logits (N, A, K + 1), labels (N, A) from 0 for the background -> (N, A)."""
    if scores == "softmax":
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
    truth = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(dim=-1)


def hard_negatives(losses: Tensor, negative: Tensor, positive: Tensor, matching: Matching) -> Tensor:
    """The negatives of largest loss on each image, `negatives` for each positive and at least `min_negatives`: (N, A) bool.

    losses (N, A) float; negative and positive (N, A) bool. Of equal losses, that of lower index comes first.
    """
    order = losses.where(negative, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    num_chosen = (positive.sum(dim=1) * matching.negatives).long().clamp_min(matching.min_negatives)
    return negative & (rank < num_chosen[:, None])


def _without_duplicates(codes: Tensor, losses: Tensor, centered: Tensor, positive: Tensor, matching: Matching) -> Tensor:
    """(N, A) bool: False if another decoded box of larger loss overlaps the decoded box by more than the limit (NMS).

    Right for the `positive` boxes and for the hardest negatives that are chosen; the others are not looked at if nothing
    depends on them, since NMS of all takes a fifth of a step.
    """
    assert matching.duplicates is not None
    codes = codes[..., (1, 0, 3, 2)] if matching.codes == "yxhw" else codes
    survives = torch.zeros_like(losses, dtype=torch.bool)
    for number, boxes in enumerate(decode(codes, centered)):
        loss, objects = losses[number], positive[number].nonzero()[:, 0]
        needed = max(int(len(objects) * matching.negatives), matching.min_negatives)
        first = loss.argsort(descending=True, stable=True)[: 2 * needed + len(objects) + 64]
        overlapping = ops.box_iou(boxes[objects], boxes) > matching.duplicates
        before = (overlapping & (loss >= loss[objects][:, None])).sum(dim=1)  # itself is one
        kept = first[ops.nms(boxes[first], loss[first], matching.duplicates)]
        if bool((before > 1).any()) or int((~positive[number][kept]).sum()) < needed:
            survives[number, ops.nms(boxes, loss, matching.duplicates)] = True
        else:
            survives[number, kept] = survives[number, objects] = True
    return survives
