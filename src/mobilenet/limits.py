"""What files from strangers may cost: sizes past which a reader refuses. Every refusal names its limit and how to raise it.

    mobilenet.set_limits(max_image_pixels=200_000_000)

or, for the command line and for processes started elsewhere, ``MOBILENET_LIMITS=max_image_pixels=200000000``.
"""

from __future__ import annotations

import os

from .errors import UsageError, short_repr, unknown_name
from .values import Value

VARIABLE = "MOBILENET_LIMITS"


class Limits(Value):
    """Limits of one process. All are integers of at least 1.

    Attributes:
        max_image_pixels: of an image, decoded. 50 million pixels take 150 MB as RGB and up to 350 MB while they are decoded.
        max_image_bytes: of an image file, or of an image in an archive.
        max_image_scans: of a progressive JPEG. Every scan visits all pixels again; cameras and editors write about ten.
        max_resized_pixels: of an image on its way to the network's input, when its shorter side has the size asked for.
        max_side: of a network's input, in pixels, that a model file may ask for.
        max_madds: multiply-adds for one image that a model file may ask for.
        max_tensor_bytes: of all tensors of a model, as they lie in memory.
        max_json_bytes: of a JSON document: a header, a recipe, annotations.
        max_json_depth: of nested lists and objects in JSON.
        max_candidates: boxes of one class that a detector's file may let compete.
        max_detections: on one image that a detector's file may ask for.
    """

    max_image_pixels: int = 50_000_000
    max_image_bytes: int = 256 * 2**20
    max_image_scans: int = 100
    max_resized_pixels: int = 100_000_000
    max_side: int = 4096
    max_madds: int = 500_000_000_000
    max_tensor_bytes: int = 2**30
    max_json_bytes: int = 256 * 2**20
    max_json_depth: int = 64
    max_candidates: int = 10_000
    max_detections: int = 1_000

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"limit {name} {short_repr(value)}: must be an integer of at least 1")


_in_force: list[Limits] = []  # one, once somebody has asked


def limits() -> Limits:
    """The limits in force: those of `set_limits`, else those of MOBILENET_LIMITS, else the defaults.

    Raises UsageError if MOBILENET_LIMITS cannot be understood.
    """
    if not _in_force:
        _in_force.append(parse_limits(os.environ.get(VARIABLE, "")))
    return _in_force[-1]


def set_limits(**changes: int) -> Limits:
    """Changes some limits of this process and returns all of them. Raises UsageError for an unknown name or a bad value."""
    _in_force[:] = [changed(limits(), changes)]
    return _in_force[-1]


def parse_limits(text: str) -> Limits:
    """``name=value`` pairs with commas between them, over the defaults."""
    changes = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, _, value = item.partition("=")
        if not value.strip().isdecimal() or len(value) > 30:
            raise UsageError(f"{VARIABLE} {short_repr(item)}: must be name=integer, for example max_image_pixels=200000000")
        changes[name.strip()] = int(value)
    return changed(Limits(), changes)


def changed(before: Limits, changes: dict[str, int]) -> Limits:
    """`before` with other values for the limits in `changes`."""
    from dataclasses import replace

    for name in changes:
        if name not in Limits.__dataclass_fields__:
            raise UsageError(unknown_name("limit", name, Limits.__dataclass_fields__))
    return replace(before, **changes)


def over_limit(name: str, value: object) -> str:
    """The end of a refusal: which limit was passed and how to raise it."""
    return (
        f"{short_repr(value)} is past the limit {name} of {getattr(limits(), name)}; if you trust the file, raise it with "
        f"mobilenet.set_limits({name}=...) or {VARIABLE}={name}=..."
    )
