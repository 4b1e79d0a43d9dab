"""Small models of each task, and images that show what they find."""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np
from PIL import Image

from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssdlite_mobilenet_v1
from mobilenet.network.mobilenet import mobilenet_v1
from mobilenet.tasks.detection import TENSORFLOW, TORCHVISION
from support.weights import random_tensors

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8))


def toy(classes: int | None = 3, **settings) -> ModelFile:
    network = mobilenet_v1(0.25, 32, classes=classes, **settings)
    labels = tuple(ascii_lowercase[: classes or 0])
    return ModelFile(network, random_tensors(network), labels, Preprocessing(size=(32, 32), fit="squash"))


def detector(classes: int = 3, **settings) -> ModelFile:
    network = ssdlite_mobilenet_v1(0.25, 33, classes=classes, **settings)
    decoding = TENSORFLOW if network.settings.anchors == "tensorflow" else TORCHVISION
    preprocessing = Preprocessing(size=(33, 33), fit="squash", mean=HALF, std=HALF)
    return ModelFile(network, random_tensors(network), tuple(ascii_lowercase[:classes]), preprocessing, decoding=decoding)


HALF = (0.5, 0.5, 0.5)


PAD = Preprocessing(size=(33, 33), fit="pad", fill=127, mean=HALF, std=HALF)


LABELS = ("background", "red", "green", "blue")


def segmenter(preprocessing: Preprocessing = PAD) -> ModelFile:
    network = deeplabv3_mobilenet_v2(0.35, preprocessing.size, classes=4)
    return ModelFile(network, random_tensors(network), LABELS, preprocessing, background=0)


def by_color(images):
    """Logits of a segmenter that knows the three colors: a pixel of none of them is background."""
    colors = images * 20
    return {"upsample": np.concatenate([np.full_like(colors[:, :1], 1), colors], axis=1)}


def halves(width: int, height: int, left=(255, 0, 0), right=(0, 255, 0)) -> Image.Image:
    image = Image.new("RGB", (width, height), right)
    image.paste(left, (0, 0, width // 2, height))
    return image
