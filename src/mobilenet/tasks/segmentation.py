"""From a segmenter's logits to a `Segmentation`: probabilities, averaged over views of the image if asked for, and the mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..images.preprocessing import Preprocessing
from ..images.resample import resize
from .results import OutputError, Segmentation, check_finite

if TYPE_CHECKING:
    from ..tensors import Floats
    from .views import Views

FINITE_ROWS = 8
"""Of the logits, every so many rows are searched for NaN and infinity. All would take 3 % of an inference, and the upsampling
spreads each value over more rows than that. What the search leaves out shows in the confidences, except minus infinity, whose
probability is 0."""


@dataclass(frozen=True)
class SegmentationDecoder:
    """Turns the outputs of a segmenter into results: ``outputs["upsample"]`` are logits, (N, K, H, W) float32."""

    preprocessing: Preprocessing
    labels: tuple[str, ...]
    background: int | None

    def __call__(self, outputs: Mapping[str, Floats], index: int, size: tuple[int, int]) -> Segmentation:
        """The result for image `index` of a batch; `size` is the (width, height) of the original image."""
        columns, rows = content = self.preprocessing.content(size)
        probability = probabilities(outputs["upsample"][index], content, False, (rows, columns))
        return segment(probability, size, self.labels, self.background)

    def average(self, run: Callable[[Floats], Mapping[str, Floats]], image: Image.Image, views: Views) -> Segmentation:
        """The result from the mean probabilities of several views; `run` runs the network on (1, 3, H, W) float32."""
        columns, rows = self.preprocessing.content(image.size)
        mean = np.zeros((len(self.labels), rows, columns), np.float32)
        scales_and_flips = list(views)
        for scale, mirrored in scales_and_flips:
            preprocessing = scaled(self.preprocessing, scale)
            content = preprocessing.content(image.size)
            x = preprocessing(image)
            if mirrored:  # only the image, not its padding, so that it stays in the upper left corner
                x[:, : content[1], : content[0]] = x[:, : content[1], content[0] - 1 :: -1].copy()
            (logits,) = run(x[None])["upsample"]
            check_finite({"upsample": logits[:, ::FINITE_ROWS]})
            mean += probabilities(logits, content, mirrored, (rows, columns)) / len(scales_and_flips)
        result = segment(mean, image.size, self.labels, self.background)
        if not np.isfinite(result.confidence).all():  # NaN and infinity of any pixel end here, through softmax and mean
            raise OutputError("upsample")
        return result


def scaled(preprocessing: Preprocessing, scale: float) -> Preprocessing:
    """The same preprocessing for a view: each side becomes int((side - 1) * scale + 1), as in DeepLab."""
    if scale == 1:
        return preprocessing
    rows, columns = (int((side - 1) * scale + 1) for side in preprocessing.size)
    enlarge = None if preprocessing.enlarge is None else preprocessing.enlarge * scale
    return replace(preprocessing, size=(rows, columns), enlarge=enlarge)


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


def segment(probability: Floats, size: tuple[int, int], labels: tuple[str, ...], background: int | None) -> Segmentation:
    """The result for an image of `size` (width, height) from (K, rows, columns) probabilities.

    Each pixel of the probabilities takes its likeliest class, the lower index if two are equal; the mask is that map
    enlarged or reduced to the image by nearest neighbor.
    """
    winner = probability.argmax(axis=0).astype(np.uint8)
    flat, best = winner.ravel(), probability.max(axis=0).ravel()
    counts = np.bincount(flat, minlength=len(labels))
    confidence = np.bincount(flat, best, len(labels)) / np.maximum(counts, 1)
    mask = np.asarray(Image.fromarray(winner).resize(size, Image.Resampling.NEAREST))
    return Segmentation(mask, confidence.astype(np.float32), labels, background)
