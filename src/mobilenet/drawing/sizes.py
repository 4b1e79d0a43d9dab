"""The thickness of lines and the height of letters, which grow with the image."""

from __future__ import annotations

MIN_TEXT = 9
"""Pixels: smaller letters cannot be read."""


def text_size(size: tuple[int, int]) -> int:
    """Pixels of the letters on tags and in legends for an image of `size`."""
    return max(round(_side(size) / 38), MIN_TEXT + 1)


def line_width(size: tuple[int, int]) -> int:
    """Pixels of a line around an object."""
    return max(round(_side(size) / 190), 1)


def _side(size: tuple[int, int]) -> float:
    """The side of a square image of as many pixels."""
    return float((size[0] * size[1]) ** 0.5)
