"""Results: what a prediction is. Predictor, evaluation, command line and drawing exchange them.

Letters: K classes, N detections, H rows, W columns.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import MobilenetError, printable
from ..tensors import bounds
from ..values import Value, field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..tensors import Floats, Plain

VOID = 255
"""In a mask: a pixel that belongs to no class. Scores and losses leave it out."""


class OutputError(MobilenetError):
    """A network's answer for an image holds NaN or infinity."""

    def __init__(self, name: str, image: str = "") -> None:
        self.name = name
        super().__init__(
            f"{image}{': ' if image else ''}output {name!r} holds NaN or infinity: the weights overflow on this image; "
            "the model file is damaged or its training diverged, make it again"
        )


def check_finite(outputs: Mapping[str, Any]) -> None:
    """OutputError if a value of an output is NaN or infinite: no score, box or mask that is made of it would mean anything."""
    for name, output in outputs.items():
        values: Plain = output
        if not isinstance(output, memoryview):
            import numpy as np

            values = np.ascontiguousarray(output, np.float32)
        low, high = bounds(values)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise OutputError(name)


class Prediction(Value):
    """One class, object or region that a result names.

    Attributes:
        label: name of the class.
        index: of the class, among the model's labels.
        score: 0 to 1.
        box: of a detection: x0, y0, x1, y1 in pixels of the image, measured to the edges; else None.
        share: of a segmentation: the part of the image that the class covers, 0 to 1; else None.
    """

    label: str
    index: int
    score: float
    box: tuple[float, float, float, float] | None = None
    share: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if value is not None}


class Classification(Value):
    """The probability of every class for one image.

    Attributes:
        probabilities: (K,) float32 that sum to 1.
        labels: (K,) names of the classes.
    """

    probabilities: array[float] | NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    task = "classification"

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """`probabilities` as a numpy array: (K,) float32."""
        import numpy as np

        return np.asarray(self.probabilities, np.float32)

    def top(self, n: int | None = 5, threshold: float = 0.0) -> list[Prediction]:
        """The `n` likeliest classes (None for all) with a score of at least `threshold`.

        The best comes first; of equal scores, the one of lower index.
        """
        scores = self.probabilities.tolist()
        (threshold,) = array("f", [threshold])  # rounded as the scores are
        order = sorted(range(len(scores)), key=lambda i: scores[i] if scores[i] == scores[i] else -1.0, reverse=True)
        return [Prediction(self.labels[i], i, scores[i]) for i in order[:n] if scores[i] >= threshold]

    def to_json(self, top: int = 5) -> list[dict[str, Any]]:
        return [prediction.to_json() for prediction in self.top(top)]

    def __str__(self) -> str:
        """For example ``tabby 62.1 %, tiger cat 20.3 %``."""
        return printable(", ".join(f"{p.label} {p.score * 100:.1f} %" for p in self.top()))


class Detections(Value):
    """The objects found in one image, best first.

    Attributes:
        boxes: (N, 4) float32: x0, y0, x1, y1 in pixels of the image. x runs right from 0 at the left edge to the image's
            width, y runs down from 0 at the upper edge to its height. Every box has an area.
        scores: (N,) float32, 0 to 1, descending.
        classes: (N,) int64, indices into `labels`; the background is none of them.
        labels: (K,) names of the classes.
    """

    boxes: NDArray[np.float32] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    classes: NDArray[np.int64] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    task = "detection"

    def __len__(self) -> int:
        return len(self.scores)

    def top(self, n: int | None = None, threshold: float = 0.0) -> list[Prediction]:
        """The `n` best detections (None for all) with a score of at least `threshold`."""
        return [
            Prediction(self.labels[index], int(index), float(score), (float(x0), float(y0), float(x1), float(y1)))
            for (x0, y0, x1, y1), score, index in zip(self.boxes[:n], self.scores, self.classes, strict=False)
            if score >= threshold
        ]

    def to_json(self, top: int | None = None) -> list[dict[str, Any]]:
        return [prediction.to_json() for prediction in self.top(top)]

    def __str__(self) -> str:
        """For example ``person 91 %, dog 77 %``: the detections with a score of at least 0.5."""
        return printable(", ".join(f"{p.label} {p.score * 100:.0f} %" for p in self.top(threshold=0.5))) or "nothing found"


class Segmentation(Value):
    """The class of every pixel of one image.

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

    task = "segmentation"

    def shares(self) -> NDArray[np.float64]:
        """(K,): the part of the image that each class covers; they sum to 1."""
        import numpy as np

        counts = np.zeros(256, np.int64)
        for rows in np.array_split(self.mask, max(self.mask.size >> 20, 1)):  # bincount copies to 8 bytes a pixel
            counts += np.bincount(rows.ravel(), minlength=256)
        return np.asarray(counts[: len(self.labels)] / self.mask.size)

    def top(self, n: int | None = None, threshold: float = 0.0) -> list[Prediction]:
        """The `n` classes that cover most of the image (None for all), without the background.

        Of these, only those with a confidence of at least `threshold`.
        """
        shares = self.shares().tolist()
        order = sorted(range(len(shares)), key=shares.__getitem__, reverse=True)
        order = [i for i in order if shares[i] and i != self.background]
        return [
            Prediction(self.labels[i], i, float(self.confidence[i]), share=shares[i])
            for i in order[:n]
            if self.confidence[i] >= threshold
        ]

    def to_json(self, top: int | None = None) -> list[dict[str, Any]]:
        return [prediction.to_json() for prediction in self.top(top)]

    def __str__(self) -> str:
        """For example ``cat 40 %, sofa 12 %``: the classes and the share of the image that each covers."""
        return printable(", ".join(f"{p.label} {(p.share or 0) * 100:.0f} %" for p in self.top())) or "background only"


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
