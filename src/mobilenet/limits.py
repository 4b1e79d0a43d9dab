"""What files from strangers may cost: sizes past which a reader refuses. Every refusal names its limit and how to raise it.

    mobilenet.set_limits(max_image_pixels=200_000_000)

or, for the command line and for processes started elsewhere, ``MOBILENET_LIMITS=max_image_pixels=200000000``.
"""

from __future__ import annotations

import os
from typing import Any

from .errors import MobilenetError, UsageError, short_repr, unknown_name
from .values import Value, replace

VARIABLE = "MOBILENET_LIMITS"


class Limits(Value):
    """Limits of one process. All are integers of at least 1.

    Attributes:
        max_image_pixels: width times height of an image. 65 million, the photos of most cameras and phones, take 260 MB as RGB.
        max_image_bytes: of an image file, or of an image in an archive.
        max_decoder_bytes: that an image takes at once while it is decoded and converted, estimated from its format and mode:
            WebP needs five times as much as a baseline JPEG.
        max_url_seconds: for the download of an image by its address, from the first connection to the last byte.
        max_url_redirects: on the way from an image's address to the image.
        max_image_scans: of a JPEG. Every scan visits all pixels again; progressive files of cameras and editors have about ten.
        max_resized_pixels: of an image on its way to the network's input, when its shorter side has the size asked for.
        max_side: of a network's input, in pixels, that a model file may ask for.
        max_madds: multiply-adds for one image that a model file may ask for.
        max_activation_bytes: of one tensor between two layers, for one image, that a model file may ask for.
        max_tensor_bytes: of all tensors of a file of weights, as they lie in memory.
        max_json_bytes: of a JSON document that describes a model: a header, a configuration, a graph. While it is read,
            Python holds up to 30 times as much.
        max_json_depth: of lists and objects inside one another in a JSON document.
        max_annotation_bytes: of a file of labels: COCO's JSON (its largest has 470 million), VOC's XML, a CSV list.
        max_candidates: scores on one image, boxes times classes, that a detector's file may let compete.
        max_detections: on one image that a detector's file may ask for.
    """

    max_image_pixels: int = 65_000_000
    max_image_bytes: int = 256 * 2**20
    max_decoder_bytes: int = 512 * 2**20
    max_url_seconds: int = 30
    max_url_redirects: int = 5
    max_image_scans: int = 100
    max_resized_pixels: int = 65_000_000
    max_side: int = 4096
    max_madds: int = 500_000_000_000
    max_activation_bytes: int = 2**30
    max_tensor_bytes: int = 2**30
    max_json_bytes: int = 8 * 2**20
    max_json_depth: int = 64
    max_annotation_bytes: int = 512 * 2**20
    max_candidates: int = 2_000_000
    max_detections: int = 1_000

    def __post_init__(self) -> None:
        for name in self.field_options:
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
    for name in changes:
        if name not in Limits.field_options:
            raise UsageError(unknown_name("limit", name, Limits.field_options))
    return replace(before, **changes)


def over_limit(name: str, value: int | str) -> str:
    """The end of a refusal: the value, which limit it passed, and how to raise that."""
    asked = value if isinstance(value, str) else short_repr(value)
    return (
        f"{asked} is past the limit {name} of {getattr(limits(), name)}; if you trust the file, raise it with "
        f"mobilenet.set_limits({name}=...) or {VARIABLE}={name}=..."
    )


class TooLarge(MobilenetError):
    """A file asks for more than one of the limits allows."""


def check_limit(name: str, value: int, subject: str, error: type[MobilenetError] = TooLarge) -> None:
    """Raises `error` if `value` is past the limit `name`; `subject` is what messages call that of which it is the size."""
    if value > getattr(limits(), name):
        raise error(f"{subject}: {over_limit(name, value)}")


def parse_json(content: str | bytes, size: str = "max_json_bytes") -> Any:
    """A JSON document within the limits: `size` of its bytes, and `max_json_depth` lists and objects inside one another.

    Raises:
        TooLarge: it is larger or deeper.
        ValueError: it is no JSON.
    """
    import json

    check_limit(size, len(content), "JSON of this size")
    allowed = limits().max_json_depth
    try:
        value = json.loads(content)
    except RecursionError:
        raise TooLarge(f"JSON as deep as this: {over_limit('max_json_depth', 'over 900')}") from None
    level: list[Any] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(allowed):
        if not level:
            return value
        inner = (item for each in level for item in (each.values() if isinstance(each, dict) else each))
        level = [item for item in inner if isinstance(item, (dict, list))]
    if not level:
        return value
    raise TooLarge(f"JSON as deep as this: {over_limit('max_json_depth', f'over {allowed}')}")
