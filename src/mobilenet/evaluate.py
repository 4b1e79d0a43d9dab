"""A model's score on labelled pictures. Knows only a predictor, so every runtime is scored by the same code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .catalogue import unknown
from .images import ImageError, find_inputs
from .modelfile import ModelFile
from .predictor import Predictor


@dataclass
class Evaluation:
    """Counts so far. `failed` names every picture that could not be opened, with the reason."""

    images: int = 0
    top1: int = 0
    top5: int = 0
    failed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Fractions of the pictures that could be opened; at least one has."""
        metrics = {"top1": self.top1 / self.images, "top5": self.top5 / self.images}
        return {"task": "classification", "images": self.images, "metrics": metrics, "failed": self.failed}


def evaluate(
    predictor: Predictor,
    data: Path,
    watch: Callable[[Sequence[tuple[Path, int]]], Iterable[tuple[Path, int]]] = lambda pictures: pictures,
) -> Evaluation:
    """Top-1 and top-5 of a classifier on class folders.

    `data` holds a folder for each class, named by the model's label id (ImageNet's WordNet id), label, or index. `watch`
    may wrap the sequence of (picture, class), to show progress. Raises ValueError where the layout or a folder's name
    is not understood, or where no picture could be opened.
    """
    pictures = labelled_pictures(data, predictor.model)
    score = Evaluation()
    for path, index in watch(pictures):
        try:
            best = [prediction.index for prediction in predictor(path).top(5)]
        except ImageError as error:
            score.failed.append(str(error))
            continue
        score.images += 1
        score.top1 += best[0] == index
        score.top5 += index in best
    if not score.images:
        raise ValueError(f"{data}: none of its {len(pictures)} pictures could be opened; the first: {score.failed[0]}")
    return score


def labelled_pictures(data: Path, model: ModelFile) -> list[tuple[Path, int]]:
    """(picture, class index) of every class folder of `data`, in the order of names."""
    if not data.is_dir():
        raise ValueError(f"{data}: is no folder; give a folder with one subfolder for each class")
    folders = sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise ValueError(f"{data}: holds no class folders; name one subfolder for each class by label id, label or index")
    if {"train", "val"} & {folder.name for folder in folders}:
        raise ValueError(f"{data}: holds splits, not classes; give one of them, for example {data / 'val'}")
    pictures = []
    for folder in folders:
        index = class_index(folder.name, model)
        if any(folder.iterdir()):
            pictures += [(path, index) for path in find_inputs([str(folder)])]
    if not pictures:
        raise ValueError(f"{data}: its {len(folders)} class folders hold no pictures")
    return pictures


def class_index(name: str, model: ModelFile) -> int:
    """The output a folder's name means: label id, then label (case and underscores aside), then index."""
    if name in model.label_ids:
        return model.label_ids.index(name)
    plain = [label.casefold().replace("_", " ") for label in model.labels]
    if (wanted := name.casefold().replace("_", " ")) in plain:
        return plain.index(wanted)
    if name.isdecimal() and int(name) < len(model.labels):
        return int(name)
    raise ValueError(f"class folder {unknown('class', name, [*model.label_ids, *model.labels])[:300]}")
