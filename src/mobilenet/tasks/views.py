"""The views of an image that a predictor may average: test-time augmentation. Needs no numpy until there are several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError, short_repr
from ..values import Value, replace

if TYPE_CHECKING:
    from ..images.preprocessing import Decoded, Preprocessing
    from ..tensors import Array, Floats

    Run = Callable[[Floats], Mapping[str, Array]]
    """A network: (1, 3, H, W) float32 to each output by name."""

FLIP = "flip"


class Views(Value):
    """The views of one image whose answers are averaged (arXiv 1801.04381, section 6.3: six scales, each mirrored too).

    Attributes:
        scales: of the network's resolution, 0.05 to 8; a side becomes int((side - 1) * scale + 1), as in DeepLab. A detector's
            sides change by multiples of 64 pixels, so that its maps lie on the image as they did in its training.
        flip: whether each scale's mirror image is a view too.

    Raises UsageError for scales that are none or out of range.
    """

    scales: Sequence[float] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(isinstance(scale, (int, float)) and 0.05 <= scale <= 8 for scale in self.scales):
            scales = short_repr(self.scales)
            raise UsageError(f"scales {scales}: must be one or more numbers from 0.05 to 8; for example (0.75, 1, 1.25)")

    @classmethod
    def parse(cls, text: str) -> Views:
        """From scales and ``flip``, separated by commas: ``flip``, ``0.75,1,1.25``, ``1,1.25,flip``."""
        words = [word.strip() for word in text.split(",")]
        try:
            scales = tuple(float(word) for word in words if word != FLIP)
        except ValueError:
            raise UsageError(
                f"views {short_repr(text)}: must be scales, 'flip' or both, for example 0.75,1,1.25,flip"
            ) from None
        return cls(scales or (1.0,), FLIP in words)

    def __len__(self) -> int:
        return len(self.scales) * (1 + self.flip)


ONE_VIEW = Views()


def as_views(views: Views | str) -> Views:
    """Views, or what `Views.parse` makes of a text."""
    return Views.parse(views) if isinstance(views, str) else views


def scaled(preprocessing: Preprocessing, scale: float, step: int | None = None) -> Preprocessing:
    """The same preprocessing for a view: each side becomes int((side - 1) * scale + 1), as in DeepLab.

    Args:
        step: instead, each side changes by a multiple of this, the nearest to the scale.
    """
    if scale == 1:
        return preprocessing
    if step is None:
        rows, columns = (int((side - 1) * scale + 1) for side in preprocessing.size)
    else:
        rows, columns = (
            side + step * max(round(side * (scale - 1) / step), -((side - 1) // step)) for side in preprocessing.size
        )
    view = preprocessing.at((rows, columns))
    return view if view.enlarge is None else replace(view, enlarge=view.enlarge * scale)


def outputs_of(
    run: Run,
    preprocessing: Preprocessing,
    image: Decoded,
    views: Views,
    step: int | None = None,
    with_padding: bool = True,
) -> Iterator[tuple[Preprocessing, bool, Mapping[str, Array]]]:
    """For each view its preprocessing, whether it is mirrored, and the network's outputs, which are mirrored too then.

    Args:
        step: see `scaled`.
        with_padding: whether the padding of the fit ``pad`` is mirrored with the image. Else it stays at the right and below.
    """
    for scale in views.scales:
        view = scaled(preprocessing, scale, step)
        x = view(image)
        yield view, False, run(x[None])
        if views.flip:
            columns, rows = view.size[::-1] if with_padding else view.content(image.size)
            x = x.copy()
            x[:, :rows, :columns] = x[:, :rows, :columns][:, :, ::-1].copy()
            yield view, True, run(x[None])
