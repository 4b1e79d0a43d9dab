"""Images of shapes, drawn on the fly with exact labels, boxes and masks: to learn in minutes and to test with.

An image is a texture, strokes without meaning, and the shapes: five kinds, of any size and color, tilted, shaded, some partly
behind others, all under noise. The kind is the class; color, size, place and background carry no information about it.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import UsageError
from ..network.layers import Task
from .layout import Split
from .records import ImageSource, Objects, Record, Records, Truth
from .seeds import derived_seed

KINDS = ("circle", "square", "triangle", "star", "cross")

UPRIGHT = {"circle": 0.0, "square": math.pi / 4, "triangle": -math.pi / 2, "star": -math.pi / 2, "cross": 0.0}
"""Angle of the first corner of an upright shape, in radians."""

MAX_TILT = math.radians(25)
"""To either side."""

MAX_HIDDEN = 0.4
"""The share of a shape that those in front of it may hide."""

Shape = tuple[int, NDArray[np.bool_]]
"""Kind, and the pixels (size, size) where it is seen."""


class Shapes(Records[Truth]):
    """Images that are a function of (seed, split, index) alone, so that there may be any number and none is kept.

    Classification: one shape, its kind the label. Detection: up to five, sometimes none; a box is that of the visible part of
    a shape. Segmentation: the same images, 0 the background, then the kinds.

    Args:
        task: "classification", "detection" or "segmentation".
        split: "train", "val" or "test": streams that share no image.
        count: number of images.
        size: height and width in pixels, 32 to 1024.
        seed: whole number; other seeds, other images.
    """

    def __init__(self, task: Task, split: Split = "train", count: int = 4096, size: int = 128, seed: int = 0) -> None:
        if task not in ("classification", "detection", "segmentation"):
            raise UsageError(f"shapes: task {task!r} must be classification, detection or segmentation")
        if split not in get_args(Split):
            raise UsageError(f"shapes: split {split!r} must be one of {', '.join(get_args(Split))}")
        if count < 1 or not 32 <= size <= 1024:
            raise UsageError(f"shapes: {count} images of {size}: must be at least 1, of 32 to 1024 pixels")
        super().__init__(task, ("background", *KINDS) if task == "segmentation" else KINDS)
        self.split, self.num_images, self.size = split, count, size
        self.stream = (seed, get_args(Split).index(split))

    def __len__(self) -> int:
        return self.num_images

    def name(self, index: int) -> str:
        return f"shapes/{self.split}/{index}"

    def image(self, index: int) -> ImageSource:
        return self._scene(index).paint

    def truth(self, index: int) -> Truth:
        return self._kind(index) if self.task == "classification" else self._truth(self._scene(index))

    def record(self, index: int) -> Record[Truth]:
        scene = self._scene(index)  # once for image and truth
        return Record(self.name(index), scene.paint, self._truth(scene))

    def _truth(self, scene: Scene) -> Truth:
        if self.task == "classification":
            return scene.shapes[0][0]
        return _objects(scene.shapes) if self.task == "detection" else DrawnMask(scene)

    def _kind(self, index: int) -> int:
        """The class of image `index` in classification."""
        return derived_seed(*self.stream, index, 1) % len(KINDS)

    def _scene(self, index: int) -> Scene:
        random = np.random.default_rng([*self.stream, index])
        name = self.name(index)
        if self.task == "classification":
            kind = self._kind(index)
            return Scene(name, [(kind, _outline(kind, self.size, random, 0.45, 0.9))], self.size, random)
        shapes: list[Shape] = []
        areas: list[int] = []
        for _ in range(random.integers(0, 6)):
            kind = int(random.integers(len(KINDS)))
            pixels = _outline(kind, self.size, random, 0.2, 0.55)
            visible = [(k, seen & ~pixels) for k, seen in shapes]
            if all(seen.sum() >= (1 - MAX_HIDDEN) * area for (_, seen), area in zip(visible, areas, strict=True)):
                shapes = [*visible, (kind, pixels)]
                areas.append(int(pixels.sum()))
        return Scene(name, shapes, self.size, random)


@dataclass(frozen=True)
class Scene:
    """The shapes of an image, back to front, and the generator to paint it with."""

    name: str
    shapes: list[Shape]
    size: int
    random: np.random.Generator

    def paint(self) -> Image.Image:
        """The same image each time."""
        return Image.fromarray(_paint(self.shapes, self.size, copy.deepcopy(self.random)))


@dataclass(frozen=True)
class DrawnMask:
    """The mask of a scene: 0 the background, then the kinds."""

    scene: Scene

    @property
    def name(self) -> str:
        return self.scene.name

    def read(self) -> NDArray[np.uint8]:
        mask = np.zeros((self.scene.size, self.scene.size), np.uint8)
        for kind, pixels in self.scene.shapes:
            mask[pixels] = kind + 1
        return mask


def _objects(shapes: list[Shape]) -> Objects:
    boxes = []
    for _, pixels in shapes:
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    areas = [float(pixels.sum()) for _, pixels in shapes]
    return Objects.of(boxes, [kind for kind, _ in shapes], [False] * len(shapes), areas)


def _outline(kind: int, size: int, random: np.random.Generator, low: float, high: float) -> NDArray[np.bool_]:
    """The pixels (size, size) of one shape, wholly inside the image, its width from `low` to `high` of the side."""
    radius = size * random.uniform(low, high) / 2
    center = random.uniform(radius, size - radius, 2)
    turn = UPRIGHT[KINDS[kind]] + random.uniform(-MAX_TILT, MAX_TILT)
    canvas = Image.new("1", (size, size))
    draw = ImageDraw.Draw(canvas)
    if KINDS[kind] == "circle":
        radius *= 0.9  # the other shapes do not fill their circle; size must carry no information
        draw.ellipse([*(center - radius), *(center + radius)], fill=1)
    else:
        angles, lengths = _corners(KINDS[kind])
        points = center + radius * lengths[:, None] * np.stack([np.cos(angles + turn), np.sin(angles + turn)], axis=1)
        draw.polygon([tuple(point) for point in points.tolist()], fill=1)
    return np.array(canvas)


def _corners(kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles and distances of a polygon's corners from its center, the farthest at 1."""
    if kind in ("square", "triangle"):
        count = 4 if kind == "square" else 3
        return np.arange(count) * 2 * math.pi / count, np.ones(count)
    if kind == "star":
        return np.arange(10) * math.pi / 5, np.where(np.arange(10) % 2, 0.45, 1.0)
    arm = math.atan2(0.32, 0.95)  # a cross: four arms of two corners, and the corners between them
    angles = (np.arange(4)[:, None] * math.pi / 2 + np.array([-arm, arm, math.pi / 4])).reshape(-1)
    return angles, np.tile([1.0, 1.0, 0.32 * math.sqrt(2)], 4)


def _paint(shapes: list[Shape], size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """The image (size, size, 3) RGB: texture, strokes, shaded shapes, noise."""
    cells = int(random.integers(2, 9))
    base, contrast = random.uniform(40, 215, 3), random.uniform(0, 60)
    cloth = np.clip(base + random.uniform(-contrast, contrast, (cells, cells, 3)), 0, 255)
    texture = Image.fromarray(cloth.astype(np.uint8))
    background = texture.resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(background)
    for _ in range(random.integers(0, 5)):
        ends = [tuple(point) for point in random.uniform(0, size, (2, 2)).tolist()]
        draw.line(ends, fill=_color(random), width=int(random.integers(1, max(size // 24, 2) + 1)))
    canvas = np.asarray(background).astype(np.float32)
    for _, pixels in shapes:
        if not pixels.any():
            continue
        around = canvas[pixels].mean(axis=0)
        color = np.array(_color(random), np.float32)
        while np.abs(color - around).max() < 100:  # visible against what is behind it
            color = np.array(_color(random), np.float32)
        ramp = np.linspace(-1, 1, size, dtype=np.float32) * random.uniform(-30, 30)
        shade = ramp[:, None] if random.random() < 0.5 else ramp[None, :]
        shaded = 0.15 * (canvas - around) + color + shade[..., None]  # a little of what is behind shines through
        canvas[pixels] = shaded[pixels]
    level = int(random.integers(2, 17))
    canvas += random.integers(-level, level + 1, canvas.shape, dtype=np.int8)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _color(random: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue
