"""The recipe for your own classes, boxes and masks: a published model goes on learning from your images.

One rule for all sets: from the number of images, their size and the published model follow the epochs, the batch and the size
of the input. Nothing depends on what the images show or what the set is called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import UsageError
from ...images.preprocessing import Preprocessing
from ...modelfile import ModelFile
from ...network.layers import Task
from ...values import replace
from ..input import Augmentation, ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation
from ..optim.ema import Averaging
from ..optim.optimizer import AdamW
from ..optim.schedule import OneCycle
from .recipe import BoxLoss, CrossEntropy, Form, Loss, NetworkSpec, PixelCrossEntropy, Recipe

STARTS: dict[Task, str] = {"classification": "imagenet", "detection": "coco", "segmentation": "voc-small"}
"""The published model that each task starts from, unless another is given."""

SHOWN: dict[Task, tuple[int, int]] = {"classification": (14_000, 13), "detection": (12_000, 28), "segmentation": (8_000, 30)}
"""How many images a run shows the network: about this many, but at most so many epochs of few, and `MIN_EPOCHS` of many."""
SHOWN_OF_KNOWN = 1 / 3
"""A detector is shown this share of so many if the start knows all classes: of VOC's 15 classes, 709 images, it had mAP50 0.716
after 4 of 17 epochs, 0.714 after 8 and 0.714 after 11 (0.698 at the start), and its loss on the training images went on
falling."""
MIN_EPOCHS = 2
SCORING_WORK = 0.2
"""Scoring after the start's takes about this share of the training's work, but happens at least once and at most 5 times."""
SCORED_IMAGE = 0.45
"""The work to score an image over that to train with it (measured: 0.43 to 0.48 for the three tasks)."""
KEPT = 0.4
"""The share of the start's weights in the result (WiSE-FT). See `averaging`."""
DEFAULT_EPSILON = 1e-5


@dataclass(frozen=True)
class Images:
    """What the recipe depends on.

    Attributes:
        task: what the labels are for.
        count: training images.
        side: a typical longer side of an image in pixels.
        scored: validation images.
        known: the share of the classes that the start knows, by name or, a detector's, by what it sees in the objects.
        classes: how many there are.
        overlap: the largest IoU that objects of one class usually have with each other.
    """

    task: Task
    count: int
    side: int
    scored: int = 0
    known: float = 1.0
    classes: int = 1
    overlap: float = 0.0


def finetune(images: Images, source: str, start: ModelFile) -> Recipe:
    """The recipe for these images from the published model or model file `source`, whose content is `start`.

    Raises UsageError if no network for the task can start from this model.
    """
    shown, max_epochs = SHOWN[images.task]
    if images.task == "detection":
        shown = round(shown * SHOWN_OF_KNOWN**images.known)
    epochs = min(max(round(shown / images.count), MIN_EPOCHS), max_epochs)
    resolution, preprocessing = input_size(images, start)
    return Recipe(
        name="finetune",
        network=network_spec(images.task, source, start),
        resolution=resolution,
        preprocessing=preprocessing,
        augmentation=augmentation(images.task),
        loss=loss(images, start),
        epochs=epochs,
        batch=batch(images.task, images.count),
        lr=learning_rate(images),
        optimizer=AdamW(),
        schedule=OneCycle(rise=0.2, start=0.05, final=0.001),
        weight_decay=0.02,
        decayed="weights",
        averaging=averaging(images),
        precision="bf16-mixed",
        score_epochs=epochs_between_scores(images, epochs),
        score_start=True,
    )


KNOWN_RATE = 1e-4
UNKNOWN_RATES: dict[Task, float] = {"classification": 5e-4, "detection": 3e-4, "segmentation": 5e-4}
"""The learning rates with a start that knows all classes by name, and with one that knows none.

Large steps make a detector forget: three epochs of VOC's objects, all known, at 5e-4 took mAP50 from 0.698 to 0.620; ten epochs
of 200 images of shapes, unknown, took it to 0.946. A classifier of CIFAR-10's classes, one of ten known by name, went in six
epochs of 1,000 images from 0.816 to 0.836 at 5e-4, and to 0.872 with 0.4 of the start kept. With 10 images a class it went from
0.710 to 0.744 at 4.3e-4 and 0.722 at 2.5e-4; with 3 from 0.576 to 0.486 at 4.3e-4 and to 0.594 at 1.5e-4. So a classifier gets
less of fewer than `MANY`, see `learning_rate`.
"""
MANY = 10
"""Images of a class from which on a classifier takes the whole rate."""


def learning_rate(images: Images) -> float:
    unknown = UNKNOWN_RATES[images.task]
    if images.task == "classification":
        of_class = images.count / images.classes
        unknown = max(KNOWN_RATE, unknown * min(of_class / MANY, 1))
    rate = KNOWN_RATE**images.known * unknown ** (1 - images.known)
    return float(f"{rate:.2g}")


def averaging(images: Images) -> Averaging:
    """The average of the weights, and the share of the start in it.

    A classifier's start has a head fitted to the images, so it is worth keeping. The start of a detector or a segmenter is
    kept in proportion to the classes that it knows. What a detector has to learn in addition is little against the noise of
    its steps, so the average is over half of the run if it knows all, instead of the last ninth: on the images of
    `SHOWN_OF_KNOWN`, with Adam at 2e-4 and SGD, a long average had more mAP50 by 0.007 to 0.015, and 0.003 less with Adam at
    3e-5.
    """
    if images.task != "detection":
        return Averaging(decay=0.99, start=KEPT if images.task == "classification" else round(KEPT * images.known, 2))
    power = round(8 ** (1 - images.known), 1)
    return Averaging(decay=0.999, start=round(KEPT * images.known, 2), power=power)


def epochs_between_scores(images: Images, epochs: int) -> int:
    """So many that scoring takes about `SCORING_WORK` of the training's work."""
    scores = SCORING_WORK * epochs * images.count / (SCORED_IMAGE * max(images.scored, 1))
    return math.ceil(epochs / min(max(int(scores), 1), 5))


def batch(task: Task, count: int) -> int:
    """32 classified images, or all of fewer; 16 with boxes or masks, fewer of few, so that an epoch has some steps."""
    if task == "classification":
        return min(32, count)
    eighth: int = 2 ** int(math.log2(max(count / 8, 1)))
    return min(16, max(eighth, min(4, count)))


def network_spec(task: Task, source: str, start: ModelFile) -> NetworkSpec:
    """The start's own network, with the outputs of other classes; or a segmenter on the backbone of a classifier."""
    settings = {key: value for key, value in start.network.settings.to_json().items() if key not in ("classes", "resolution")}
    settings["epsilon"] = settings["epsilon"] or DEFAULT_EPSILON
    architecture = start.network.architecture
    if start.network.task != task:
        if (task, architecture) != ("segmentation", "mobilenet_v2"):
            raise UsageError(
                f"--model {source}: {architecture} is for {start.network.task}, the labels are for {task}; "
                f"start from {STARTS[task]}, or from another model for {task}"
            )
        architecture = "deeplabv3_mobilenet_v2"
        settings = {key: settings[key] for key in ("width", "padding", "epsilon", "min_depth", "divisible_by", "rows")}
        settings |= {"output_stride": 16, "aspp": "none"}
    if "head_epsilon" in settings:
        settings["head_epsilon"] = settings["head_epsilon"] or DEFAULT_EPSILON
    return NetworkSpec(architecture, settings, dropout=0.0, start=source, head="fitted", fixed_norms=True)


def input_size(images: Images, start: ModelFile) -> tuple[int, Preprocessing]:
    """The side of the input, and how an image gets there.

    A detector keeps its start's. A classifier sees 160 pixels, or its start's if that is less: half the work of 224. A
    segmenter sees images in their own size up to that of DeepLab, 513, in steps of 16.
    """
    own = start.preprocessing
    match images.task:
        case "classification":
            side = min(160, start.network.resolution[0])
            return side, Preprocessing(size=(side, side), fit="center_crop", resize=side, mean=own.mean, std=own.std)
        case "segmentation":
            side = min(max(round((images.side - 1) / 16), 8), 32) * 16 + 1
            fill = round(255 * own.mean[0])
            return side, Preprocessing(size=(side, side), fit="pad", fill=fill, mean=own.mean, std=own.std)
        case _:
            return start.network.resolution[0], own


def augmentation(task: Task) -> Augmentation:
    match task:
        case "classification":
            return ClassificationAugmentation(scale=(0.5, 1.0))
        case "segmentation":
            return SegmentationAugmentation((0.75, 1.75), step=0, scale_of="fitted", crop=2 / 3, jitter=(0.3, 0.3, 0.3, 0.05))
        case _:
            return DetectionAugmentation(zoom_out=0.3, zoom=(1.0, 2.0))


def loss(images: Images, start: ModelFile) -> Loss:
    """A detector is trained in the form in which its start was, so that its outputs keep their meaning.

    Of boxes that overlap by half or more, only the better one is found, unless objects of one class do so: the start's own
    limit is for crowds.
    """
    if images.task == "classification":
        return CrossEntropy()
    if images.task == "segmentation" or start.decoding is None:
        return PixelCrossEntropy()
    form: Form = "tensorflow" if start.decoding.scores == "sigmoid" else "torchvision"
    iou = min(start.decoding.iou, max(MIN_IOU, round(images.overlap, 2)))
    return BoxLoss(form=form, decoding=replace(start.decoding, iou=iou))


MIN_IOU = 0.5
"""With 0.5 instead of 0.6, the mAP50 of VOC's classes was higher by 0.005 to 0.011 and mAP lower by at most 0.005, of the start
and of eleven mixtures of its weights and trained ones."""
