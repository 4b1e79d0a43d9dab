"""Results as users handle them: what they say, what is in them, and how they leave for other libraries."""

from __future__ import annotations

import base64
import contextlib
import copy
import io
import json
import pickle
import re
import sys
from array import array
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.images import photo

from mobilenet.errors import UsageError
from mobilenet.images.open import ImageError
from mobilenet.tasks.classification import Classification
from mobilenet.tasks.detection import Detection, Detections
from mobilenet.tasks.labels import coco
from mobilenet.tasks.results import Prediction
from mobilenet.tasks.segmentation import Region, Segmentation

LABELS = ("tabby", "lynx", "cup", "fox", "dog", "owl", "car")
IDS = ("n1", "n2", "n3", "n4", "n5", "n6", "n7")
SCORES = np.array([0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.015625], np.float32)


def classification(**changes) -> Classification:
    return replace(Classification(SCORES, LABELS, label_ids=IDS, size=(31, 17)), **changes)


def detections(**changes) -> Detections:
    boxes = np.array([[1, 2, 11, 12], [0, 0, 31, 17], [5, 5, 6, 7.5]], np.float32)
    labels, ids = coco()
    found = Detections(
        boxes, np.array([0.9, 0.6, 0.2], np.float32), np.array([41, 0, 41]), labels, label_ids=ids, size=(31, 17)
    )
    return replace(found, **changes)


def segmentation(**changes) -> Segmentation:
    mask = np.zeros((17, 31), np.uint8)
    mask[:, :10] = 2
    mask[3:5, 20:22] = 1
    confidence = np.array([0.5, 0.75, 0.875, 0], np.float32)
    return replace(Segmentation(mask, confidence, ("background", "cat", "sofa", "cow"), size=(31, 17)), **changes)


EACH = [classification(), detections(), segmentation()]


def test_repr_says_the_answer():
    assert repr(classification()) == "Classification(tabby 0.50, lynx 0.25, cup 0.12, fox 0.06, dog 0.03)"
    assert repr(classification(threshold=0.9)) == "Classification(nothing above the threshold)"
    assert repr(detections()) == "Detections(cup 0.90, person 0.60)"
    assert repr(detections(threshold=0.95)) == "Detections(nothing found)"
    assert repr(segmentation()) == "Segmentation(sofa 0.88, cat 0.75)"
    assert repr(classification()[0]) == "Prediction(label='tabby', index=0, score=0.5, id='n1')"
    assert repr(detections()[0]) == "Detection(label='cup', index=41, score=0.9, box=(1.0, 2.0, 11.0, 12.0), id='47')"
    assert repr(segmentation()[1]) == "Region(label='cat', index=1, score=0.75, share=0.00759)"


def test_a_classification_as_a_sequence():
    result = classification()
    assert [p.label for p in result] == list(LABELS[:5])
    assert len(result) == 5
    assert result[0] == result["tabby"] == Prediction("tabby", 0, 0.5, id="n1")
    assert result[-1].label == "dog"
    assert [p.label for p in result[:2]] == ["tabby", "lynx"]
    assert [p.label for p in result[result.scores > 0.1]] == ["tabby", "lynx", "cup"]
    assert result["car"].score == 0.015625, "any class by its label, not only the best"
    assert len(classification(max_shown=None)) == 7
    assert len(classification(threshold=0.2)) == 2
    with pytest.raises(UsageError, match="no label is called 'tabbi'; nearest: tabby"):
        result["tabbi"]
    with pytest.raises(UsageError, match="mask of 2: must be 7 bools"):
        result[[True, False]]
    with pytest.raises(IndexError):
        result[5]


def test_detections_as_a_sequence():
    result = detections()
    assert isinstance(result[0], Detection)
    assert [p.label for p in result] == ["cup", "person", "cup"]
    assert [len(result), len(result.shown)] == [3, 2]
    assert result[-1] == list(result)[2]
    assert result[np.int64(1)].label == "person"
    assert len(result["cup"]) == 2
    assert len(result["dog"]) == len(result[[]]) == len(result[5:]) == 0
    assert result[result.scores > 0.5] == result[:2] == result[[0, 1]] == result[np.array([True, True, False])]
    assert result[:2].size == (31, 17)
    assert (result[0].id, result[0].index) == ("47", 41), "COCO's category id, and the place among its 80 classes"
    with pytest.raises(IndexError):
        result[3]
    with pytest.raises(UsageError, match="nearest: cup"):
        result["cups"]


def test_a_segmentation_as_a_sequence():
    result = segmentation()
    assert isinstance(result[0], Region)
    assert [region.label for region in result] == ["sofa", "cat"]
    assert result["cow"].share == 0
    assert result.pixels("sofa").sum() == 170
    assert [region.label for region in result[result.confidence > 0.8]] == ["sofa"]
    assert [region.label for region in result[:1]] == ["sofa"]
    assert len(segmentation(threshold=0.8)) == 1


@pytest.mark.parametrize("result", EACH, ids=lambda result: result.task)
def test_equality_is_of_the_answer(result):
    assert result == copy.deepcopy(result) == pickle.loads(pickle.dumps(result))
    assert result == replace(result, path="x.jpg", threshold=0.7), "where it came from and what is shown do not count"
    assert result != replace(result, size=(1, 1))
    assert result not in [other for other in EACH if other is not result]
    with pytest.raises(TypeError, match="unhashable"):
        hash(result)


def test_equality_sees_every_number():
    assert classification() != classification(probabilities=SCORES[::-1].copy())
    assert classification(probabilities=array("f", SCORES)) == classification(), "memory of any kind"
    boxes = detections().boxes.copy()
    boxes[2, 3] += 1
    assert detections() != detections(boxes=boxes)
    assert detections() != detections()[:2]


def test_a_pickle_is_light_and_leaves_the_image_behind():
    image = photo(400, 300)
    result = replace(detections(), size=image.size, image=image, path="x.png")
    content = pickle.dumps(result)
    assert len(content) < 5000
    assert (pickle.loads(content).image, pickle.loads(content).path) == (None, "x.png")


@pytest.mark.parametrize("result", EACH, ids=lambda result: result.task)
def test_plots(result, tmp_path):
    image = photo()
    expected = np.asarray(result.drawn_on(image, result.shown))
    assert (expected != np.asarray(image)).any()
    image.save(tmp_path / "p.png")
    for known in (replace(result, image=image), replace(result, path=str(tmp_path / "p.png"))):
        np.testing.assert_array_equal(np.asarray(known.plot()), expected)
    np.testing.assert_array_equal(np.asarray(result.plot(image)), expected)
    replace(result, image=image).save(tmp_path / "drawn.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "drawn.png")), expected)
    with pytest.raises(ImageError, match=r"plot\(image\)"):
        result.plot()
    with pytest.raises(ImageError, match="image of 8x8 for a result of 31x17"):
        result.plot(photo(8, 8))


@pytest.mark.parametrize("result", EACH, ids=lambda result: result.task)
def test_notebooks_show_the_image_and_a_table(result):
    known = replace(result, image=photo())
    page = known._repr_html_()
    content = base64.b64decode(re.search("base64,([^']*)", page)[1])
    assert content == known._repr_png_()
    assert Image.open(io.BytesIO(content)).size == (31, 17)
    assert f"{known.shown[0].label}</td><td>{known.shown[0].score * 100:.1f} %" in page
    assert result._repr_png_() is None
    assert result._repr_html_().startswith("<table>")


def test_labels_do_not_become_markup():
    page = classification(labels=("<b>&", *LABELS[1:]))._repr_html_()
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.parametrize("result", EACH, ids=lambda result: result.task)
def test_dicts_and_json(result):
    data = replace(result, path="p.jpg").to_dict()
    assert list(data) == ["input", "task", "size", "predictions"]
    assert (data["input"], data["size"], len(data["predictions"])) == ("p.jpg", [31, 17], len(result))
    assert json.loads(result.to_json()) == json.loads(json.dumps(result.to_dict()))
    names = {"classification": set(), "detection": {"box"}, "segmentation": {"share"}}[result.task]
    assert data["predictions"][0].keys() - {"label", "index", "score", "id"} == names, "no fields of other tasks"


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("result", EACH, ids=lambda result: result.task)
def test_data_frames(result, library):
    pytest.importorskip(library)
    frame = replace(result, path="p.jpg").to_df(library)
    assert list(frame["label"]) == [p.label for p in result]
    assert set(frame["input"]) == {"p.jpg"}
    columns = {"detection": ["x0", "y0", "x1", "y1"], "segmentation": ["share"]}.get(result.task, [])
    assert list(frame.columns) == ["input", "label", "index", "id", "score", *columns]


def test_what_is_not_installed_is_named(monkeypatch):
    for name in ("pandas", "polars", "supervision"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match="to_df needs pandas or polars; pip install pandas"):
        detections().to_df()
    with pytest.raises(UsageError, match="no data frames of 'arrow'"):
        detections().to_df("arrow")
    with pytest.raises(UsageError, match="pip install supervision"):
        detections().to_supervision()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_coco_results_are_read_by_pycocotools():
    module = pytest.importorskip("pycocotools.coco")
    mask = pytest.importorskip("pycocotools.mask")
    truth = {"images": [{"id": 7, "width": 31, "height": 17}], "annotations": [], "categories": [{"id": 47}, {"id": 1}]}
    with contextlib.redirect_stdout(io.StringIO()):
        data = module.COCO()
        data.dataset = truth
        data.createIndex()
        found = data.loadRes(detections().to_coco(image_id=7))
    boxes = [each["bbox"] for each in found.loadAnns(found.getAnnIds(imgIds=[7], catIds=[47]))]
    assert boxes == [[1, 2, 10, 10], [5, 5, 1, 2.5]]
    result = segmentation()
    for entry in result.to_coco():
        runs = mask.frPyObjects(entry["segmentation"], 17, 31)
        np.testing.assert_array_equal(mask.decode(runs), result.mask == entry["category_id"])
        np.testing.assert_array_equal(mask.toBbox(runs), entry["bbox"])
    labels = ("a", "b")
    assert Detections(*vars_of(detections()[:1]), labels).to_coco()[0]["category_id"] == 1, "without ids: from 1"


def vars_of(result):
    return result.boxes, result.scores, np.zeros_like(result.classes)


def test_yolo_lines():
    lines = detections().to_yolo().splitlines()
    assert lines[0] == f"41 {6 / 31:.6f} {7 / 17:.6f} {10 / 31:.6f} {10 / 17:.6f}"
    assert lines[1] == "0 0.500000 0.500000 1.000000 1.000000"
    assert detections().to_yolo(with_scores=True).splitlines()[1].endswith(" 1.000000 1.000000 0.600000")
    assert detections()[[]].to_yolo() == ""
    with pytest.raises(UsageError, match="needs the image's size"):
        detections(size=None).to_yolo()


def test_supervision():
    supervision = pytest.importorskip("supervision")
    found = detections().to_supervision()
    assert isinstance(found, supervision.Detections)
    np.testing.assert_array_equal(found.xyxy, detections().boxes)
    assert list(found.data["class_name"]) == ["cup", "person", "cup"]
    assert len(detections()[[]].to_supervision()) == 0
    regions = segmentation().to_supervision()
    np.testing.assert_array_equal(regions.mask[0], segmentation().mask == 2)
    np.testing.assert_array_equal(regions.xyxy, [[0, 0, 10, 17], [20, 3, 22, 5]])
    assert list(classification().to_supervision().class_id[:2]) == [0, 1]
