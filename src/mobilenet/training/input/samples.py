"""Records as tensors: samples of a dataset by index, and what happens to images that cannot be read.

Letters: N samples, H rows, W columns, B boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypedDict, overload

import numpy as np
import torch
import torch.utils.data
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from ...data import Mask, Objects, Records, Truth
from ...errors import MobilenetError, UsageError
from ...images.open import ImageError
from ...tasks.results import VOID

MAX_UNREADABLE = 256
"""Images in a row that may be unreadable. More are a sign of a missing disk, not of damaged files."""


class CorruptImage(MobilenetError):
    """A sample cannot be read. `name` says which, `reason` why, with the remedy."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)  # both, so that it can be pickled on the way out of a worker
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class ImagesLost(MobilenetError):
    """Too many images in a row cannot be read: no other image can replace them."""


ClassTarget = Tensor
"""() int64: the class's index."""

MaskTarget = Tensor
"""tv_tensors.Mask (H, W) uint8: class indices, `VOID` where no class is meant."""


class DetectionTarget(TypedDict):
    """The objects of one image.

    boxes: BoundingBoxes (B, 4) float32, x0, y0, x1, y1 in pixels, measured to the edges: the first pixel is (0, 0, 1, 1).
    labels: (B,) int64, from 0; the background is none of them.
    crowd: (B,) bool: a region of many, not one object. It is no positive example, and no detection in it is wrong.
    """

    boxes: Tensor
    labels: Tensor
    crowd: Tensor


Target = ClassTarget | DetectionTarget | MaskTarget

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T_co = TypeVar("T_co", bound=Target, covariant=True, default=Target)
else:
    from typing import TypeVar

    T_co = TypeVar("T_co", covariant=True)

I = TypeVar("I")  # noqa: E741


class Sample(TypedDict):
    """One labeled image.

    image: tv_tensors.Image (3, H, W) uint8, RGB, in channels-last memory.
    target: by task, see `ClassTarget`, `DetectionTarget`, `MaskTarget`; boxes and masks fit the image.
    index: of the image that is shown, which is not the requested one if that could not be read.
    failed: (name, reason) of each image that could not be read on the way to this one.
    """

    image: Tensor
    target: Target
    index: int
    failed: tuple[tuple[str, str], ...]


class Dataset(torch.utils.data.Dataset[Sample], Generic[T_co]):
    """Labeled images by index, always in the same order.

    ``dataset[i]`` never fails for one bad image: the next good one replaces it, and `failed` names the bad one. In a worker
    process that record is the worker's own, so it travels in the sample, and the loader brings the two together.

    Attributes:
        records: where the samples come from.
        task, labels, label_ids: those of the records.
        targets: classification: (N,) int64, the class of every sample, for balance. None for other tasks.
        failed: reason by name of every sample that was requested and could not be read.
    """

    @overload
    def __init__(self: Dataset[ClassTarget], records: Records[int]) -> None: ...
    @overload
    def __init__(self: Dataset[DetectionTarget], records: Records[Objects]) -> None: ...
    @overload
    def __init__(self: Dataset[MaskTarget], records: Records[Mask]) -> None: ...
    @overload
    def __init__(self, records: Records[Truth]) -> None: ...

    def __init__(self, records: Records[Truth]) -> None:
        self.records, self.task, self.labels, self.label_ids = records, records.task, records.labels, records.label_ids
        self.targets: Tensor | None = None
        if self.task == "classification":
            self.targets = torch.tensor([records.truth(index) for index in range(len(records))], dtype=torch.int64)
        self.failed: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.records)

    def name(self, index: int) -> str:
        """The sample's path, or what stands for it."""
        return self.records.name(index)

    def open(self, index: int) -> tuple[Image.Image, T_co]:
        """(image in mode RGB, target as in `Sample`). Raises CorruptImage."""
        record = self.records.record(index)
        try:
            image = record.open()
            target: Any = target_of(record.truth, (image.height, image.width), len(self.labels))
        except ImageError as error:
            raise CorruptImage(record.name, str(error).removeprefix(f"{record.name!r}: ")) from error
        return image, target

    def read(self, index: int) -> tuple[Tensor, T_co]:
        """(image, target) as in `Sample`. Raises CorruptImage."""
        image, target = self.open(index)
        return to_tensor(image), target

    def __getitem__(self, index: int) -> Sample:
        (image, target), shown, failed = self.nearest(index, self.read)
        return {"image": image, "target": target, "index": shown, "failed": failed}

    def nearest(self, index: int, read: Callable[[int], I]) -> tuple[I, int, tuple[tuple[str, str], ...]]:
        """What `read` gives for the first readable sample from `index` on, that sample's index, and the failures before it.

        Raises ImagesLost if there is none near.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index}: must be from 0 to {len(self) - 1}")
        failed: list[tuple[str, str]] = []
        for step in range(min(len(self), MAX_UNREADABLE)):
            shown = (index + step) % len(self)
            try:
                return read(shown), shown, tuple(failed)
            except CorruptImage as error:
                failed.append((error.name, error.reason))
                self.failed[error.name] = error.reason
        raise ImagesLost(
            f"{len(failed)} images in a row cannot be read, from {failed[0][0]} ({failed[0][1]}) "
            f"to {failed[-1][0]}; check that the data is still there, or take them out"
        )


class InMemory(Dataset[T_co]):
    """Another dataset with all its images decoded and kept in memory, for sets that fit.

    Args:
        source: the dataset; its unreadable images are unreadable here too.
        limit: bytes that the images may take. Raises UsageError, which says what they would take, if it is more.
    """

    def __init__(self, source: Dataset[T_co], limit: int = 4 << 30) -> None:
        super().__init__(source.records)
        self.source, self.bytes = source, 0
        self.samples: list[tuple[Tensor, T_co] | CorruptImage] = []
        with ThreadPoolExecutor(2) as pool:
            indices = iter(range(len(source)))
            while chunk := list(islice(indices, 256)):  # not all at once: a set too large must stop early
                for sample in pool.map(self._decode, chunk):
                    self.bytes += 0 if isinstance(sample, CorruptImage) else sample[0].numel()
                    self.samples.append(sample)
                expected = self.bytes * len(source) // len(self.samples)
                if expected > limit:
                    raise UsageError(
                        f"{len(source)} images in memory would take {expected / 1e9:.1f} GB: the limit is {limit / 1e9:.1f}; "
                        "raise it, or read them from the disk"
                    )

    def _decode(self, index: int) -> tuple[Tensor, T_co] | CorruptImage:
        try:
            return self.source.read(index)
        except CorruptImage as error:
            return error.with_traceback(None)

    def read(self, index: int) -> tuple[Tensor, T_co]:
        sample = self.samples[index]
        if isinstance(sample, CorruptImage):
            raise CorruptImage(sample.name, sample.reason)
        return sample

    def open(self, index: int) -> tuple[Image.Image, T_co]:
        image, target = self.read(index)
        return to_image(image), target


# Tensors -----------------------------------------------------------------------------------------------------------------


def target_of(truth: Truth, size: tuple[int, int], classes: int) -> Target:
    """The target of an image of `size` (height, width) with `classes` classes. Raises ImageError if a mask does not fit."""
    if isinstance(truth, int):
        return torch.tensor(truth)
    if isinstance(truth, Objects):
        return _object_target(truth, size)
    return _mask_target(truth.read(), size, classes, truth.name)


def _object_target(objects: Objects, size: tuple[int, int]) -> DetectionTarget:
    """Boxes are cut at the image's edges; those without area are left out."""
    rows, columns = size
    corners = np.clip(objects.boxes.astype(np.float32), 0, np.array((columns, rows, columns, rows), np.float32))
    visible = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    boxes = tv_tensors.BoundingBoxes(torch.from_numpy(corners[visible]), format="XYXY", canvas_size=size)
    labels, crowd = torch.from_numpy(objects.labels[visible]), torch.from_numpy(objects.crowd[visible])
    return {"boxes": boxes, "labels": labels, "crowd": crowd}


def _mask_target(mask: NDArray[np.uint8], size: tuple[int, int], classes: int, name: str) -> MaskTarget:
    if mask.shape != size:
        raise ImageError(f"mask {name} of {mask.shape[1]}x{mask.shape[0]}: the image has {size[1]}x{size[0]}; make it fit")
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    if wrong := [int(number) for number in present if number >= classes and number != VOID]:
        raise ImageError(f"mask {name} has class {wrong[0]}: must be 0 to {classes - 1}, or {VOID} for void; give its classes")
    target: Tensor = tv_tensors.Mask(torch.from_numpy(mask))
    return target


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB image -> tv_tensors.Image (3, H, W) uint8 in channels-last memory, on which resizing is faster."""
    tensor: Tensor = tv_tensors.Image(torch.from_numpy(np.array(image)).permute(2, 0, 1))
    return tensor


def to_image(tensor: Tensor) -> Image.Image:
    """The reverse of `to_tensor`."""
    return Image.fromarray(np.ascontiguousarray(tensor.permute(1, 2, 0).numpy()))
