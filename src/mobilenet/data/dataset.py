"""What a dataset is: labelled pictures by index, and what becomes of those that cannot be read.

Letters: N samples, H rows, W columns, K classes, B boxes.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
import torch.utils.data
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from ..images.open import ImageError, open_image
from ..network.layers import Task
from ..tasks.results import VOID

LONGEST_GAP = 256
"""Pictures in a row that may be unreadable. More is a disk that went away, not damage."""


class CorruptPicture(ValueError):
    """A sample cannot be read. `name` says which, `reason` why, with the remedy."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)  # both, so that it survives the way out of a worker
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class PicturesLost(ValueError):
    """So many pictures in a row cannot be read that there is nothing to put in their place."""


class DetectionTarget(TypedDict):
    """Objects of one picture.

    boxes: BoundingBoxes (B, 4) float32, x0, y0, x1, y1 in pixels, measured to the edges: the first pixel is (0, 0, 1, 1).
    labels: (B,) int64, from 0; the background is none of them.
    crowd: (B,) bool: a region of many, not one object. No positive example, and nothing found in it is wrong.
    """

    boxes: tv_tensors.BoundingBoxes
    labels: Tensor
    crowd: Tensor


Target = Any
"""Classification: () int64. Detection: `DetectionTarget`. Segmentation: Mask (H, W) uint8, `VOID` where no class is meant."""


class Sample(TypedDict):
    """One labelled picture.

    image: tv_tensors.Image (3, H, W) uint8, RGB. Its memory may lie channels last.
    target: by task, see `Target`; boxes and masks fit the image.
    index: of the picture that is shown; not the one asked for where that could not be read.
    failed: (name, reason) of each picture that could not be read on the way to this one.
    """

    image: Tensor
    target: Target
    index: int
    failed: tuple[tuple[str, str], ...]


class Dataset(ABC, torch.utils.data.Dataset[Sample]):
    """Labelled pictures by index, always in the same order.

    ``dataset[i]`` never fails for one bad picture: the next good one stands in, and `failed` names the bad. In a worker
    process that record is the worker's own, so it travels in the sample, and the loader brings the two together.

    Attributes:
        task: "classification", "detection" or "segmentation".
        labels: names of the classes, in the order of their numbers; the background is one of them only in segmentation.
        label_ids: what the data itself calls them (WordNet ids, COCO's category ids), or ().
        targets: classification: (N,) int64, the class of every sample, for balance. None for other tasks.
        failed: reason by name of every sample that was asked for and could not be read.
    """

    def __init__(self, task: Task, labels: Sequence[str], label_ids: Sequence[str] = (), targets: Tensor | None = None) -> None:
        self.task, self.labels, self.label_ids, self.targets = task, tuple(labels), tuple(label_ids), targets
        self.failed: dict[str, str] = {}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """What people call the sample: its path, mostly."""

    @abstractmethod
    def read(self, index: int) -> tuple[Tensor, Target]:
        """(image, target) as in `Sample`. Raises CorruptPicture."""

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index}: must be from 0 to {len(self) - 1}")
        failed: list[tuple[str, str]] = []
        for step in range(min(len(self), LONGEST_GAP)):
            chosen = (index + step) % len(self)
            try:
                image, target = self.read(chosen)
            except CorruptPicture as error:
                failed.append((error.name, error.reason))
                self.failed[error.name] = error.reason
                continue
            return {"image": image, "target": target, "index": chosen, "failed": tuple(failed)}
        raise PicturesLost(
            f"{len(failed)} pictures in a row cannot be read, from {failed[0][0]} ({failed[0][1]}) "
            f"to {failed[-1][0]}; check that the data is still there, or take them out"
        )

    def coco_truth(self) -> dict[str, Any]:
        """Detection: the objects as COCO's JSON, for `metrics.MeanAP`; image ids are indices, category ids label numbers."""
        if self.task != "detection":
            raise ValueError(f"coco_truth of data for {self.task}: must be data for detection; score it by its own targets")
        annotations: list[dict[str, Any]] = []
        for index in range(len(self)):
            objects = self.objects(index)
            for box, label, crowd, area in zip(*(each.tolist() for each in objects), strict=True):
                x0, y0, x1, y1 = box
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": index, "category_id": label, "bbox": [x0, y0, x1 - x0, y1 - y0],
                     "area": area, "iscrowd": int(crowd)}
                )  # fmt: skip
        return {
            "images": [{"id": index, "file_name": self.name(index)} for index in range(len(self))],
            "categories": [{"id": number, "name": label} for number, label in enumerate(self.labels)],
            "annotations": annotations,
        }

    def objects(self, index: int) -> Objects:
        """Detection: what is on picture `index`, in its own pixels. Reads the picture where it must."""
        _, target = self.read(index)
        boxes: Tensor = target["boxes"].as_subclass(Tensor)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return boxes.numpy(), target["labels"].numpy(), target["crowd"].numpy(), area.numpy()


Objects = tuple[Any, Any, Any, Any]
"""numpy: boxes (B, 4) float32 corners in pixels, labels (B,) int64, crowd (B,) bool, area (B,) float32 in pixels."""


class Pictures(Dataset):
    """Picture files with a record each; `decode` makes the target of a record, given the picture's (height, width).

    `decode` may raise ImageError or ValueError, whose text becomes the reason why the sample cannot be read.
    """

    def __init__(
        self,
        task: Task,
        labels: Sequence[str],
        paths: Sequence[Path | str],
        records: Sequence[Any],
        decode: Callable[[Any, tuple[int, int]], Target],
        label_ids: Sequence[str] = (),
    ) -> None:
        targets = torch.tensor(records, dtype=torch.int64) if task == "classification" else None
        super().__init__(task, labels, label_ids, targets)
        self.paths, self.records, self.decode = [str(path) for path in paths], records, decode

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        return self.paths[index]

    def read(self, index: int) -> tuple[Tensor, Target]:
        path = self.paths[index]
        try:
            picture = open_image(path)
            return to_tensor(picture), self.decode(self.records[index], (picture.height, picture.width))
        except (ImageError, ValueError) as error:
            raise CorruptPicture(path, str(error).removeprefix(f"{path!r}: ")) from error

    def objects(self, index: int) -> Objects:
        record: ObjectRecord = self.records[index]
        return record.boxes, record.labels, record.crowd, record.area


class InMemory(Dataset):
    """Another dataset with all its pictures decoded and kept in memory, for sets that fit.

    Args:
        source: the dataset; its unreadable pictures are unreadable here too.
        limit: most bytes that the pictures may take; ValueError says what they would take where it is more.
        threads: that decode side by side.
    """

    def __init__(self, source: Dataset, limit: int = 4 << 30, threads: int = 2) -> None:
        super().__init__(source.task, source.labels, source.label_ids, source.targets)
        self.source, self.bytes = source, 0
        self.kept: list[tuple[Tensor, Target] | CorruptPicture] = []
        with ThreadPoolExecutor(threads) as pool:
            indices = iter(range(len(source)))
            while chunk := list(islice(indices, 256)):  # not all at once: a set too large must stop early
                for sample in pool.map(self._read, chunk):
                    self.bytes += 0 if isinstance(sample, CorruptPicture) else sample[0].numel()
                    self.kept.append(sample)
                expected = self.bytes * len(source) // len(self.kept)
                if expected > limit:
                    raise ValueError(
                        f"{len(source)} pictures in memory would take {expected / 1e9:.1f} GB: the limit is {limit / 1e9:.1f}; "
                        "raise it, or read them from the disk"
                    )

    def _read(self, index: int) -> tuple[Tensor, Target] | CorruptPicture:
        try:
            return self.source.read(index)
        except CorruptPicture as error:
            return error.with_traceback(None)

    def __len__(self) -> int:
        return len(self.kept)

    def name(self, index: int) -> str:
        return self.source.name(index)

    def read(self, index: int) -> tuple[Tensor, Target]:
        sample = self.kept[index]
        if isinstance(sample, CorruptPicture):
            raise CorruptPicture(sample.name, sample.reason)
        return sample

    def objects(self, index: int) -> Objects:
        return self.source.objects(index)


# Targets ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ObjectRecord:
    """What is on a picture, as the data's own files say: boxes (B, 4) float32 corners in pixels, labels (B,) int64,
    crowd (B,) bool, area (B,) float32 in pixels."""

    boxes: np.ndarray[Any, np.dtype[np.float32]]
    labels: np.ndarray[Any, np.dtype[np.int64]]
    crowd: np.ndarray[Any, np.dtype[np.bool_]]
    area: np.ndarray[Any, np.dtype[np.float32]]

    @classmethod
    def of(
        cls, boxes: Sequence[Any], labels: Sequence[int], crowd: Sequence[bool], area: Sequence[float] | None = None
    ) -> ObjectRecord:
        """From lists; empty ones too. Without `area` it is the box's."""
        corners = np.array(boxes, np.float32).reshape(-1, 4)
        areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1) if area is None else np.array(area, np.float32)
        return cls(corners, np.array(labels, np.int64), np.array(crowd, bool), areas)


def class_target(record: int, size: tuple[int, int]) -> Tensor:
    return torch.tensor(record)


def object_target(record: ObjectRecord, size: tuple[int, int]) -> DetectionTarget:
    """Boxes cut at the picture's edges; those without area are left out."""
    rows, columns = size
    corners = np.clip(record.boxes, 0, np.array((columns, rows, columns, rows), np.float32))
    kept = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    boxes = tv_tensors.BoundingBoxes(torch.from_numpy(corners[kept]), format="XYXY", canvas_size=size)
    return {"boxes": boxes, "labels": torch.from_numpy(record.labels[kept]), "crowd": torch.from_numpy(record.crowd[kept])}


def mask_target(mask: Any, size: tuple[int, int], classes: int, name: str) -> tv_tensors.Mask:
    """(H, W) uint8 numpy -> Mask. ValueError where it does not fit the picture, or has a class that there is not."""
    if mask.shape != size:
        raise ValueError(f"mask {name} of {mask.shape[1]}x{mask.shape[0]}: the picture has {size[1]}x{size[0]}; make it fit")
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    if wrong := [int(number) for number in present if number >= classes and number != VOID]:
        raise ValueError(f"mask {name} has class {wrong[0]}: must be 0 to {classes - 1}, or {VOID} for void; give its classes")
    return tv_tensors.Mask(torch.from_numpy(mask))


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture -> tv_tensors.Image (3, H, W) uint8 in channels-last memory, which resizing is quicker on."""
    image: Tensor = tv_tensors.Image(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    return image


def derived_seed(*numbers: int) -> int:
    """32 bits (all that torch's generator takes in) from any whole numbers, the same on every machine."""
    digest = hashlib.blake2b(",".join(map(str, numbers)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
