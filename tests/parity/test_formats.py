"""Every export format: written, run by its own runtime, and refused if it is wrong."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from PIL import Image
from support.browsers import need_node, need_web_core
from support.models import PAD, detector, segmenter, toy
from support.paths import ROOT

import mobilenet
from mobilenet.exports.formats import FORMATS, exporter
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.parity.gate import ParityError
from mobilenet.values import replace


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three images of different shapes; random weights need no photos."""
    path = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number, size in enumerate(((40, 50), (64, 33), (33, 33))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).resize((90, 70)).save(path / f"{number}.png")
    return path


MODELS = {
    "v1": lambda: toy(7),
    "odd, tensorflow": lambda: at(toy(5, padding="tensorflow"), (35, 47)),
    "boxes": detector,
    "softmax boxes": lambda: detector(anchors="torchvision"),
    "masks": segmenter,
}


def at(model: ModelFile, size: tuple[int, int]) -> ModelFile:
    return replace(model, network=model.network.at(size), preprocessing=model.preprocessing.at(size))


def needs(kind):
    if kind.name == "web":
        need_web_core()
        need_node()
    if lacking := kind.missing((*kind.packages, *kind.runtime)):
        pytest.skip(f"{' and '.join(lacking)} not installed")
    if kind.systems and sys.platform not in kind.systems:
        pytest.skip(f"runs on {' and '.join(kind.systems)} alone")


SLOW = ("torch", "executorch", "mnn", "ncnn")
"""Formats whose converters take seconds for the smallest network: they write one."""
CASES = [
    (kind, name, precision)
    for kind in FORMATS.values()
    for name in MODELS
    for precision in kind.precisions
    if precision != "int8" and (name == "odd, tensorflow" or kind.name not in SLOW)
]


@pytest.mark.parametrize(("kind", "name", "precision"), CASES, ids=lambda value: getattr(value, "name", value))
def test_an_export_is_proved_by_its_own_runtime(kind, name, precision, folder, tmp_path):
    needs(kind)
    out = tmp_path / f"m{kind.suffix}"
    done = mobilenet.export(MODELS[name](), kind.name, out, precision=precision, data=folder)
    assert out.exists()
    assert done.comparison is not None
    assert done.comparison.images == 3
    assert [each.name for each in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("kind", FORMATS.values(), ids=FORMATS)
def test_a_transposed_kernel_is_caught(kind, folder, tmp_path, monkeypatch):
    needs(kind)
    model, writer = toy(), type(exporter(kind))
    kernels = [name for name, tensor in model.tensors.items() if tensor.ndim == 4]
    tensors = {name: np.ascontiguousarray(model.tensors[name].swapaxes(2, 3)) for name in kernels}
    wrong, write = replace(model, tensors={**model.tensors, **tensors}), writer.write
    monkeypatch.setattr(writer, "write", lambda self, content, path: write(self, replace(content, model=wrong), path))
    with pytest.raises(ParityError, match=r"not written: the largest difference of output 'classifier' is "):
        mobilenet.export(model, kind.name, tmp_path / f"m{kind.suffix}", data=folder)
    assert not list(tmp_path.iterdir())


WHOLE = {
    "center_crop": lambda: replace(toy(7), preprocessing=Preprocessing(size=(33, 39), fit="center_crop", resize=45)),
    "black edges": lambda: replace(toy(7), preprocessing=Preprocessing(size=(80, 39), fit="center_crop", resize=45)),
    "central_fraction": lambda: replace(
        toy(7), preprocessing=Preprocessing(size=(32, 32), fit="central_fraction", fraction=0.875, interpolation="bicubic")
    ),
    "central_part": lambda: replace(
        toy(7), preprocessing=Preprocessing(size=(32, 32), fit="central_part", fraction=0.77, interpolation="nearest")
    ),
    "boxes": detector,
    "padded boxes": lambda: replace(detector(anchors="torchvision"), preprocessing=PAD),
    "masks": segmenter,
    "small masks": lambda: segmenter(replace(PAD, enlarge=1.0, size=(81, 90))),
}
"""Every way into a network and out of it."""


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("kind", [kind for kind in FORMATS.values() if kind.whole], ids=lambda kind: kind.name)
def test_a_whole_export_takes_an_image(kind, name, folder, tmp_path):
    needs(kind)
    if kind.name == "litert" and "boxes" in name:
        pytest.skip("its operation cuts boxes at the image's edges after NMS, which matters for random weights")
    model = WHOLE[name]()
    done = mobilenet.export(model, kind.name, tmp_path / f"m{kind.suffix}", whole=True, data=folder)
    assert done.comparison is not None
    assert done.comparison.agreement.all > 0
    assert done.comparison.agreement.share > 0.99
    assert done.comparison.agreement.largest_score < 0.01


def test_ten_lines_of_onnx_runtime_find_the_boxes_of_predict(coco, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path = tmp_path / "coco.onnx"
    mobilenet.export(coco, "onnx", path, whole=True)

    session = onnxruntime.InferenceSession(path)
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    image = Image.open(ROOT / "photos" / "coffee.jpg").convert("RGB")
    boxes, scores, classes = session.run(["boxes", "scores", "classes"], {"image": np.asarray(image)})
    found = [(labels[i], score, box) for i, score, box in zip(classes, scores, boxes, strict=True) if score >= 0.3]

    expected = mobilenet.load(coco)(image, threshold=0.3)
    assert [label for label, _, _ in found] == [each.label for each in expected]
    for (_, score, box), each in zip(found, expected, strict=True):
        assert score == pytest.approx(each.score, abs=2e-3)  # a level of 255 in a thousandth of the pixels
        assert box == pytest.approx(each.box, abs=0.2)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS.values() if kind.name not in SLOW], ids=lambda kind: kind.name)
def test_an_export_has_the_same_bytes_each_time(kind, folder, tmp_path):
    needs(kind)
    written = []
    for number in "12":
        (tmp_path / number).mkdir()
        out = tmp_path / number / f"m{kind.suffix}"
        mobilenet.export(toy(7), kind.name, out, data=folder)
        files = sorted(each for each in out.rglob("*") if each.is_file()) if out.is_dir() else [out]
        written.append([each.read_bytes() for each in files])
    assert written[0] == written[1]
