"""A record is one labeled image: where its pixels come from, and what is true of it, as plain values.

Letters: N records, B boxes, H rows, W columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..images.masks import read_color_mask, read_mask
from ..images.open import ImageError, decode_image, open_image
from ..limits import check_limit
from ..network.layers import Task
from .findings import Findings


@dataclass(frozen=True)
class Section:
    """An image file inside a larger file that is not compressed: `length` bytes from `start`."""

    path: str
    start: int
    length: int

    def read(self, name: str) -> bytes:
        """The bytes. Raises ImageError, which calls them `name`, if the file does not hold that many."""
        try:
            check_limit("max_image_bytes", self.length, f"{name!r}, bytes", ImageError)
            with open(self.path, "rb") as file:
                size = file.seek(0, 2)
                if self.start + self.length > size:  # checked before memory of that size is asked for
                    raise ImageError(f"{name!r}: {self.length} bytes, but {self.path} ends before; get it again")
                file.seek(self.start)
                return file.read(self.length)
        except OSError as error:
            raise ImageError(f"{name!r}: {error.strerror}; check {self.path}") from error


ImageSource = str | bytes | Section | Callable[[], Image.Image]
"""A path, an encoded image, a part of an archive, or a function that makes the image."""


@dataclass(frozen=True)
class Objects:
    """The objects of one image, in pixels of the image.

    Attributes:
        boxes: (B, 4) float64, x0, y0, x1, y1, measured to the edges: the first pixel is (0, 0, 1, 1). They may reach past
            the image's edges.
        labels: (B,) int64, class indices from 0; the background is none of them.
        crowd: (B,) bool: a region of many objects, or one too difficult. It is no positive example, and no detection in it
            is wrong.
        area: (B,) float64, in square pixels; of the object's outline if the data has one, else of the box.
    """

    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    area: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        boxes: Sequence[Sequence[float]],
        labels: Sequence[int],
        crowd: Sequence[bool],
        area: Sequence[float] | None = None,
    ) -> Objects:
        """From lists, which may be empty. Without `area` it is the box's."""
        corners = np.array(boxes, np.float64).reshape(-1, 4)
        areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1) if area is None else np.array(area, np.float64)
        return cls(corners, np.array(labels, np.int64), np.array(crowd, bool), areas)


class Mask(Protocol):
    """The class of every pixel, read when it is needed."""

    @property
    def name(self) -> str: ...

    def read(self) -> NDArray[np.uint8]:
        """(H, W) uint8 class indices, `tasks.results.VOID` where no class is meant. Raises ImageError."""


@dataclass(frozen=True)
class MaskFile:
    """A mask in an image file: a palette's indices, or gray values."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> NDArray[np.uint8]:
        return read_mask(self.path)


@dataclass(frozen=True)
class CodedMask:
    """A mask in an image file whose values or colors stand for classes in a way of its own.

    Attributes:
        codes: (256,) uint8, the class of each index or gray value.
        colors: for each class that has one, red, green and blue. Images in color are read by them, and pixels of any other
            color are void. () if masks hold indices.
    """

    path: Path
    codes: NDArray[np.uint8]
    colors: tuple[tuple[int, int, int], ...] = ()

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> NDArray[np.uint8]:
        if not self.colors:
            return self.codes[read_mask(self.path)]
        return self.codes[read_color_mask(self.path, self.colors)]


Truth = int | Objects | Mask
"""What is true of an image. Classification: the class's index. Detection: `Objects`. Segmentation: a `Mask`."""

T_co = TypeVar("T_co", bound=Truth, covariant=True)
E_co = TypeVar("E_co", covariant=True)


class Computed(Sequence[E_co], ABC):
    """A sequence whose elements are made when they are asked for, by `at`."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def at(self, index: int) -> E_co: ...

    @overload
    def __getitem__(self, index: int) -> E_co: ...

    @overload
    def __getitem__(self, index: slice) -> list[E_co]: ...

    def __getitem__(self, index: int | slice) -> E_co | list[E_co]:
        if isinstance(index, slice):
            return [self.at(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"index {index}: must be from 0 to {len(self) - 1}")
        return self.at(index)


@dataclass(frozen=True)
class Record(Generic[T_co]):
    """One labeled image. `name` is its path, or in an archive the archive's path and the member's name."""

    name: str
    image: ImageSource
    truth: T_co

    def open(self) -> Image.Image:
        """The image in mode RGB, upright. Raises ImageError."""
        match self.image:
            case str():
                return open_image(self.image)
            case bytes():
                return decode_image(self.image, self.name)
            case Section():
                return decode_image(self.image.read(self.name), self.name)
            case _:
                return self.image()


class Records(Sequence[Record[T_co]], ABC):
    """Labeled images by index, always in the same order.

    Attributes:
        task: "classification" (truths are int), "detection" (`Objects`) or "segmentation" (`Mask`).
        labels: names of the classes by index; the background is one of them only in segmentation.
        label_ids: the data's own ids of the classes (WordNet ids, COCO's category ids), or ().
        findings: what was wrong in the labels and was mended or left out.
        layout: the title of the layout that the labels were read from, "" if there was none.
    """

    layout = ""

    def __init__(
        self, task: Task, labels: Sequence[str], label_ids: Sequence[str] = (), findings: Findings | None = None
    ) -> None:
        self.task, self.labels, self.label_ids = task, tuple(labels), tuple(label_ids)
        self.findings = Findings() if findings is None else findings

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str: ...

    @abstractmethod
    def image(self, index: int) -> ImageSource: ...

    @abstractmethod
    def truth(self, index: int) -> T_co: ...

    def classes_of(self, index: int) -> Sequence[int]:
        """The classes of an image's label or objects, as often as they occur, without a look at the image; () for a mask."""
        truth = self.truth(index)
        if isinstance(truth, int):
            return (truth,)
        return truth.labels.tolist() if isinstance(truth, Objects) else ()

    def record(self, index: int) -> Record[T_co]:
        return Record(self.name(index), self.image(index), self.truth(index))

    @overload
    def __getitem__(self, index: int) -> Record[T_co]: ...

    @overload
    def __getitem__(self, index: slice) -> list[Record[T_co]]: ...

    def __getitem__(self, index: int | slice) -> Record[T_co] | list[Record[T_co]]:
        if isinstance(index, slice):
            return [self.record(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"record {index}: must be from 0 to {len(self) - 1}")
        return self.record(index)


class ListedRecords(Records[T_co]):
    """Names, images and truths side by side."""

    def __init__(
        self,
        task: Task,
        labels: Sequence[str],
        names: Sequence[str],
        images: Sequence[ImageSource],
        truths: Sequence[T_co],
        label_ids: Sequence[str] = (),
        findings: Findings | None = None,
    ) -> None:
        super().__init__(task, labels, label_ids, findings)
        self.names, self.images, self.truths = names, images, truths

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def image(self, index: int) -> ImageSource:
        return self.images[index]

    def truth(self, index: int) -> T_co:
        return self.truths[index]

    def classes_of(self, index: int) -> Sequence[int]:
        labels = getattr(self.truths, "labels_of", None)  # of objects whose boxes need the image's size
        found: Sequence[int] = super().classes_of(index) if labels is None else labels(index)
        return found


def file_records(
    task: Task,
    labels: Sequence[str],
    paths: Iterable[str | Path],
    truths: Sequence[T_co],
    label_ids: Sequence[str] = (),
    findings: Findings | None = None,
) -> ListedRecords[T_co]:
    """Image files, each with its truth."""
    names = [str(path) for path in paths]
    return ListedRecords(task, labels, names, names, truths, label_ids, findings)


class Selection(Records[T_co]):
    """The records of others that have the given indices, in their order."""

    def __init__(self, source: Records[T_co], indices: Sequence[int]) -> None:
        super().__init__(source.task, source.labels, source.label_ids, source.findings)
        self.source, self.indices, self.layout = source, indices, source.layout

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        return self.source.name(self.indices[index])

    def image(self, index: int) -> ImageSource:
        return self.source.image(self.indices[index])

    def truth(self, index: int) -> T_co:
        return self.source.truth(self.indices[index])

    def classes_of(self, index: int) -> Sequence[int]:
        return self.source.classes_of(self.indices[index])


class Subset(Selection[T_co]):
    """`count` records of others, evenly spread over them, so that sorted class folders all take part."""

    def __init__(self, source: Records[T_co], count: int) -> None:
        count = min(count, len(source))
        super().__init__(source, [i * len(source) // count for i in range(count)])


def coco_truth(records: Records[Truth]) -> dict[str, object]:
    """Detection: the objects as COCO's JSON, for `tasks.metrics.MeanAP`; image ids are indices, category ids class indices."""
    annotations: list[dict[str, object]] = []
    for index in range(len(records)):
        objects = records.truth(index)
        assert isinstance(objects, Objects)
        columns = (objects.boxes.tolist(), objects.labels.tolist(), objects.crowd.tolist(), objects.area.tolist())
        for (x0, y0, x1, y1), label, crowd, area in zip(*columns, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": label,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": area,
                    "iscrowd": int(crowd),
                }
            )
    return {
        "images": [{"id": index, "file_name": records.name(index)} for index in range(len(records))],
        "categories": [{"id": number, "name": label} for number, label in enumerate(records.labels)],
        "annotations": annotations,
    }
