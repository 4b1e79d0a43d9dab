"""Labels drawn on pictures: on a band and nothing else, at any size, whatever the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_images import photo

from mobilenet.drawing import draw_classification
from mobilenet.images import ImageError

LINES = ["tabby 62.1 %", "tiger cat 21.7 %", "Egyptian cat 9.3 %", "lynx, catamount 1.2 %", "Persian cat 0.4 %"]


def extent(changed):
    """Left, top, right, bottom of what is set in a mask H x W."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("size", [(32, 32), (33, 200), (200, 33), (96, 96), (224, 224), (640, 480), (4000, 3000)])
def test_text_on_a_band_and_nothing_else(size):
    white, black = (Image.new("RGB", size, colour) for colour in ("white", "black"))
    on_white, on_black = (np.asarray(draw_classification(image, LINES)) for image in (white, black))
    assert not np.asarray(black).any()
    assert on_white.shape == (size[1], size[0], 3)

    left, top, right, bottom = extent((on_white != 255).any(axis=2))
    assert (left, bottom) == (0, size[1]), "the band stands in the lower left corner"
    band = on_white[top:bottom, left:right, 0]
    assert band.min() == 85
    assert (band[0] == 85).all()
    assert (band[:, 0] == 85).all()

    ink = on_black.max(axis=2)
    assert ink.max() >= 200, "the text is white"
    x0, y0, x1, y1 = extent(ink > 0)
    assert left < x0 < x1 <= right, "the text ends inside its band"
    assert top < y0 < y1 < bottom
    if min(size) >= 224:
        assert bottom - top < size[1] * 0.45
        assert right - left < size[0] * 0.8
        assert y1 - y0 > size[1] * 0.15, "five lines grow with the picture"


def test_the_largest_photo_is_drawn_on():
    drawn = np.asarray(draw_classification(Image.new("RGB", (6000, 4000), "white"), LINES[:1]))
    left, top, right, bottom = extent((drawn != 255).any(axis=2))
    assert bottom - top > 200
    assert right - left > 800


def test_too_much_text_is_shortened():
    image = Image.new("RGB", (300, 200))
    many, long = draw_classification(image, LINES * 40), draw_classification(image, ["word " * 100])
    for drawn in (many, long):
        ink = np.asarray(drawn).max(axis=2) > 0
        assert not ink[0].any()
        assert not ink[-1].any()
        assert not ink[:, 0].any()
        assert not ink[:, -1].any()
    assert long.tobytes() != draw_classification(image, ["word " * 8]).tobytes()


def test_no_text_no_band():
    image = photo(64, 64)
    for lines in ([], [""], [" \n", "\0"]):
        assert draw_classification(image, lines).tobytes() == image.tobytes()


def test_accents_are_dropped_and_lines_kept_single():
    image = photo(200, 60)
    assert draw_classification(image, ["crème\nbrûlée"]).tobytes() == draw_classification(image, ["creme brulee"]).tobytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=4), st.integers(1, 80), st.integers(1, 80))
@example(["猫 \U0001f600 \u202e عربي ก็้ \udcff \x00"], 80, 80)
def test_any_text_on_any_size(lines, width, height):
    image = Image.new("RGB", (width, height), "white")
    drawn = draw_classification(image, lines)
    assert drawn.size == image.size
    assert drawn.mode == "RGB"


def test_drawing_takes_rgb_pictures_only():
    with pytest.raises(ImageError, match="open_image"):
        draw_classification(Image.new("L", (9, 9)), LINES)


# Finding and writing -------------------------------------------------------------------------------------------------
