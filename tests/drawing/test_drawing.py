"""Labels drawn on images: on a band and nothing else, at any size, whatever the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from PIL import Image
from support.images import photo

from mobilenet.drawing import masks
from mobilenet.drawing.boxes import draw_detections, tag_lines
from mobilenet.drawing.draw import draw
from mobilenet.drawing.labels import draw_classification
from mobilenet.drawing.legend import emptiest_corner
from mobilenet.drawing.masks import draw_segmentation
from mobilenet.drawing.sizes import line_width
from mobilenet.drawing.tags import Room, area, overlap
from mobilenet.images.open import ImageError
from mobilenet.images.palette import class_color, shade
from mobilenet.images.resample import lent
from mobilenet.tasks.detection import Detection
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
    for lines in ([], [""], [" \n", "\t"]):
        assert draw_classification(image, lines).tobytes() == image.tobytes()


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


# Boxes and masks -----------------------------------------------------------------------------------------------------


def boxed(*boxes, label="cat"):
    return [Detection(label, i, 0.9 - i / 10, tuple(map(float, box))) for i, box in enumerate(boxes)]


@pytest.mark.parametrize("size", [(32, 24), (200, 120), (640, 480), (4000, 3000)])
@pytest.mark.parametrize("ground", ["white", "black", "red"])
def test_frames_and_tags(size, ground):
    width, height = size
    image = Image.new("RGB", size, ground)
    drawn = np.asarray(draw_detections(image, boxed((width * 0.25, height * 0.5, width * 0.75, height * 0.9))))
    left, top, right, bottom = extent((drawn == class_color(0)).all(axis=2))
    assert right > left
    assert top < bottom
    if width >= 200:  # on smaller ones the tag is larger
        edge = max(line_width(size) // 4, 1)
        assert (left, right) == (width * 0.25, width * 0.75 - edge), "the tag begins where the frame does"
        assert bottom == round(height * 0.9) - edge, "the frame in color, inside its dark edge"
        assert top < height * 0.5, "the tag stands above"
        middle = drawn[int(height * 0.6) : int(height * 0.8), int(width * 0.4) : int(width * 0.6)]
        assert (middle == np.asarray(image)[0, 0]).all(), "inside, the image is left as it is"


def test_objects_of_a_class_have_shades_and_other_classes_other_colors():
    image = Image.new("RGB", (300, 200))
    cats = [Detection("cat", 3, 0.9, (10, 10, 90, 90)), Detection("cat", 3, 0.8, (110, 10, 190, 90))]
    drawn = np.asarray(draw_detections(image, [*cats, Detection("dog", 4, 0.7, (10, 110, 90, 190))]))
    for color in (class_color(3), shade(class_color(3), 1), class_color(4)):
        assert (drawn == color).all(axis=2).sum() > 300


def test_tags_cover_no_other_tag_and_no_small_object():
    """Forty objects on a grid, and one large behind them."""
    small = np.array([(x, y, x + 24, y + 30) for x in range(20, 620, 75) for y in range(60, 400, 80)], float)
    boxes = np.concatenate([[(0, 0, 640, 480)], small])
    room = Room((640, 480), boxes)
    places = [room.place(index, 48, 14) for index in range(len(boxes))]
    tags = np.array([place.tag for place in places if place is not None], float)
    assert len(tags) > 0.9 * len(boxes), "nearly all have room"
    shared = overlap(tags[:, None], tags[None])
    np.fill_diagonal(shared, 0)
    assert not shared.any(), "no tag stands on another"
    hidden = overlap(tags[:, None], small[None]).sum(axis=0) / area(small)
    assert hidden.max() < 0.3
    assert tags.min() >= 0
    assert (tags[:, 2:] <= (640, 480)).all()


def test_a_tag_that_stands_apart_is_tied_to_its_box():
    boxes = np.array([(100, 100, 110, 110)], float)
    room = Room((220, 220), boxes)
    room.taken = np.array([(60, 80, 170, 130)], float)
    place = room.place(0, 60, 12)
    assert place is not None
    start, end = place.leader
    assert all(low <= value <= high for value, low, high in zip(start, place.tag[:2], place.tag[2:], strict=True))
    assert all(100 <= value <= 110 for value in end)
    room.taken = np.array([(0, 0, 220, 220)], float)
    assert room.place(0, 60, 12) is None, "no tag rather than one over another"
    assert room.place(0, 300, 12) is None


def test_without_room_the_score_is_left_out():
    image = Image.new("RGB", (90, 60), "white")
    wide, narrow = (draw_detections(image, boxed((20, 20, 60, 50), label=label)) for label in ("quite long", "cat"))
    assert wide.tobytes() != narrow.tobytes()


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
    assert (after[:110, :95] == before[:110, :95]).all(), "the background is left"
    assert (after[110:, 285:] == before[110:, 285:]).all(), "and so is void"
    inside = np.s_[1:90, 110:270]
    expected = before[inside] + (np.array(class_color(1)) - before[inside]) * 105 / 255
    assert np.abs(after[inside] - expected).max() <= 1, "the object is seen through its tint"
    assert (after[5:90, 100] == class_color(1)).all(), "the outline shows in full"
    assert (after[110:, :150] == class_color(1)).all(axis=2).any(), "the legend's swatch, where nothing is"
    assert draw(image, result, []).tobytes() != drawn.tobytes()
    with pytest.raises(ValueError, match="mask"):
        draw(photo(30, 20), result, [])


@pytest.mark.parametrize(("size", "line"), [((320, 240), 2), ((4001, 2999), 12)])
def test_outlines_are_smooth_and_as_thick_as_the_image_is_large(size, line):
    """A disk: along its border the outline is everywhere of one thickness, whatever the angle."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    radius = height / 3
    away = np.hypot(x - width / 2 + 0.5, y - height / 2 + 0.5)
    drawn = np.asarray(draw_segmentation(Image.new("RGB", size), masked((away < radius).astype(np.uint8)), []))
    share = drawn.max(axis=2) / max(class_color(1))
    assert np.abs(share[away < radius - 2 * line] - 105 / 255).max() < 0.01
    assert not drawn[away > radius + 2 * line + 2].any(), "two: the last doubling repeats pixels"
    sector = (np.arctan2(y - height / 2, x - width / 2) // (np.pi / 12)).astype(int)
    near = np.abs(away - radius) < 2 * line
    thickness = [(share[near & (sector == each)] > 0.8).sum() / (radius * np.pi / 12) for each in range(-12, 12)]
    assert min(thickness) > 0.6 * line
    assert max(thickness) < 1.6 * line
    middle = np.abs(away - radius) < 0.5
    assert share[middle].min() > 0.7, "no gap on the border itself"


@pytest.mark.parametrize("size", [(1000, 2100), (2501, 1203), (1, 5000)])
def test_a_large_image_that_is_drawn_in_strips_has_no_seam(size):
    mask = np.ones(size[::-1], np.uint8)
    drawn = np.asarray(draw_segmentation(Image.new("RGB", size, "white"), masked(mask), []))
    assert (drawn == drawn[0, 0]).all()
    assert (drawn[0, 0] != 255).any()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 190), st.integers(1, 130), st.sampled_from([400, 1500, 9000, 10**6]), st.booleans(), st.integers(0, 2**31)
)
@example(129, 67, 400, False, 0)
def test_the_core_draws_what_pillow_draws(width, height, worked, memory_is_lent, seed):
    pytest.importorskip("mobilenet._core")
    dice = np.random.default_rng(seed)
    mask = np.kron(dice.integers(0, 3, (height // 9 + 1, width // 9 + 1)), np.ones((9, 9)))[:height, :width]
    image = Image.fromarray(dice.integers(0, 256, (height, width, 3), np.uint8))
    result, before = masked(mask), image.tobytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "MAX_WORKED_PIXELS", worked)  # so that small images are worked on at every scale
        patch.setattr(masks, "MIN_OUTLINE", 16)
        if not memory_is_lent:
            patch.setattr(masks, "lent", lambda image: None)
        drawn = draw_segmentation(image, result, [])
        patch.setattr(masks, "built", lambda: False)
        assert draw_segmentation(image, result, []).tobytes() == drawn.tobytes()
    assert image.tobytes() == before
    assert drawn.mode == "RGB"


def test_what_the_core_refuses_to_draw():
    core = pytest.importorskip("mobilenet._core")
    pixels, opacity, classes = bytes(4 * 6 * 5), np.zeros((3, 3), np.uint8), np.zeros((2, 2), np.uint8)
    right = {"pixels": pixels, "opacity": opacity, "spacing": 2, "classes": classes, "step": 4, "colors": bytes(768)}
    target = np.zeros((6, 5, 4), np.uint8)
    core.tint(**right, target=target)
    wrong = {"pixels": pixels[1:], "opacity": opacity[:2], "spacing": 1, "classes": classes[:, :1], "step": 0, "colors": b""}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match="must"):
            core.tint(**{**right, name: value}, target=target)
    for shape in ((0, 5, 4), (6, 5, 3), (6, 20)):
        with pytest.raises(ValueError, match="must"):
            core.tint(**right, target=np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="must"):
        core.tint(**{**right, "pixels": lent(Image.new("RGB", (5, 5)))}, target=target)


def test_every_class_has_an_outline_in_its_color():
    mask = np.repeat(np.arange(3, dtype=np.uint8), 60)[None].repeat(90, axis=0)
    drawn = np.asarray(draw_segmentation(Image.new("RGB", (180, 90)), masked(mask, None), []))
    for boundary, left, right in ((60, 0, 1), (120, 1, 2)):
        assert (drawn[:, boundary - 1] == class_color(left)).all()
        assert (drawn[:, boundary] == class_color(right)).all()


def test_legend_is_short():
    many = 40
    mask = np.repeat(np.arange(many, dtype=np.uint8), 10)[None].repeat(60, axis=0)
    labels = tuple("class " * 20 + str(i) for i in range(many))
    result = Segmentation(mask, np.ones(many, np.float32), labels, None)
    drawn = draw(Image.new("RGB", (400, 60)), result, result.top())
    assert drawn.size == (400, 60)


def test_no_row_for_next_to_nothing():
    mask = np.zeros((100, 100), np.uint8)
    mask[20:60, 20:60] = 1
    alone = masked(mask)
    mask = mask.copy()
    mask[99, 98:] = 2
    with_speck = masked(mask)
    a, b = (np.asarray(draw(Image.new("RGB", (100, 100)), each)) for each in (alone, with_speck))
    assert (a[:, :60] == b[:, :60]).all(), "0.02 % would be a row of 0.0 %"


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_legend_stands_in_the_emptiest_corner(corner):
    shown = np.ones((50, 100), np.bool_)
    down, right = corner
    shown[down * 30 : down * 30 + 20, right * 60 : right * 60 + 40] = False
    assert emptiest_corner((200, 100), (80, 40), shown) == (right * 120, down * 60)
    assert emptiest_corner((200, 100), (80, 40), ~shown | True) == (0, 60), "the lower left if all are alike"


def test_classifications_are_drawn():
    from mobilenet.tasks.classification import Classification

    scores = np.array([0.621, 0.379], np.float32)
    result, image = Classification(scores, ("tabby", "lynx")), photo(64, 64)
    expected = draw_classification(image, ["tabby 62.1 %", "lynx 37.9 %"])
    assert draw(image, result, result.top()).tobytes() == expected.tobytes()
    assert draw(image, result, []).tobytes() == image.tobytes()


def test_what_is_true_has_no_score_on_its_tag():
    box = (20.0, 40.0, 180.0, 90.0)
    texts = [[line.text for line in tag_lines(Detection("cat", 0, score, box), 12, 120)] for score in (float("nan"), 0.5)]
    assert texts == [["cat"], ["cat 50 %", "cat"]]
