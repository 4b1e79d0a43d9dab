"""Tensors by name as plain memory: numpy comes in where somebody asks for an array, not before.

A classifier's way from a photo to its answer needs no arithmetic of numpy's, whose import takes longer than all the rest.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from array import array
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    View = memoryview[Any]
    Array = NDArray[Any]
    """Its type is known at run time only: a model's tensors are float32, or the integers of a quantized model."""
    Plain = View | Array
    """What the native core reads: float32 and the like as C-contiguous memory with a shape."""
    Floats = NDArray[np.float32]

FORMATS = {"float32": "f", "int32": "i", "int8": "b", "uint8": "B"}
"""The types of a model file's tensors, as memoryview has them."""
NAMES = {code: name for name, code in FORMATS.items()}


class Tensors(Mapping[str, "Array"]):
    """Arrays by name; `views` are the same as they lie in memory, mostly memoryviews of a file.

    >>> tensors = Tensors({"x": memoryview(bytes(8)).cast("f", (1, 2))})
    >>> tensors["x"].shape
    (1, 2)
    """

    def __init__(self, views: Mapping[str, Plain]) -> None:
        self.views = views

    def __getitem__(self, name: str) -> Array:
        view = self.views[name]
        import numpy as np

        return np.asarray(view)

    def __contains__(self, name: object) -> bool:
        return name in self.views

    def __iter__(self) -> Iterator[str]:
        return iter(self.views)

    def __len__(self) -> int:
        return len(self.views)

    def __reduce__(self) -> tuple[type[Tensors], tuple[dict[str, Array]]]:
        return Tensors, (dict(self),)  # memory of a file is neither copied nor pickled; arrays are


def plain(tensors: Mapping[str, Array]) -> Mapping[str, Plain]:
    """The same tensors without making arrays of them."""
    return tensors.views if isinstance(tensors, Tensors) else tensors


def kind(tensor: Plain) -> str:
    """A tensor's type by numpy's name, for example ``float32``."""
    return NAMES.get(tensor.format, tensor.format) if isinstance(tensor, memoryview) else str(tensor.dtype)


def zeros(shape: tuple[int, ...]) -> View:
    """Float32 zeros."""
    return memoryview(bytearray(4 * math.prod(shape))).cast("f", shape)


def built() -> bool:
    """Whether the native core was built when mobilenet was installed."""
    return importlib.util.find_spec("mobilenet._core") is not None


def bounds(values: Plain) -> tuple[float, float]:
    """The least and the largest of float32 values, which are at least one; NaN where one of them is."""
    if built():
        from . import _core

        return _core.bounds(values)
    import numpy as np

    array = np.asarray(values)
    return float(array.min()), float(array.max())


def checksum(content: bytes | View) -> str:
    """32 hexadecimal digits that change if any bit of `content` does. It finds accidents, for example of a disk, and takes 1 %
    of a photo's time; against intent it is no help, and neither is any digest that stands in the file itself.

    Two sums modulo 2^64 of its little-endian words of 8 bytes: of the words, and of the first sum after each word.
    """
    if built() and sys.byteorder == "little":
        from . import _core

        words, sums = _core.checksum(content)
        return f"{words:016x}{sums:016x}"
    import numpy as np

    values = np.frombuffer(bytes(content) + bytes(-len(content) % 8), "<u8")
    weights = np.arange(len(values), 0, -1, dtype=np.uint64)
    return f"{int(values.sum(dtype=np.uint64)):016x}{int((values * weights).sum(dtype=np.uint64)):016x}"


def planes(pixels: bytes, size: tuple[int, int], levels: array[float]) -> View:
    """A batch of one image, (1, 3, H, W) float32, from the H x W x 3 bytes of its `size` (H, W).

    `levels`: what the 256 values of a byte become in red, green and blue, (768,) float32.
    """
    batch = zeros((1, 3, *size))
    if built():
        from . import _core

        _core.planes(pixels, levels, batch)
        return batch
    import numpy as np

    colors = np.frombuffer(pixels, np.uint8).reshape(*size, 3)
    for plane, level in enumerate(np.asarray(levels).reshape(3, 256)):
        np.asarray(batch)[0, plane] = level[colors[:, :, plane]]
    return batch
