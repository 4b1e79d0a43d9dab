"""Tiny runs for the tests of training: recipes that take a second, and a run in a forked process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mobilenet.images.preprocessing import Preprocessing
from mobilenet.training.input import ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation
from mobilenet.training.optim.ema import Averaging
from mobilenet.training.optim.optimizer import SGD
from mobilenet.training.recipes.recipe import BoxLoss, CrossEntropy, GeneratedShapes, NetworkSpec, PixelCrossEntropy, Recipe
from mobilenet.training.run import log, loop, report

ROWS = [[1, 8, 1, 1], [6, 8, 2, 2]]


def tiny(**changes) -> Recipe:
    """Ten steps on a network of two blocks, with all sources of randomness: dropout, crops, mixing."""
    defaults = {
        "name": "tiny",
        "network": NetworkSpec(settings={"width": 0.35, "rows": ROWS}, dropout=0.2),
        "resolution": 32,
        "preprocessing": Preprocessing(size=(32, 32), fit="squash"),
        "augmentation": ClassificationAugmentation(mixup=0.2),
        "epochs": 2,
        "batch": 8,
        "lr": 0.05,
        "loss": CrossEntropy(0.1),
        "optimizer": SGD(0.9, True),
        "weight_decay": 1e-4,
        "averaging": Averaging(0.9),
        "shapes": GeneratedShapes(train=40, val=12, size=32),
        "workers": 0,
        "checkpoint_steps": 1,
    }
    return Recipe(**{**defaults, **changes})


def tiny_detector(**changes) -> Recipe:
    spec = NetworkSpec("ssdlite_mobilenet_v2", {"width": 0.35, "anchors": "torchvision"}, dropout=0.0)
    return tiny(**{
        "network": spec, "resolution": 64, "preprocessing": Preprocessing(size=(64, 64), fit="squash"),
        "augmentation": DetectionAugmentation(), "loss": BoxLoss(), "epochs": 1,
        "shapes": GeneratedShapes(train=16, val=6, size=64), **changes,
    })  # fmt: skip


def tiny_segmenter(**changes) -> Recipe:
    spec = NetworkSpec("deeplabv3_mobilenet_v2", {"width": 0.35, "output_stride": 16})
    return tiny(**{
        "network": spec, "augmentation": SegmentationAugmentation(), "loss": PixelCrossEntropy(), "epochs": 1,
        "shapes": GeneratedShapes(train=16, val=6, size=32), **changes,
    })  # fmt: skip


def log_of(folder: Path) -> list[dict]:
    """The log without times and rates."""
    lines = [json.loads(line) for line in (folder / log.LOG).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second", "data_share")} for line in lines]


def forked(folder: Path, resume: bool, recipe: Recipe) -> int:
    """Starts the run in a forked process; its pid. Exit status 0 done, 3 a TrainingError, whose text is in error.txt."""
    number = os.fork()
    if number:
        return number
    status = 1
    try:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        report.draw_run = lambda *_: None  # seconds, and nothing that a kill could spoil
        loop.train(recipe, None, folder, resume, "cpu")
        status = 0
    except loop.TrainingError as error:
        (folder / "error.txt").write_text(str(error))
        status = 3
    finally:
        os._exit(status)
    raise AssertionError
