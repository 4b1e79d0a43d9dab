"""Labels drawn on images: on a band and nothing else, at any size, whatever the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from PIL import Image
from support.images import photo

from mobilenet.images.open import ImageError
from mobilenet.tasks.detection import Detection
from mobilenet.tasks.drawing import draw, draw_classification, draw_detections, draw_segmentation, vivid
from mobilenet.tasks.segmentation import Segmentation

LINES = ["tabby 62.1 %", "tiger cat 21.7 %", "Egyptian cat 9.3 %", "lynx, catamount 1.2 %", "Persian cat 0.4 %"]


def extent(changed):
    """Left, top, right, bottom of what is set in a mask H x W."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("size", [(32, 32), (33, 200), (200, 33), (96, 96), (224, 224), (640, 480), (4000, 3000)])
def test_text_on_a_band_and_nothing_else(size):
    white, black = (Image.new("RGB", size, color) for color in ("white", "black"))
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
        assert y1 - y0 > size[1] * 0.15, "five lines grow with the image"


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


def test_drawing_takes_rgb_images_only():
    with pytest.raises(ImageError, match="open_image"):
        draw_classification(Image.new("L", (9, 9)), LINES)


# Finding and writing -------------------------------------------------------------------------------------------------


# Boxes and masks -----------------------------------------------------------------------------------------------------


def boxed(*boxes, label="cat"):
    return [Detection(label, i, 0.9 - i / 10, tuple(map(float, box))) for i, box in enumerate(boxes)]


@pytest.mark.parametrize("size", [(32, 24), (200, 120), (640, 480), (4000, 3000)])
@pytest.mark.parametrize("ground", ["white", "black", "red"])
def test_frames_and_tags(size, ground):
    width, height = size
    image = Image.new("RGB", size, ground)
    drawn = np.asarray(draw_detections(image, boxed((width * 0.25, height * 0.5, width * 0.75, height * 0.9))))
    left, top, right, bottom = extent((drawn == vivid(0)).all(axis=2))
    assert top < height * 0.5, "the tag stands above"
    if width >= 200:  # on smaller ones it covers the frame
        assert (left, right) == (width * 0.25, width * 0.75 - 1), "the tag begins where the frame does"
        assert bottom == round(height * 0.9) - 1, "the frame in color, a pixel inside its dark edge"
        middle = drawn[int(height * 0.6) : int(height * 0.8), int(width * 0.4) : int(width * 0.6)]
        assert (middle == np.asarray(image)[0, 0]).all(), "inside, the image is left as it is"


def test_tags_do_not_cover_each_other():
    image = Image.new("RGB", (300, 200), "white")
    twice = np.asarray(draw_detections(image, boxed((100, 80, 200, 180), (100, 80, 200, 180))))
    for index in (0, 1):
        ink = (twice == vivid(index)).all(axis=2)
        assert ink.sum() > 300, "both tags show"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-20, 120)] * 4), max_size=5),
    st.integers(1, 90),
    st.integers(1, 90),
    st.text(max_size=30),
)
def test_any_box_on_any_size(boxes, width, height, label):
    """Boxes past the edges, inverted, of no size: nothing breaks, and the image given is left alone."""
    image = Image.new("RGB", (width, height), "white")
    drawn = draw_detections(image, boxed(*boxes, label=label))
    assert drawn.size == image.size
    assert image.tobytes() == b"\xff" * (3 * width * height)


def masked(mask, background=0, labels=("background", "cat", "dog")):
    return Segmentation(np.asarray(mask, np.uint8), np.ones(len(labels), np.float32), labels, background)


def test_masks_and_legend():
    mask = np.zeros((200, 300), np.uint8)
    mask[:100, 100:], mask[:, 280:] = 1, 255
    image, result = photo(300, 200), masked(mask)
    drawn = draw(image, result, result.top())
    before, after = np.asarray(image, np.int32), np.asarray(drawn, np.int32)
    assert (after[:150, :100] == before[:150, :100]).all(), "the background is left"
    assert (after[:, 281:] == before[:, 281:]).all(), "and so is void"
    inside = np.s_[1:100, 101:279]
    expected = before[inside] + (np.array(vivid(1)) - before[inside]) * 0.55
    assert np.abs(after[inside] - expected).max() <= 1
    assert (after[0:100, 100] == vivid(1)).all(), "the border shows in full"
    assert (after[150:] == vivid(1)).all(axis=2).any(), "the legend's swatch"
    assert draw(image, result, []).tobytes() != drawn.tobytes()
    with pytest.raises(ValueError, match="mask"):
        draw(photo(30, 20), result, [])


def test_strips_of_a_large_image_join_without_a_seam():
    mask = np.ones((2100, 1000), np.uint8)
    drawn = np.asarray(draw_segmentation(Image.new("RGB", (1000, 2100), "white"), masked(mask), []))
    assert (drawn[1:] == drawn[1, 1]).all()


def test_legend_is_short():
    many = 40
    mask = np.repeat(np.arange(many, dtype=np.uint8), 10)[None].repeat(60, axis=0)
    labels = tuple("class " * 20 + str(i) for i in range(many))
    result = Segmentation(mask, np.ones(many, np.float32), labels, None)
    drawn = draw(Image.new("RGB", (400, 60)), result, result.top())
    assert drawn.size == (400, 60)


def test_colors():
    assert len({vivid(i) for i in range(100)}) == 100
    assert all(max(vivid(i)) == 255 for i in range(256)), "bright"


def test_classifications_are_drawn_as_before():
    from mobilenet.tasks.classification import Classification

    scores = np.array([0.621, 0.379], np.float32)
    result, image = Classification(scores, ("tabby", "lynx")), photo(64, 64)
    expected = draw_classification(image, ["tabby 62.1 %", "lynx 37.9 %"])
    assert draw(image, result, result.top()).tobytes() == expected.tobytes()
    assert draw(image, result, []).tobytes() == image.tobytes()
