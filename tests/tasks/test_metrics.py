"""Scores: COCO's against pycocotools, VOC's against plain loops, layouts recognized, and the real models' oracles."""

from __future__ import annotations

import contextlib
import io
import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from support.models import LABELS, by_color, detector, halves, segmenter, toy

import mobilenet
from mobilenet.data import Classes, coco
from mobilenet.predict.evaluate import evaluate, records_for
from mobilenet.predict.predictor import Predictor
from mobilenet.tasks.detection import Detections
from mobilenet.tasks.metrics import COCO_METRICS, MeanAP, MeanIoU
from mobilenet.tasks.results import VOID
from mobilenet.tasks.segmentation import Segmentation

# COCO ----------------------------------------------------------------------------------------------------------------


def annotations(generator: np.random.Generator, num_images: int) -> dict:
    """Images of 300 x 200, some without objects, with objects of every size, one pixel and crowds among them."""
    found = []
    for image in range(1, num_images + 1):
        for _ in range(int(generator.integers(0, 6)) * (image % 4 != 0)):
            width, height = np.exp(generator.uniform(0, 5, 2))
            x, y = generator.uniform(0, 300 - width), generator.uniform(0, 200 - min(height, 199))
            found.append(
                {"id": len(found) + 1, "image_id": image, "category_id": int(generator.choice([1, 3, 7])),
                 "bbox": [x, y, width, height], "area": width * height, "iscrowd": int(generator.random() < 0.15)}
            )  # fmt: skip
    found.append({"id": len(found) + 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 1, 1], "area": 1, "iscrowd": 0})
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 300, "height": 200} for i in range(1, num_images + 1)],
        "categories": [{"id": i, "name": n} for i, n in ((1, "a"), (3, "b"), (7, "c"))],
        "annotations": found,
    }


def guesses(generator: np.random.Generator, truth: dict, image: int) -> Detections:
    """Near the truth, with duplicates and inventions, at scores with ties."""
    boxes, classes = [], []
    for entry in truth["annotations"]:
        if entry["image_id"] == image and generator.random() < 0.8:
            x, y, w, h = entry["bbox"]
            for _ in range(int(generator.integers(1, 3))):
                shift = generator.normal(0, 0.1, 2) * (w, h)
                boxes.append([x + shift[0], y + shift[1], x + shift[0] + w, y + shift[1] + h])
                classes.append([1, 3, 7].index(entry["category_id"]))
    for _ in range(int(generator.integers(0, 4))):
        x, y, w, h = generator.uniform(1, 100, 4)
        boxes.append([x, y, x + w, y + h])
        classes.append(int(generator.integers(0, 3)))
    scores = np.sort(generator.integers(1, 20, len(boxes)) / 20)[::-1]
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), scores.astype(np.float32), np.array(classes, np.int64), tuple("abc")
    )


@pytest.mark.parametrize("seed", range(3))
def test_coco_metrics_are_pycocotools(seed):
    pytest.importorskip("faster_coco_eval")
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    generator = np.random.default_rng(seed)
    truth = annotations(generator, 12)
    score = MeanAP(truth, [1, 3, 7])
    for image in truth["images"]:
        score.add(guesses(generator, truth, image["id"]), image["id"])
    with contextlib.redirect_stdout(io.StringIO()):
        peer = coco.COCO()
        peer.dataset = json.loads(json.dumps({**truth, "info": {}}))
        peer.createIndex()
        theirs = cocoeval.COCOeval(peer, peer.loadRes(json.loads(json.dumps(score.detections))), "bbox")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    metrics = score.metrics()
    assert tuple(metrics) == COCO_METRICS
    assert 0.1 < metrics["mAP"] < 0.9
    for name, expected in zip(COCO_METRICS, theirs.stats, strict=True):
        assert (metrics[name] is None) == (expected < 0)
        assert metrics[name] is None or metrics[name] == pytest.approx(expected, abs=1e-12)


def one_object(box, crowd=0, num_images=1):
    images = [{"id": i, "file_name": f"{i}.png", "width": 50, "height": 50} for i in range(num_images)]
    entry = {"id": 1, "image_id": 0, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": crowd}
    return {"images": images, "categories": [{"id": 1, "name": "a"}], "annotations": [entry]}


def found(*boxes, scores=None) -> Detections:
    table = np.array(boxes, np.float32).reshape(-1, 4)
    values = np.linspace(0.9, 0.5, len(table), dtype=np.float32) if scores is None else np.array(scores, np.float32)
    return Detections(table, values, np.zeros(len(table), np.int64), ("a",))


def test_cases_that_the_standard_decides():
    pytest.importorskip("faster_coco_eval")

    def score(truth, *results):
        counted = MeanAP(truth, [1])
        for number, result in enumerate(results):
            counted.add(result, number)
        return counted.metrics()

    exact = score(one_object([3, 4, 1, 1]), found([3, 4, 4, 5]))
    assert (exact["mAP"], exact["mAP_small"], exact["mAP_large"]) == (1, 1, None), "an object of one pixel counts"
    assert score(one_object([3, 4, 1, 1]), found())["mAP"] == 0, "nothing found"
    crowd = score(one_object([0, 0, 40, 40], crowd=1), found([1, 1, 9, 9]))
    assert crowd["mAP"] is None, "a crowd is no object to find"
    both = one_object([0, 0, 10, 10])
    both["annotations"].append({**both["annotations"][0], "id": 2, "bbox": [20, 20, 30, 30], "area": 900, "iscrowd": 1})
    assert score(both, found([25, 25, 35, 35], [0, 0, 10, 10]))["mAP"] == 1, "what is found in a crowd is not wrong"
    alone = score(one_object([0, 0, 10, 10]), found([25, 25, 35, 35], [0, 0, 10, 10]))
    assert alone["mAP"] == pytest.approx(0.5, abs=0.01), "without the crowd it is"
    empty = one_object([0, 0, 10, 10], num_images=2)
    assert score(empty, found([0, 0, 10, 10]), found())["mAP"] == 1
    wrong = score(empty, found([0, 0, 10, 10], scores=[0.5]), found([0, 0, 10, 10]))
    assert wrong["mAP"] == pytest.approx(0.5, abs=0.01), "what is found on an image without objects is wrong"
    none = {**empty, "annotations": []}
    assert set(score(none, found(), found([0, 0, 10, 10])).values()) == {None}


def test_without_the_evaluator(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(ValueError, match=r"pip install 'mobilenet\[coco\]'"):
        MeanAP(one_object([0, 0, 1, 1]), [1])


@pytest.fixture
def coco_folder(tmp_path):
    pytest.importorskip("faster_coco_eval")
    truth = annotations(np.random.default_rng(0), 4)
    tmp_path = tmp_path / "coco"
    (tmp_path / "annotations").mkdir(parents=True)
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(truth))
    for entry in truth["images"]:
        Image.new("RGB", (300, 200)).save(tmp_path / "val2017" / entry["file_name"])
    return tmp_path


def test_coco_layout(coco_folder):
    model = detector()
    whole = evaluate(mobilenet.load(model), coco_folder)
    assert (whole.task, whole.images, whole.failed) == ("detection", 4, [])
    assert whole.to_json()["metrics"].keys() == set(COCO_METRICS)
    file = coco_folder / "annotations" / "instances_val2017.json"
    assert evaluate(mobilenet.load(model), file).metrics == whole.metrics
    (coco_folder / "annotations" / "instances_train2017.json").write_text("{}")
    assert records_for(model, coco_folder).name(0) == str(coco_folder / "val2017" / "1.png"), "of several the validation's"
    (coco_folder / "val2017" / "2.png").write_bytes(b"\x89PNG")
    partly = evaluate(mobilenet.load(model), coco_folder)
    assert (partly.images, len(partly.failed)) == (3, 1)
    (coco_folder / "annotations" / "instances_val2014.json").write_text("{}")
    with pytest.raises(ValueError, match="2 COCO files to choose from"):
        records_for(model, coco_folder)
    for content in ("[]", '{"images": []}', '{"images": [{"id": 1}], "categories": [], "annotations": []}'):
        file.write_text(content)
        with pytest.raises(ValueError, match=r"instances_val2017\.json: no COCO annotations"):
            records_for(model, file)
    file.write_text('{"images": [], "categories": [], "annotations": []}')
    with pytest.raises(ValueError, match="lists no images"):
        records_for(model, file)


def test_classes_by_id_or_name(coco_folder):
    file = coco_folder / "annotations"
    model = detector()
    assert coco.class_numbers({1: "a", 3: "B", 7: "c"}, Classes(model.labels), file) == {1: 0, 3: 1, 7: 2}
    ids = Classes(("x", "y", "c"), ("3", "99", "1"))
    assert coco.class_numbers({1: "a", 3: "b"}, ids, file) == {3: 0, 1: 2}
    with pytest.raises(ValueError, match="no class is called 'zebra'"):
        coco.class_numbers({1: "a", 2: "zebra"}, Classes(model.labels), file)


# VOC -----------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 6))
def test_mean_iou_is_what_plain_loops_count(seed, num_images, classes):
    generator = np.random.default_rng(seed)
    score, right, either, same, meant = MeanIoU(classes), [0] * classes, [0] * classes, 0, 0
    for _ in range(num_images):
        shape = tuple(generator.integers(1, 9, 2))
        truth, mask = (generator.integers(0, classes, shape).astype(np.uint8) for _ in range(2))
        truth[generator.random(shape) < 0.3] = VOID
        score.add(Segmentation(mask, np.zeros(classes, np.float32), LABELS), truth)
        for t, m in zip(truth.ravel().tolist(), mask.ravel().tolist(), strict=True):
            if t != VOID:
                meant += 1
                same += t == m
                right[t] += t == m
                for index in {t, m}:
                    either[index] += 1
    metrics = score.metrics()
    if not meant:
        assert metrics == {"mIoU": None, "pixel_accuracy": None}
        return
    ious = [r / e for r, e in zip(right, either, strict=True) if e]
    assert metrics["mIoU"] == pytest.approx(sum(ious) / len(ious))
    assert metrics["pixel_accuracy"] == pytest.approx(same / meant)


def test_masks_that_do_not_fit():
    score = MeanIoU(3)
    answer = Segmentation(np.zeros((2, 2), np.uint8), np.zeros(3, np.float32), LABELS)
    with pytest.raises(ValueError, match="must be of one size"):
        score.add(answer, np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="class 3: the model has classes 0 to 2"):
        score.add(answer, np.full((2, 2), 3, np.uint8))


@pytest.fixture
def voc_folder(tmp_path):
    tmp_path = tmp_path / "voc"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / name).mkdir(parents=True)
    for number, size in enumerate(((33, 33), (20, 30), (31, 9))):
        halves(*size).save(tmp_path / "JPEGImages" / f"{number}.jpg", quality=100, subsampling=0)
        mask = np.full((size[1], size[0]), 2, np.uint8)
        mask[:, : size[0] // 2] = 1
        mask[:, size[0] // 2 - 2 : size[0] // 2 + 2] = VOID  # the border, where the input's pixels blend
        Image.fromarray(mask).save(tmp_path / "SegmentationClass" / f"{number}.png")
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("0\n1\n")
    return tmp_path


def test_voc_layout(voc_folder):
    predictor = Predictor(segmenter(), by_color)
    score = evaluate(predictor, voc_folder)
    assert score.to_json() == {
        "task": "segmentation", "backend": "custom", "images": 2, "metrics": {"mIoU": 1.0, "pixel_accuracy": 1.0}, "failed": []
    }  # fmt: skip
    (voc_folder / "ImageSets" / "Segmentation" / "val.txt").unlink()
    assert evaluate(predictor, voc_folder).images == 3
    (voc_folder / "SegmentationClass" / "1.png").write_bytes(b"\x89PNG")
    partly = evaluate(predictor, voc_folder)
    assert (partly.images, len(partly.failed)) == (2, 1)
    Image.new("L", (5, 5), 1).save(voc_folder / "SegmentationClass" / "1.png")
    with pytest.raises(ValueError, match=r"1\.jpg: mask \(5, 5\) for an image of \(30, 20\)"):
        evaluate(predictor, voc_folder)


def test_a_layout_for_another_task(voc_folder, coco_folder, tmp_path):
    with pytest.raises(ValueError, match="labels for segmentation, not for classification"):
        records_for(toy(), voc_folder)
    with pytest.raises(ValueError, match="has boxes and no outlines, from which masks could be drawn"):
        records_for(segmenter(), coco_folder)
    (tmp_path / "plain" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"has no known layout of labels for detection; give .*COCO's"):
        records_for(detector(), tmp_path / "plain")
    with pytest.raises(ValueError, match="nowhere: is no folder"):
        records_for(detector(), tmp_path / "nowhere")


# The real ones -------------------------------------------------------------------------------------------------------


def test_coco_scores_what_the_reference_scored(shared, coco, one_thread):
    """SSDLite-MobileNetV2 of TensorFlow on 103 images: computed once with independent code, AP 0.323, AP50 0.501."""
    pytest.importorskip("faster_coco_eval")
    from mobilenet.nn import executor

    score = evaluate(mobilenet.load(coco, executor), shared / "data" / "coco")
    assert (score.images, score.failed) == (103, [])
    assert score.metrics["mAP"] == pytest.approx(0.323, abs=0.003)
    assert score.metrics["mAP50"] == pytest.approx(0.501, abs=0.003)
    assert score.metrics["mAP75"] == pytest.approx(0.335, abs=0.003)


def test_voc_small_scores_what_the_reference_scored(shared, voc_small, one_thread):
    """DeepLabv3-MobileNetV2 0.5 at 257 px on 72 images: computed once with LiteRT, mIoU 0.556, pixel accuracy 0.9075."""
    pytest.importorskip("torch")
    from mobilenet.nn import executor

    score = evaluate(mobilenet.load(voc_small, executor), shared / "data" / "voc2012")
    assert (score.images, score.failed) == (72, [])
    assert score.metrics["mIoU"] == pytest.approx(0.556, abs=0.003)
    assert score.metrics["pixel_accuracy"] == pytest.approx(0.9075, abs=0.001)
