"""The evaluation preprocessing: an image of any size to a network's input, bit by bit what torchvision makes."""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from PIL import Image

from ..errors import UsageError
from ..limits import check_limit
from ..network.layers import MAX_SIDE
from ..settings import Rules, Settings
from ..tensors import built, planes
from ..values import replace
from .open import ImageError, check_rgb
from .reduced import Reduced
from .resample import Placement, resample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..tensors import View

    Decoded = Image.Image | Reduced

Fit = Literal["center_crop", "central_fraction", "central_part", "squash", "pad"]
WHOLE_IMAGE_FITS: tuple[Fit, ...] = ("squash", "pad")
"""The fits that show the whole image to the network."""
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

RGB = tuple[float, float, float]


class Preprocessing(Settings):
    """How an image becomes the input of a network: resize and crop in 8 bits, then normalize. A model file stores it.

    Attributes:
        size: height and width of the input, in pixels.
        fit: ``center_crop``: the shorter side is resized to `resize`, then the center of `size` is cut out, black past the
            image's edges (torchvision). ``central_fraction``: the central `fraction` of both sides, resized to `size`
            (TensorFlow). ``central_part``: the same, with the part's sides rounded down to whole pixels; TensorFlow's are
            up to two pixels longer. ``squash``: the whole image resized to `size`. ``pad``: the whole image in its own
            proportions, as large as fits (and as `enlarge` allows), in the upper left corner of `size`; the rest has the
            value `fill` (DeepLab).
        resize: the shorter side after resizing, in pixels; for ``center_crop`` only.
        fraction: 0.01 to 1; for ``central_fraction`` and ``central_part`` only.
        fill: 0 to 255; for ``pad`` only.
        enlarge: the largest factor by which an image's sides are multiplied, None for no limit; for ``pad`` only. 1 shows
            small images at their own size, as DeepLab's evaluation does.
        interpolation: Pillow's filter; when shrinking, every filter except ``nearest`` averages over the pixels it skips.
        mean, std: of red, green and blue, on a scale from 0 to 1; the input is (pixel / 255 - mean) / std in float32.

    Raises:
        UsageError: a field is out of range or does not belong to the fit; the message names it.
    """

    size: tuple[int, int]
    fit: Fit
    resize: int | None = None
    fraction: float | None = None
    interpolation: Interpolation = "bilinear"
    mean: RGB = (0.485, 0.456, 0.406)
    std: RGB = (0.229, 0.224, 0.225)
    fill: int | None = None
    enlarge: float | None = None

    def rules(self) -> Rules:
        central, pixels = self.fit in ("central_fraction", "central_part"), "divide by 255 if it is on the pixels' scale"
        yield "size", all(map(_is_side, self.size)), f"height and width, from 1 to {MAX_SIDE}"
        if self.fit == "center_crop":
            yield "resize", self.resize is not None and _is_side(self.resize), f"from 1 to {MAX_SIDE} for center_crop"
        else:
            yield "resize", self.resize is None, "absent except for center_crop"
        if central:
            yield "fraction", self.fraction is not None and 0.01 <= self.fraction <= 1, f"from 0.01 to 1 for {self.fit}"
        else:
            yield "fraction", self.fraction is None, "absent except for central_fraction and central_part"
        if self.fit == "pad":
            yield "fill", self.fill is not None and 0 <= self.fill <= 255, "from 0 to 255 for pad"
            yield "enlarge", self.enlarge is None or 0.001 <= self.enlarge <= 1000, "from 0.001 to 1000, or absent"
        else:
            yield "fill", self.fill is None, "absent except for pad"
            yield "enlarge", self.enlarge is None, "absent except for pad"
        yield "mean", all(0 <= each <= 1 for each in self.mean), f"from 0 to 1; {pixels}"
        yield "std", all(0.001 <= each <= 1 for each in self.std), f"from 0.001 to 1; {pixels}"

    def to_json(self) -> dict[str, object]:
        """All fields that the fit uses, as JSON types."""
        return {name: value for name, value in super().to_json().items() if value is not None}

    def at(self, resolution: int | tuple[int, int]) -> Preprocessing:
        """The same policy for another input size: `resize` keeps its proportion to the longer side (256 to 224)."""
        size = (resolution, resolution) if isinstance(resolution, int) else resolution
        resized = replace(self, size=size)  # checks the size before it is used below
        if self.resize is None:
            return resized
        return replace(resized, resize=max(round(self.resize * max(size) / max(self.size)), 1))

    @property
    def as_it_is(self) -> Preprocessing:
        """The same normalization of an image that has the input's size already."""
        return replace(self, fit="squash", resize=None, fraction=None, fill=None, enlarge=None)

    def content(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) that an image of `size` (width, height) fills in the input: all of it, except for ``pad``."""
        rows, columns = self.size
        if self.fit != "pad":
            return columns, rows
        scale = min(columns / size[0], rows / size[1], self.enlarge or math.inf)
        return min(max(round(size[0] * scale), 1), columns), min(max(round(size[1] * scale), 1), rows)

    def window(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The part of an image of `size` (width, height) that the input shows: x0, y0, x1, y1 in pixels of the image.

        Padding lies past the image's edges. Raises UsageError for fits that cut something off: boxes and masks need one of
        `WHOLE_IMAGE_FITS`.
        """
        if self.fit not in WHOLE_IMAGE_FITS:
            allowed = " or ".join(WHOLE_IMAGE_FITS)
            raise UsageError(f"preprocessing: fit {self.fit!r} cuts the image; boxes and masks need {allowed}")
        columns, rows = self.content(size)
        return 0.0, 0.0, self.size[1] * size[0] / columns, self.size[0] * size[1] / rows

    def needed(self, size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) that an image of `size` must keep at least, so that resizing it never enlarges what was reduced."""
        rows, columns = self.size
        if self.interpolation == "nearest":  # takes single pixels, which a reduced copy no longer has
            return size
        if self.resize is not None:
            return _scaled(size, self.resize)
        share = self.fraction or 1
        return (math.ceil(columns / share), math.ceil(rows / share)) if self.fit != "pad" else self.content(size)

    def placement(self, image: Decoded) -> Placement:
        """How an image comes into the input."""
        (rows, columns), (width, height) = self.size, image.size
        pixels, (x0, y0, x1, y1) = (image.pixels, image.box) if isinstance(image, Reduced) else (image, (0, 0, *image.size))
        part, resized, offset = (0, 0, *pixels.size), (columns, rows), (0, 0)
        if self.resize is not None:
            resized = _scaled((width, height), self.resize)
            offset = _center_offset(resized[0], columns), _center_offset(resized[1], rows)
        elif self.fit == "pad":
            resized = self.content((width, height))
        elif self.fraction is not None:
            left, top, right, bottom = self._central((width, height))
            if pixels is image:
                part, x1, y1 = (left, top, right - left, bottom - top), right - left, bottom - top
            else:
                across, down = (x1 - x0) / width, (y1 - y0) / height
                x0, y0, x1, y1 = (x0 + left * across, y0 + top * down, x0 + right * across, y0 + bottom * down)
        return Placement(part, (x0, y0, x1, y1), resized, offset, self.fill or 0)

    def _central(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """left, top, right, bottom of the part that the fits of a fraction keep."""
        assert self.fraction is not None
        if self.fit == "central_part":
            w, h = (max(int(side * self.fraction), 1) for side in size)
            left, top = (size[0] - w) // 2, (size[1] - h) // 2
            return left, top, left + w, top + h
        left, top = (int((side - side * self.fraction) / 2) for side in size)  # tf.image.central_crop
        return left, top, size[0] - left, size[1] - top

    def resize_and_crop(self, image: Decoded) -> Image.Image:
        """The stage in 8 bits, by Pillow: an RGB image of any size to an RGB image of `size`."""
        pixels = image.pixels if isinstance(image, Reduced) else image
        check_rgb(pixels)
        place, (height, width) = self.placement(image), self.size
        left, top, *sides = place.part
        if sides != [*pixels.size]:
            pixels = _crop(pixels, left, top, *sides)
        pixels = pixels.resize(place.resized, Image.Resampling[self.interpolation.upper()], box=place.box)
        if place.resized == (width, height) and place.offset == (0, 0):
            return pixels
        canvas = Image.new("RGB", (width, height), (place.fill,) * 3)
        canvas.paste(pixels, (-place.offset[0], -place.offset[1]))
        return canvas

    def __call__(self, image: Decoded) -> NDArray[np.float32]:
        """An RGB image of any size -> the input, (3, H, W) float32, C-contiguous. Raises ImageError for other modes."""
        import numpy as np

        x: NDArray[np.float32] = np.asarray(self.batch(image))[0]
        return x

    def batch(self, image: Decoded) -> View:
        """The same as a batch of one, (1, 3, H, W), made without numpy: in the native core, if it is there and for every filter
        but ``nearest``, with the bits of `resize_and_crop`."""
        values = levels(self.mean, self.std)
        if self.interpolation == "nearest" or not built():
            return planes(self.resize_and_crop(image).tobytes(), self.size, values)
        pixels = image.pixels if isinstance(image, Reduced) else image
        check_rgb(pixels)
        return resample(pixels, self.placement(image), self.interpolation, self.size, values)


@lru_cache(8)
def levels(mean: RGB, std: RGB) -> array[float]:
    """The input's values for the pixel values 0 to 255 of red, then green, then blue: (768,) float32."""
    scale, values = array("f", [value / 255 for value in range(256)]), array("f")
    for channel_mean, channel_std in zip(array("f", mean), array("f", std), strict=True):
        centered = array("f", [x - channel_mean for x in scale])
        values.extend(x / channel_std for x in centered)  # three roundings, as in torchvision's ToTensor and Normalize
    return values


def _is_side(value: int) -> bool:
    return 1 <= value <= MAX_SIDE


IMAGENET_TORCHVISION = Preprocessing(size=(224, 224), fit="center_crop", resize=256)


def _scaled(size: tuple[int, int], shorter: int) -> tuple[int, int]:
    width, height = size  # torchvision's arithmetic, with its truncation
    scaled = (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
    subject = f"{width}x{height} with its shorter side resized to {shorter}, pixels"
    check_limit("max_resized_pixels", scaled[0] * scaled[1], subject, ImageError)
    return scaled


def _center_offset(length: int, window: int) -> int:
    """The start of a centered window, rounded as torchvision does; negative if the window is longer than the image."""
    return -((window - length) // 2) if window > length else round((length - window) / 2.0)


def _crop(image: Image.Image, left: int, top: int, width: int, height: int) -> Image.Image:
    """A part of an image, black past the image's edges."""
    part = Image.new("RGB", (width, height))
    part.paste(image, (-left, -top))  # Image.crop would warn of a decompression bomb if the part is large
    return part
