"""Pictures of shapes, made on the fly with exact labels, boxes and masks: to learn in minutes and to test with.

A picture is a texture, strokes that mean nothing, and shapes that do: five kinds, of any size and colour, leaning, shaded,
some partly behind others, all under noise. The kind is the class; colour, size, place and background say nothing about it.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision import tv_tensors

from ..network.layers import Task
from .dataset import Dataset, ObjectRecord, Objects, Target, derived_seed, object_target, to_tensor

KINDS = ("circle", "square", "triangle", "star", "cross")

UPRIGHT = {"circle": 0.0, "square": math.pi / 4, "triangle": -math.pi / 2, "star": -math.pi / 2, "cross": 0.0}
"""Angle of the first corner of a shape that stands upright."""

TILT = math.radians(25)
"""Most by which a shape leans to either side."""

HIDDEN = 0.4
"""Most of a shape that those in front of it may hide."""

Split = Literal["train", "val", "test"]
Shape = tuple[int, NDArray[np.bool_]]
"""Kind, and the pixels where it is seen."""


class Shapes(Dataset):
    """Pictures that are a function of (seed, split, index) alone, so that there are as many as wanted and none is kept.

    Classification: one shape, its kind the label. Detection: up to five, sometimes none; a box is that of what is seen of a
    shape. Segmentation: the same pictures, 0 the background, then the kinds.

    Args:
        task: "classification", "detection" or "segmentation".
        split: "train", "val" or "test": streams that share no picture.
        count: number of pictures.
        size: height and width in pixels, from 32.
        seed: whole number; other seeds, other pictures.
    """

    def __init__(self, task: Task, split: Split = "train", count: int = 4096, size: int = 128, seed: int = 0) -> None:
        if task not in ("classification", "detection", "segmentation"):
            raise ValueError(f"shapes: task {task!r} must be classification, detection or segmentation")
        if split not in get_args(Split):
            raise ValueError(f"shapes: split {split!r} must be one of {', '.join(get_args(Split))}")
        if count < 1 or not 32 <= size <= 1024:
            raise ValueError(f"shapes: {count} pictures of {size}: must be at least 1, of 32 to 1024 pixels")
        self.count, self.size = count, size
        self.stream = (seed, get_args(Split).index(split))
        kinds = torch.tensor([self._label(index) for index in range(count)]) if task == "classification" else None
        super().__init__(task, ("background", *KINDS) if task == "segmentation" else KINDS, (), kinds)

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"shapes/{get_args(Split)[self.stream[1]]}/{index}"

    def read(self, index: int) -> tuple[Tensor, Target]:
        shapes, random = self._shapes(index)
        image = to_tensor(Image.fromarray(_paint(shapes, self.size, random)))
        if self.targets is not None:
            return image, self.targets[index]
        if self.task == "detection":
            return image, object_target(_objects(shapes), (self.size, self.size))
        mask = np.zeros((self.size, self.size), np.uint8)
        for kind, pixels in shapes:
            mask[pixels] = kind + 1
        return image, tv_tensors.Mask(torch.from_numpy(mask))

    def objects(self, index: int) -> Objects:
        record = _objects(self._shapes(index)[0])
        return record.boxes, record.labels, record.crowd, record.area

    def _label(self, index: int) -> int:
        return derived_seed(*self.stream, index, 1) % len(KINDS)

    def _shapes(self, index: int) -> tuple[list[Shape], np.random.Generator]:
        """The shapes of picture `index`, back to front, and the generator to paint them with."""
        random = np.random.default_rng([*self.stream, index])
        if self.task == "classification":
            return [(self._label(index), _outline(self._label(index), self.size, random, 0.45, 0.9))], random
        shapes: list[Shape] = []
        whole: list[int] = []
        for _ in range(random.integers(0, 6)):
            kind = int(random.integers(len(KINDS)))
            pixels = _outline(kind, self.size, random, 0.2, 0.55)
            left = [(k, seen & ~pixels) for k, seen in shapes]
            if all(seen.sum() >= (1 - HIDDEN) * area for (_, seen), area in zip(left, whole, strict=True)):
                shapes = [*left, (kind, pixels)]
                whole.append(int(pixels.sum()))
        return shapes, random


def _objects(shapes: list[Shape]) -> ObjectRecord:
    boxes = []
    for _, pixels in shapes:
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    areas = [float(pixels.sum()) for _, pixels in shapes]
    return ObjectRecord.of(boxes, [kind for kind, _ in shapes], [False] * len(shapes), areas)


def _outline(kind: int, size: int, random: np.random.Generator, least: float, most: float) -> NDArray[np.bool_]:
    """The pixels (size, size) of one shape, all of it inside the picture, `least` to `most` of the side across."""
    radius = size * random.uniform(least, most) / 2
    centre = random.uniform(radius, size - radius, 2)
    turn = UPRIGHT[KINDS[kind]] + random.uniform(-TILT, TILT)
    canvas = Image.new("1", (size, size))
    draw = ImageDraw.Draw(canvas)
    if KINDS[kind] == "circle":
        radius *= 0.9  # so that size tells nothing: the others do not fill their circle
        draw.ellipse([*(centre - radius), *(centre + radius)], fill=1)
    else:
        angles, lengths = _corners(KINDS[kind])
        points = centre + radius * lengths[:, None] * np.stack([np.cos(angles + turn), np.sin(angles + turn)], axis=1)
        draw.polygon([tuple(point) for point in points.tolist()], fill=1)
    return np.array(canvas)


def _corners(kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles and distances of a polygon's corners from its centre, the farthest at 1."""
    if kind in ("square", "triangle"):
        count = 4 if kind == "square" else 3
        return np.arange(count) * 2 * math.pi / count, np.ones(count)
    if kind == "star":
        return np.arange(10) * math.pi / 5, np.where(np.arange(10) % 2, 0.45, 1.0)
    arm = math.atan2(0.32, 0.95)  # a cross: four arms of two corners, and the corners between them
    angles = (np.arange(4)[:, None] * math.pi / 2 + np.array([-arm, arm, math.pi / 4])).reshape(-1)
    return angles, np.tile([1.0, 1.0, 0.32 * math.sqrt(2)], 4)


def _paint(shapes: list[Shape], size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """The picture (size, size, 3): texture, strokes, shapes with shading, noise."""
    cells = int(random.integers(2, 9))
    base, contrast = random.uniform(40, 215, 3), random.uniform(0, 60)
    cloth = np.clip(base + random.uniform(-contrast, contrast, (cells, cells, 3)), 0, 255)
    texture = Image.fromarray(cloth.astype(np.uint8))
    picture = texture.resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(random.integers(0, 5)):
        ends = [tuple(point) for point in random.uniform(0, size, (2, 2)).tolist()]
        draw.line(ends, fill=_colour(random), width=int(random.integers(1, max(size // 24, 2) + 1)))
    canvas = np.asarray(picture).astype(np.float32)
    for _, pixels in shapes:
        if not pixels.any():
            continue
        around = canvas[pixels].mean(axis=0)
        colour = np.array(_colour(random), np.float32)
        while np.abs(colour - around).max() < 100:  # seen by somebody who looks
            colour = np.array(_colour(random), np.float32)
        ramp = np.linspace(-1, 1, size, dtype=np.float32) * random.uniform(-30, 30)
        shade = ramp[:, None] if random.random() < 0.5 else ramp[None, :]
        own = 0.15 * (canvas - around) + colour + shade[..., None]  # a little of what is behind shines through
        canvas[pixels] = own[pixels]
    level = int(random.integers(2, 17))
    canvas += random.integers(-level, level + 1, canvas.shape, dtype=np.int8)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _colour(random: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue
