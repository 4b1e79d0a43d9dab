"""Exports for the browser, run by node: the bits of the engine, and the answers of `predict`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from support.browsers import need_node, need_web_core
from support.models import IMAGE, PAD, detector, segmenter, toy
from support.paths import ROOT
from support.quantized import quantized

import mobilenet
from mobilenet.engine.native import Native
from mobilenet.exports.exporter import Content, ExportError
from mobilenet.exports.formats import PAGE, format_of
from mobilenet.exports.web_file import Node, WebExporter
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.serving.page import page_files
from mobilenet.values import replace
from mobilenet.web.files import page


@pytest.fixture(autouse=True)
def tools():
    need_web_core()
    need_node()


def exported(model, folder, **settings):
    folder = folder / "m-web"
    folder.mkdir()
    WebExporter().write(Content(model, **settings), folder)
    return folder


def pixels_of(image: Image.Image) -> tuple[bytes, int, int]:
    return image.convert("RGB").convert("RGBA").tobytes(), *image.size


@pytest.mark.parametrize(("isa", "same"), [("wasm", "portable"), ("wasmrelaxed", "avx2")])
@pytest.mark.parametrize("make", [lambda: toy(7), detector, segmenter], ids=["classes", "boxes", "masks"])
def test_outputs_have_the_bits_of_the_engine(make, isa, same, tmp_path, monkeypatch):
    """SIMD128 those of the portable kernels; relaxed SIMD, where its multiply-adds are fused, those of AVX2."""
    model = make()
    monkeypatch.setenv("MOBILENET_ISA", same)
    try:
        engine = Native(model.network, model.tensors)
    except mobilenet.UsageError:
        pytest.skip(f"this processor has no {same}")
    node = Node(exported(model, tmp_path), isa)
    x = np.random.default_rng(0).normal(size=(3, 3, *model.preprocessing.size)).astype(np.float32)
    for one in x:
        node.send(np.array([0, one.size], "<u4").tobytes() + one.tobytes())
        for output in engine(one[None]).values():
            assert node.read(output.nbytes) == np.ascontiguousarray(output).tobytes()
    node.close()


@pytest.mark.parametrize("isa", ["wasm", "wasmrelaxed"])
def test_integers_are_exact(isa, tmp_path):
    IMAGE.save(tmp_path / "image.png")
    model = mobilenet.quantize(toy(7), [tmp_path / "image.png"]).model
    engine = Native(model.network, model.tensors, quantization=model.quantization)
    node = Node(exported(model, tmp_path, precision="int8"), isa)
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    node.send(np.array([0, x.size], "<u4").tobytes() + x.tobytes())
    (expected,) = engine(x).values()
    assert node.read(expected.nbytes) == expected.tobytes()
    node.close()


def test_published_integers_are_exact(tmp_path):
    network = toy(7, epsilon=None, padding="tensorflow").network
    tensors, quantization = quantized(network, "uint8")
    model = replace(toy(7), network=network, tensors=tensors, quantization=quantization)
    engine = Native(network, tensors, quantization=quantization)
    node = Node(exported(model, tmp_path, precision="int8"), "wasm")
    for one in np.random.default_rng(0).normal(size=(8, 1, 3, 32, 32)).astype(np.float32):
        node.send(np.array([0, one.size], "<u4").tobytes() + one.tobytes())
        (expected,) = engine(one).values()
        assert node.read(expected.nbytes) == expected.tobytes()
    node.close()


INPUTS = {
    "center_crop": lambda: replace(toy(7), preprocessing=Preprocessing(size=(33, 39), fit="center_crop", resize=45)),
    "central_fraction": lambda: replace(
        toy(7), preprocessing=Preprocessing(size=(32, 32), fit="central_fraction", fraction=0.875, interpolation="bicubic")
    ),
    "boxes": detector,
    "softmax boxes": lambda: detector(anchors="torchvision"),
    "padded boxes": lambda: replace(detector(), preprocessing=PAD),
    "masks": segmenter,
    "small masks": lambda: segmenter(replace(PAD, enlarge=1.0, size=(81, 90))),
}


@pytest.mark.parametrize("name", INPUTS)
def test_answers_are_those_of_predict(name, tmp_path):
    model = INPUTS[name]()
    node = Node(exported(model, tmp_path), "wasm")
    answer, mask = node.predict(*pixels_of(IMAGE))
    expected = mobilenet.load(model)(IMAGE, threshold=0.0, top=100)
    compare(answer, mask, expected)
    node.close()


def compare(answer, mask, expected, within=1e-3):
    """Scores within a thousandth: SIMD128 rounds twice where x86 rounds once."""
    found = answer["predictions"]
    assert answer["task"] == expected.task
    assert [each["label"] for each in found[:5]] == [each.label for each in expected[:5]]
    for each, other in zip(found, expected, strict=False):
        assert each["score"] == pytest.approx(other.score, abs=within)
        if expected.task == "detection":
            assert each["box"] == pytest.approx(other.box, abs=0.05)
        if expected.task == "segmentation":
            assert each["share"] == pytest.approx(other.share, abs=within)
    if expected.task == "segmentation":
        assert (np.frombuffer(mask, np.uint8).reshape(expected.mask.shape) == expected.mask).mean() > 0.999


@pytest.mark.parametrize("photo", ["cat", "coffee", "rocket"])
def test_photos_have_the_percentages_of_predict(photo, imagenet, tmp_path):
    path = ROOT / "photos" / f"{photo}.jpg"
    node = Node(exported(imagenet, tmp_path))
    answer, _ = node.predict(*pixels_of(Image.open(path)))
    expected = mobilenet.load(imagenet, fast_decoding=False)(path)
    for found, each in zip(answer["predictions"], expected, strict=False):
        assert (found["label"], round(100 * found["score"], 1)) == (each.label, pytest.approx(100 * each.score, abs=0.1))
    node.close()


def test_damaged_files_are_refused_in_words(tmp_path):
    folder = exported(toy(), tmp_path)
    weights = (folder / "model.weights").read_bytes()
    (folder / "model.weights").write_bytes(weights[:-40])
    with pytest.raises(ExportError, match="weights"):
        Node(folder)
    (folder / "model.weights").unlink()
    with pytest.raises(ExportError, match=r"model\.weights"):
        Node(folder)


def test_an_image_without_pixels_is_refused(tmp_path):
    node = Node(exported(toy(), tmp_path))
    with pytest.raises(ExportError, match=r"pixels|too large"):
        node.predict(b"", 0xFFFFFFFF, 0)


def test_the_page_holds_what_the_format_says_and_works_offline(tmp_path):
    folder = exported(toy(), tmp_path, page=True)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in names if "/" not in name} == {*PAGE, "model.json", "model.program", "model.weights"}
    package = json.loads((folder / "mobilenet" / "package.json").read_text())
    assert package["version"] == mobilenet.__version__
    assert set(format_of("web").parts) == {name.partition("/")[0] for name in names}
    kept = json.loads((folder / "offline.js").read_text().split("= ")[1].split(";\n")[0])
    unneeded = {"offline.js", "mobilenet/package.json", "mobilenet/mobilenet.d.ts"}
    assert set(kept["files"]) == names - unneeded | {"./"}
    assert (folder / "drawing.js").read_bytes() == page_files()["drawing.js"]
    assert page({"model.json": b"1"})["offline.js"] != page({"model.json": b"2"})["offline.js"]  # a new model, a new version
