"""The one evaluation preprocessing: from a picture of any size to a network's input, torchvision's pixels to the last bit."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from ..network.layers import LARGEST_SIDE
from ..settings import Rules, Settings
from ..tensors import planes
from .open import LARGEST_PICTURE, ImageError, check_rgb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..tensors import View

Fit = Literal["center_crop", "central_fraction", "central_part", "squash", "pad"]
WHOLE: tuple[Fit, ...] = ("squash", "pad")  # the fits that show a network all of a picture
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class Preprocessing(Settings):
    """How a picture becomes the input of a network: resize and crop on 8 bits, then normalise. A model file stores it.

    Attributes:
        size: height and width of the input.
        fit: ``center_crop``: the shorter side to `resize`, then the centre of `size`, black where the picture is smaller
            (torchvision). ``central_fraction``: the central `fraction` of both sides, squashed to `size` (TensorFlow).
            ``central_part``: the same, the part's sides cut down to whole pixels, where TensorFlow's are up to two longer.
            ``squash``: all of it to `size`. ``pad``: all of it, its sides in proportion, as large as fits (and `enlarge`
            lets it) in the upper left corner of `size`, the rest of the value `fill` (DeepLab).
        resize: for ``center_crop`` only.
        fraction: for ``central_fraction`` and ``central_part`` only, 0.01 to 1.
        fill: for ``pad`` only, 0 to 255.
        enlarge: for ``pad`` only, the most by which a picture's sides are multiplied, absent for no limit. 1 shows small
            pictures at their own size, as DeepLab's evaluation does.
        interpolation: Pillow's filter; when shrinking, all but ``nearest`` average over the pixels they skip.
        mean, std: of red, green and blue, on a scale from 0 to 1; the input is (pixel / 255 - mean) / std in float32.

    Raises UsageError for a field that is out of range or does not belong to the fit.
    """

    size: tuple[int, int]
    fit: Fit
    resize: int | None = None
    fraction: float | None = None
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    fill: int | None = None
    enlarge: float | None = None

    def rules(self) -> Rules:
        central, pixels = self.fit in ("central_fraction", "central_part"), "divide by 255 if it is on the pixels' scale"
        yield "size", all(map(_is_side, self.size)), f"height and width, from 1 to {LARGEST_SIDE}"
        if self.fit == "center_crop":
            yield "resize", self.resize is not None and _is_side(self.resize), f"from 1 to {LARGEST_SIDE} for center_crop"
        else:
            yield "resize", self.resize is None, "absent but for center_crop"
        if central:
            yield "fraction", self.fraction is not None and 0.01 <= self.fraction <= 1, f"from 0.01 to 1 for {self.fit}"
        else:
            yield "fraction", self.fraction is None, "absent but for central_fraction and central_part"
        if self.fit == "pad":
            yield "fill", self.fill is not None and 0 <= self.fill <= 255, "from 0 to 255 for pad"
            yield "enlarge", self.enlarge is None or 0.001 <= self.enlarge <= 1000, "from 0.001 to 1000, or absent"
        else:
            yield "fill", self.fill is None, "absent but for pad"
            yield "enlarge", self.enlarge is None, "absent but for pad"
        yield "mean", all(0 <= each <= 1 for each in self.mean), f"from 0 to 1; {pixels}"
        yield "std", all(0.001 <= each <= 1 for each in self.std), f"from 0.001 to 1; {pixels}"

    def to_json(self) -> dict[str, Any]:
        """All fields that the fit uses, in JSON's types."""
        return {name: value for name, value in super().to_json().items() if value is not None}

    def at(self, resolution: int | tuple[int, int]) -> Preprocessing:
        """The same policy for another input size: `resize` keeps its proportion to the longer side (256 to 224)."""
        size = (resolution, resolution) if isinstance(resolution, int) else resolution
        moved = replace(self, size=size)  # refuses sizes that are none
        return moved if self.resize is None else replace(moved, resize=max(round(self.resize * max(size) / max(self.size)), 1))

    def content(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of what a picture of `size` (width, height) takes up in the input: all of it, but for ``pad``."""
        rows, columns = self.size
        if self.fit != "pad":
            return columns, rows
        scale = min(columns / size[0], rows / size[1], self.enlarge or math.inf)
        return min(max(round(size[0] * scale), 1), columns), min(max(round(size[1] * scale), 1), rows)

    def window(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The part of a picture of `size` (width, height) that the input shows: x0, y0, x1, y1 in its pixels.

        Padding lies past the picture's edges. ValueError for the fits that cut something off: boxes and masks need `WHOLE`.
        """
        if self.fit not in WHOLE:
            raise ValueError(f"preprocessing: fit {self.fit!r} cuts the picture; boxes and masks need {' or '.join(WHOLE)}")
        columns, rows = self.content(size)
        return 0.0, 0.0, self.size[1] * size[0] / columns, self.size[0] * size[1] / rows

    def crop_picture(self, image: Image.Image) -> Image.Image:
        """The stage on 8 bits: an RGB picture of any size to an RGB picture of `size`."""
        check_rgb(image)
        (height, width), resample = self.size, Image.Resampling[self.interpolation.upper()]
        if self.resize is not None:
            image = image.resize(_scaled(image.size, self.resize), resample)
            return _window(image, _centred(image.width, width), _centred(image.height, height), width, height)
        if self.fill is not None:
            canvas = Image.new("RGB", (width, height), (self.fill,) * 3)
            canvas.paste(image.resize(self.content(image.size), resample))
            return canvas
        if self.fit == "central_part" and self.fraction is not None:
            w, h = (max(int(side * self.fraction), 1) for side in image.size)
            image = _window(image, (image.width - w) // 2, (image.height - h) // 2, w, h)
        elif self.fraction is not None:
            left, top = (int((side - side * self.fraction) / 2) for side in image.size)  # tf.image.central_crop
            image = _window(image, left, top, image.width - 2 * left, image.height - 2 * top)
        return image.resize((width, height), resample)

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """An RGB picture of any size -> the input, float32 (3, H, W), C-contiguous. ImageError for other modes."""
        import numpy as np

        x: NDArray[np.float32] = np.asarray(self.batch(image))[0]
        return x

    def batch(self, image: Image.Image) -> View:
        """The same as a batch of one, (1, 3, H, W), made without numpy."""
        return planes(self.crop_picture(image).tobytes(), self.size, self.levels())

    def levels(self) -> array[float]:
        """What the values 0 to 255 of red, then green, then blue become: (768,) float32."""
        floats, levels = array("f", [value / 255 for value in range(256)]), array("f")
        for mean, std in zip(array("f", self.mean), array("f", self.std), strict=True):
            centred = array("f", [x - mean for x in floats])
            levels.extend(x / std for x in centred)  # three roundings, as torchvision's ToTensor and Normalize have them
        return levels


def _is_side(value: int) -> bool:
    return 1 <= value <= LARGEST_SIDE


IMAGENET_TORCHVISION = Preprocessing(size=(224, 224), fit="center_crop", resize=256)


def _scaled(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    width, height = size  # torchvision's arithmetic, to the truncation
    scaled = (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
    if scaled[0] * scaled[1] > LARGEST_PICTURE:
        raise ImageError(f"{width}x{height}: too long to resize its shorter side to {shorter}; cut a part out of it first")
    return scaled


def _centred(length: int, window: int) -> int:
    """Where a window begins, with torchvision's rounding; below zero where it is wider than the picture."""
    return -((window - length) // 2) if window > length else round((length - window) / 2.0)


def _window(image: Image.Image, left: int, top: int, width: int, height: int) -> Image.Image:
    """The part of a picture in a window, black where the window looks past its edges."""
    window = Image.new("RGB", (width, height))
    window.paste(image, (-left, -top))  # not crop: that warns of bombs when the window is large
    return window
