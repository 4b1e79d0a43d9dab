"""Arrays of the usual shapes and types as images.

Every refusal ends in the one line that mends the array, called ``x`` there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import short_repr
from .open import ImageError

if TYPE_CHECKING:
    from ..tensors import Array

CHANNELS = (1, 3, 4)
NORMALIZED = '((x - x.min()) / (x.max() - x.min()) * 255).astype("uint8")'


def from_array(source: Any) -> Image.Image:
    """An array, or a tensor of torch or the like, as an image in mode L, RGB or RGBA.

    Shapes: (H, W), (H, W, C), or (C, H, W) where the last axis cannot be the channels; C is 1 (gray), 3 (RGB) or 4 (RGB and
    alpha). Colors are in the order red, green, blue; OpenCV's are not.

    Types: uint8; other integers and floats from 0 to 255; floats from 0 to 1, times 255; bool, False black and True white;
    uint16, whose high byte counts, as in a 16-bit PNG.

    Raises:
        ImageError: another shape, or values outside of these ranges; the message has the line that mends it.
    """
    x = as_numpy(source)
    name = f"array of shape {x.shape} and type {x.dtype}"
    if 0 in x.shape:
        raise ImageError(f"{name}: has no pixels; give at least 1 x 1")
    if x.ndim == 3 and x.shape[2] not in CHANNELS and x.shape[0] in CHANNELS:
        x = x.transpose(1, 2, 0)
    if x.ndim == 3 and x.shape[2] == 1:
        x = x[:, :, 0]
    if x.ndim != 2 and (x.ndim != 3 or x.shape[2] not in CHANNELS):
        raise ImageError(f"{name}: {shape_remedy(x.shape)}")
    return Image.fromarray(np.ascontiguousarray(as_bytes(x, name)))


def shape_remedy(shape: tuple[int, ...]) -> str:
    must = "must be H x W, H x W x 3 or H x W x 4"
    match shape:
        case (_,):
            return f"{must}; if it holds the bytes of a file, x.tobytes(); else reshape it, x.reshape(height, width, 3)"
        case (_, _, 2):
            return f"{must}; of gray and alpha give the gray, x[:, :, 0]"
        case (_, _, _):
            return f"{must}; give three of its channels, for example x[:, :, :3]"
        case (1, *_, _, _, _):
            return f"{must}; take the first image out, x[0]"
        case (_, _, _, _):
            return f"{must}; give the batch alone, not in a list, or one image of it, x[0]"
        case _:
            return f"{must}; reshape it, x.reshape(height, width, 3)"


def as_bytes(x: Array, name: str) -> NDArray[np.uint8]:
    """The same values as uint8."""
    match x.dtype.kind:
        case "b":
            return x.astype(np.uint8) * np.uint8(255)
        case "u" | "i":
            return integers_as_bytes(x, name)
        case "f":
            return floats_as_bytes(x, name)
        case _:
            raise ImageError(f'{name}: must be numbers or bools; np.asarray(x.tolist(), "uint8") if they are')


def integers_as_bytes(x: Array, name: str) -> NDArray[np.uint8]:
    low, high = int(x.min()), int(x.max())
    if x.dtype == np.uint16:
        if 0 < high <= 255:
            raise ImageError(f'{name} with values up to {high}: uint16 runs to 65535; if 255 is white, x.astype("uint8")')
        return (x >> 8).astype(np.uint8)
    if low < 0 or high > 255:
        raise ImageError(
            f"{name} with values from {low} to {high}: must be from 0 to 255; "
            f'(x >> 8).astype("uint8") of 16 bits, or x.clip(0, 255).astype("uint8")'
        )
    return x.astype(np.uint8)


def floats_as_bytes(x: Array, name: str) -> NDArray[np.uint8]:
    low, high = float(x.min()), float(x.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{name}: holds NaN or infinity; np.nan_to_num(x)")
    if low < 0:
        raise ImageError(
            f"{name} with values from {low:.3g} to {high:.3g}: floats must be from 0 to 1 or from 0 to 255; "
            f"if it was normalized, undo that: (x * std + mean).clip(0, 1); else {NORMALIZED}"
        )
    if high <= 1:
        return (x.astype(np.float32) * 255 + 0.5).astype(np.uint8)
    if high > 255:
        raise ImageError(f"{name} with values up to {high:.5g}: floats must be from 0 to 1 or from 0 to 255; {NORMALIZED}")
    if high < 2 and (x != np.rint(x)).any():  # of 0 to 1 with a filter's overshoot, or nearly black?
        raise ImageError(f"{name} with values up to {high:.3g}: is white 1 or 255? x.clip(0, 1), or x.round().astype('uint8')")
    return (x + 0.5).astype(np.uint8)


def as_numpy(source: Any) -> Array:
    """A numpy array of any array; of a tensor on a GPU or with gradients too."""
    if isinstance(source, np.ndarray):
        return source
    try:
        if hasattr(source, "detach"):  # torch's, whose bfloat16 numpy does not know
            source = source.detach().cpu()
            source = source.float() if source.is_floating_point() else source
        return np.asarray(source)
    except Exception as error:  # each library has its own
        raise ImageError(f"{short_repr(source)}: no numpy array can be made of it ({error}); give np.asarray(x)") from error
