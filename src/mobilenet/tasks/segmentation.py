"""From a segmenter's logits to `Segmentation`: probabilities, of several views of a picture where asked for, and the mask."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..images.preprocessing import Preprocessing
from ..images.resample import resize
from .results import Segmentation

if TYPE_CHECKING:
    from ..tensors import Floats


def scaled(preprocessing: Preprocessing, scale: float) -> Preprocessing:
    if scale == 1:
        return preprocessing
    rows, columns = (int((side - 1) * scale + 1) for side in preprocessing.size)
    enlarge = None if preprocessing.enlarge is None else preprocessing.enlarge * scale
    return replace(preprocessing, size=(rows, columns), enlarge=enlarge)


def probabilities(logits: Floats, content: tuple[int, int], mirrored: bool, size: tuple[int, int]) -> Floats:
    """(K, H, W) logits of a view -> (K, rows, columns) probabilities, with padding cut off.

    content: (width, height) of the picture in the view, in its upper left corner; size: (rows, columns) wanted.
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
    """The mask of a picture of `size` (width, height) from (K, rows, columns) probabilities.

    The likeliest class of every pixel, equal ones by lower index, then the nearest of these pixels for each of the picture's.
    """
    winner = probability.argmax(axis=0).astype(np.uint8)
    flat, best = winner.ravel(), probability.max(axis=0).ravel()
    counts = np.bincount(flat, minlength=len(labels))
    confidence = np.bincount(flat, best, len(labels)) / np.maximum(counts, 1)
    mask = np.asarray(Image.fromarray(winner).resize(size, Image.Resampling.NEAREST))
    return Segmentation(mask, confidence.astype(np.float32), labels, background)
