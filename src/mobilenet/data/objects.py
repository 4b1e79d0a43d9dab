"""Objects of many images, collected compactly while label files are read, and given image by image afterwards.

Label files say where objects are in one of two ways: in pixels of an image whose size they may state, or in shares of its
sides. The image's header, not its pixels, decides what that means when an image's objects are asked for:

- Shares, and pixels of an image that has the stated size upright, are those of the upright image.
- If the image has the stated size as it is stored, and its EXIF orientation exchanges width and height, then its labels were
  made without looking at the orientation; they are turned with the image.
- If it has another size, it was resized after it was labeled: its labels are scaled to it.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..images.open import TURNED, UPRIGHT, ImageError
from ..images.size import StoredSize, read_size
from ..network.layers import Task
from ..tasks.results import VOID
from .classes import Classes
from .findings import Findings
from .layout import DataError
from .outlines import Outline, Polygon
from .records import Computed, ImageSource, ListedRecords, Mask, Objects, Truth

FAR = 1e9  # pixels, or shares of a side; no number of an image is larger
SLACK = 1.0
"""Pixels by which a box may reach past its image before that counts: layouts differ in where they begin to count."""


class Shape(NamedTuple):
    """One object as a label file has it.

    Attributes:
        label: its class's name.
        box: x0, y0, x1, y1 to the edges.
        outlines: its parts; () if only the box is known.
        crowd: see `Objects`. In a mask it is void.
        area: None for that of the box.
    """

    label: str
    box: tuple[float, float, float, float]
    outlines: tuple[Outline, ...] = ()
    crowd: bool = False
    area: float | None = None

    @classmethod
    def polygon(cls, label: str, numbers: Sequence[float], crowd: bool = False) -> Shape:
        """From x0, y0, x1, y1, ... of its corners."""
        return cls(label, around(numbers), (Polygon.of(numbers),), crowd)


def around(numbers: Sequence[float]) -> tuple[float, float, float, float]:
    """The box around points x0, y0, x1, y1, ..."""
    xs, ys = numbers[0::2], numbers[1::2]
    return min(xs), min(ys), max(xs), max(ys)


class ObjectTable:
    """Collects images and their shapes, `add` by `add`; `records` ends it.

    Args:
        task: "detection" or "segmentation"; outlines are kept for the latter only.
        relative: whether boxes and outlines are in shares of the image's sides.
        findings: counts boxes that reach past their image, or have no area in it.
    """

    def __init__(self, task: Task, findings: Findings, relative: bool = False) -> None:
        self.task, self.findings, self.relative = task, findings, relative
        self.paths, self.images = list[str](), list[ImageSource]()
        self.names: dict[str, int] = {}
        self.boxes, self.codes, self.crowd, self.areas = array("d"), array("l"), bytearray(), array("d")
        self.sizes, self.ends = array("l"), array("q", [0])
        self.outlines: list[tuple[Outline, ...]] = []

    def add(
        self, path: str, shapes: Iterable[Shape], size: tuple[int, int] | None = None, image: ImageSource | None = None
    ) -> None:
        """An image and its objects. `size` is the (width, height) that the labels state; `image` is given if it is no file."""
        width, height = (1, 1) if self.relative else size or (0, 0)
        slack = 1e-3 if self.relative else SLACK
        for shape in shapes:
            x0, y0, x1, y1 = shape.box
            if not (-FAR < x0 < FAR and -FAR < y0 < FAR and -FAR < x1 < FAR and -FAR < y1 < FAR):  # NaN neither
                self.findings.add("label_damaged", path)
                continue
            if width and (x0 < -slack or y0 < -slack or x1 > width + slack or y1 > height + slack):
                x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
                if x1 > x0 and y1 > y0:
                    self.findings.add("box_outside", path)
            if x1 <= x0 or y1 <= y0:
                self.findings.add("box_dropped", path)
                continue
            self.boxes.extend((x0, y0, x1, y1))
            self.codes.append(self.names.setdefault(shape.label, len(self.names)))
            self.crowd.append(shape.crowd)
            self.areas.append((x1 - x0) * (y1 - y0) if shape.area is None else shape.area)
            if self.task == "segmentation":
                self.outlines.append(shape.outlines or (Polygon.of((x0, y0, x1, y0, x1, y1, x0, y1)),))
        self.ends.append(len(self.codes))
        self.paths.append(path)
        self.images.append(path if image is None else image)
        self.sizes.extend(size or (0, 0))

    def records(
        self, labels: Sequence[str], numbers: Mapping[str, int], label_ids: Sequence[str] = (), given: bool = False
    ) -> ListedRecords[Truth]:
        """The images with their objects, or with masks drawn of them.

        Args:
            labels: names of the classes. In segmentation the background is put before them, unless it is the first already.
            numbers: the index in `labels` of every shape's label.
            given: the labels are those of a model and stay as they are: if they have no background, pixels without an object
                are void.
        """
        classes = np.array([numbers[name] for name in self.names] or [0], np.int64)
        columns = Columns(
            np.frombuffer(self.boxes, np.float64).reshape(-1, 4) if self.boxes else np.zeros((0, 4)),
            classes[np.array(self.codes, np.int64)],
            np.frombuffer(bytes(self.crowd), np.bool_),
            np.array(self.areas, np.float64),
            np.array(self.ends, np.int64),
            np.array(self.sizes, np.int64).reshape(-1, 2),
        )
        truths: Sequence[Truth]
        if self.task == "detection":
            truths = ObjectTruths(columns, self.images, self.paths, self.relative)
        else:
            has_background = bool(labels) and is_background(labels[0])
            offset = 0 if has_background or given else 1
            if offset:
                labels = ("background", *labels)
                label_ids = ("0", *label_ids) if label_ids and "0" not in label_ids else ()
            empty = 0 if has_background or not given else VOID
            truths = OutlineTruths(columns, self.images, self.paths, self.relative, self.outlines, offset, empty)
        return ListedRecords(self.task, labels, self.paths, self.images, truths, label_ids, self.findings)

    def named(
        self, found: Sequence[str], classes: Classes | None, source: object, listed: Sequence[str] = ()
    ) -> ListedRecords[Truth]:
        """`records` with the classes that a caller gives; else with those that the data lists, and after them, sorted, those
        that occur only in its labels (`found`). Raises UsageError for a name that is none of `classes`."""
        if classes is not None:
            return self.records(classes.labels, classes.numbers(self.names, source), given=True)
        labels = [*listed, *sorted(set(found) - set(listed))]
        return self.records(labels, {name: number for number, name in enumerate(labels)})


def is_background(label: str) -> bool:
    return label.strip("_ ").casefold() == "background"


@dataclass(frozen=True)
class Columns:
    """All objects of all images: those of image i are from `ends[i]` to `ends[i + 1]`. `sizes` are stated, (0, 0) if
    unknown."""

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]
    ends: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """How labels lie on an image: multiplied by `scale` they are in pixels of an image of `size` (width, height), which
    `orientation` turns upright. `resized` says that the image has another size than its labels state."""

    scale: tuple[float, float]
    size: tuple[int, int]
    orientation: int = 1
    resized: bool = False


def frame_of(source: ImageSource, path: str, stated: tuple[int, int], relative: bool) -> Frame | None:
    """None if the labels are in pixels of an image without a stated size. Raises ImageError if the header cannot be read."""
    if not relative and stated == (0, 0):
        return None
    if callable(source):
        image = source()
        size = StoredSize(image.width, image.height, 1)
    else:
        size = read_size(source if isinstance(source, (str, bytes)) else source.read(path), path)
    upright, stored = size.upright, (size.width, size.height)
    if relative:
        return Frame((float(upright[0]), float(upright[1])), upright)
    if stated == stored != upright and size.orientation in TURNED:
        return Frame((1.0, 1.0), stored, size.orientation)
    return Frame((upright[0] / stated[0], upright[1] / stated[1]), upright, resized=stated != upright)


@dataclass(frozen=True)
class Framed:
    """The objects of all images, and the images, whose headers tell how the objects lie on them."""

    columns: Columns
    images: Sequence[ImageSource]
    paths: Sequence[str]
    relative: bool

    def __len__(self) -> int:
        return len(self.paths)

    def stated(self, index: int) -> tuple[int, int]:
        """The (width, height) that the labels state, (0, 0) if they state none."""
        return int(self.columns.sizes[index, 0]), int(self.columns.sizes[index, 1])

    def frame(self, index: int) -> Frame | None:
        """See `frame_of`."""
        return frame_of(self.images[index], self.paths[index], self.stated(index), self.relative)


@dataclass(frozen=True)
class ObjectTruths(Framed, Computed[Objects]):
    """The objects of each image. An image whose header cannot be read, and which therefore cannot be opened either, has those
    that its labels state; none, if they are shares of its sides."""

    def labels_of(self, index: int) -> list[int]:
        """The classes of the objects on one image; its file is not looked at."""
        labels: list[int] = self.columns.labels[self.columns.ends[index] : self.columns.ends[index + 1]].tolist()
        return labels

    def at(self, index: int) -> Objects:
        columns, part = self.columns, slice(self.columns.ends[index], self.columns.ends[index + 1])
        boxes, areas = columns.boxes[part].copy(), columns.areas[part].copy()
        try:
            frame = self.frame(index) if len(boxes) else None
        except ImageError:
            if self.relative:
                return Objects.of([], [], [])
            frame = None
        if frame is not None:
            if frame.scale != (1, 1):
                boxes *= (*frame.scale, *frame.scale)
                areas *= frame.scale[0] * frame.scale[1]
            if frame.orientation != 1:
                boxes = turned(boxes, frame)
        return Objects(boxes, columns.labels[part], columns.crowd[part], areas)


def turned(boxes: NDArray[np.float64], frame: Frame) -> NDArray[np.float64]:
    """Boxes (B, 4) of a stored image as boxes of the upright one."""
    width, height = frame.size
    x0, y0, x1, y1 = boxes.T
    match frame.orientation:
        case 5:  # mirrored along the diagonal
            columns = (y0, x0, y1, x1)
        case 6:  # turned right by a quarter
            columns = (height - y1, x0, height - y0, x1)
        case 7:
            columns = (height - y1, width - x1, height - y0, width - x0)
        case _:  # 8: turned left by a quarter
            columns = (y0, width - x1, y1, width - x0)
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class OutlineMask:
    """A mask drawn of outlines when it is read."""

    name: str
    image: ImageSource
    shapes: Sequence[tuple[int, Sequence[Outline]]]
    stated: tuple[int, int]
    relative: bool
    empty: int

    def read(self) -> NDArray[np.uint8]:
        frame = frame_of(self.image, self.name, self.stated, self.relative)
        if frame is None:
            size = read_size(self.image if isinstance(self.image, (str, bytes)) else b"", self.name)
            frame = Frame((1.0, 1.0), size.upright)
        mask = np.full(frame.size[::-1], self.empty, np.uint8)
        for value, outlines in self.shapes:
            for outline in outlines:
                try:
                    outline.fill(mask, value, frame.scale)
                except DataError as error:
                    raise ImageError(f"{self.name!r}: {error}") from error
        if frame.orientation != 1:
            from PIL import Image

            mask = np.array(Image.fromarray(mask).transpose(UPRIGHT[frame.orientation]))
        return mask


@dataclass(frozen=True)
class OutlineTruths(Framed, Computed[Mask]):
    """The mask of each image: `empty`, and the class plus `offset` where an object is. Of objects that overlap, the smaller
    lies on top; crowds are void."""

    outlines: Sequence[tuple[Outline, ...]]
    offset: int
    empty: int

    def labels_of(self, index: int) -> list[int]:
        """The classes that are drawn on one image; its file is not looked at."""
        labels = self.columns.labels[self.columns.ends[index] : self.columns.ends[index + 1]] + self.offset
        found: list[int] = labels.tolist()
        return found

    def at(self, index: int) -> Mask:
        columns = self.columns
        order = sorted(range(columns.ends[index], columns.ends[index + 1]), key=lambda i: -columns.areas[i])
        shapes = [(VOID if columns.crowd[i] else int(columns.labels[i]) + self.offset, self.outlines[i]) for i in order]
        path = os.path.basename(self.paths[index])
        return OutlineMask(path, self.images[index], shapes, self.stated(index), self.relative, self.empty)
