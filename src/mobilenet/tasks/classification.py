"""From a classifier's logits to a `Classification`. Needs no numpy."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .results import Classification

if TYPE_CHECKING:
    from ..tensors import Floats, View


class ClassificationDecoder:
    """Turns the outputs of a classifier into results."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels

    def __call__(self, outputs: Mapping[str, Floats | View], index: int, size: tuple[int, int]) -> Classification:
        """The result for image `index` of a batch: ``outputs["classifier"]`` are logits, (N, K) float32."""
        logits = outputs["classifier"]
        # A memoryview cannot be indexed by row; an array is cheaper to convert row by row.
        row: Any = logits.tolist()[index] if isinstance(logits, memoryview) else logits[index].tolist()
        return Classification(softmax(row), self.labels)


def softmax(logits: Sequence[float]) -> array[float]:
    """K logits -> K float32 probabilities, computed in double precision so that they sum to 1 within a float32 rounding."""
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    total = math.fsum(powers)
    return array("f", [power / total for power in powers])
