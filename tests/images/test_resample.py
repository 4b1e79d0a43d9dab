"""The core's resize: Pillow's own pixels to the last bit, for every filter, fit and order of the passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from PIL import Image
from support.images import noise

from mobilenet.images.preprocessing import Preprocessing, levels
from mobilenet.images.reduced import Reduced
from mobilenet.tensors import planes

core = pytest.importorskip("mobilenet._core")
FILTERS = ("box", "bilinear", "hamming", "bicubic", "lanczos")
side = st.one_of(st.integers(1, 8), st.integers(1, 200))
FITS = [
    {"fit": "squash"},
    {"fit": "center_crop", "resize": 37},
    {"fit": "pad", "fill": 127},
    {"fit": "pad", "fill": 9, "enlarge": 1.0},
    {"fit": "central_fraction", "fraction": 0.71},
    {"fit": "central_part", "fraction": 0.5},
]


def by_pillow(policy, image):
    pixels = policy.resize_and_crop(image)
    return np.asarray(planes(pixels.tobytes(), policy.size, levels(policy.mean, policy.std)))


@settings(max_examples=300, deadline=None)
@given(
    side,
    side,
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(FITS),
    st.sampled_from(FILTERS),
    st.sampled_from(core.isas()),
)
@example(40, 260, 30, 38, FITS[0], "bilinear", "portable")  # down before across
@example(260, 40, 30, 38, FITS[0], "bicubic", "portable")
@example(1, 300, 8, 8, FITS[1], "lanczos", "portable")
@example(2, 2, 90, 90, FITS[0], "lanczos", "portable")  # fewer pixels than taps
def test_equals_pillow_to_the_last_bit(width, height, rows, columns, fit, interpolation, isa):
    policy = Preprocessing((rows, columns), interpolation=interpolation, **fit)
    image = Image.fromarray(noise(width, height))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOBILENET_ISA", isa)
        np.testing.assert_array_equal(np.asarray(policy.batch(image)), by_pillow(policy, image))


@pytest.mark.parametrize(("width", "height"), [(2200, 2000), (5, 700_000), (700_000, 5), (1500, 3100)])
def test_images_in_several_pieces_of_memory(width, height):
    """Past 16 MB Pillow keeps an image in pieces, which come in bands."""
    image = Image.effect_noise((width, height), 90).convert("RGB")
    policy = Preprocessing((40, 50), "squash")
    np.testing.assert_array_equal(np.asarray(policy.batch(image)), by_pillow(policy, image))


def test_a_pillow_that_lends_no_memory(monkeypatch):
    image, policy = Image.fromarray(noise(300, 900)), Preprocessing((50, 60), "center_crop", resize=70)
    expected = np.asarray(policy.batch(image))
    monkeypatch.delattr(Image.Image, "__arrow_c_array__", raising=False)
    np.testing.assert_array_equal(np.asarray(policy.batch(image)), expected)
    np.testing.assert_array_equal(by_pillow(policy, image), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(9, 120), st.integers(9, 120), st.floats(0, 3), st.floats(0, 3), st.sampled_from(FITS))
def test_a_box_of_a_smaller_copy_is_pillows_box(width, height, right, below, fit):
    copy = Image.fromarray(noise(width, height))
    reduced = Reduced(copy, (8 * width - 5, 8 * height - 3), (0.25, 0.0, width - right, height - below))
    policy = Preprocessing((31, 23), **fit)
    np.testing.assert_array_equal(np.asarray(policy.batch(reduced)), by_pillow(policy, reduced))


def test_what_the_core_refuses():
    level, target = levels((0.5,) * 3, (0.5,) * 3), np.empty((1, 3, 4, 5), np.float32)
    good = {
        "image": (9, 8), "origin": (1, 2), "part": (8, 6), "box": (0.0, 0.0, 8.0, 6.0), "resized": (5, 4), "offset": (0, 0),
        "down_first": False, "fill": 0, "filter": "bilinear", "levels": level, "target": target,
    }  # fmt: skip
    resampler = core.Resampler(**good)
    assert resampler.rows == (2, 8)
    for wrong in (
        {"image": (8, 8)}, {"origin": (-1, 0)}, {"part": (0, 6)}, {"part": (2**31 - 1, 6)}, {"box": (0.0, 0.0, 9.0, 6.0)},
        {"box": (3.0, 0.0, 3.0, 6.0)}, {"box": (float("nan"), 0.0, 3.0, 6.0)}, {"resized": (0, 4)}, {"resized": (2**30, 4)},
        {"offset": (-(2**31), 0)}, {"fill": 256}, {"filter": "nearest"}, {"levels": level[:5]}, {"target": target[0]},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must|out of range"):
            core.Resampler(**{**good, **wrong})
    for pixels, row in ((bytes(35), 0), (bytes(36), 3), (bytes(36 * 9), 0), (bytes(36), -1), (bytes(36), 2**31 - 1)):
        with pytest.raises(ValueError, match=r"whole rows|the next one"):
            resampler.feed(pixels, row)
    for capsule in (Image.new("L", (9, 8)), Image.new("RGB", (4, 4))):
        if hasattr(capsule, "__arrow_c_array__"):
            with pytest.raises(ValueError, match=r"not an array of|the next one"):
                resampler.feed_arrow(capsule.__arrow_c_array__()[1], 0)
    for row in range(2, 8):
        resampler.feed(bytes(36), row)
    np.testing.assert_array_equal(target, -1)
