"""Looks at each image: decodes it, hashes it and compares it with its labels, in several processes and in the order of the
records."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from ..data import Objects, Records, Truth
from ..data.records import ImageSource, ListedRecords, Section
from ..images.open import ImageError
from ..tasks.results import VOID
from .fingerprints import fingerprint

CHUNK = 32  # images that a process takes at once
MIN_FOR_PROCESSES = 256  # images; fewer are done before other processes have begun
TINY = 0.02
"""A box narrower than this share of its image covers at most 6 of the 300 pixels that SSDLite sees."""


class Look(NamedTuple):
    """What was seen of one image.

    Attributes:
        error: why it cannot be read, "" if it can.
        truth_error: why its labels do not fit it, "" if they do.
        size: (width, height), upright.
        content: hash of the encoded bytes.
        print: `fingerprint` of its pixels.
        boxes_outside, boxes_tiny, boxes_same: how many reach past it by more than a pixel, are narrower than `TINY`, or repeat
            another one of the same class.
        turned, scaled: how its labels had to be moved, see `data.objects`.
        pixels: of a mask, how many pixels each class has, by index; the last number is of void.
    """

    error: str = ""
    truth_error: str = ""
    size: tuple[int, int] = (0, 0)
    content: bytes = b""
    print: int | None = None
    boxes_outside: int = 0
    boxes_tiny: int = 0
    boxes_same: int = 0
    turned: bool = False
    scaled: bool = False
    pixels: tuple[int, ...] = ()


def looks(records: Records[Truth], workers: int) -> Iterator[Look]:
    """A look at every record, in order. With `workers` 1, or few records, no other process is started."""
    ranges = [range(start, min(start + CHUNK, len(records))) for start in range(0, len(records), CHUNK)]
    if workers <= 1 or len(records) < MIN_FOR_PROCESSES:
        for each in ranges:
            yield from (look(records, index) for index in each)
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (records,))
    try:
        for found in pool.map(_look_at, ranges):
            yield from found
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_shared: list[Records[Truth]] = []  # of a worker process


def _begin(records: Records[Truth]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends its workers
    _shared[:] = [records]


def _look_at(indices: range) -> list[Look]:
    return [look(_shared[0], index) for index in indices]


def look(records: Records[Truth], index: int) -> Look:
    """What is seen of one image."""
    record = records.record(index)
    try:
        image = record.open()
    except ImageError as error:
        return Look(error=str(error))
    seen = Look(size=image.size, content=_content(record.image, image.tobytes), print=fingerprint(image))
    if isinstance(record.truth, int):
        return seen
    frame = getattr(getattr(_listed(records, index)[0], "truths", None), "frame", None)
    moved = frame(_listed(records, index)[1]) if frame is not None else None
    if moved is not None:
        seen = seen._replace(turned=moved.orientation != 1, scaled=moved.resized)
    if isinstance(record.truth, Objects):
        return _boxes(record.truth, image.size, seen)
    try:
        mask = record.truth.read()
    except ImageError as error:
        return seen._replace(truth_error=str(error))
    if mask.shape[::-1] != image.size:
        problem = f"mask {record.truth.name!r} of {mask.shape[1]}x{mask.shape[0]}: the image has {image.width}x{image.height}"
        return seen._replace(truth_error=f"{problem}; make it fit")
    counts = np.bincount(mask.ravel(), minlength=256)
    wrong = [int(value) for value in np.flatnonzero(counts) if value >= len(records.labels) and value != VOID]
    if wrong:
        problem = f"mask {record.truth.name!r} has class {wrong[0]}: must be 0 to {len(records.labels) - 1}, or {VOID} for void"
        return seen._replace(truth_error=f"{problem}; give its classes in classes.txt")
    return seen._replace(pixels=(*counts[: len(records.labels)].tolist(), int(counts[VOID])))


def _listed(records: Records[Truth], index: int) -> tuple[Records[Truth], int]:
    """The records behind a selection, and the image's index in them."""
    while not isinstance(records, ListedRecords) and hasattr(records, "indices"):
        index, records = records.indices[index], records.source  # type: ignore[attr-defined]
    return records, index


def _boxes(objects: Objects, size: tuple[int, int], seen: Look) -> Look:
    boxes, (width, height) = objects.boxes, size
    outside = (boxes[:, :2] < -1).any(axis=1) | (boxes[:, 2] > width + 1) | (boxes[:, 3] > height + 1)
    sides = (boxes[:, 2:] - boxes[:, :2]) / (width, height)
    rows = {(int(label), *box) for label, box in zip(objects.labels, boxes.round(2).tolist(), strict=True)}
    return seen._replace(
        boxes_outside=int(outside.sum()), boxes_tiny=int((sides < TINY).any(axis=1).sum()), boxes_same=len(boxes) - len(rows)
    )


def _content(source: ImageSource, pixels: object) -> bytes:
    content: bytes
    if isinstance(source, bytes):
        content = source
    elif isinstance(source, Section):
        content = source.read("")
    elif isinstance(source, str):
        with open(source, "rb") as file:
            content = file.read()
    else:
        assert callable(pixels)
        content = pixels()
    return blake2b(content, digest_size=16).digest()
