"""Labelled pictures for training and for evaluation in the loop: datasets, augmentation, batches. Needs torch and torchvision.

    dataset = open_dataset("imagenette160", "classification", split="train")
    for batch in loader(dataset, ClassificationAugmentation(), preprocessing, batch=64, workers=2, seed=0, epoch=0):
        batch["image"], batch["target"]

Modules: `dataset` (what a dataset and its samples are), `layouts`, `coco`, `voc`, `archives` (where they come from), `shapes`
(pictures made on the fly), `augment` and `mix` (how they are changed), `loading` (how they become batches).
"""

from ...data.dataset import CorruptPicture, Dataset, DetectionTarget, InMemory, PicturesLost, Sample, Target
from ...data.layouts import open_dataset
from ...data.shapes import Shapes
from .augment import Augmentation, ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation
from .loading import Batch, Loader, loader

__all__ = [
    "Augmentation",
    "Batch",
    "ClassificationAugmentation",
    "CorruptPicture",
    "Dataset",
    "DetectionAugmentation",
    "DetectionTarget",
    "InMemory",
    "Loader",
    "PicturesLost",
    "Sample",
    "SegmentationAugmentation",
    "Shapes",
    "Target",
    "loader",
    "open_dataset",
]
