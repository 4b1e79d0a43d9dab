"""Masks in the image's size: the core's are the specification's to the bit, and torch's interpolation gives the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mobilenet.tasks import segmentation
from mobilenet.tasks.results import OutputError
from mobilenet.tasks.segmentation import segment

core = pytest.importorskip("mobilenet._core")
side = st.one_of(st.integers(1, 5), st.integers(1, 40))


def both(monkeypatch, scores, logits, size):
    labels = tuple(map(str, range(len(scores))))
    mine = segment(scores, logits, size, labels, 0)
    with monkeypatch.context() as patch:
        patch.setattr(segmentation, "built", lambda: False)
        return mine, segment(scores, logits, size, labels, 0)


def random_scores(seed, classes, rows, columns, blocks):
    """Scores of which many pixels that lie together have the same winner, and many values are equal."""
    dice = np.random.default_rng(seed)
    small = dice.integers(-9, 9, (classes, -(-rows // blocks), -(-columns // blocks)))
    return np.repeat(np.repeat(small, blocks, 1), blocks, 2)[:, :rows, :columns].astype(np.float32) / 4


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 2, 21, 255]),
    side,
    side,
    st.integers(1, 90),
    st.integers(1, 200),
    st.integers(1, 7),
)
def test_the_cores_masks_are_the_specifications(seed, classes, rows, columns, height, width, blocks):
    scores = random_scores(seed, classes, rows, columns, blocks)
    wide = np.zeros(
        (classes, rows + 2, columns + 3), np.float32
    )  # the scores lie in a larger array, as an image in its padding
    wide[:, :rows, :columns] = scores
    with pytest.MonkeyPatch.context() as patch:
        mine, specified = both(patch, wide[:, :rows, :columns], True, (width, height))
    assert (mine.mask.shape, mine.mask.dtype) == ((height, width), np.uint8)
    np.testing.assert_array_equal(mine.mask, specified.mask)
    # a sum of at most 255 exponentials, each within 4 units in the last place, its inverse, and a mean in double precision
    np.testing.assert_allclose(mine.confidence, specified.confidence, rtol=(8 + np.sqrt(classes)) * 2.0**-24 * 4, atol=0)


@pytest.mark.parametrize("logits", [True, False])
def test_every_instruction_set_has_the_same_bits(logits, monkeypatch):
    scores = np.random.default_rng(0).normal(0, 4, (21, 37, 91)).astype(np.float32)
    best = segment(scores, logits, (200, 100), tuple(map(str, range(21))), 0)
    monkeypatch.setenv("MOBILENET_ISA", "portable")
    assert segment(scores, logits, (200, 100), best.labels, 0) == best


@pytest.mark.parametrize(
    ("source", "target"), [((17, 23), (100, 75)), ((33, 33), (330, 200)), ((40, 30), (20, 50)), ((9, 9), (9, 9))]
)
def test_masks_are_torchs(source, target):
    torch = pytest.importorskip("torch")
    dice = np.random.default_rng(1)
    coarse = torch.from_numpy(dice.normal(size=(1, 21, 5, 6)))
    scores = torch.nn.functional.interpolate(coarse, source, mode="bicubic")[0].numpy().astype(np.float32)
    mine = segment(scores, True, target, tuple(map(str, range(21))), 0).mask
    size = target[::-1]
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(scores)[None].double(), size, mode="bilinear", align_corners=False
    )
    assert (mine != theirs[0].argmax(0).numpy()).mean() < 1e-3, "only pixels where two classes are equal within a rounding"


def test_a_shape_that_nearest_neighbor_makes_blocky():
    """A diagonal edge of 9 x 9 scores in an image of 900 x 900: on either side of one line, up to a pixel or two."""
    rows, columns = np.mgrid[:9, :9].astype(np.float32)
    mask = segment(np.stack([rows - columns, columns - rows]), True, (900, 900), ("a", "b"), 0).mask
    y, x = np.mgrid[50:850, 50:850]
    assert ((mask[50:850, 50:850] == 0) == (y >= x)).mean() > 0.997


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(monkeypatch, value):
    scores = np.zeros((3, 20, 70), np.float32)
    scores[1, 13, 66] = value
    with pytest.raises(OutputError):
        segment(scores, True, (9, 9), ("a", "b", "c"), 0)
    monkeypatch.setattr(segmentation, "built", lambda: False)
    with pytest.raises(OutputError):
        segment(scores, True, (9, 9), ("a", "b", "c"), 0)


def test_what_the_core_refuses():
    scores, mask = np.zeros((3, 4, 5), np.float32), np.zeros((8, 9), np.uint8)
    assert core.segment(scores, True, mask, np.zeros(3, np.float32))
    for wrong in (
        (scores[:0], True, mask, np.zeros(0, np.float32)),
        (np.zeros((256, 1, 1), np.float32), True, mask, np.zeros(256, np.float32)),
        (scores[:, :, ::2], True, mask, np.zeros(3, np.float32)),
        (scores, True, mask[:0], np.zeros(3, np.float32)),
        (scores, True, mask, np.zeros(2, np.float32)),
    ):
        with pytest.raises(ValueError, match="must be"):
            core.segment(*wrong)
