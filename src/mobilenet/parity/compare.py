"""Two models or runtimes on the same images: outputs, answers, scores, speed and size beside each other."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from ..images.open import ImageError
from ..tasks.results import OutputError
from .agreement import Agreement, agreement_of
from .looks import Look, Looks
from .sides import Side

if TYPE_CHECKING:
    from ..network.layers import Task
    from ..tasks.metrics import Metrics
    from ..tensors import Floats
    from .looks import Scored

    Watch = Callable[[Looks], Iterable[Look]]


@dataclass
class Difference:
    """How far two sides' outputs of one name lie apart, over all images.

    Attributes:
        largest: difference of two numbers, in the output's own unit.
        magnitude: the largest number of the first side.
        signal, noise: sums of squares of the first side's numbers and of the differences.
        count: of numbers.
    """

    name: str
    largest: float = 0.0
    magnitude: float = 0.0
    signal: float = 0.0
    noise: float = 0.0
    count: int = 0

    def add(self, expected: Floats, found: Floats) -> None:
        difference = np.abs(found.astype(np.float64) - expected)
        self.largest = max(self.largest, float(difference.max()) if np.isfinite(difference).all() else np.inf)
        self.magnitude = max(self.magnitude, float(np.abs(expected).max()))
        self.signal += float(np.square(expected, dtype=np.float64).sum())
        self.noise += float(np.square(difference).sum())
        self.count += expected.size

    @property
    def relative(self) -> float:
        """The largest difference over the largest magnitude."""
        return self.largest / self.magnitude if self.magnitude else float(self.largest > 0)

    @property
    def mean_square(self) -> float:
        """Of the first side's numbers."""
        return self.signal / self.count

    @property
    def noise_ratio(self) -> float:
        """The root mean square of the differences over that of the numbers."""
        return float(np.sqrt(self.noise / self.signal)) if self.signal else float(self.noise > 0)

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "largest": self.largest, "relative": self.relative, "noise": self.noise_ratio}


@dataclass(frozen=True)
class SideReport:
    """What a report says of one side.

    Attributes:
        bytes: of its file, or of a model's weights.
        milliseconds: median time of one image: of the network alone, or of the whole work if the file does it all.
        metrics: on the labels, if there are any.
    """

    title: str
    bytes: int
    milliseconds: float
    metrics: Metrics | None

    def to_json(self) -> dict[str, object]:
        return {"title": self.title, "bytes": self.bytes, "milliseconds": self.milliseconds, "metrics": self.metrics}


@dataclass(frozen=True)
class Comparison:
    """Two sides on the same images.

    Attributes:
        outputs: differences by output; empty if the two have other outputs, or a file has no outputs but its answers.
        agreement: of the answers.
        failed: the images that could not be opened or answered, with the reason.
    """

    task: Task
    images: int
    source: str
    a: SideReport
    b: SideReport
    outputs: tuple[Difference, ...]
    agreement: Agreement
    failed: list[str] = field(default_factory=list)

    @property
    def largest(self) -> Difference | None:
        """The output with the largest relative difference."""
        return max(self.outputs, key=lambda each: each.relative, default=None)

    @property
    def noisiest(self) -> Difference | None:
        return max(self.outputs, key=lambda each: each.noise_ratio, default=None)

    def to_json(self) -> dict[str, object]:
        """The contract of `mobilenet compare --json`."""
        return {
            "task": self.task,
            "images": self.images,
            "data": self.source,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "outputs": [each.to_json() for each in self.outputs],
            "agreement": self.agreement.to_json(),
            "failed": self.failed,
        }


def compared(a: Side, b: Side, looks: Looks, watch: Watch = lambda looks: looks) -> Comparison:
    """The two sides on every image, in turns.

    Raises:
        UsageError: no image could be opened and answered.
    """
    agreement, differences = agreement_of(a.model.network.task), dict[str, Difference]()
    scores, failed, images = [looks.scores(), looks.scores() if a.labels == b.labels else None], list[str](), 0
    for look in watch(looks):
        try:
            image = look.open()
            results = a.answer(image), b.answer(image)
        except (ImageError, OutputError) as error:
            failed.append(str(error) if isinstance(error, ImageError) else f"{look.name}: {error}")
            continue
        images += 1
        agreement.add(*results)
        for score, result in zip(scores, results, strict=True):
            if score is not None:
                score.add(result, looks.truth(look))
        if comparable(a, b):
            for name, expected in a.outputs.items():
                differences.setdefault(name, Difference(name)).add(expected, b.outputs[name])
    if not images:
        raise UsageError(f"{looks.source}: none of {len(looks)} images could be compared; the first: {failed[0]}")
    return Comparison(
        a.model.network.task,
        images,
        looks.source,
        report_of(a, scores[0]),
        report_of(b, scores[1]),
        tuple(differences.values()),
        agreement,
        failed,
    )


def report_of(side: Side, score: Scored | None) -> SideReport:
    milliseconds = 1e3 * statistics.median(side.seconds)
    return SideReport(side.title, side.size, milliseconds, None if score is None else score.metrics())


def comparable(a: Side, b: Side) -> bool:
    """Whether the two have outputs of the same names and shapes."""
    shapes = [{name: output.shape for name, output in side.outputs.items()} for side in (a, b)]
    return bool(shapes[0]) and shapes[0] == shapes[1]
