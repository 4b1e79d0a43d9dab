"""The recipe `finetune` for a folder of labeled images: what is there, from which model, in how many minutes."""

from __future__ import annotations

import time
from statistics import median

import torch

from ... import nn
from ...data import Records, Truth, open_training
from ...data.open import recognize
from ...errors import UsageError
from ...modelfile import ModelFile
from ...zoo.load import load_model
from ..input import Dataset, Loader, LoaderSettings
from ..objectives import objective_of
from ..recipes.finetune import STARTS, Images, epochs_between_scores, finetune
from ..recipes.names import current_names
from ..recipes.recipe import Recipe, with_settings
from .allocator import keep_freed_memory
from .start import shared_classes

MEASURED_IMAGES = 64
"""Images whose sizes stand for all."""
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
    known = known_share(records, start)
    images = Images(task, len(records), side, len(validation), known, len(records.labels))
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


def known_share(records: Records[Truth], start: ModelFile) -> float:
    """The share of the classes that the start knows by name; 0 of a start for another task."""
    if start.network.task != records.task:
        return 0.0
    return len(shared_classes(records.labels, records.label_ids, start)) / len(records.labels)


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
