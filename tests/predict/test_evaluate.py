"""Scoring: every layout, classes by id, label or index; bad images counted and named; unknown layouts refused."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.models import detector, toy

import mobilenet
from mobilenet.data import Classes
from mobilenet.predict.evaluate import evaluate, records_for
from mobilenet.predict.predictor import Predictor

COLORS = {"a": (255, 0, 0), "b": (0, 255, 0), "c": (0, 0, 255)}


def by_color(images):
    """An executor that recognizes the three colors: red, green and blue are classes 0, 1 and 2."""
    means = images.mean(axis=(2, 3))
    return {"classifier": means.astype(np.float32)}


@pytest.fixture
def data(tmp_path):
    for name, color in COLORS.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8), color).save(tmp_path / "data" / name / f"{i}.png")
    return tmp_path / "data"


def test_counts(data):
    predictor = Predictor(toy(), by_color)
    Image.new("RGB", (8, 8), COLORS["b"]).save(data / "a" / "wrong.png")
    watched = []
    score = evaluate(predictor, data, lambda images: watched.extend(images) or images)
    assert len(watched) == 7
    assert score.to_json() == {
        "task": "classification",
        "images": 7,
        "metrics": {"top1": 6 / 7, "top5": 1.0},
        "failed": [],
        "backend": "custom",
    }


def test_bad_images_are_named_and_the_rest_is_scored(data):
    whole = (data / "a" / "0.png").read_bytes()
    (data / "a" / "cut.png").write_bytes(whole[:40])
    score = evaluate(Predictor(toy(), by_color), data)
    assert (score.images, score.metrics["top1"], len(score.failed)) == (6, 1.0, 1)
    assert "cut.png" in score.failed[0]
    (data / "a" / "notes.txt").write_text("not an image")
    assert evaluate(Predictor(toy(), by_color), data).images == 6


def test_every_layout_has_the_same_score(data, tmp_path):
    expected = evaluate(Predictor(toy(), by_color), data).to_json()
    files = sorted(data.rglob("*.png"))
    lines = [f"{file},{file.parent.name},{part}" for file in files for part in ("val", "train")]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *lines]))
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "val.tar", "w") as archive:
        for number, file in enumerate(files):
            archive.add(file, f"{number}.png")
            info = tarfile.TarInfo(f"{number}.cls")
            info.size = 1
            archive.addfile(info, io.BytesIO(b"%d" % "abc".index(file.parent.name)))
    for path in ("list.csv", "shards", "shards/val.tar"):
        assert evaluate(Predictor(toy(), by_color), tmp_path / path).to_json() == expected


def test_boxes_in_voc_files_score_as_in_coco(tmp_path):
    pytest.importorskip("faster_coco_eval")
    voc, coco = tmp_path / "voc", tmp_path / "coco"
    for folder in (voc / "Annotations", voc / "JPEGImages", coco / "val2017", coco / "annotations"):
        folder.mkdir(parents=True)
    images, annotations = [], []
    for number, (x, y) in enumerate(((3, 5), (20, 1))):
        for folder in (voc / "JPEGImages", coco / "val2017"):
            Image.new("RGB", (60, 50), (200, 9, number)).save(folder / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg"})
        annotations.append({"id": number + 1, "image_id": number, "category_id": 2, "bbox": [x, y, 30, 20], "area": 600})
        (voc / "Annotations" / f"{number}.xml").write_text(
            f"<annotation><object><name>b</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
            f"<xmax>{x + 30}</xmax><ymax>{y + 20}</ymax></bndbox></object></annotation>"
        )
    content = {"images": images, "categories": [{"id": 2, "name": "b"}], "annotations": annotations}
    (coco / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    predictor = mobilenet.load(detector())
    scores = [evaluate(predictor, root).to_json() for root in (voc, coco)]
    assert scores[0] == scores[1]
    assert scores[0]["images"] == 2


def test_folders_by_id_label_or_index():
    model = replace(toy(), labels=("black grouse", "Persian cat", "c"), label_ids=("n01", "n02", "1"))
    names = {"n02": 1, "black_grouse": 0, "persian cat": 1, "2": 2, "1": 2, "002": 2}
    classes = Classes(model.labels, model.label_ids, indices=True)
    assert classes.numbers(names, "data") == names
    for name in ("n03", "3", "-1", "black"):
        with pytest.raises(ValueError, match=f"data: no class is called '{name}'"):
            classes.numbers([name], "data")


def test_layouts_that_are_none(tmp_path, data):
    model = toy()
    with pytest.raises(ValueError, match="has no known layout of labeled images; give a folder with one subfolder"):
        records_for(model, data / "a" / "0.png")
    with pytest.raises(ValueError, match="holds no class folders"):
        records_for(model, data / "a")
    (tmp_path / "set" / "val" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match="its class folders hold no images"):
        records_for(model, tmp_path / "set")
    with pytest.raises(ValueError, match="hold no images"):
        records_for(model, tmp_path / "set" / "val")
    for folder in COLORS:
        for path in (data / folder).iterdir():
            path.write_bytes(b"x")
    with pytest.raises(ValueError, match="none of its 6 images could be opened"):
        evaluate(Predictor(model, by_color), data)
