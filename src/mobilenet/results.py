"""What a prediction is: the currency between predictor, evaluation, command line and drawing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """One answer: the label, its index among the model's outputs, its probability from 0 to 1."""

    label: str
    index: int
    score: float


@dataclass(frozen=True)
class Classification:
    """What a classifier says of one picture: `scores` (K,) float32 probabilities that sum to 1, and a label for each."""

    scores: NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    task = "classification"

    def top(self, n: int = 5) -> list[Prediction]:
        """The `n` likeliest, best first; equal scores by lower index."""
        best = np.argsort(-self.scores, kind="stable")[:n]
        return [Prediction(self.labels[i], int(i), float(self.scores[i])) for i in best]

    def to_json(self, top: int = 5) -> list[dict[str, Any]]:
        return [asdict(prediction) for prediction in self.top(top)]

    def lines(self, top: int = 5) -> list[str]:
        """For drawing and printing: ``tabby 62.1 %``."""
        return [f"{p.label} {p.score:.1%}".replace("%", " %") for p in self.top(top)]

    def __str__(self) -> str:
        return ", ".join(self.lines())
