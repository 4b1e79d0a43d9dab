"""Figures of each class against scikit-learn and pycocotools; what each task counts as confused; several processes."""

from __future__ import annotations

import contextlib
import io
import json
from array import array

import numpy as np
import pytest

from mobilenet.analysis.analysis import MAX_MATRIX, NOTHING
from mobilenet.analysis.matching import IGNORED, matched
from mobilenet.analysis.tallies import ClassificationTally, DetectionTally, SegmentationTally
from mobilenet.data import Objects
from mobilenet.tasks.classification import Classification
from mobilenet.tasks.detection import Detections
from mobilenet.tasks.metrics import MeanAP
from mobilenet.tasks.segmentation import Segmentation

LABELS = ("a", "b", "c", "<i>d</i>")


def answers(seed: int, count: int = 60) -> list[tuple[Classification, int]]:
    """Of four classes, of which the last has no images."""
    generator = np.random.default_rng(seed)
    found = []
    for truth in generator.integers(0, 3, count).tolist():
        powers = np.exp(generator.normal(0, 1, 4) + 1.5 * (np.arange(4) == truth)).astype(np.float32)
        found.append((Classification(array("f", (powers / powers.sum()).tolist()), LABELS), truth))
    return found


@pytest.mark.parametrize("seed", range(2))
def test_a_classifiers_figures_are_scikit_learns(seed):
    peer = pytest.importorskip("sklearn.metrics")
    tally, given = ClassificationTally(LABELS), answers(seed)
    for result, truth in given:
        tally.add(result, truth)
    analysis = tally.analysis()
    truths, best = [truth for _, truth in given], [result.top(1)[0].index for result, _ in given]
    counts = peer.confusion_matrix(truths, best, labels=range(4))
    assert {(row, column): counts[row, column] for row, column in zip(*np.nonzero(counts), strict=True)} == analysis.counts
    columns = peer.precision_recall_fscore_support(truths, best, labels=range(3))
    for figures, precision, recall, f1, total in zip(analysis.classes, *columns, strict=False):
        assert (figures.precision, figures.recall, figures.total) == (precision, recall, total)
        assert figures.f1 == pytest.approx(f1, rel=1e-15)
        scores = [float(result.scores[figures.index]) for result, _ in given]
        assert min(scores) >= 0.001, "then no claim was left out"
        expected = peer.average_precision_score(np.array(truths) == figures.index, scores)
        assert figures.quality == pytest.approx(expected, rel=1e-12)
    last = analysis.classes[3]
    assert (last.total, last.recall, last.f1, last.quality) == (0, None, None, None)
    assert last.claimed == best.count(3)


def test_parts_add_up_to_the_whole():
    whole, first, second = (ClassificationTally(LABELS) for _ in range(3))
    for number, (result, truth) in enumerate(answers(0)):
        whole.add(result, truth)
        (first if number < 20 else second).add(result, truth)
    merged = ClassificationTally(LABELS)
    merged.merge(first.state())
    merged.merge(second.state())
    assert merged.analysis().to_json() == whole.analysis().to_json()
    json.dumps(whole.analysis().to_json(), allow_nan=False)


def objects(generator: np.random.Generator) -> Objects:
    boxes, labels, crowd = [], [], []
    for _ in range(int(generator.integers(0, 6))):
        x, y, w, h = generator.uniform(5, 100, 4)
        boxes.append([x, y, x + w, y + h])
        labels.append(int(generator.integers(0, 3)))
        crowd.append(generator.random() < 0.2)
    return Objects.of(boxes, labels, crowd)


def guesses(generator: np.random.Generator, truth: Objects) -> Detections:
    boxes, classes = [], []
    for box, label in zip(truth.boxes, truth.labels, strict=True):
        for _ in range(int(generator.integers(0, 3))):
            boxes.append(box + abs(generator.normal(0, 6, 4)) * [-1, -1, 1, 1])
            classes.append(int(label) if generator.random() < 0.8 else int(generator.integers(0, 3)))
    for _ in range(int(generator.integers(0, 3))):
        x, y, w, h = generator.uniform(1, 100, 4)
        boxes.append([x, y, x + w, y + h])
        classes.append(int(generator.integers(0, 3)))
    scores = np.sort(generator.permutation(1000)[: len(boxes)] / 1000)[::-1].astype(np.float32)
    table = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(table, scores, np.array(classes, np.int64), LABELS)


def coco_of(truths: list[Objects]) -> dict[str, object]:
    entries = []
    for image, truth in enumerate(truths):
        for (x0, y0, x1, y1), label, crowd in zip(truth.boxes.tolist(), truth.labels, truth.crowd, strict=True):
            entries.append(
                {"id": len(entries) + 1, "image_id": image, "category_id": int(label), "iscrowd": int(crowd),
                 "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            )  # fmt: skip
    return {
        "images": [{"id": image, "file_name": str(image)} for image in range(len(truths))],
        "categories": [{"id": number, "name": label} for number, label in enumerate(LABELS)],
        "annotations": entries,
        "info": {},
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_detectors_figures_are_pycocotools(seed):
    pytest.importorskip("faster_coco_eval")
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    generator = np.random.default_rng(seed)
    truths = [objects(generator) for _ in range(25)]
    results = [guesses(generator, truth) for truth in truths]
    content = coco_of(truths)
    score, tally = MeanAP(content, range(len(LABELS))), DetectionTally(LABELS)
    for image, (result, truth) in enumerate(zip(results, truths, strict=True)):
        score.add(result, image)
        tally.add(result, truth)
    with contextlib.redirect_stdout(io.StringIO()):
        peer = coco.COCO()
        peer.dataset = json.loads(json.dumps(content))
        peer.createIndex()
        theirs = cocoeval.COCOeval(peer, peer.loadRes(json.loads(json.dumps(score.detections))), "bbox")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    tally.aps = score.per_class()
    analysis, metrics = tally.analysis(), score.metrics()
    for figures in analysis.classes:
        expected = theirs.eval["precision"][:, :, figures.index, 0, 2]
        if (expected > -1).any():
            assert figures.quality == pytest.approx(expected.mean(), rel=1e-12)
            assert figures.quality50 == pytest.approx(expected[0].mean(), rel=1e-12)
        else:
            assert (figures.quality, figures.quality50) == (None, None)
    assert np.mean([each.quality for each in analysis.classes if each.quality is not None]) == pytest.approx(metrics["mAP"])
    # every detection is right, wrong or not counted as theirs are: at IoU 0.5, for objects of any size
    images = [each for each in theirs.evalImgs if each is not None and each["aRng"] == [0, 1e10]]
    expected = [
        (score, bool(match), bool(ignored))
        for each in images
        for score, match, ignored in zip(each["dtScores"], each["dtMatches"][0], each["dtIgnore"][0], strict=True)
    ]
    ours = [
        (float(score), bool(found != -1), bool(found == IGNORED))
        for result, truth in zip(results, truths, strict=True)
        for score, found in zip(result.scores.astype(np.float64), matched(result, truth), strict=True)
    ]
    assert sorted(ours) == sorted(expected)
    assert analysis.curve.recall[-1] <= 1
    assert sum(each.total for each in analysis.classes) == sum(int((~truth.crowd).sum()) for truth in truths)


def test_what_a_detector_confuses():
    truth = Objects.of([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], [0, 1, 2], [False, False, False])
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [70, 0, 80, 10], [0, 0, 10, 10]], np.float32)
    result = Detections(boxes, np.array([0.9, 0.8, 0.7, 0.3], np.float32), np.array([0, 0, 2, 1]), LABELS)
    tally = DetectionTally(LABELS)
    assert tally.add(result, truth) == (4 / 6, 4)
    assert tally.pairs == {(0, 0): 1, (1, 0): 1, (NOTHING, 2): 1, (2, NOTHING): 1}
    analysis = tally.analysis()
    assert [(each.truth, each.answer, each.share) for each in analysis.confused()] == [
        (NOTHING, 2, None), (1, 0, 1.0), (2, NOTHING, 1.0)
    ]  # fmt: skip
    assert analysis.axes() == ([0, 1, 2, NOTHING], [0, 1, 2, NOTHING])
    assert analysis.classes[0].precision == 0.5
    nothing = Objects.of([], [], [])
    assert DetectionTally(LABELS).add(result[:0], nothing) == ()
    assert DetectionTally(LABELS).add(result, nothing) == (1, 3)


def test_a_segmenters_figures_leave_void_out():
    truth = np.array([[0, 0, 1, 1], [255, 255, 2, 2]], np.uint8)
    answer = np.array([[0, 1, 1, 1], [1, 1, 1, 2]], np.uint8)
    confidence = np.array([0.9, 0.6, 0.8, 0], np.float32)
    tally = SegmentationTally(("background", "b", "c", "d"), 0)
    badness = tally.add(Segmentation(answer, confidence, ("background", "b", "c", "d")), truth)
    assert badness == (pytest.approx(1 - (1 / 2 + 2 / 4 + 1 / 2) / 3),)
    analysis = tally.analysis()
    assert [(each.total, each.claimed, each.right, each.quality) for each in analysis.classes] == [
        (2, 1, 1, 0.5), (2, 4, 2, 0.5), (2, 1, 1, 0.5), (0, 0, 0, None)
    ]  # fmt: skip
    assert analysis.counts == {(0, 0): 1, (0, 1): 1, (1, 1): 2, (2, 1): 1, (2, 2): 1}
    assert analysis.curve.precision.tolist() == [1, 3 / 5], "without the background"
    assert analysis.curve.recall.tolist() == [1 / 4, 3 / 4]
    assert analysis.calibration.sizes.sum() == 6
    void = SegmentationTally(("background", "b"), 0)
    nothing = Segmentation(np.zeros((2, 2), np.uint8), np.ones(2, np.float32), ("background", "b"))
    assert void.add(nothing, np.full((2, 2), 255, np.uint8)) == ()
    assert void.analysis().curve is None
    assert void.analysis().calibration.error is None


def test_one_class_and_a_thousand():
    one = ClassificationTally(("only",))
    one.add(Classification(array("f", [1.0]), ("only",)), 0)
    assert one.analysis().classes[0].quality == 1
    many = tuple(str(number) for number in range(1000))
    tally = ClassificationTally(many)
    probabilities = np.full(1000, 0.5 / 999, np.float32)
    for number in range(0, 1000, 10):
        scores = probabilities.copy()
        scores[number + 1] = 0.5
        tally.add(Classification(array("f", scores.tolist()), many), number)
    analysis = tally.analysis()
    assert len(analysis.classes) == 1000 > MAX_MATRIX
    assert analysis.class_curves == {}
    assert len(analysis.confused()) == 25
    assert analysis.classes[0].quality == 0
    json.dumps(analysis.to_json(), allow_nan=False)
