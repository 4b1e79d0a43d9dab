"""A classifier's result, and how it is made of logits. Needs no numpy."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from ..errors import printable
from ..tensors import built
from ..values import field
from .results import Answer, Prediction, check_finite, is_place, selected
from .views import outputs_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from ..images.preprocessing import Decoded, Preprocessing
    from ..tensors import Plain
    from .views import Run, Views


class Classification(Answer):
    """The probability of every class for one image.

    As a sequence it is the predictions that are shown, by default the five likeliest: ``len(result)``, ``result[0]``,
    ``for prediction in result``. ``result["tabby"]`` is any class by its label, and ``result[result.scores > 0.1]`` lists the
    classes that a mask selects, best first.

    Attributes:
        probabilities: (K,) float32 that sum to 1.
        labels: (K,) names of the classes.
    """

    probabilities: array[float] | NDArray[np.float32] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    max_shown: int | None = field(default=5, kw_only=True)

    task, nothing = "classification", "nothing above the threshold"

    @property
    def scores(self) -> NDArray[np.float32]:
        """`probabilities` as a numpy array: (K,) float32."""
        import numpy as np

        return np.asarray(self.probabilities, np.float32)

    def top(self, n: int | None = 5, threshold: float = 0.0) -> list[Prediction]:
        """The `n` likeliest classes (None for all) with a score of at least `threshold`.

        The best comes first; of equal scores, the one of lower index.
        """
        scores = self.probabilities
        (threshold,) = array("f", [threshold])  # rounded as the scores are
        order = likeliest(scores, n)
        return [Prediction(self.labels[i], i, float(scores[i]), id=self.id_of(i)) for i in order if scores[i] >= threshold]

    def __len__(self) -> int:
        return len(self.shown)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.shown)

    @overload
    def __getitem__(self, key: int | str) -> Prediction: ...
    @overload
    def __getitem__(self, key: slice | Sequence[bool] | NDArray[np.bool_]) -> list[Prediction]: ...
    def __getitem__(self, key: int | str | slice | Iterable[object]) -> Prediction | list[Prediction]:
        if isinstance(key, str):
            index = self.index_of(key)
            return Prediction(key, index, self.probabilities.tolist()[index], id=self.id_of(index))
        if is_place(key):
            return self.top(self.max_shown, self.threshold)[key]
        return selected(self.top(None), key, len(self.labels))

    def drawn_on(self, image: Image.Image, predictions: Sequence[Prediction]) -> Image.Image:
        """A copy of an RGB image with the predictions as lines in its lower left corner."""
        from ..drawing.labels import draw_classification

        return draw_classification(image, [f"{p.label} {p.score * 100:.1f} %" for p in predictions])

    def __str__(self) -> str:
        """For example ``tabby 62.1 %, tiger cat 20.3 %``: the predictions that are shown."""
        return printable(", ".join(f"{p.label} {p.score * 100:.1f} %" for p in self.shown)) or self.nothing


class ClassificationDecoder:
    """Turns the outputs of a classifier into results."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels

    def __call__(self, outputs: Mapping[str, Plain], index: int, size: tuple[int, int]) -> Classification:
        """The result for image `index` of a batch: ``outputs["classifier"]`` are logits, (N, K) float32."""
        logits = outputs["classifier"]
        if isinstance(logits, memoryview) and built():  # of the engine
            from .. import _core

            probabilities: array[float] = array("f", bytes(logits.nbytes // len(logits)))
            _core.softmax(logits, index, probabilities)
            return Classification(probabilities, self.labels)
        # A memoryview cannot be indexed by row; an array is cheaper to convert row by row.
        row: Any = logits.tolist()[index] if isinstance(logits, memoryview) else logits[index].tolist()
        return Classification(softmax(row), self.labels)

    def average(self, run: Run, image: Decoded, views: Views, preprocessing: Preprocessing) -> Classification:
        """The result from the mean probabilities of several views.

        Raises:
            OutputError: an output holds NaN or infinity.
        """
        rows = list[Sequence[float]]()
        for _, _, outputs in outputs_of(run, preprocessing, image, views):
            check_finite(outputs)
            rows.append(softmax(outputs["classifier"][0].tolist()))
        return Classification(array("f", [sum(column) / len(rows) for column in zip(*rows, strict=True)]), self.labels)


def likeliest(scores: array[float] | NDArray[np.float32], n: int | None) -> list[int]:
    """The indices of the `n` largest of (K,) float32 scores (None for all): the largest first, of equal ones the lower."""
    if isinstance(scores, array) and scores.typecode == "f" and n is not None and n >= 0 and built():
        from .. import _core

        return _core.likeliest(scores, n)
    ranked = [score if score == score else -1.0 for score in scores.tolist()]  # not-a-number is last
    return sorted(range(len(ranked)), key=ranked.__getitem__, reverse=True)[:n]


def softmax(logits: Sequence[float]) -> array[float]:
    """K logits -> K float32 probabilities, computed in double precision so that they sum to 1 within a float32 rounding.

    The core's has the same bits, in an eighth of the time.
    """
    highest = max(logits)
    powers = list(map(math.exp, [logit - highest for logit in logits]))
    total = math.fsum(powers)
    return array("f", [power / total for power in powers])
