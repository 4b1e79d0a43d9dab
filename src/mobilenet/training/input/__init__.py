"""Labeled images for training and for evaluation in the loop: datasets, augmentation, batches. Needs torch and torchvision.

    dataset = Dataset(open_records("imagenette160", "classification", split="train"))
    settings = LoaderSettings(batch=64, workers=2, seed=0, epoch=0)
    for batch in Loader(dataset, ClassificationAugmentation(), preprocessing, settings):
        batch["image"], batch["target"]

Modules: `samples` (records as tensors), `augment` and `mix` (random changes), `loading` (batches). Where the images come
from is decided in `mobilenet.data`.
"""

from .augment import Augmentation, ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation
from .loading import Batch, Loader, LoaderSettings
from .samples import (
    CorruptImage,
    Dataset,
    DetectionTarget,
    ImagesLost,
    InMemory,
    Sample,
    Target,
)

__all__ = [
    "Augmentation",
    "Batch",
    "ClassificationAugmentation",
    "CorruptImage",
    "Dataset",
    "DetectionAugmentation",
    "DetectionTarget",
    "ImagesLost",
    "InMemory",
    "Loader",
    "LoaderSettings",
    "Sample",
    "SegmentationAugmentation",
    "Target",
]
