"""A segmenter's result, and how it is made of logits: probabilities, averaged over views of the image if asked for, and the
mask."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from ..errors import printable
from ..images.bilinear import bilinear_taps, resize
from ..images.preprocessing import Preprocessing
from ..tensors import built
from ..values import field
from .results import Answer, ByteRuntime, OutputError, Prediction, is_place, selected
from .views import ONE_VIEW, Views, outputs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from ..images.preprocessing import Decoded
    from ..tensors import Floats, Plain
    from .views import Run


class Region(Prediction):
    """All pixels of one class.

    Attributes:
        share: the part of the image that the class covers, 0 to 1.
    """

    share: float


class Segmentation(Answer):
    """The class of every pixel of one image.

    As a sequence it is the regions that are shown, the largest first, without the background: ``len(result)``, ``result[0]``,
    ``for region in result``. ``result["cat"]`` is the region of any label, of share 0 if it does not occur, and
    ``result[result.confidence > 0.9]`` lists the regions that a mask over the classes selects.

    Attributes:
        mask: (H, W) uint8, indices into `labels`, in the size of the image.
        confidence: (K,) float32: the mean probability of each class over the pixels that it won; 0 if it won none.
        labels: (K,) names of the classes.
        background: index of the class that means "none of the others", or None.
    """

    mask: NDArray[np.uint8] = field(repr=False)
    confidence: NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    background: int | None = 0

    task, nothing = "segmentation", "background only"

    def shares(self) -> NDArray[np.float64]:
        """(K,): the part of the image that each class covers; they sum to 1."""
        counts = np.zeros(256, np.int64)
        if built():
            from .. import _core

            _core.count_values(np.ascontiguousarray(self.mask), counts)
        else:
            for rows in np.array_split(self.mask, max(self.mask.size >> 20, 1)):  # bincount copies to 8 bytes a pixel
                counts += np.bincount(rows.ravel(), minlength=256)
        return np.asarray(counts[: len(self.labels)] / self.mask.size)

    def pixels(self, label: str) -> NDArray[np.bool_]:
        """(H, W): whether each pixel is of the class `label`. Raises UsageError for an unknown label."""
        return np.asarray(self.mask == self.index_of(label))

    def top(self, n: int | None = None, threshold: float = 0.0) -> list[Region]:
        """The `n` classes that cover most of the image (None for all), without the background.

        Of these, only those with a confidence of at least `threshold`.
        """
        shares = self.shares().tolist()
        order = sorted(range(len(shares)), key=shares.__getitem__, reverse=True)
        order = [i for i in order if shares[i] and i != self.background]
        return [self._region(i, shares[i]) for i in order[:n] if self.confidence[i] >= threshold]

    def _region(self, index: int, share: float) -> Region:
        return Region(self.labels[index], index, float(self.confidence[index]), share, id=self.id_of(index))

    def __len__(self) -> int:
        return len(self.shown)

    def __iter__(self) -> Iterator[Region]:
        return iter(self.top(self.max_shown, self.threshold))

    @overload
    def __getitem__(self, key: int | str) -> Region: ...
    @overload
    def __getitem__(self, key: slice | Sequence[bool] | NDArray[np.bool_]) -> list[Region]: ...
    def __getitem__(self, key: int | str | slice | Iterable[object]) -> Region | list[Region]:
        if isinstance(key, str):
            index = self.index_of(key)
            return self._region(index, float(self.shares()[index]))
        if is_place(key):
            return self.top(self.max_shown, self.threshold)[key]
        return selected(self.top(), key, len(self.labels))

    def to_coco(self, image_id: int = 0) -> list[dict[str, object]]:
        """The regions as COCO's results: image_id, category_id, segmentation (uncompressed run lengths), bbox and score of
        each. The category id is the label's id if that is a number, else the index of the class."""
        from .formats import segmentation_to_coco

        return segmentation_to_coco(self, image_id)

    def drawn_on(self, image: Image.Image, predictions: Sequence[Region]) -> Image.Image:
        """A copy of an RGB image with its classes tinted, and a legend of the predictions."""
        from ..drawing.masks import draw_segmentation

        return draw_segmentation(image, self, predictions)

    def __str__(self) -> str:
        """For example ``cat 40 %, sofa 12 %``: the regions that are shown and the share of the image that each covers."""
        return printable(", ".join(f"{region.label} {region.share * 100:.0f} %" for region in self)) or self.nothing


@dataclass(frozen=True)
class SegmentationDecoder:
    """Turns the outputs of a segmenter into results: ``outputs["upsample"]`` are logits, (N, K, H, W) float32."""

    preprocessing: Preprocessing
    labels: tuple[str, ...]
    background: int | None

    def __call__(self, outputs: Mapping[str, Plain], index: int, size: tuple[int, int]) -> Segmentation:
        """The result for image `index` of a batch; `size` is the (width, height) of the original image."""
        return self.answer(np.asarray(outputs["upsample"])[index], size)

    def answer(self, logits: Floats, size: tuple[int, int]) -> Segmentation:
        """The result for an image of `size` from its logits, (K, H, W)."""
        columns, rows = self.preprocessing.content(size)
        return segment(logits[:, :rows, :columns], True, size, self.labels, self.background)

    def answer_of_bytes(self, logits: NDArray[np.uint8], scaling: tuple[float, int], size: tuple[int, int]) -> Segmentation:
        """As `answer`, from bytes that stand for logits: the same result, without 4 bytes for each of them."""
        from .. import _core

        columns, rows = self.preprocessing.content(size)
        scale, zero_point = scaling
        mask, confidence = np.empty(size[::-1], np.uint8), np.empty(len(self.labels), np.float32)
        isa = os.environ.get("MOBILENET_ISA", "")
        _core.segment_bytes(logits[:, :rows, :columns], zero_point, scale, mask, confidence, isa)
        return Segmentation(mask, confidence, self.labels, self.background)

    def average(self, run: Run, image: Decoded, views: Views) -> Segmentation:
        """The result from the logits of one view, or from the mean probabilities of several.

        Raises:
            OutputError: an output holds NaN or infinity.
        """
        if views == ONE_VIEW:
            x = self.preprocessing(image)[None]
            if isinstance(run, ByteRuntime) and (scaling := run.scaling("upsample")) is not None:
                return self.answer_of_bytes(run.in_bytes(x)["upsample"][0], scaling, image.size)
            (logits,) = run(x)["upsample"]
            return self.answer(np.asarray(logits), image.size)
        columns, rows = self.preprocessing.content(image.size)
        mean = np.zeros((len(self.labels), rows, columns), np.float32)
        for view, mirrored, outputs in outputs_of(run, self.preprocessing, image, views, with_padding=False):
            (logits,) = outputs["upsample"]
            mean += probabilities(logits, view.content(image.size), mirrored, (rows, columns)) / len(views)
        return segment(mean, False, image.size, self.labels, self.background)


def probabilities(logits: Floats, content: tuple[int, int], mirrored: bool, size: tuple[int, int]) -> Floats:
    """(K, H, W) logits of one view -> (K, rows, columns) probabilities, without the padding.

    Args:
        content: (width, height) of the image in the view, from its upper left corner.
        mirrored: the view is a mirror image; the result is mirrored back.
        size: (rows, columns) of the result.
    """
    logits = logits[:, : content[1], : content[0]]
    if mirrored:
        logits = logits[:, :, ::-1]
    if logits.shape[1:] != size:
        logits = resize(logits[None], size, "aligned")[0]
    powers: Floats = np.exp(logits - logits.max(axis=0))
    powers /= powers.sum(axis=0)
    return powers


def segment(
    scores: Floats, logits: bool, size: tuple[int, int], labels: tuple[str, ...], background: int | None
) -> Segmentation:
    """The result for an image of `size` (width, height) from (K, rows, columns) scores: logits, or probabilities.

    Every pixel of the image takes the class of the largest score after blending the four scores around it, the lower index if
    two are equal; where all four have the same winner, that. The scores, not their winners, are enlarged, so edges are smooth.

    Raises:
        OutputError: a score is NaN or infinite.
    """
    mask = np.empty(size[::-1], np.uint8)
    confidence = np.empty(len(labels), np.float32)
    if built():
        from .. import _core

        view = scores if scores.strides[2] == 4 and scores.strides[1] % 4 == scores.strides[0] % 4 == 0 else scores.copy()
        if not _core.segment(view, logits, mask, confidence, os.environ.get("MOBILENET_ISA", "")):
            raise OutputError("upsample")
        return Segmentation(mask, confidence, labels, background)
    if not np.isfinite(scores).all():
        raise OutputError("upsample")
    winner = scores.argmax(axis=0).astype(np.uint8)
    highest = scores.max(axis=0)
    best = (1 / np.exp(scores - highest).sum(axis=0) if logits else highest).ravel()
    counts = np.bincount(winner.ravel(), minlength=len(labels))
    confidence[:] = np.bincount(winner.ravel(), best, len(labels)) / np.maximum(counts, 1)
    enlarge(scores, winner, mask)
    return Segmentation(mask, confidence, labels, background)


def enlarge(scores: Floats, winner: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Fills `mask`, (H, W), from (K, rows, columns) scores and the (rows, columns) class of the largest: see `segment`.

    Row by row, and only where the winners differ: the blends of a whole photo would take gigabytes.
    """
    rows = zip(*bilinear_taps(scores.shape[1], mask.shape[0], "half_pixel"), strict=True)
    before, after, weights = bilinear_taps(scores.shape[2], mask.shape[1], "half_pixel")
    left, right, share = np.array(before), np.array(after), np.array(weights, np.float32)
    for target, (above, below, weight) in zip(mask, rows, strict=True):
        down = np.float32(weight)
        corners = winner[above, left], winner[above, right], winner[below, left], winner[below, right]
        target[:] = corners[0]
        (edge,) = np.nonzero(np.any([corner != corners[0] for corner in corners[1:]], axis=0))
        if len(edge):
            row = scores[:, above] * (1 - down) + scores[:, below] * down
            blended = row[:, left[edge]] * (1 - share[edge]) + row[:, right[edge]] * share[edge]
            target[edge] = blended.argmax(axis=0)
