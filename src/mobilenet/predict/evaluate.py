"""A model's score on labelled pictures. Knows only a predictor, so every runtime and every task is scored by the same code.

Three layouts of a folder are recognised: class folders (classification), COCO's ``annotations/instances_*.json`` beside
folders of pictures (detection), VOC's ``JPEGImages`` and ``SegmentationClass`` (segmentation).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import unknown_name
from ..images.find import find_inputs
from ..images.masks import read_mask
from ..images.open import ImageError
from ..modelfile import ModelFile
from ..network.layers import Task
from ..tasks.labels import normalize_label
from ..tasks.metrics import Accuracy, MeanAP, MeanIoU, Metrics
from .predictor import Predictor

Item = tuple[Path, Any]
"""A picture, and what its score's `add` takes as the truth."""


class Score(Protocol):
    def add(self, result: Any, truth: Any) -> None: ...
    def metrics(self) -> Metrics: ...


@dataclass
class Dataset:
    """Labelled pictures. `truth` turns an item's second half into the truth, when its turn comes."""

    task: Task
    items: Sequence[Item]
    score: Score
    truth: Callable[[Any], Any] = lambda given: given


@dataclass
class Evaluation:
    """`metrics` over `images` pictures. `failed` names every picture that could not be opened, with the reason."""

    task: Task
    images: int
    metrics: Metrics
    failed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The contract of `mobilenet evaluate --json`; the metrics are fractions of the pictures that could be opened."""
        return {"task": self.task, "images": self.images, "metrics": self.metrics, "failed": self.failed}


def evaluate(
    predictor: Predictor, data: Path, watch: Callable[[Sequence[Item]], Iterable[Item]] = lambda items: items
) -> Evaluation:
    """The model's score on `data`, whose layout says what it is.

    `watch` may wrap the sequence of items, to show progress. Raises ValueError where the layout, a folder's or a category's
    name is not understood, where the labels are for another task, or where no picture could be opened.
    """
    dataset = recognise(data, predictor.model)
    images, failed = 0, []
    for path, given in watch(dataset.items):
        try:
            truth = dataset.truth(given)
            dataset.score.add(predictor(path), truth)
        except ImageError as error:
            failed.append(str(error))
            continue
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        images += 1
    if not images:
        raise ValueError(f"{data}: none of its {len(dataset.items)} pictures could be opened; the first: {failed[0]}")
    return Evaluation(dataset.task, images, dataset.score.metrics(), failed)


def recognise(data: Path, model: ModelFile) -> Dataset:
    """The dataset in a folder. A COCO annotation file may be named itself, to choose among several."""
    task = model.network.task
    if data.suffix == ".json" or (data / "annotations").is_dir():
        found: Task = "detection"
    else:
        found = "segmentation" if (data / "SegmentationClass").is_dir() else "classification"
    if not data.exists():
        raise ValueError(f"{data}: is no folder; give {NEEDS[task]}")
    if found != task:
        raise ValueError(f"{data}: labels for {found}, and the model does {task}; give {NEEDS[task]}")
    return READERS[task](data, model)


NEEDS = {
    "classification": "a folder with one subfolder for each class",
    "detection": "a folder with COCO's annotations/instances_*.json",
    "segmentation": "a folder with VOC's JPEGImages and SegmentationClass",
}


# Class folders -------------------------------------------------------------------------------------------------------


def class_folders(data: Path, model: ModelFile) -> Dataset:
    return Dataset("classification", labelled_pictures(data, model), Accuracy())


def labelled_pictures(data: Path, model: ModelFile) -> list[tuple[Path, int]]:
    """(picture, class index) of every class folder of `data`, in the order of names."""
    if not data.is_dir():
        raise ValueError(f"{data}: is no folder; give {NEEDS['classification']}")
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
    names = [normalize_label(label) for label in model.labels]
    if normalize_label(name) in names:
        return names.index(normalize_label(name))
    if name.isdecimal() and int(name) < len(model.labels):
        return int(name)
    raise ValueError(f"class folder {unknown_name('class', name, [*model.label_ids, *model.labels])[:300]}")


# COCO ----------------------------------------------------------------------------------------------------------------


def coco(data: Path, model: ModelFile) -> Dataset:
    """Detection in COCO's layout: the pictures of an annotation file, which is `data` itself or the one under it.

    Of several files under ``annotations`` the one for validation is meant. Its pictures lie in the folder that it is named
    after (``instances_val2017.json``, ``val2017``), in ``images`` or in ``data`` itself. All its pictures count, those without
    objects too; crowds are regions where nothing found is wrong, as COCO has it.
    """
    file = data
    if data.is_dir():
        files = sorted((data / "annotations").glob("instances_*.json"))
        chosen = [file for file in files if "val" in file.stem] or files
        if len(chosen) != 1:
            raise ValueError(f"{data / 'annotations'}: {len(chosen)} files instances_*.json to choose from; name one of them")
        file = chosen[0]
    try:
        truth = json.loads(file.read_text("utf-8"))
        pictures = {str(entry["file_name"]): int(entry["id"]) for entry in truth["images"]}
        categories = {int(entry["id"]): str(entry["name"]) for entry in truth["categories"]}
        assert isinstance(truth["annotations"], list)
    except (OSError, ValueError, KeyError, TypeError, AssertionError, RecursionError) as error:
        raise ValueError(f"{file}: no COCO annotations can be read from it ({error!r:.200}); get the file again") from error
    if not pictures:
        raise ValueError(f"{file}: lists no pictures; give one that does")
    root, split = file.parent.parent, file.stem.removeprefix("instances_")
    first = next(iter(pictures))
    folders = [root / split, root / "images" / split, root / "images", root]
    folder = next((folder for folder in folders if (folder / first).is_file()), folders[0])
    score = MeanAP(truth, category_ids(model, categories, file))
    return Dataset("detection", [(folder / name, number) for name, number in pictures.items()], score)


def category_ids(model: ModelFile, categories: Mapping[int, str], source: Path) -> list[int | None]:
    """The data's category for each class of the model: the one of its label id, else of its label."""
    by_name = {normalize_label(name): number for number, name in categories.items()}
    ids = model.label_ids or ("",) * len(model.labels)
    found = [
        int(number) if number.isdecimal() and int(number) in categories else by_name.get(normalize_label(label))
        for number, label in zip(ids, model.labels, strict=True)
    ]
    if missing := [name for number, name in categories.items() if number not in found]:
        raise ValueError(f"{source}: no class of the model is {', '.join(missing[:5])}; give data the model has labels for")
    return found


# VOC -----------------------------------------------------------------------------------------------------------------


def voc(data: Path, model: ModelFile) -> Dataset:
    """Segmentation in VOC's layout: the pictures of ``ImageSets/Segmentation/val.txt``, or all that have a mask.

    Masks are the PNGs of ``SegmentationClass``, a class's index at each pixel, `results.VOID` where no class is meant.
    """
    masks, split = data / "SegmentationClass", data / "ImageSets" / "Segmentation" / "val.txt"
    listed = split.read_text("utf-8").split() if split.is_file() else None
    names = sorted(path.stem for path in masks.glob("*.png")) if listed is None else listed
    if not names:
        raise ValueError(f"{masks if listed is None else split}: names no picture; give data that has some")
    items = [(data / "JPEGImages" / f"{name}.jpg", masks / f"{name}.png") for name in names]
    return Dataset("segmentation", items, MeanIoU(len(model.labels)), read_mask)


READERS: dict[str, Callable[[Path, ModelFile], Dataset]] = {
    "classification": class_folders,
    "detection": coco,
    "segmentation": voc,
}
