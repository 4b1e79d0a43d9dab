"""What a prediction is: the currency between predictor, evaluation, command line and drawing.

All three results have `task`, `top(n)` for the best predictions, and `size`-free JSON through `Prediction.to_json`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..values import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..tensors import Floats

VOID = 255  # in a mask: no class is meant here


class Prediction(Value):
    """One answer: the label, its index among the model's labels, its score from 0 to 1.

    `box`: for a detection x0, y0, x1, y1 in pixels of the picture, measured to the edges. `share`: for a segmentation the
    part of the picture that the class covers.
    """

    label: str
    index: int
    score: float
    box: tuple[float, float, float, float] | None = None
    share: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value is not None}


class Classification(Value):
    """What a classifier says of one picture: `probabilities` (K,) float32 that sum to 1, and a label for each."""

    probabilities: array[float] | NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    task = "classification"

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """The probabilities as an array of numpy's."""
        import numpy as np

        return np.asarray(self.probabilities, np.float32)

    def top(self, n: int | None = 5, threshold: float = 0.0) -> list[Prediction]:
        """The `n` likeliest (all for None) of at least `threshold`, best first; equal scores by lower index."""
        scores = self.probabilities.tolist()
        (least,) = array("f", [threshold])  # as exact as they are
        best = sorted(range(len(scores)), key=lambda i: scores[i] if scores[i] == scores[i] else -1.0, reverse=True)
        return [Prediction(self.labels[i], i, scores[i]) for i in best[:n] if scores[i] >= least]

    def to_json(self, top: int = 5) -> list[dict[str, Any]]:
        return [prediction.to_json() for prediction in self.top(top)]

    def lines(self, top: int = 5) -> list[str]:
        """For drawing and printing: ``tabby 62.1 %``."""
        return [f"{p.label} {p.score:.1%}".replace("%", " %") for p in self.top(top)]

    def __str__(self) -> str:
        return ", ".join(self.lines())


class Detections(Value):
    """Objects found on one picture, best first.

    Attributes:
        boxes: (N, 4) float32, x0, y0, x1, y1 in pixels of the picture: x to the right, y down, from 0 at the left and upper
            edge to the picture's width and height at the others. Every box has an area.
        scores: (N,) float32, 0 to 1, descending.
        classes: (N,) int64, indices into `labels`; the background is none of them.
        labels: names of the classes.
    """

    boxes: NDArray[np.float32] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    classes: NDArray[np.int64] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    task = "detection"

    def __len__(self) -> int:
        return len(self.scores)

    def top(self, n: int | None = None, threshold: float = 0.0) -> list[Prediction]:
        """The `n` best (all for None) of at least `threshold`."""
        return [
            Prediction(self.labels[index], int(index), float(score), (float(x0), float(y0), float(x1), float(y1)))
            for (x0, y0, x1, y1), score, index in zip(self.boxes[:n], self.scores, self.classes, strict=False)
            if score >= threshold
        ]

    def to_json(self, top: int | None = None) -> list[dict[str, Any]]:
        return [prediction.to_json() for prediction in self.top(top)]

    def __str__(self) -> str:
        return ", ".join(f"{p.label} {p.score:.0%}".replace("%", " %") for p in self.top(threshold=0.5)) or "nothing found"


class Segmentation(Value):
    """The class of every pixel of one picture.

    Attributes:
        mask: (H, W) uint8, row by row from the top, indices into `labels`, H and W the picture's own.
        confidence: (K,) float32: the mean probability of each class over the pixels that it won, 0 where it won none.
        labels: names of the classes.
        background: index of the class that means "none of the others", or None.
    """

    mask: NDArray[np.uint8] = field(repr=False)
    confidence: NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    background: int | None = 0

    task = "segmentation"

    def shares(self) -> NDArray[np.float64]:
        """(K,): the part of the picture that each class covers; they sum to 1."""
        import numpy as np

        counts = np.zeros(256, np.int64)
        for row in np.array_split(self.mask, max(self.mask.size >> 20, 1)):  # bincount copies to 8 bytes a pixel
            counts += np.bincount(row.ravel(), minlength=256)
        return np.asarray(counts[: len(self.labels)] / self.mask.size)

    def top(self, n: int | None = None, threshold: float = 0.0) -> list[Prediction]:
        """The `n` largest classes (all for None) but the background, those of at least `threshold` confidence."""
        shares = self.shares().tolist()
        largest = sorted(range(len(shares)), key=shares.__getitem__, reverse=True)
        largest = [i for i in largest if shares[i] and i != self.background]
        return [
            Prediction(self.labels[i], i, float(self.confidence[i]), share=shares[i])
            for i in largest[:n]
            if self.confidence[i] >= threshold
        ]

    def to_json(self, top: int | None = None) -> list[dict[str, Any]]:
        return [prediction.to_json() for prediction in self.top(top)]

    def __str__(self) -> str:
        return ", ".join(f"{p.label} {p.share:.0%}".replace("%", " %") for p in self.top()) or "background only"


Result = Classification | Detections | Segmentation

R_co = TypeVar("R_co", bound=Result, covariant=True)


class Decoder(Protocol[R_co]):
    """Turns a network's outputs into results; there is one implementation per task."""

    def __call__(self, outputs: Mapping[str, Floats], index: int, size: tuple[int, int]) -> R_co:
        """The result for one image of a batch.

        Args:
            outputs: each output of the network by name, with the batch as first axis.
            index: of the image in the batch.
            size: (width, height) of the original image, in pixels.
        """
