"""Core ML packages: no prediction runs on Linux, so coremltools reads the file, and `support.mil` computes its program."""

from __future__ import annotations

import json
import re
import runpy
import sys

import numpy as np
import pytest
from PIL import Image
from support.grid import gridded
from support.integer_networks import NETWORKS
from support.models import detector, segmenter, toy
from support.weights import images, random_tensors, tolerance

import mobilenet
from mobilenet.engine.reference import Reference
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.network.layers import GlobalPool
from mobilenet.tasks import boxes as box_math
from mobilenet.values import replace

pytest.importorskip("torch")
pytest.importorskip("coremltools")
from support import mil

from mobilenet.exports.coreml_file import CoreMLExporter
from mobilenet.exports.coreml_whole import unique_labels
from mobilenet.exports.exporter import Content, ExportError

pytestmark = pytest.mark.filterwarnings("ignore")  # coremltools' own, at import and in every conversion


def exported(tmp_path, model, precision="fp32", whole=False):
    path = tmp_path / f"{precision}-{whole}.mlpackage"
    CoreMLExporter().write(Content(model, precision, whole), path)
    return path


def of_network(network) -> ModelFile:
    labels = tuple(map(str, range(network.settings.classes or 0)))
    return ModelFile(network, random_tensors(network), labels, Preprocessing(size=network.resolution, fit="squash"))


def whole_bytes(path):
    return {str(each.relative_to(path)): each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}


MODELS = {
    "v1, odd classes": lambda: toy(17),
    "v2, tensorflow": lambda: of_network(NETWORKS["tensorflow"]),
    "boxes": detector,
    "masks": segmenter,
}


@pytest.mark.parametrize("name", MODELS)
def test_programs(name, tmp_path):
    model = MODELS[name]()
    x = images(model.network)
    path = exported(tmp_path, model)
    found = mil.run(path, x)
    for output, value in Reference(model.network, model.tensors)(x).items():
        bound = tolerance(model.network, float(np.abs(value).max()))
        np.testing.assert_allclose(found[output.replace(".", "_")], value, rtol=0, atol=bound)
    first = whole_bytes(path)
    assert sorted(first) == [
        "Data/com.apple.CoreML/model.mlmodel",
        "Data/com.apple.CoreML/weights/weight.bin",
        "Manifest.json",
    ]
    assert first == whole_bytes(exported(tmp_path / "again", model))
    weights = sum(4 * np.prod(shape) for shape in model.network.parameters().values())
    assert len(first["Data/com.apple.CoreML/weights/weight.bin"]) < 1.1 * weights


def test_half_precision(tmp_path):
    """Weights and values are rounded to float16: half of the bytes, and no more noise than that."""
    model = toy(7)
    x = images(model.network)
    (value,) = Reference(model.network, model.tensors)(x).values()
    found = mil.run(exported(tmp_path, model, "fp16"), x)["classifier"]
    noise = np.sqrt(np.mean((found - value) ** 2) / np.mean(value**2))
    assert 1e-5 < noise < 0.01


def test_integers_are_those_of_the_model_file(tmp_path):
    """Stored in int8 with a scale for each channel; the program computes with the real numbers they stand for."""
    network = NETWORKS["v2"]
    tensors, quantization = gridded(network)
    preprocessing = Preprocessing(size=network.resolution, fit="squash")
    model = ModelFile(network, tensors, tuple("abcdefghij"), preprocessing, quantization=quantization)
    path, x = exported(tmp_path, model, "int8"), images(network)
    (value,) = Reference(network, quantization.dequantized(network, tensors))(x).values()
    found = mil.run(path, x)["classifier"]
    np.testing.assert_allclose(found, value, rtol=0, atol=tolerance(network, float(np.abs(value).max())))
    floats = len(whole_bytes(exported(tmp_path, model.dequantized()))["Data/com.apple.CoreML/weights/weight.bin"])
    assert len(whole_bytes(path)["Data/com.apple.CoreML/weights/weight.bin"]) < 0.35 * floats


def pixels_of(model) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (*model.preprocessing.size, 3), np.uint8)


def as_input(pixels):
    """What Core ML makes of an image for a program: (1, 3, H, W), 0 to 255."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)


def test_whole_classifier(tmp_path):
    model = replace(toy(5), labels=("crane", "cat", "crane", "dog", "fox"), label_ids=("n1", "n2", "n3", "n4", "n5"))
    path, pixels = exported(tmp_path, model, whole=True), pixels_of(model)
    (found,) = mil.run(path, as_input(pixels)).values()
    expected = mobilenet.load(model, backend="reference")(Image.fromarray(pixels))
    np.testing.assert_allclose(found[0], expected.scores, rtol=1e-4, atol=1e-6)
    assert unique_labels(model) == ["crane (n1)", "cat", "crane (n3)", "dog", "fox"]
    _, spec = mil.opened(path)
    (image,) = spec.description.input
    assert image.type.WhichOneof("Type") == "imageType"
    assert [each.name for each in spec.description.output] == ["classLabel", "classLabel_probs"]


@pytest.mark.parametrize("anchors", ["tensorflow", "torchvision"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_whole_detector(anchors, precision, tmp_path):
    """The program's boxes and scores, before NMS, are those that `predict` decodes; the pipeline's NMS has its rules."""
    model = detector(3, anchors=anchors)
    path, pixels = exported(tmp_path, model, precision, whole=True), pixels_of(model)
    found = mil.run(path, as_input(pixels))
    decoding = replace(model.decoding, iou=1.0, threshold=0.0, max_detections=10_000, max_candidates=None)
    every = mobilenet.load(replace(model, decoding=decoding), backend="reference")(Image.fromarray(pixels))
    x, y, w, h = (found["raw_coordinates"] * 33).T
    corners, scores = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1), found["raw_confidence"]
    rough = precision == "fp16"
    assert len(every) > 100
    for detection in every.top(200):
        overlaps = box_math.iou(np.array([detection.box]), corners)[0]
        near = np.abs(scores[:, detection.index] - detection.score) < (0.01 if rough else 1e-5)
        assert (overlaps[near] > (0.95 if rough else 0.999)).any()
    _, spec = mil.opened(path)
    nms = spec.pipeline.models[1].nonMaximumSuppression
    assert (nms.iouThreshold, nms.confidenceThreshold) == (model.decoding.iou, model.decoding.threshold)
    assert nms.pickTop.perClass
    assert list(nms.stringClassLabels.vector) == list(model.labels)
    assert [each.name for each in spec.description.input] == ["image", "iouThreshold", "confidenceThreshold"]


def test_whole_segmenter(tmp_path):
    model = segmenter()
    path, pixels = exported(tmp_path, model, whole=True), pixels_of(model)
    expected = mobilenet.load(model, backend="reference")(Image.fromarray(pixels)).mask
    np.testing.assert_array_equal(mil.run(path, as_input(pixels))["mask"], expected)
    _, spec = mil.opened(path)
    metadata = spec.description.metadata.userDefined
    assert metadata["com.apple.coreml.model.preview.type"] == "imageSegmenter"
    preview = json.loads(metadata["com.apple.coreml.model.preview.params"])
    assert preview["labels"] == list(model.labels)
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in preview["colors"])


def test_a_transposed_kernel_is_seen(tmp_path):
    model = toy(7)
    x = images(model.network)
    (value,) = Reference(model.network, model.tensors)(x).values()
    wrong = {name: each.swapaxes(-1, -2).copy() if each.ndim == 4 else each for name, each in model.tensors.items()}
    found = mil.run(exported(tmp_path, replace(model, tensors=wrong)), x)["classifier"]
    assert np.abs(found - value).max() > 100 * tolerance(model.network, float(np.abs(value).max()))


def test_what_the_format_cannot_hold(tmp_path):
    network = NETWORKS["half pixel"]
    assert any(isinstance(layer, GlobalPool) for layer in network.layers)
    with pytest.raises(ExportError, match="aligned corners"):
        exported(tmp_path, of_network(network))


def test_what_is_not_verified_comes_with_a_check(tmp_path, monkeypatch):
    """The script, with the evaluator in the place of Core ML: right for its own file, wrong for one with other weights."""
    import coremltools as ct

    class Evaluated:
        def __init__(self, path):
            self.path = path
            self.user_defined_metadata = dict(mil.opened(path)[1].description.metadata.userDefined)

        def predict(self, data):
            return mil.run(self.path, data["input"])

    model = toy(3)
    done = mobilenet.export(model, "coreml", tmp_path / "m.mlpackage")
    assert done.comparison is None
    assert "darwin" in done.unverified
    negative = {"classifier.weight": -model.tensors["classifier.weight"]}
    other = exported(tmp_path, replace(model, tensors={**model.tensors, **negative}))
    real = ct.models.MLModel
    for path, verdict in ((done.path, 0), (other, 1)):
        monkeypatch.setattr(sys, "argv", [str(done.script), str(path)])
        monkeypatch.setattr(ct.models, "MLModel", lambda path, **rest: real(path, **rest) if rest else Evaluated(path))
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(done.script), run_name="__main__")
        assert ended.value.code == verdict
