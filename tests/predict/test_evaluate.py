"""Scoring: class folders by id, label or index; bad pictures counted and named; layouts that are none refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.models import toy

from mobilenet.data import Classes
from mobilenet.predict.evaluate import evaluate, records_for
from mobilenet.predict.predictor import Predictor

COLOURS = {"a": (255, 0, 0), "b": (0, 255, 0), "c": (0, 0, 255)}


def by_colour(images):
    """An executor that knows the three colours, and is sure of red, green, blue in this order."""
    means = images.mean(axis=(2, 3))
    return {"classifier": means.astype(np.float32)}


@pytest.fixture
def data(tmp_path):
    for name, colour in COLOURS.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8), colour).save(tmp_path / "data" / name / f"{i}.png")
    return tmp_path / "data"


def test_counts(data):
    predictor = Predictor(toy(), by_colour)
    Image.new("RGB", (8, 8), COLOURS["b"]).save(data / "a" / "wrong.png")
    watched = []
    score = evaluate(predictor, data, lambda pictures: watched.extend(pictures) or pictures)
    assert len(watched) == 7
    assert score.to_json() == {
        "task": "classification",
        "images": 7,
        "metrics": {"top1": 6 / 7, "top5": 1.0},
        "failed": [],
    }


def test_bad_pictures_are_named_and_the_rest_is_scored(data):
    whole = (data / "a" / "0.png").read_bytes()
    (data / "a" / "cut.png").write_bytes(whole[:40])
    score = evaluate(Predictor(toy(), by_colour), data)
    assert (score.images, score.metrics["top1"], len(score.failed)) == (6, 1.0, 1)
    assert "cut.png" in score.failed[0]
    (data / "a" / "notes.txt").write_text("not a picture, and not taken for one")
    assert evaluate(Predictor(toy(), by_colour), data).images == 6


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
    with pytest.raises(ValueError, match=r"holds splits.*val"):
        records_for(model, tmp_path / "set")
    with pytest.raises(ValueError, match="hold no images"):
        records_for(model, tmp_path / "set" / "val")
    for folder in COLOURS:
        for path in (data / folder).iterdir():
            path.write_bytes(b"x")
    with pytest.raises(ValueError, match="none of its 6 images could be opened"):
        evaluate(Predictor(model, by_colour), data)
