"""Any result on its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from ..tasks.results import Answer, Prediction, Result


def draw(image: Image.Image, result: Result, predictions: Sequence[Prediction] | None = None) -> Image.Image:
    """A copy of an RGB image with its result drawn on it.

    Args:
        predictions: those of the result that are named: all that are drawn of a classifier or detector, and the legend of a
            segmenter. By default those that the result shows.

    Raises:
        ImageError: the image is not RGB.
    """
    answer: Answer = result
    return answer.drawn_on(image, answer.shown if predictions is None else predictions)
