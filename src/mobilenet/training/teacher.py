"""Distillation: the answers of a trained network as a second truth (arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..nn import module
from ..tasks.labels import Labels, imagenet
from ..zoo.load import load_model
from .input import Dataset
from .losses import LossTerms
from .objectives import ClassificationObjective, Objective
from .recipes.recipe import Teacher

TIMM = "timm:"
Normalization = tuple[Sequence[float], Sequence[float]]
"""Mean and std of an image's three channels."""


class TeacherNetwork(nn.Module):
    """The teacher's logits for images prepared for the student: (N, 3, H, W) -> (N, K), without a gradient.

    Args:
        net: the teacher; its outputs are logits.
        columns: indices of the student's classes among the teacher's outputs, in the student's order.
        normalization: mean and std that the teacher expects; the student's images are converted to them.
        objective: the student's.
        settings: weight and temperature.
    """

    def __init__(
        self,
        net: nn.Module,
        columns: Sequence[int],
        normalization: Normalization,
        objective: ClassificationObjective,
        settings: Teacher,
    ) -> None:
        super().__init__()
        self.net, self.objective, self.settings = net.requires_grad_(False), objective, settings
        own = objective.preprocessing
        mean, std, teacher_mean, teacher_std = (
            torch.tensor(value).reshape(1, 3, 1, 1) for value in (own.mean, own.std, *normalization)
        )
        self.columns, self.scale, self.shift = (
            nn.Parameter(value, requires_grad=False)
            for value in (torch.tensor(columns), std / teacher_std, (mean - teacher_mean) / teacher_std)
        )
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images * self.scale + self.shift)
        return logits[:, self.columns]

    def loss(self, outputs: Tensor, target: Tensor, images: Tensor) -> LossTerms:
        """The student's loss for a batch, with the teacher's term."""
        return self.objective.distillation_loss(outputs, target, self(images), self.settings)


def load_teacher(settings: Teacher, dataset: Dataset, objective: Objective[Any]) -> TeacherNetwork:
    """The teacher that a recipe names. Raises UsageError if it cannot be had, is no classifier, or lacks one of the classes."""
    assert isinstance(objective, ClassificationObjective)
    labels, label_ids = dataset.labels, dataset.label_ids
    if settings.model.startswith(TIMM):
        net, teacher_labels, teacher_ids, normalization = from_timm(settings.model.removeprefix(TIMM), len(labels))
    else:
        model = load_model(settings.model).dequantized()
        if model.network.task != "classification":
            raise UsageError(f"teacher {settings.model!r} does {model.network.task}: must be a classifier; give another model")
        loaded = module(model.network)
        loaded.load_arrays(model.tensors)
        net, teacher_labels, teacher_ids = loaded, model.labels, model.label_ids
        normalization = (model.preprocessing.mean, model.preprocessing.std)
    columns = find_columns(settings.model, labels, label_ids, teacher_labels, teacher_ids)
    return TeacherNetwork(net, columns, normalization, objective, settings)


def from_timm(name: str, classes: int) -> tuple[nn.Module, tuple[str, ...], tuple[str, ...], Normalization]:
    """One of timm's networks with pretrained weights, which timm downloads: (network, labels, ids, (mean, std))."""
    try:
        import timm
    except ImportError as error:
        raise UsageError(f"teacher {TIMM}{name}: {error}; pip install timm, or give a model file") from error
    try:
        net: Any = timm.create_model(name, pretrained=True)
    except Exception as error:  # no such name, no connection, no weights: timm raises whatever its parts raise
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"teacher {TIMM}{name}: timm cannot make it ({reason}); give another name, or a model file") from error
    outputs, configuration = int(net.num_classes), net.pretrained_cfg
    names, ids = imagenet(1000) if outputs == 1000 and classes != 1000 else Labels(())
    return net, names or tuple(map(str, range(outputs))), ids, (configuration["mean"], configuration["std"])


def find_columns(
    source: str, labels: tuple[str, ...], ids: tuple[str, ...], teacher_labels: tuple[str, ...], teacher_ids: tuple[str, ...]
) -> list[int]:
    """The index of each of our classes among the teacher's outputs: by id, else by label, else by position."""
    if ids and set(ids) <= set(teacher_ids):
        return [teacher_ids.index(label_id) for label_id in ids]
    if set(labels) <= set(teacher_labels):
        return [teacher_labels.index(label) for label in labels]
    if len(labels) == len(teacher_labels) and teacher_labels[0] == "0":  # timm has no labels
        return list(range(len(labels)))
    missing = next(label for label in labels if label not in teacher_labels)
    raise UsageError(f"teacher {source!r} has no class {missing!r}; give one that has all {len(labels)} classes")
