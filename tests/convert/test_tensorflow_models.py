"""TensorFlow's exported models to model files: small ones written here, and the published ones against independent scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.quantized import quantized
from support.tflite_writer import write

import mobilenet
from mobilenet import modelfile
from mobilenet.convert.convert import convert
from mobilenet.convert.naming import LayoutError
from mobilenet.convert.readers.tfjs import read_tfjs
from mobilenet.images.masks import read_mask
from mobilenet.images.open import open_image
from mobilenet.modelfile import ModelFile
from mobilenet.network.heads import deeplabv3_mobilenet_v2
from mobilenet.network.layers import Conv, Network
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.predict.evaluate import records_for
from mobilenet.tasks.detection import default_boxes
from mobilenet.tasks.metrics import Accuracy
from mobilenet.tasks.results import VOID
from mobilenet.zoo import published
from mobilenet.zoo.carriers import FetchError, fetch
from mobilenet.zoo.load import load_model

FOLDED = {"epsilon": None, "padding": "tensorflow"}
HEAD = {"classes": 4, "head_epsilon": None, **FOLDED}
CORAL = "coral/mobilenet_v2_1.0_224_quant", "coral/tf2_mobilenet_v2_1.0_224_ptq", "coral/mobilenet_v1_0.25_128_quant"


def labels(count: int) -> tuple[str, ...]:
    return tuple("abcdefgh"[:count])


MEMBERS = [
    mobilenet_v1(0.25, (32, 45), classes=7, **FOLDED),
    mobilenet_v1(0.37, 32, classes=2, **FOLDED),
    mobilenet_v2(0.35, 33, classes=5, **FOLDED),
    mobilenet_v2(0.5, 32, classes=5, scale_last=True, **FOLDED),
    deeplabv3_mobilenet_v2(0.35, 33, **HEAD),
    deeplabv3_mobilenet_v2(0.5, (33, 50), divisible_by=1, output_stride=8, **HEAD),
    deeplabv3_mobilenet_v2(0.35, 33, output_stride=8, aspp="full", **HEAD),
    deeplabv3_mobilenet_v2(0.35, 65, output_stride=32, aspp="separable", **HEAD),
]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("network", MEMBERS, ids=lambda network: f"{network.architecture}-{network.settings.width}")
def test_every_tensor_and_scale_comes_back(tmp_path, network, dtype):
    tensors, quantization = quantized(network, dtype)
    (tmp_path / "m.tflite").write_bytes(write(network, tensors, quantization)[0])
    conversion = convert(tmp_path / "m.tflite", labels=labels(network.settings.classes))
    model = conversion.model
    assert model.network == network
    assert model.network.description == network.description
    assert {origin.canonical for origin in conversion.origins} == set(tensors)
    for name, tensor in tensors.items():
        assert model.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(model.tensors[name], tensor, err_msg=name)
    found = model.quantization
    assert found is not None
    assert (found.dtype, dict(found.activations)) == (dtype, dict(quantization.activations))
    assert dict(found.zero_points) == dict(quantization.zero_points)
    for name, scale in quantization.scales.items():
        np.testing.assert_array_equal(found.scales[name], scale)
    pixels = np.arange(256, dtype=np.float32)
    real = (pixels / 255 - np.float32(model.preprocessing.mean[0])) / np.float32(model.preprocessing.std[0])
    scale, zero_point = found.activations["input"]
    np.testing.assert_allclose(real / scale + zero_point - found.range[0], pixels, atol=1e-3)


def changed(network: Network, name: str, **change: object) -> Network:
    layers = tuple(replace(layer, **change) if layer.name == name else layer for layer in network.layers)
    return replace(network, layers=layers)


TOY = mobilenet_v2(0.35, 32, classes=3, **FOLDED)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (changed(TOY, "layer_4.depthwise", dilation=2), "'layer_4.depthwise', has dilation 2, must be 1"),
        (changed(TOY, "layer_19", activation="relu"), "'layer_19', has activation relu, must be relu6"),
        (changed(TOY, "layer_4.project", activation="relu6"), "'layer_4.project', has activation relu6, must be linear"),
        (changed(TOY, "layer_6.add", inputs=("layer_6.project", "layer_6.project")), "nothing computes 'layer_6.add' from"),
        (changed(TOY, "layer_5.expand", inputs=("layer_4.project",)), "nothing computes 'layer_5.expand' from layer_4.add"),
    ],
)
def test_other_wires_are_refused(tmp_path, network, words):
    tensors, quantization = quantized(TOY, "int8")
    (tmp_path / "m.tflite").write_bytes(write(network, tensors, quantization)[0])
    with pytest.raises(LayoutError, match=words):
        convert(tmp_path / "m.tflite", labels=labels(3))


def test_a_mismatch_names_the_tensor(tmp_path):
    wide = changed(TOY, "layer_3.project", out_channels=16)
    wide = changed(changed(wide, "layer_4.expand", in_channels=16), "layer_4.project", out_channels=16)
    wide = changed(wide, "layer_5.expand", in_channels=16)
    tensors, quantization = quantized(wide, "int8")
    (tmp_path / "m.tflite").write_bytes(write(wide, tensors, quantization)[0])
    with pytest.raises(LayoutError, match=r"tensor 'MobilenetV2/expanded_conv_1/project.weight' is \(16, 48, 1, 1\), must be"):
        convert(tmp_path / "m.tflite", labels=labels(3))


def test_damaged_models_never_fail_otherwise(tmp_path):
    network = mobilenet_v1(0.25, 32, classes=2, **FOLDED)
    content = write(network, *quantized(network, "int8"))[0]
    generator, path = np.random.default_rng(0), tmp_path / "m.tflite"
    head = np.flatnonzero(np.frombuffer(content, np.uint8) < 60)  # mostly structure
    for _ in range(250):
        damaged = bytearray(content)
        for place in generator.choice(head, 4):
            damaged[place] = generator.choice([0, 1, 2, 3, 4, 255, generator.integers(0, 256)])
        path.write_bytes(damaged)
        try:
            convert(path, labels=labels(2))
        except ValueError as error:
            assert type(error) is not ValueError  # noqa: PT017


# The published files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    """A published model by name: from the shared folder's files, or by any other carrier; skips where there is none."""

    def load(name: str) -> ModelFile:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MOBILENET_WEIGHTS", str(shared / "weights"))
            patch.setattr("mobilenet.zoo.download.TOTAL_TIMEOUT", 4)
            try:
                return load_model(name)
            except FetchError as error:
                pytest.skip(str(error))

    return load


@pytest.mark.parametrize(
    ("name", "dtype", "tensors", "settings"),
    [
        (CORAL[0], "uint8", 106, {"width": 1.0, "classes": 1001}),
        (CORAL[1], "int8", 106, {"width": 1.0, "classes": 1001}),
        (CORAL[2], "uint8", 56, {"width": 0.25, "classes": 1001}),
        ("voc", "uint8", 110, {"width": 1.0, "output_stride": 16, "aspp": "none", "divisible_by": 8}),
        ("voc-small", None, 110, {"width": 0.5, "output_stride": 8, "aspp": "none", "divisible_by": 1}),
        ("coco", None, 176, {"width": 1.0, "classes": 90}),
    ],
)
def test_published_models_whole(real, tmp_path, name, dtype, tensors, settings):
    model = real(name)
    assert len(model.tensors) == tensors
    assert settings.items() <= model.network.settings.to_json().items()
    assert (model.network.padding, model.network.settings.epsilon) == ("tensorflow", None)
    assert (model.quantization and model.quantization.dtype) == dtype
    assert model.provenance["licence"] == "Apache-2.0"
    modelfile.write(model, tmp_path / "a.safetensors")
    modelfile.write(modelfile.read(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def litert_of(path: Path, kernels: str):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(
        str(path),
        experimental_op_resolver_type=getattr(litert.OpResolverType, kernels),
        experimental_preserve_all_tensors=kernels == "BUILTIN_REF",
    )
    interpreter.allocate_tensors()
    return interpreter


@pytest.mark.parametrize("name", [*CORAL, "voc"])
def test_logits_are_litert_s_own(real, shared, name):
    """The reference kernels' integers before softmax or argmax, on photographs: all of them equal."""
    model = real(name)
    file = published.find(name).files[0].name
    interpreter = litert_of(shared / "weights" / file, "BUILTIN_REF")
    predict = mobilenet.load(model)
    details = interpreter.get_input_details()[0]
    scale, zero_point = model.quantization.activations[model.network.layers[-1].name]
    for path in sorted((shared / "data" / "imagenet100").glob("*/*"))[: 1 if name == "voc" else 3]:
        x = model.preprocessing(open_image(path))
        pixels = np.rint(x * np.array(model.preprocessing.std)[:, None, None] * 255 + 255 * model.preprocessing.mean[0])
        interpreter.set_tensor(details["index"], pixels.transpose(1, 2, 0)[None].astype(np.uint8))
        interpreter.invoke()
        (ours,) = predict.runtime(x[None]).values()
        integers = np.rint(ours / np.float32(scale)) + zero_point
        tensors = [interpreter.get_tensor(d["index"]) for d in interpreter.get_tensor_details() if same_kind(d, ours, scale)]
        if ours.ndim == 4:
            integers = integers.transpose(0, 2, 3, 1)
        assert any(np.array_equal(theirs.reshape(integers.shape), integers) for theirs in tensors)


def same_kind(details, ours: np.ndarray, scale: float) -> bool:
    return np.prod(details["shape"]) == ours.size and abs(details["quantization"][0] - scale) < 1e-9


@pytest.mark.parametrize(
    ("name", "step", "top1", "top5"),
    [(CORAL[0], 4, 20, 23), (CORAL[1], 4, 21, 23), (CORAL[2], 1, 49, 77)],
)
def test_classifiers_score_what_litert_scores(real, shared, name, step, top1, top5):
    """Every fourth image of the hundred, on which LiteRT has 85 and 95, 79 and 95, 49 and 77 right."""
    predict, score = mobilenet.load(real(name)), Accuracy()
    for record in records_for(predict.model, shared / "data" / "imagenet100")[::step]:
        score.add(predict(record.name), record.truth)
    metrics = score.metrics()
    assert abs(metrics["top1"] * 100 / step - top1) < 1.01
    assert abs(metrics["top5"] * 100 / step - top5) < 1.01


def test_voc_labels_the_pixels_that_litert_labels(real, shared):
    """Six of the 72 images: LiteRT has 0.9742 of their pixels right. On all 72: mIoU 0.7376, 0.9533 of the pixels."""
    predict, folder = mobilenet.load(real("voc")), shared / "data" / "voc2012"
    right = total = 0
    for name in (folder / "ImageSets" / "Segmentation" / "val.txt").read_text().split()[::12]:
        truth = read_mask(folder / "SegmentationClass" / f"{name}.png")
        mask = predict(folder / "JPEGImages" / f"{name}.jpg").mask
        right += int((mask == truth)[truth != VOID].sum())
        total += int((truth != VOID).sum())
    assert right / total == pytest.approx(0.9742, abs=0.001)


def test_anchors_are_the_published_graph_s_own(real, tmp_path):
    """The graph carries its 1917 default boxes as a constant: corners, y first, in shares of the image."""
    model = real("coco")
    graph = read_tfjs(fetch(published.find("coco")).folder / "model.json")
    y0, x0, y1, x1 = graph.weights["Postprocessor/ExpandDims"][0].T
    centered = np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], axis=1)
    np.testing.assert_allclose(default_boxes(model.network), centered, atol=2e-6)


def test_no_convolution_is_left_with_a_norm(real):
    for layer in real("coco").network.layers:
        assert not isinstance(layer, Conv) or layer.epsilon is None
