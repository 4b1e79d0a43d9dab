"""The core's detections and NMS: the numpy specification's boxes, scores and order to the bit, and torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.models import detector

from mobilenet.errors import UsageError
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.network.heads import ssdlite_mobilenet_v2
from mobilenet.tasks import boxes, detection
from mobilenet.tasks.detection import TENSORFLOW, TORCHVISION, DetectionDecoder, detect, logits_and_codes
from mobilenet.values import replace

pytest.importorskip("mobilenet._core")
COARSE = np.float32(1 / 8)


def random_boxes(dice, count, degenerate=0.1):
    """(count, 4) corners on a coarse grid, so that overlaps and ties repeat; some inverted or without area."""
    low = dice.integers(0, 60, (count, 2))
    size = dice.integers(1, 40, (count, 2)) * np.where(dice.random((count, 2)) < degenerate, -1, 1)
    return (np.concatenate([low, low + size], axis=1) * COARSE).astype(np.float32)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 150), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.sampled_from([None, 0, 1, 7, 500]),
       st.sampled_from([3, 1000]))  # fmt: skip
def test_nms_is_the_specifications(seed, count, threshold, max_boxes, levels):
    dice = np.random.default_rng(seed)
    some = random_boxes(dice, count)
    scores = (dice.integers(0, levels, count) / levels).astype(np.float32)  # 3 levels: nearly all are ties
    classes = dice.integers(0, 5, count)
    expected = boxes.nms_by_class(some, scores, classes, threshold, max_boxes)
    found = boxes.best_by_class(some, scores, classes, threshold, max_boxes)
    assert found.dtype == np.intp
    assert found.tolist() == expected.tolist()


def many(count):
    dice = np.random.default_rng(3)
    low = dice.uniform(0, 600, (count, 2))
    some = np.concatenate([low, low + dice.uniform(1, 60, (count, 2))], axis=1).astype(np.float32)
    return some, dice.permutation(np.linspace(0.001, 1, count)).astype(np.float32), dice.integers(0, 80, count)


def test_nms_of_a_hundred_thousand_boxes():
    some, scores, classes = many(100_000)
    kept = boxes.best_by_class(some, scores, classes, 0.5, 300)
    assert kept.tolist() == boxes.nms_by_class(some, scores, classes, 0.5, 300).tolist()


def test_nms_is_torchvisions():
    torch = pytest.importorskip("torch")
    from torchvision.ops import batched_nms

    some, scores, classes = many(800)  # no ties, which torchvision leaves open
    some[:, 2:] += 100  # so that many overlap
    classes %= 4
    theirs = batched_nms(torch.from_numpy(some), torch.from_numpy(scores), torch.from_numpy(classes), 0.5)
    assert 100 < len(theirs) < 700
    assert boxes.best_by_class(some, scores, classes, 0.5).tolist() == theirs.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", ["boxes", "scores"])
def test_what_is_no_number_is_refused(value, place):
    some, scores, classes = random_boxes(np.random.default_rng(0), 5), np.ones(5, np.float32), np.zeros(5, np.int64)
    (some if place == "boxes" else scores)[2] = value
    for function in (boxes.nms_by_class, boxes.best_by_class):
        with pytest.raises(UsageError, match="NaN or infinity"):
            function(some, scores, classes, 0.5)
    with pytest.raises(UsageError, match="NaN or infinity"):
        boxes.nms(some, scores, 0.5)


# From outputs to detections ------------------------------------------------------------------------------------------

SMALL = detector()
WHOLE = Preprocessing(size=SMALL.network.resolution, fit="squash")
PADDED = Preprocessing(size=SMALL.network.resolution, fit="pad", fill=0)

DECODINGS = [
    TENSORFLOW,
    TORCHVISION,
    replace(TORCHVISION, scores="sigmoid", max_candidates=3),
    replace(TENSORFLOW, threshold=0.0),
    replace(TENSORFLOW, threshold=1.0),
    replace(TORCHVISION, threshold=0.0, max_candidates=1, iou=0.0),
    replace(TENSORFLOW, scores="softmax", max_detections=5, iou=1.0),
]


def random_outputs(network, dice, spread, grid=None):
    """Outputs of a detector; with `grid`, values are its multiples, so that many are equal."""
    made = {}
    for name, shape in network.shapes().items():
        if name in network.outputs:
            values = dice.normal(0, spread, (2, *shape)).astype(np.float32)
            made[name] = values if grid is None else np.round(values / np.float32(grid)) * np.float32(grid)
    return made


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from([0.5, 3.0, 60.0]),
    st.sampled_from([None, 0.5]),
    st.sampled_from(DECODINGS),
    st.sampled_from([None, 0.0, 0.3, 0.5, 0.9999, 1.0]),
    st.sampled_from([(37, 11), (1, 1), (640, 480)]),
    st.sampled_from([WHOLE, PADDED]),
)
def test_detections_are_the_specifications(seed, spread, grid, decoding, threshold, size, preprocessing):
    outputs = random_outputs(SMALL.network, np.random.default_rng(seed), spread, grid)
    decoder = DetectionDecoder(SMALL.network, preprocessing, decoding, SMALL.labels)
    found = decoder(outputs, 1, size, threshold)
    used = decoding if threshold is None else replace(decoding, threshold=detection.just_below(threshold))
    logits, codes = logits_and_codes(outputs, SMALL.network, 1)
    expected = detect(logits, codes, decoder.default_boxes, used, size, preprocessing.window(size), SMALL.labels)
    for name in ("boxes", "scores", "classes"):
        mine, theirs = getattr(found, name), getattr(expected, name)
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("decoding", [TENSORFLOW, TORCHVISION])
def test_a_higher_threshold_leaves_the_same_detections_out(decoding):
    network = ssdlite_mobilenet_v2(0.25, 96, classes=20)
    outputs = random_outputs(network, np.random.default_rng(1), 3.0)
    decoder = DetectionDecoder(network, Preprocessing(size=(96, 96), fit="squash"), decoding, tuple(map(str, range(20))))
    everything = decoder(outputs, 0, (50, 70))
    for threshold in (0.6, 0.9, float(everything.scores[7])):
        few, kept = decoder(outputs, 0, (50, 70), threshold), everything.scores >= np.float32(threshold)
        assert 0 < kept.sum() == len(few)
        np.testing.assert_array_equal(few.boxes, everything.boxes[kept])
        np.testing.assert_array_equal(few.scores, everything.scores[kept])
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="from 0 to 1"):
            decoder(outputs, 0, (50, 70), wrong)


def test_outputs_that_are_no_numbers_give_no_boxes():
    """A predictor refuses them before; the core leaves them out and stays in its memory."""
    outputs = random_outputs(SMALL.network, np.random.default_rng(0), 1.0)
    outputs = {name: np.full_like(value, np.nan) for name, value in outputs.items()}
    for decoding in (TENSORFLOW, TORCHVISION):
        assert len(DetectionDecoder(SMALL.network, WHOLE, decoding, SMALL.labels)(outputs, 0, (9, 9))) == 0


def test_what_the_core_refuses():
    from mobilenet import _core

    place = (np.empty((3, 4), np.float32), np.empty(3, np.float32), np.empty(3, np.int64))
    rest = (3, False, False, 0.5, 0.5, 0, (9.0, 9.0), (0.0, 0.0, 9.0, 9.0), *place)
    logits, codes, defaults = np.zeros((6, 2, 2), np.float32), np.zeros((8, 2, 2), np.float32), np.zeros((8, 4))
    assert _core.detections([logits], [codes], defaults, *rest) == 0
    for bad in (
        ([logits], [], defaults),
        ([logits[:5].copy()], [codes], defaults),
        ([logits], [codes[:7].copy()], defaults),
        ([logits], [codes[:, :1].copy()], defaults),
        ([logits], [codes], defaults[:7].copy()),
    ):
        with pytest.raises(ValueError, match="must be"):
            _core.detections(*bad, *rest)
    with pytest.raises(ValueError, match="class 65536"):
        _core.nms(place[0], place[1], np.full(3, 65536), 0.5, place[2])
