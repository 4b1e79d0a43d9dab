"""Distillation: the answers of a trained network as a second truth (arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..nn import module
from .input import Dataset
from .losses import LossTerms
from .objectives import ClassificationObjective, Objective
from .recipes import recipe as recipes

TIMM = "timm:"


class TeacherNetwork(nn.Module):
    """Logits of the teacher for pictures prepared for the student: (N, 3, H, W) -> (N, K), no gradient.

    Args:
        net: the teacher, whose outputs are logits.
        columns: which of its outputs are the student's classes, in their order.
        wanted: mean and std of the teacher's pictures; those of the student are normalised anew.
        task: the student's.
        given: weight and temperature.
    """

    def __init__(
        self,
        net: nn.Module,
        columns: Sequence[int],
        wanted: tuple[Any, Any],
        task: ClassificationObjective,
        given: recipes.Teacher,
    ) -> None:
        super().__init__()
        self.net, self.task, self.given = net.requires_grad_(False), task, given
        seen = task.preprocessing
        mean, std, their_mean, their_std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (seen.mean, seen.std, *wanted))
        self.columns, self.scale, self.shift = (
            nn.Parameter(value, requires_grad=False)
            for value in (torch.tensor(columns), std / their_std, (mean - their_mean) / their_std)
        )
        self.eval()

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images * self.scale + self.shift)
        return logits[:, self.columns]

    def loss(self, outputs: Tensor, target: Tensor, images: Tensor) -> LossTerms:
        """The student's loss for a batch, the teacher's answers among its parts."""
        return self.task.taught_loss(outputs, target, self(images), self.given)


def teacher(given: recipes.Teacher, dataset: Dataset, task: Objective) -> TeacherNetwork:
    """The teacher a recipe names. ValueError where it cannot be had, does another task, or lacks one of the classes."""
    assert isinstance(task, ClassificationObjective)
    labels, label_ids = dataset.labels, dataset.label_ids
    if given.model.startswith(TIMM):
        net, their_labels, their_ids, wanted = from_timm(given.model.removeprefix(TIMM), len(labels))
    else:
        from ..zoo.load import load_model

        model = load_model(given.model).dequantized()
        if model.network.task != task.network.task:
            raise ValueError(f"teacher {given.model!r} does {model.network.task}: must be classification; give a classifier")
        loaded = module(model.network)
        loaded.load_arrays(model.tensors)
        net, their_labels, their_ids = loaded, model.labels, model.label_ids
        wanted = (model.preprocessing.mean, model.preprocessing.std)
    return TeacherNetwork(net, columns(given.model, labels, label_ids, their_labels, their_ids), wanted, task, given)


def from_timm(name: str, classes: int) -> tuple[nn.Module, tuple[str, ...], tuple[str, ...], tuple[Any, Any]]:
    """One of timm's networks with pretrained weights, which timm fetches: (network, labels, ids, (mean, std))."""
    from ..tasks.labels import imagenet

    try:
        import timm
    except ImportError as error:
        raise ValueError(f"teacher {TIMM}{name}: {error}; pip install timm, or give a model file") from error
    try:
        net: Any = timm.create_model(name, pretrained=True)
    except Exception as error:  # no such name, no network, no weights: timm raises what its parts raise
        raise ValueError(f"teacher {TIMM}{name}: timm cannot make it ({' '.join(str(error).split())[:200]})") from error
    outputs, configuration = int(net.num_classes), net.pretrained_cfg
    names, ids = imagenet(1000) if outputs == 1000 and classes != 1000 else ((), ())
    return net, names or tuple(map(str, range(outputs))), ids, (configuration["mean"], configuration["std"])


def columns(
    source: str, labels: tuple[str, ...], ids: tuple[str, ...], their_labels: tuple[str, ...], their_ids: tuple[str, ...]
) -> list[int]:
    """Which of the teacher's outputs are our classes: by id, then by label; as they stand where there are as many."""
    if ids and set(ids) <= set(their_ids):
        return [their_ids.index(each) for each in ids]
    if set(labels) <= set(their_labels):
        return [their_labels.index(each) for each in labels]
    if len(labels) == len(their_labels) and their_labels[0] == "0":  # timm names no labels
        return list(range(len(labels)))
    missing = [label for label in labels if label not in their_labels]
    raise ValueError(f"teacher {source!r} knows no class {missing[0]!r}; a teacher must know all {len(labels)} classes")
