"""Boxes against torchvision's own arithmetic, and the cases it leaves undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mobilenet.network.heads import ssdlite_mobilenet_v2
from mobilenet.tasks import boxes
from mobilenet.tasks.detection import default_boxes

GRIDS = {300: [19, 10, 5, 3, 2, 1], 320: [20, 10, 5, 3, 2, 1]}


def random_boxes(generator: np.random.Generator, count: int, degenerate: float = 0.0) -> np.ndarray:
    """(count, 4) corners, float32, within 0 to 100; a share of them lines and points."""
    low = generator.uniform(0, 80, (count, 2))
    size = generator.uniform(0.01, 40, (count, 2)) * (generator.random((count, 2)) >= degenerate)
    return np.concatenate([low, low + size], axis=1).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 12), st.integers(0, 12), st.sampled_from([0.0, 0.4, 1.0]))
def test_iou_is_torchvisions(seed, n, m, degenerate):
    torch = pytest.importorskip("torch")
    from torchvision.ops import box_iou

    generator = np.random.default_rng(seed)
    a, b = random_boxes(generator, n, degenerate), random_boxes(generator, m, degenerate)
    theirs = box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    ours = boxes.iou(a, b)
    assert ours.shape == (n, m)
    # four differences, two products, a sum and a quotient of float32, the union being at least the larger box
    np.testing.assert_allclose(ours, np.nan_to_num(theirs), rtol=0, atol=16 * 2.0**-24)


def test_iou_of_degenerate_and_inverted_boxes():
    whole, point, line, inverted, nested = [0, 0, 10, 10], [5, 5, 5, 5], [0, 5, 10, 5], [8, 8, 2, 2], [0, 0, 5, 10]
    table = np.array([whole, point, line, inverted, nested], np.float32)
    overlap = boxes.iou(table, table)
    assert overlap[0].tolist() == [1, 0, 0, 0, 0.5]
    assert not overlap[1:4].any(), "no area, no overlap, not even with itself"
    assert boxes.area(table).tolist() == [100, 0, 0, 0, 50]
    assert boxes.iou(np.zeros((0, 4)), table).shape == (0, 5)


def overlapping(generator: np.random.Generator, count: int) -> np.ndarray:
    centers = generator.uniform(0, 100, (max(count // 5, 1), 2))[generator.integers(0, max(count // 5, 1), count)]
    centered = np.concatenate([centers + generator.normal(0, 3, (count, 2)), generator.uniform(5, 30, (count, 2))], axis=1)
    return boxes.to_corners(centered).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 60), st.sampled_from([0.0, 0.3, 0.5, 0.95]))
def test_nms_is_torchvisions(seed, count, threshold):
    torch = pytest.importorskip("torch")
    from torchvision.ops import nms

    generator = np.random.default_rng(seed)
    some = overlapping(generator, count)
    scores = generator.permutation(np.linspace(0, 1, count)).astype(np.float32)  # no ties: torchvision leaves those open
    classes = generator.integers(0, 4, count)
    theirs = nms(torch.from_numpy(some), torch.from_numpy(scores), threshold)
    assert boxes.nms(some, scores, threshold).tolist() == theirs.tolist()
    # class by class: batched_nms moves the classes apart by large offsets, whose rounding makes boxes that touch overlap
    kept = [
        rows[nms(torch.from_numpy(some[rows]), torch.from_numpy(scores[rows]), threshold).numpy()]
        for rows in (np.flatnonzero(classes == c) for c in range(4))
    ]
    theirs = sorted(np.concatenate(kept).tolist(), key=lambda row: -scores[row])
    assert boxes.nms_by_class(some, scores, classes, threshold).tolist() == theirs
    assert boxes.nms_by_class(some, scores, classes, threshold, 7).tolist() == theirs[:7]
    assert boxes.nms(some, scores, threshold, 3).tolist() == boxes.nms(some, scores, threshold)[:3].tolist()


def test_nms_ties_and_degenerate_boxes():
    same = np.array([[0, 0, 10, 10]] * 4, np.float32)
    equal = np.full(4, 0.5, np.float32)
    assert boxes.nms(same, equal, 0.5).tolist() == [0], "of equals the first"
    assert boxes.nms(same, equal, 1.0).tolist() == [0, 1, 2, 3], "an overlap at the threshold is none"
    assert boxes.nms_by_class(same, equal, np.array([1, 0, 1, 0]), 0.5).tolist() == [1, 0], (
        "equal scores: the lower class first"
    )
    points = np.zeros((3, 4), np.float32)
    assert boxes.nms(points, equal[:3], 0.5).tolist() == [0, 1, 2], "points overlap nothing"
    for empty in (boxes.nms(points[:0], equal[:0], 0.5), boxes.nms_by_class(points[:0], equal[:0], equal[:0], 0.5)):
        assert empty.shape == (0,)
        assert empty.dtype == np.intp


def test_nms_of_many_boxes_is_quick_enough():
    generator = np.random.default_rng(0)
    some, scores = overlapping(generator, 20_000), generator.random(20_000).astype(np.float32)
    kept = boxes.nms_by_class(some, scores, generator.integers(0, 90, 20_000), 0.6, 100)
    assert len(kept) == 100
    assert (np.diff(scores[kept]) <= 0).all()


def test_tensorflows_default_boxes():
    for side, count in ((300, 1917), (320, 2034)):
        table = boxes.default_boxes("tensorflow", [(n, n) for n in GRIDS[side]])
        assert table.shape == (count, 4)
        np.testing.assert_array_equal(default_boxes(ssdlite_mobilenet_v2(resolution=side)), table)
    # the first cell of the first map, then of the second: arXiv 1512.02325, section 2.2, with the released ratios
    first, second = table[:3], table[3 * 400 : 3 * 400 + 6]
    np.testing.assert_allclose(first[:, :2], 0.025)
    root = np.sqrt(2)
    np.testing.assert_allclose(first[:, 2:], [[0.1, 0.1], [0.2 * root, 0.2 / root], [0.2 / root, 0.2 * root]])
    np.testing.assert_allclose(second[:, :2], 0.05)
    np.testing.assert_allclose(second[0, 2:], 0.35)
    np.testing.assert_allclose(second[5, 2:], np.sqrt(0.35 * 0.5))
    np.testing.assert_allclose(second[3, 2] / second[3, 3], 3)
    np.testing.assert_allclose(second[1:5, 2] * second[1:5, 3], 0.35**2)
    last = table[-6:]
    np.testing.assert_allclose(last[:, :2], 0.5)
    np.testing.assert_allclose(last[5, 2:], np.sqrt(0.95))


@pytest.mark.parametrize("maps", [[(n, n) for n in GRIDS[320]], [(7, 3), (4, 2), (2, 1), (1, 1), (1, 1), (1, 1)]])
def test_torchvisions_default_boxes(maps):
    torch = pytest.importorskip("torch")
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
    from torchvision.models.detection.image_list import ImageList

    generator = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    images = ImageList(torch.zeros(1, 3, 320, 240), [(320, 240)])
    (theirs,) = generator(images, [torch.zeros(1, 1, *size) for size in maps])
    ours = boxes.to_corners(boxes.default_boxes("torchvision", maps)) * (240, 320, 240, 320)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=4 * 2.0**-24 * 640)


def test_wrong_default_boxes():
    with pytest.raises(ValueError, match="'caffe'"):
        boxes.default_boxes("caffe", [(1, 1)] * 6)
    with pytest.raises(ValueError, match="5 maps"):
        boxes.default_boxes("tensorflow", [(1, 1)] * 5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 20))
def test_coder_is_torchvisions_and_its_own_reverse(seed, count):
    torch = pytest.importorskip("torch")
    from torchvision.models.detection._utils import BoxCoder

    generator = np.random.default_rng(seed)
    some, defaults = (random_boxes(generator, count).astype(np.float64) for _ in range(2))
    theirs = BoxCoder((10.0, 10.0, 5.0, 5.0))
    codes = boxes.encode(some, boxes.to_centered(defaults))
    expected = theirs.encode_single(torch.from_numpy(some), torch.from_numpy(defaults))
    np.testing.assert_allclose(codes, expected.numpy(), rtol=1e-9, atol=1e-9)
    wild = generator.normal(0, 12, (count, 4))
    back = theirs.decode_single(torch.from_numpy(wild), torch.from_numpy(defaults)).reshape(-1, 4)
    np.testing.assert_allclose(boxes.decode(wild, boxes.to_centered(defaults)), back.numpy(), rtol=1e-9, atol=1e-9)
    clear = np.abs(codes[:, 2:] / 5).max(axis=1, initial=0) < boxes.MAX_LOG_SCALE
    np.testing.assert_allclose(boxes.decode(codes, boxes.to_centered(defaults))[clear], some[clear], rtol=0, atol=1e-9)


def test_decoding_never_overflows():
    wild = np.array([[1e30, -1e30, 1e30, -1e30], [0, 0, 1e4, 1e4]])
    found = boxes.decode(wild, np.array([[0.5, 0.5, 0.1, 0.1]]))
    assert np.isfinite(found).all()
    assert boxes.clip(found.astype(np.float32), 30, 20)[1].tolist() == [0, 0, 3.625, 3.625], "62.5 times at most"


def test_formats():
    corners = np.array([[2.0, 4.0, 6.0, 14.0]])
    assert boxes.to_centered(corners).tolist() == [[4, 9, 4, 10]]
    assert boxes.to_corners(boxes.to_centered(corners)).tolist() == corners.tolist()
    assert boxes.clip(np.array([[-5.0, 3.0, 50.0, 9.0]]), 20, 8).tolist() == [[0, 3, 20, 8]]
