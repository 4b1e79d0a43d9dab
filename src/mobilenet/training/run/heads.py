"""Rows for classes that the initial weights do not know, from the training images: a head that answers before the first step.

- A classifier or a segmenter: multinomial logistic regression on the features that the start gives (a linear probe). Many steps
  of training would come to the same, and meanwhile move the backbone away from what it knows.
- A detector: its predictors stand on six maps, so each new class gets the rows of the class that the start sees in its
  objects. Whatever a "w3" is: if the start calls most of them "car", its rows start as those of cars.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from ... import nn
from ...data import Subset
from ...modelfile import ModelFile
from ...network.layers import Conv, Linear
from ...nn.blocks import FixedNorm, replace_norms
from ...tasks.results import MIN_SHOWN, VOID
from ..input import (
    Augmentation,
    Batch,
    Dataset,
    DetectionAugmentation,
    DetectionTarget,
    Loader,
    LoaderSettings,
    SegmentationAugmentation,
)
from ..losses import match, split_outputs
from ..objectives import DetectionObjective, Objective
from ..recipes.recipe import Recipe
from .start import Start, copy_weights, head_rows, with_norms

MAX_IMAGES, MAX_MASKS = 2000, 250
"""Images that a head is fitted to. A probe gains little from more, and their features take time and memory."""
CELLS = 128
"""Cells of the map, of each image, that a segmenter's head is fitted to."""
LENGTH, DECAY = 30.0, 0.1
"""A classifier's probe: features are scaled to `LENGTH`, and `DECAY` / 2 times the sum of squares of the weights is added to
the loss.
Of decays from 1e-4 to 1 and six forms of a probe, this was best or near it from 3 to 100 images a class, on CIFAR-10's classes
and on Imagenette's."""
PLAIN = 32.0
"""See `read_directions`. On 500 images of CIFAR-10's classes, 0.591 instead of 0.581 with 3 images a class, 0.716 instead of
0.708 with 10, and no difference with 30; on objects cut out of VOC, 0.701 instead of 0.697 with 3 and 0.787 instead of 0.788
with 10. Means of six draws; with 8 for 32, CIFAR-10's classes gain more, and VOC's objects with 10 images lose 0.006."""
CELL_DECAY = 1e-3
"""The same of a segmenter's probe, whose features are scaled to a mean square of 1."""


def set_initial_weights(
    net: nn.TorchNetwork, data: Dataset, recipe: Recipe, objective: Objective[Any], fabric: Fabric, is_new: bool
) -> list[str]:
    """Gives `net` the weights and norms that `recipe.network` starts with; lines for the user.

    The head of a run that goes on is not fitted: its checkpoint has it.
    """
    spec, lines = recipe.network, list[str]()
    if spec.start is None:
        return lines
    start = copy_weights(net, spec.start, data.labels, data.label_ids, recipe.preprocessing)
    lines.append(start.message)
    if is_new and start.unknown and spec.head == "fitted":
        lines.append(fit_head(net, start, data, recipe, objective, fabric))
    if spec.fixed_norms:
        replace_norms(net, FixedNorm.like, start.norms)
    return lines


Rows = dict[str, NDArray[np.float32]]
"""Tensors of the layers whose outputs are classes, by name."""


def fit_head(
    net: nn.TorchNetwork, start: Start, data: Dataset, recipe: Recipe, objective: Objective[Any], fabric: Fabric
) -> str:
    """Sets the rows of the classes: those in `start.unknown` of a detector, all of another network. A sentence for the user.

    Every process takes the rows of the first one, so that all have the same bits.
    """
    answer: tuple[Rows, str] | None = None
    if fabric.is_global_zero:
        few = Dataset(Subset(data.records, MAX_IMAGES if data.task == "classification" else MAX_MASKS))
        with torch.no_grad(), fabric.autocast():
            if isinstance(objective, DetectionObjective):
                answer = resembling_rows(net, start, few, recipe, objective)
            else:
                answer = probed_rows(net, start, few, recipe)
    rows, said = cast("tuple[Rows, str]", fabric.broadcast(answer))
    net.load_arrays({**net.arrays(), **rows})
    return said


def batches(data: Dataset, augmentation: Augmentation | None, recipe: Recipe) -> Iterator[Batch]:
    settings = LoaderSettings(min(64, len(data)), recipe.workers, recipe.seed, channels_last=recipe.channels_last)
    return iter(Loader(data, augmentation, recipe.preprocessing, settings))


# Classifiers and segmenters ----------------------------------------------------------------------------------------------


def probed_rows(net: nn.TorchNetwork, start: Start, data: Dataset, recipe: Recipe) -> tuple[Rows, str]:
    """A linear probe on what stands before the last layer."""
    (name,) = net.network.heads.classes
    layer = net.network[name]
    assert isinstance(layer, (Conv, Linear))
    taps = net.taps(layer.inputs[0]).eval()
    features, targets = list[Tensor](), list[Tensor]()
    flat = isinstance(layer, Linear)
    whole = SegmentationAugmentation((1, 1), 0, "fitted", 0)
    mirrored = flat and recipe.augmentation.flip > 0
    for batch in batches(data, None if flat else whole, recipe):
        target = cast(Tensor, batch["target"])
        for image in (batch["image"], batch["image"].flip(3)) if mirrored else (batch["image"],):
            (found,) = taps(image).values()
            cells, classes = (found.flatten(1).float(), target) if flat else cells_of(found, target)
            features.append(cells)
            targets.append(classes)
    x, y = torch.cat(features), torch.cat(targets)
    if flat:
        known = torch.from_numpy(np.asarray(start.model.tensors[f"{name}.weight"], np.float32)).flatten(1)
        weight, bias = class_probe(x, y, len(data.labels), known)
    else:
        weight, bias = cell_probe(x, y, len(data.labels))
    parts = dict(zip((part for part, _ in layer.parameters()), (weight, bias), strict=True))
    rows = {part: value.reshape(net.network.tensors()[part]).numpy() for part, value in parts.items()}
    return rows, f"all {len(data.labels)} classes start as a linear probe on {len(data)} images"


def cells_of(features: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Up to `CELLS` labeled cells of each image: features (N, C, h, w), masks (N, H, W) -> (M, C) float32, (M,) int64."""
    small = F.interpolate(masks[:, None].float(), features.shape[2:], mode="nearest-exact")[:, 0].long()
    chosen = list[tuple[Tensor, Tensor]]()
    for image, mask in zip(features, small, strict=True):
        places = (mask.flatten() != VOID).nonzero()[:, 0]
        places = places[:: max(-(-len(places) // CELLS), 1)]
        chosen.append((image.flatten(1).T[places].float(), mask.flatten()[places]))
    return torch.cat([cells for cells, _ in chosen]), torch.cat([classes for _, classes in chosen])


def class_probe(features: Tensor, targets: Tensor, classes: int, known: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) float32, (N,) int64, the head of the start (M, C) -> weight (K, C) and bias (K,) of a classifier.

    The direction of a feature says what an image shows, its length little; so all get the same length for the probe. Without a
    bias the order of its answers is the same for the features as they are.
    """
    with torch.autocast(features.device.type, enabled=False):
        directions = read_directions(known)
        features = features @ directions
        lengths = features.norm(dim=1, keepdim=True).clamp_min(1e-6)
        weight = logistic(features / lengths * LENGTH, targets, classes, DECAY)
        return weight @ directions.T * (LENGTH / lengths.mean()), torch.zeros(classes)


def read_directions(known: Tensor) -> Tensor:
    """(M, C) -> (C, C): a change of features that stretches the directions which the M rows of a head read.

    They tell the classes of the start apart, and probably new ones too; few images could not show which directions do. What
    stretches is the rows' mean square in a direction, over that of all directions, plus `PLAIN`. A head of few rows says
    little, so it stretches little.
    """
    rows, length = known.shape
    squares = known.T @ known
    squares *= min(rows / length, 1) / squares.diagonal().mean().clamp_min(1e-12)
    values, vectors = torch.linalg.eigh(squares)
    stretched: Tensor = vectors * (values.clamp_min(0) + PLAIN).sqrt()
    return stretched


def cell_probe(features: Tensor, targets: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """(M, C) float32, (M,) int64 -> weight (K, C) and bias (K,) of a segmenter's last convolution."""
    scale = features.square().mean().sqrt().clamp_min(1e-6)
    extended = torch.cat([features / scale, torch.ones(len(features), 1)], dim=1)
    weight = logistic(extended, targets, classes, CELL_DECAY)
    return weight[:, :-1] / scale, weight[:, -1].contiguous()


def logistic(x: Tensor, targets: Tensor, classes: int, decay: float) -> Tensor:
    """The weight (K, C) that minimizes mean cross-entropy + decay / 2 x its sum of squares, by L-BFGS from 0."""
    weight = torch.zeros(classes, x.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(x @ weight.T, targets) + decay / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach()


# Detectors ---------------------------------------------------------------------------------------------------------------


def resembling_rows(
    net: nn.TorchNetwork, start: Start, data: Dataset, recipe: Recipe, objective: DetectionObjective
) -> tuple[Rows, str]:
    """Each unknown class has the rows of the class that the start scores highest on its objects, on average."""
    sums = scores_on_objects(start.model, data, recipe, objective).sums
    pairs = {number: int(sums[number].argmax()) for number in start.unknown if sums[number].any()}
    rows = head_rows(net.network, net.arrays(), start.model.network, with_norms(start.model, net.network), pairs)
    named = ", ".join(f"{data.labels[new]!r} as {start.model.labels[old]!r}" for new, old in list(pairs.items())[:5])
    return rows, f"{len(pairs)} classes start as those that the start sees in their objects: {named}"


class SeenObjects(NamedTuple):
    """What another detector sees in the objects of K classes, whose own are M.

    Attributes:
        sums: (K, M): the sum over the objects of a class of the highest score on the default boxes matched to each.
        shown: (K, M): how many of them have a score from which on a detection is shown.
        objects: (K,): how many objects a class has.
    """

    sums: Tensor
    shown: Tensor
    objects: Tensor

    def known(self, number: int) -> float:
        """The share of a class's objects that are shown as one and the same class; 0 of a class without objects."""
        return float(self.shown[number].max() / self.objects[number].clamp_min(1))


def scores_on_objects(model: ModelFile, data: Dataset, recipe: Recipe, objective: DetectionObjective) -> SeenObjects:
    classes, their_classes = len(data.labels), len(model.labels)
    sums, shown, objects = torch.zeros(classes, their_classes), torch.zeros(classes, their_classes), torch.zeros(classes)
    theirs = nn.module(objective.network.with_classes(their_classes))
    theirs.load_arrays(with_norms(model, theirs.network))
    theirs.eval()
    centered = torch.from_numpy(objective.default_boxes).float()
    corners = torch.cat([centered[:, :2] - centered[:, 2:] / 2, centered[:, :2] + centered[:, 2:] / 2], dim=1)
    height, width = recipe.preprocessing.size
    scale = torch.tensor((width, height, width, height), dtype=torch.float32)
    for batch in batches(data, DetectionAugmentation(0, 0, iou_crop=False, flip=0), recipe):
        logits, _ = split_outputs(theirs(batch["image"]), theirs.network)
        logits = logits.float()
        scores = logits.softmax(2) if objective.matching.scores == "softmax" else logits.sigmoid()
        for answers, target in zip(scores[..., 1:], cast("list[DetectionTarget]", batch["target"]), strict=True):
            matched = match(target["boxes"].float() / scale, corners, objective.matching)
            for number, label in enumerate(target["labels"].tolist()):
                objects[label] += 1
                if len(found := answers[matched == number]):
                    best = found.amax(0)
                    sums[label] += best
                    shown[label] += best >= MIN_SHOWN["detection"]
    return SeenObjects(sums, shown, objects)
