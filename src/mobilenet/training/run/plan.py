"""The recipe `finetune` for a folder of labeled images: what is there, from which model, in how many minutes."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from statistics import median

import numpy as np
import torch

from ... import nn
from ...data import Objects, Records, Subset, Truth, open_training
from ...data.open import recognize
from ...errors import UsageError
from ...modelfile import ModelFile
from ...tasks.boxes import iou
from ...zoo.load import load_model
from ..input import Dataset, Loader, LoaderSettings
from ..objectives import DetectionObjective, objective_of
from ..recipes.finetune import STARTS, Images, epochs_between_scores, finetune
from ..recipes.names import current_names
from ..recipes.recipe import Recipe, with_settings
from .allocator import keep_freed_memory
from .heads import scores_on_objects
from .start import shared_classes

MEASURED_IMAGES = 64
"""Images whose sizes stand for all."""
SEEN_IMAGES = 250
"""Images in whose objects the start looks for classes that it knows."""
COUNTED_IMAGES, OVERLAPPING = 2000, 0.02
"""Images whose objects tell how much those of one class overlap, and the share of them that may overlap more."""
MEASURED_STEPS = 4
SCORING = 1.25
"""A run takes this much longer than its steps: scoring, checkpoints, the first features."""
MOST_TIMES_EPOCHS = 4
"""With `--minutes`, a run has at most so many times the epochs that it has without: more of few images only overfits."""


def finetune_recipe(data: str, layout: str | None, model: str | None, minutes: float | None, changes: dict[str, str]) -> Recipe:
    """The recipe for the images of `data`, from `model` or the task's own start, with other settings by path.

    With `minutes` it has as many epochs as fit into them on this machine, by a few steps that are timed.

    Raises UsageError for data or a model that do not fit.
    """
    keep_freed_memory()
    task = recognize(data, layout=layout)[1]
    records, validation = open_training(data, task, layout=layout)
    source = model or STARTS[task]
    start = load_model(source)
    side = typical_side(records) if task == "segmentation" else 0
    named = known_by_name(records, start)
    share = len(named) / len(records.labels)
    images = Images(task, len(records), side, len(validation), share, len(records.labels), overlap_of_objects(records))
    plain = finetune(images, source, start)
    if task == "detection" and share < 1:
        images = replace(images, known=known_share(records, named, start, plain))
        plain = finetune(images, source, start)
    recipe = with_settings(plain, changes)
    if minutes is None or "epochs" in current_names(changes, plain.to_json()):
        return recipe
    epoch = seconds_of_a_step(recipe, Dataset(records)) * (len(records) // recipe.batch) * SCORING
    epochs = min(int(minutes * 60 / epoch), MOST_TIMES_EPOCHS * plain.epochs)
    if epochs < 1:
        raise UsageError(
            f"--minutes {minutes:g}: one epoch takes about {epoch / 60:.1f} minutes here; give more, or fewer images"
        )
    return with_settings(recipe, {"epochs": str(epochs), "score_epochs": str(epochs_between_scores(images, epochs))})


def known_by_name(records: Records[Truth], start: ModelFile) -> Collection[int]:
    """The classes that the start knows by name; none of a start for another task."""
    return shared_classes(records.labels, records.label_ids, start) if start.network.task == records.task else ()


def known_share(records: Records[Truth], named: Collection[int], start: ModelFile, recipe: Recipe) -> float:
    """The share of the objects' classes that the start knows: whole by name, else as far as it sees one of its own in them."""
    labels = range(len(records.labels))
    network = recipe.network.network(recipe.resolution, len(labels))
    objective = objective_of(recipe.loss, network, recipe.preprocessing, records.labels)
    assert isinstance(objective, DetectionObjective)
    few = Dataset(Subset(records, SEEN_IMAGES))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16-mixed"):
        seen = scores_on_objects(start, few, recipe, objective)
    return sum(1.0 if number in named else seen.known(number) for number in labels) / len(labels)


def overlap_of_objects(records: Records[Truth]) -> float:
    """The IoU that only `OVERLAPPING` of the objects have with another one of their class; 0 without objects in boxes."""
    overlaps = list[float]()
    few = Subset(records, COUNTED_IMAGES if records.task == "detection" else 0)  # the truth of a mask is a file to decode
    for truth in map(few.truth, range(len(few))):
        if isinstance(truth, Objects) and len(truth.labels):
            same = truth.labels[:, None] == truth.labels
            np.fill_diagonal(same, False)
            overlaps += (iou(truth.boxes, truth.boxes) * same).max(axis=1).tolist()
    return float(np.quantile(overlaps, 1 - OVERLAPPING)) if overlaps else 0.0


def typical_side(records: Records[Truth]) -> int:
    """The median of the longer sides in pixels, of some images spread over all."""
    count = min(len(records), MEASURED_IMAGES)
    images = (records[i * len(records) // count].open() for i in range(count))
    return int(median(max(image.size) for image in images))


def seconds_of_a_step(recipe: Recipe, data: Dataset) -> float:
    """The median time of some training steps on this machine, images read and changed by as many processes as in the run."""
    net = nn.module(recipe.network.network(recipe.resolution, len(data.labels))).train()
    net.to(memory_format=torch.channels_last)
    objective = objective_of(recipe.loss, net.network, recipe.preprocessing, data.labels)
    settings = LoaderSettings(min(recipe.batch, len(data)), recipe.workers, drop_last=True, channels_last=True)
    seconds = list[float]()
    before = time.perf_counter()
    for batch in Loader(data, recipe.augmentation, recipe.preprocessing, settings):
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16-mixed"):
            outputs = net(batch["image"])
        objective.loss(outputs, batch["target"])["total"].backward()  # type: ignore[no-untyped-call]
        seconds.append(time.perf_counter() - before)
        before = time.perf_counter()
        if len(seconds) > MEASURED_STEPS:
            break
    return median(seconds[1:] or seconds)
