"""Divides data that has no validation part: by the content of its images, so that every machine divides it alike, whatever the
files are called and in whatever order they are listed, and copies of an image are never on both sides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import blake2b

from ..errors import UsageError
from .records import ImageSource, Records, Section, Selection, T_co

BLOCK = 1 << 14
"""Bytes that are read from the beginning, the middle and the end of a file: images that agree in these and in length are taken
for copies. At worst two images that differ elsewhere are kept on one side."""


class Divided(Selection[T_co]):
    """The training or the validation part of data that was not divided.

    Attributes:
        share: of the images that are for validation, as asked for.
        fingerprint: of all images together, to know the same data again.
    """

    def __init__(self, source: Records[T_co], indices: Sequence[int], share: float, fingerprint: str) -> None:
        super().__init__(source, indices)
        self.share, self.fingerprint = share, fingerprint


def divide(records: Records[T_co], share: float) -> tuple[Divided[T_co], Divided[T_co]]:
    """(training, validation): about `share` of the images of each class for validation, at least one if the class has two that
    differ. An image of several classes counts for the rarest of them. Images that cannot be read stay in training.

    Raises UsageError unless `share` is between 0 and 1, or if there are not two images that differ.
    """
    if not 0 < share < 1:
        raise UsageError(f"share {share} of the images for validation: must be above 0 and below 1; for example 0.2")
    keys = content_keys(records)
    groups = defaultdict[bytes, list[int]](list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    classes = {key: {label for index in members for label in records.classes_of(index)} for key, members in groups.items()}
    counts = Counter(label for labels in classes.values() for label in labels)
    strata = defaultdict[int, list[bytes]](list)
    for key in sorted(groups):
        rarest = min(classes[key], key=lambda label: (counts[label], label), default=-1)
        if key:
            strata[rarest].append(key)
    held = {key for of in strata.values() for key in of[: max(round(len(of) * share), min(len(of) - 1, 1))]}
    fingerprint = blake2b(b"".join(sorted(keys)), digest_size=16).hexdigest()
    sides = [[i for i, key in enumerate(keys) if (key in held) == validation] for validation in (False, True)]
    if not all(sides):
        raise UsageError(
            f"{len(records)} images, {len(groups)} of them different: too few to hold some out for validation; add some"
        )
    training, validation = (Divided(records, side, share, fingerprint) for side in sides)
    return training, validation


def content_keys(records: Records[T_co]) -> list[bytes]:
    """16 bytes for each image, equal if the images are; b"" for one that cannot be read."""
    return [content_key(records.image(index), records.name(index)) for index in range(len(records))]


def content_key(source: ImageSource, name: str) -> bytes:
    try:
        if isinstance(source, bytes):
            middle = max((len(source) - BLOCK) // 2, 0)
            return _key([source[:BLOCK], source[middle : middle + BLOCK], source[-BLOCK:]], len(source))
        if isinstance(source, Section):
            return _file_key(source.path, source.start, source.length)
        if isinstance(source, str):
            return _file_key(source, 0, None)
    except (OSError, ValueError):
        return b""
    return _key([name.encode("utf-8", "surrogatepass")], 0)


def _file_key(path: str, start: int, length: int | None) -> bytes:
    with open(path, "rb") as file:
        size = file.seek(0, 2) if length is None else length
        blocks = []
        for place in (0, max((size - BLOCK) // 2, 0), max(size - BLOCK, 0)):
            file.seek(start + place)
            blocks.append(file.read(min(BLOCK, size)))
    return _key(blocks, size)


def _key(blocks: Sequence[bytes], size: int) -> bytes:
    return blake2b(size.to_bytes(8, "little") + b"".join(blocks), digest_size=16, person=b"held out").digest()
