"""Model files that ask for much: each is refused when it is loaded, with the limit's name.

Every generator writes one file and says in its docstring what the file tries.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.hostile import assert_refused, outcome
from support.models import detector, toy
from support.weights import random_tensors

from mobilenet import limits, modelfile
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.limits import Limits
from mobilenet.modelfile import ModelFile, ModelFileError
from mobilenet.network.heads import ssdlite_mobilenet_v1
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.tasks.boxes import nms, nms_by_class
from mobilenet.tasks.detection import TENSORFLOW, DetectionDecoder
from mobilenet.tensorfile import to_safetensors


def image_of_16384(path: Path) -> None:
    """A model of 100 kB asks for images of 16384 x 16384: 3.9 GB and minutes for one photo."""
    network = mobilenet_v1(0.25, 16384, classes=3)
    preprocessing = Preprocessing(size=(16384, 16384), fit="squash")
    modelfile.write(ModelFile(network, random_tensors(network), ("a", "b", "c"), preprocessing), path)


def preprocessing_of_16384(path: Path) -> None:
    """The network is small, its preprocessing asks for 16384 x 16384."""
    modelfile.write(replace(toy(), preprocessing=Preprocessing(size=(16384, 16384), fit="squash")), path)


def many_detections(path: Path) -> None:
    """10,000 detections on one image: threshold 0 and an overlap of 1 let all boxes of all classes compete."""
    model = detector()
    modelfile.write(replace(model, decoding=replace(TENSORFLOW, threshold=0.0, iou=1.0, max_detections=10_000)), path)


def many_metadata_lists(path: Path) -> None:
    """12 MB of empty lists in the header, which Python holds as 300 MB of objects."""
    metadata = {"mobilenet": "1", "metrics": "[" + "[]," * 4_000_000 + "[]]"}
    path.write_bytes(to_safetensors({"x": np.zeros(1, np.float32)}, metadata, ["x"]))


def deep_metadata(path: Path) -> None:
    """100,000 lists inside one another."""
    model = toy()
    metadata = {"mobilenet": "1", "network": "[" * 100_000 + "]" * 100_000}
    path.write_bytes(to_safetensors(model.tensors, metadata, list(model.tensors)))


def stride_of_two_point_zero(path: Path) -> None:
    """Rows of a MobileNetV2 with a stride of 2.0, which equals 2 but is no size of a step."""
    model = toy_v2()
    description = json.loads(json.dumps(model.network.description))
    description["rows"] = [[*row[:3], float(row[3])] for row in description["rows"]]
    metadata = {"mobilenet": "1", "network": json.dumps(description), "labels": json.dumps(model.labels)}
    path.write_bytes(to_safetensors(model.tensors, metadata, list(model.tensors)))


def toy_v2() -> ModelFile:
    network = mobilenet_v2(0.35, resolution=32, classes=2, rows=((1, 16, 1, 1), (6, 24, 1, 2)))
    return ModelFile(network, random_tensors(network), ("a", "b"), Preprocessing(size=(32, 32), fit="squash"))


MODEL_FILES = (
    (image_of_16384, "past the limit max_side"),
    (preprocessing_of_16384, "past the limit max_side"),
    (many_detections, "past the limit max_detections"),
    (many_metadata_lists, "past the limit max_json_bytes"),
    (deep_metadata, "past the limit max_json_depth"),
    (stride_of_two_point_zero, "mobilenet_v2.rows 1.0: must be a whole number"),
)


@pytest.mark.parametrize(("generator", "words"), MODEL_FILES)
def test_model_files(tmp_path, generator, words):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    generator(tmp_path / "m.safetensors")
    assert_refused(words, "predict", tmp_path / "x.png", "--model", tmp_path / "m.safetensors")


@pytest.mark.parametrize("setting", ["min_depth", "divisible_by", "width"])
def test_settings_of_400_digits(setting):
    result = outcome("cost", "mobilenet_v2", "--set", f"{setting}=1{'0' * 400}")
    assert result.status == 2, result
    assert len(result.lines) == 1, result
    assert len(result.lines[0]) < 500


def test_all_boxes_compete(tmp_path):
    """The most that the limits let through: 640 pixels, 90 classes, threshold 0, overlap 1, 1,000 detections."""
    network = ssdlite_mobilenet_v1(0.25, 640, classes=90)
    decoding = replace(TENSORFLOW, threshold=0.0, iou=1.0, max_detections=1000)
    decode = DetectionDecoder(network, Preprocessing(size=(640, 640), fit="squash"), decoding, tuple(map(str, range(90))))
    dice = np.random.default_rng(0)
    shapes = network.shapes()
    outputs = {name: dice.normal(size=(1, *shapes[name])).astype(np.float32) for name in network.outputs}
    import resource

    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    assert len(decode(outputs, 0, (640, 640)).boxes) == 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - start < 5


@pytest.mark.parametrize("max_boxes", [None, 1, 7, 50])
def test_nms_by_class_is_nms_of_each_class(max_boxes):
    """Against the definition: NMS within each class, then the best of all, equal scores by class and index."""
    dice = np.random.default_rng(1)
    for _ in range(30):
        count = int(dice.integers(0, 120))
        corners = dice.random((count, 2)) * 10
        boxes = np.concatenate([corners, corners + dice.random((count, 2)) * 5], axis=1).astype(np.float32)
        scores = (dice.integers(0, 6, count) / 6).astype(np.float32)  # many are equal
        classes = dice.integers(0, 5, count)
        indices = [np.empty(0, np.intp)]
        for number in np.unique(classes):
            members = np.flatnonzero(classes == number)
            indices.append(members[nms(boxes[members], scores[members], 0.3, max_boxes)])
        joined = np.concatenate(indices)
        expected = joined[np.argsort(-scores[joined], kind="stable")][:max_boxes]
        assert nms_by_class(boxes, scores, classes, 0.3, max_boxes).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "name",
    ["max_side", "max_madds", "max_activation_bytes", "max_tensor_bytes", "max_json_bytes", "max_json_depth",
     "max_candidates", "max_detections"],
)  # fmt: skip
def test_a_lowered_limit_refuses_an_ordinary_detector(tmp_path, monkeypatch, name):
    modelfile.write(replace(detector(), metrics={"a": {"b": 1.0}}), tmp_path / "m.safetensors")
    modelfile.read(tmp_path / "m.safetensors")
    monkeypatch.setattr(limits, "_in_force", [Limits(**{name: 1})])
    with pytest.raises(ModelFileError, match=f"past the limit {name} of 1; .*MOBILENET_LIMITS={name}=") as error:
        modelfile.read(tmp_path / "m.safetensors")
    assert len(str(error.value)) < 500


def test_users_calls_are_not_limited(monkeypatch):
    monkeypatch.setattr(limits, "_in_force", [Limits(max_side=1, max_madds=1)])
    assert mobilenet_v1(0.25, 64).resolution == (64, 64)
    assert Preprocessing(size=(64, 64), fit="squash").size == (64, 64)


def test_raising_a_limit_lets_the_file_in(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_in_force", [])
    preprocessing_of_16384(tmp_path / "m.safetensors")
    limits.set_limits(max_side=16384, max_activation_bytes=2**40, max_madds=10**15)
    assert modelfile.read(tmp_path / "m.safetensors").preprocessing.size == (16384, 16384)


def coco(path: Path) -> None:
    """Annotations larger than allowed, here by a lowered limit."""
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "a"}], "annotations": []}
    path.write_text(json.dumps(content))


def test_annotations(tmp_path, monkeypatch):
    coco(tmp_path / "instances.json")
    modelfile.write(detector(), tmp_path / "m.safetensors")
    monkeypatch.setenv("MOBILENET_LIMITS", "max_annotation_bytes=50")
    result = outcome("evaluate", "--data", tmp_path / "instances.json", "--model", tmp_path / "m.safetensors")
    assert result.status == 1, result
    assert "past the limit max_annotation_bytes of 50" in result.lines[-1]


def test_members_of_archives(tmp_path, monkeypatch):
    """A member of an archive is an image file like any other."""
    from mobilenet.data.records import Section
    from mobilenet.images.open import ImageError

    (tmp_path / "x.tar").write_bytes(bytes(100))
    monkeypatch.setattr(limits, "_in_force", [Limits(max_image_bytes=50)])
    with pytest.raises(ImageError, match="past the limit max_image_bytes of 50"):
        Section(str(tmp_path / "x.tar"), 0, 60).read("x.tar/a.jpg")
