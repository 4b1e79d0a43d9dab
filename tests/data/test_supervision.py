"""supervision's readers, which are not ours, read the same folders to the same boxes. Skips without supervision."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image
from support.layouts import coco, voc_beside, yolo, yolo_roboflow

from mobilenet.data import open_records


@pytest.fixture(scope="module")
def detection_dataset():
    return pytest.importorskip("supervision", reason="supervision is not installed").DetectionDataset


def compare(records, theirs):
    assert list(records.labels) == list(theirs.classes)
    assert len(records) == len(theirs)
    found = {os.path.basename(path): detections for path, _, detections in theirs}
    for record in records:
        detections = found[os.path.basename(record.name)]
        ours = sorted(zip(record.truth.labels.tolist(), record.truth.boxes.tolist(), strict=True))
        boxes = np.asarray(detections.xyxy, float).reshape(-1, 4)
        expected = sorted(zip(np.asarray(detections.class_id).tolist(), boxes.tolist(), strict=True))
        assert [label for label, _ in ours] == [label for label, _ in expected]
        difference = np.array([box for _, box in ours]).reshape(-1, 4) - np.array([box for _, box in expected]).reshape(-1, 4)
        assert np.abs(difference).max(initial=0) < 1e-3  # theirs are float32


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("write", [yolo, yolo_roboflow])
def test_yolo(write, tmp_path, detection_dataset):
    write(tmp_path)
    images, labels = ("train/images", "train/labels") if write is yolo_roboflow else ("images/train", "labels/train")
    theirs = detection_dataset.from_yolo(str(tmp_path / images), str(tmp_path / labels), str(tmp_path / "data.yaml"))
    compare(open_records(tmp_path, "detection", "train"), theirs)


@pytest.mark.filterwarnings("ignore")
def test_coco(tmp_path, detection_dataset):
    coco(tmp_path)
    file = tmp_path / "annotations" / "instances_train.json"
    compare(open_records(tmp_path, "detection", "train"), detection_dataset.from_coco(str(tmp_path / "train"), str(file)))


@pytest.mark.filterwarnings("ignore")
def test_voc(tmp_path, detection_dataset):
    voc_beside(tmp_path)
    for path in (tmp_path / "train").glob("*.png"):
        with Image.open(path) as image:
            image.save(path.with_suffix(".jpg"))
        path.unlink()
    theirs = detection_dataset.from_pascal_voc(str(tmp_path / "train"), str(tmp_path / "train"))
    compare(open_records(tmp_path, "detection", "train"), theirs)


@pytest.mark.filterwarnings("ignore")
def test_real_boxes(shared, detection_dataset):
    root = shared / "data" / "voc_boxes"
    theirs = detection_dataset.from_yolo(str(root / "images/val"), str(root / "labels/val"), str(root / "data.yaml"))
    compare(open_records(root, "detection", "val"), theirs)
    root = shared / "data" / "coco"
    file = root / "annotations" / "instances_val2017.json"
    compare(open_records(root, "detection", "val"), detection_dataset.from_coco(str(root / "val2017"), str(file)))
