"""What the results of all tasks have. Predictor, evaluation, command line and drawing exchange them.

Each task's own result stands beside its decoder: `classification.Classification`, `detection.Detections`,
`segmentation.Segmentation`. Letters: K classes, N detections, H rows, W columns.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, runtime_checkable

from ..errors import MobilenetError, UsageError, printable
from ..tensors import bounds
from ..values import Value, field

if TYPE_CHECKING:
    import os
    from typing import Literal, SupportsIndex, TypeAlias

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from typing_extensions import Buffer, Required, TypedDict, TypeIs

    from ..images.sources import Source
    from ..tensors import Floats, Plain
    from .classification import Classification
    from .detection import Detections
    from .segmentation import Segmentation

    Result: TypeAlias = "Classification | Detections | Segmentation"
    R_co = TypeVar("R_co", bound=Result, covariant=True)

    class PredictionEntry(TypedDict, total=False):
        """A prediction in JSON's types: `box` of a detection, `share` of a region."""

        label: Required[str]
        index: Required[int]
        score: Required[float]
        id: str
        box: tuple[float, float, float, float]
        share: float
else:
    R_co = TypeVar("R_co", covariant=True)

P = TypeVar("P", bound="Prediction")

VOID = 255
"""In a mask: a pixel that belongs to no class. Scores and losses leave it out."""

MIN_SHOWN: dict[str, float] = {"classification": 0.0, "detection": 0.5, "segmentation": 0.0}
"""The least score of what is shown of an answer, by task: by `predict`, `serve`, cards, evaluation and Ray."""

NUM_SHOWN = {"classification": 5}
"""The most classes that are shown of an answer; a task without an entry shows all that it finds."""


class OutputError(MobilenetError):
    """A network's answer for an image holds NaN or infinity."""

    def __init__(self, name: str, image: str = "") -> None:
        self.name = name
        super().__init__(
            f"{image}{': ' if image else ''}output {name!r} holds NaN or infinity: the weights overflow on this image; "
            "the model file is damaged or its training diverged, make it again"
        )


def check_finite(outputs: Mapping[str, Plain]) -> None:
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
        id: of the class, if the model's labels have ids: ImageNet's WordNet ids ("n02123045"), COCO's category ids ("47").
    """

    label: str
    index: int
    score: float
    id: str | None = field(default=None, kw_only=True)

    def to_dict(self) -> PredictionEntry:
        """As an entry of ``predictions`` in ``mobilenet predict --json``; without an id if there is none."""
        return cast("PredictionEntry", {key: value for key, value in vars(self).items() if value is not None})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={_rounded(value)}' for key, value in self.to_dict().items())})"


def _rounded(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"({', '.join(f'{number:.1f}' for number in value)})" if isinstance(value, tuple) else repr(value)


class Answer(Value, ABC):
    """What the results of all tasks have; each is a sequence of predictions.

    Two results are equal if they are of one type with equal labels and numbers, whatever the path of the image, the frame, and
    what is shown. They hold arrays, so they have no hash. A pickled result keeps its path, but not the image.

    Attributes:
        label_ids: (K,) an id for each label, or empty: ImageNet's WordNet ids, COCO's category ids.
        size: width and height of the image in pixels, or None if unknown.
        path: of the image's file, or its URL; None if the image came from memory.
        image: what the predictor was given, if that was no path: `plot` draws on it.
        frame, time: of a video, the number of the frame from 0, and its seconds from the beginning.
        max_shown: the largest number of predictions that are shown, or None for all.
        threshold: the least score of the predictions that are shown, 0 to 1.
    """

    label_ids: tuple[str, ...] = field(default=(), kw_only=True)
    size: tuple[int, int] | None = field(default=None, kw_only=True)
    path: str | None = field(default=None, kw_only=True)
    image: Source | None = field(default=None, kw_only=True)
    frame: int | None = field(default=None, kw_only=True)
    time: float | None = field(default=None, kw_only=True)
    max_shown: int | None = field(default=None, kw_only=True)
    threshold: float = field(default=0.0, kw_only=True)

    task, nothing = "", "nothing found"
    if TYPE_CHECKING:

        @property
        def labels(self) -> tuple[str, ...]: ...

    @abstractmethod
    def top(self, n: int | None = None, threshold: float = 0.0) -> Sequence[Prediction]:
        """The `n` best predictions (None for all) with a score of at least `threshold`, best first."""

    @abstractmethod
    def __iter__(self) -> Iterator[Prediction]: ...

    @abstractmethod
    def drawn_on(self, image: Image.Image, predictions: Sequence[Any]) -> Image.Image:
        """A copy of an RGB image with `predictions`, which are this result's, drawn on it."""

    @property
    def shown(self) -> Sequence[Prediction]:
        """The predictions that `str`, `repr` and `plot` show: at most `max_shown`, with a score of at least `threshold`."""
        return self.top(self.max_shown, self.threshold)

    def plot(self, image: Source | None = None) -> Image.Image:
        """A copy of the image with the predictions that are `shown` drawn on it.

        Args:
            image: what to draw on; by default the image that was predicted, opened again.

        Raises:
            ImageError: the image cannot be opened, has another size, or is not known: a result that was pickled has its path
                only.
        """
        from .display import plot

        return plot(self, image)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `plot` in the format of the suffix, PNG if there is none. Raises ImageError if that fails."""
        from ..images.write import write_image

        write_image(self.plot(), path)

    def show(self) -> None:
        """Opens `plot` in the system's image viewer. A notebook shows a result by itself."""
        self.plot().show()

    def to_dict(self) -> dict[str, object]:
        """As an entry of ``mobilenet predict --json``, with the image's size (width, height), as JSON types."""
        size = None if self.size is None else list(self.size)
        place = {} if self.frame is None else {"frame": self.frame, "time": self.time}
        return {"input": self.path, **place, "task": self.task, "size": size, "predictions": [each.to_dict() for each in self]}

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as a JSON text."""
        import json

        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def to_df(self, library: Literal["pandas", "polars"] | None = None) -> Any:
        """All predictions as a data frame: a row for each, with columns input, label, index, id and score, and x0, y0, x1, y1
        of a box or the share of a region.

        Args:
            library: "pandas" or "polars"; by default the one that is installed, pandas first.

        Raises:
            UsageError: it is not installed.
        """
        from .formats import to_df

        return to_df([self], library)

    def to_supervision(self) -> Any:
        """The predictions as ``supervision.Classifications`` or ``supervision.Detections``, regions with their masks.

        Raises:
            UsageError: supervision is not installed.
        """
        from .formats import to_supervision

        return to_supervision(self)

    def _repr_png_(self) -> bytes | None:
        from .display import png

        return png(self)

    def _repr_html_(self) -> str:
        from .display import html

        return html(self)

    def id_of(self, index: int) -> str | None:
        """The id of the class `index`, or None if the labels have none."""
        return self.label_ids[index] if self.label_ids else None

    def index_of(self, label: str) -> int:
        """The index of the class `label`. Raises UsageError with the nearest labels if there is none."""
        if label not in self.labels:
            from ..errors import unknown_name

            raise UsageError(unknown_name("label", label, self.labels))
        return self.labels.index(label)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = self.field_options.keys() - {"path", "image", "frame", "time", "max_shown", "threshold"}
        return all(_comparable(self.__dict__[name]) == _comparable(other.__dict__[name]) for name in names)

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, object]:
        return {**{name: self.__dict__[name] for name in self.field_options}, "image": None}

    def __repr__(self) -> str:
        named = ", ".join(f"{p.label} {p.score:.2f}" for p in self.shown)
        return f"{type(self).__name__}({printable(named) or self.nothing})"


def _comparable(value: object) -> object:
    """The same value; an array as type, shape and bytes."""
    if not hasattr(value, "tobytes"):
        return value
    view = memoryview(cast("Buffer", value))
    return view.format, view.shape, view.tobytes()


def selected(predictions: Sequence[P], mask: Iterable[object], num_classes: int) -> list[P]:
    """The predictions of the classes that `mask`, one bool for each class, selects."""
    flags = [bool(flag) for flag in mask]
    if len(flags) != num_classes:
        raise UsageError(f"mask of {len(flags)}: must be {num_classes} bools, one for each class; or give an index or a label")
    return [prediction for prediction in predictions if flags[prediction.index]]


def is_place(key: object) -> TypeIs[SupportsIndex | slice]:
    """Whether `key` is an int of any kind or a slice, and no array."""
    return isinstance(key, slice) or (hasattr(key, "__index__") and not hasattr(key, "__len__"))


@runtime_checkable
class ByteRuntime(Protocol):
    """A runtime that can give outputs as the bytes that it computed, which stand for (byte - zero point) * scale."""

    def scaling(self, output: str) -> tuple[float, int] | None:
        """The scale and the zero point of an output; None if it is made of real numbers."""
        ...

    def in_bytes(self, images: Floats) -> Mapping[str, NDArray[np.uint8]]:
        """(N, 3, H, W) float32 -> each output by name."""
        ...


class Decoder(Protocol[R_co]):
    """Turns a network's outputs into results; there is one implementation per task."""

    def __call__(self, outputs: Mapping[str, Plain], index: int, size: tuple[int, int]) -> R_co:
        """The result for one image of a batch.

        Args:
            outputs: each output of the network by name, with the batch as first axis.
            index: of the image in the batch.
            size: (width, height) of the original image, in pixels.
        """


def shown(task: str, top: int | None = None, threshold: float | None = None) -> tuple[int | None, float]:
    """How many predictions are shown and from which score on: what the user asked for, and the task's default in place of
    None."""
    return NUM_SHOWN.get(task) if top is None else top, MIN_SHOWN[task] if threshold is None else threshold
