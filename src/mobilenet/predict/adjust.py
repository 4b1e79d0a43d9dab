"""Rules of a predictor that a caller may change: which boxes are kept, and how an image is fitted to the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, cast

from ..errors import UsageError, short_repr, unknown_name
from ..images.preprocessing import WHOLE_IMAGE_FITS
from ..values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..images.preprocessing import Preprocessing
    from ..tasks.results import Result
    from .predictor import Predictor

    R = TypeVar("R", bound=Result)

GRAY = 127
"""What surrounds an image in a letterbox: the middle of the range, which DeepLab's own preprocessing has too."""


class Adjustments(NamedTuple):
    """What `Predictor.adjusted` was given."""

    classes: tuple[str | int, ...] | None
    iou: float | None
    max_detections: int | None
    agnostic: bool
    fit: Literal["squash", "pad"] | None


def adjust(predictor: Predictor[R], adjustments: Adjustments) -> Predictor[R]:
    """See `Predictor.adjusted`."""
    classes, iou, max_detections, agnostic, fit = adjustments
    base = predictor._base or predictor
    model = base.model
    if fit is not None:
        model = replace(model, preprocessing=fitted(model.preprocessing, fit))
    adjusted = cast("Predictor[R]", type(base)(model, base.runtime, base.views, base.fast_decoding))
    adjusted._base, adjusted._loaded, adjusted._adjustments = base, base._loaded, adjustments
    named = None if classes is None else [index_of(each, base.labels) for each in classes]
    if adjusted._detect is not None:
        used = base._in_use
        rows = None if named is None else [index if used is None else used[index] for index in named]
        adjusted.decode = adjusted._detect = adjusted._detect.adjusted(rows, iou, max_detections, agnostic)
    elif named is not None or iou is not None or max_detections is not None or agnostic:
        raise UsageError(
            f"classes, iou, max_detections, agnostic: rules for boxes, and this model does {base.task}; leave them out"
        )
    return adjusted


def index_of(wanted: str | int, labels: Sequence[str]) -> int:
    """The index of a class. Raises UsageError for an unknown label or index."""
    if isinstance(wanted, str):
        if wanted not in labels:
            raise UsageError(unknown_name("label", wanted, labels))
        return labels.index(wanted)
    if isinstance(wanted, bool) or not hasattr(wanted, "__index__") or not 0 <= wanted < len(labels):
        raise UsageError(f"class {short_repr(wanted)}: must be a label, or an index from 0 to {len(labels) - 1}")
    return int(wanted)


def fitted(preprocessing: Preprocessing, fit: str) -> Preprocessing:
    """The same policy with the whole image in the input. Raises UsageError for a fit that cuts the image."""
    if fit not in WHOLE_IMAGE_FITS:
        raise UsageError(f"fit {short_repr(fit)}: must be {' or '.join(WHOLE_IMAGE_FITS)}")
    if fit == preprocessing.fit:
        return preprocessing
    fill = GRAY if fit == "pad" else None
    return replace(preprocessing, fit=fit, resize=None, fraction=None, fill=fill, enlarge=None)
