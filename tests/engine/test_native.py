"""The native engine against the numpy reference: every structural switch, instruction set, odd size and thread count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.networks import custom
from support.weights import images, random_tensors, tolerance

from mobilenet.engine.fold import fold
from mobilenet.engine.reference import Reference
from mobilenet.network.heads import (
    deeplabv3_mobilenet_v1,
    deeplabv3_mobilenet_v2,
    ssd_mobilenet_v2,
    ssdlite_mobilenet_v1,
    ssdlite_mobilenet_v2,
)
from mobilenet.network.layers import Concat, Conv, GlobalPool, Linear, Network, Resize
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2

_core = pytest.importorskip("mobilenet._core", reason="the native core is not built")
from mobilenet.engine.native import Native, compile_plan  # noqa: E402
from mobilenet.engine.plan import plan as planning  # noqa: E402
from mobilenet.engine.plan.steps import Style  # noqa: E402

ISAS = _core.isas()
SMALL = {"resolution": 33, "classes": 10}


def assert_close(network: Network, ours: dict, expected: dict) -> None:
    assert list(ours) == list(expected)
    for name, value in expected.items():
        assert ours[name].shape == value.shape
        assert ours[name].dtype == np.float32
        scale = max(float(np.abs(value).max()), 1.0)
        # The reference sums a mean pairwise, the engine pixel by pixel: another rounding for each pixel.
        pooled = math.sqrt(network.resolution[0] * network.resolution[1]) * 2.0**-24 * scale
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=tolerance(network, scale) + pooled)


SWITCHES = {
    "v2": mobilenet_v2(**SMALL),
    "v2 0.35": mobilenet_v2(0.35, **SMALL),
    "v2 1.4": mobilenet_v2(1.4, **SMALL),
    "channels of no multiple of 16": mobilenet_v2(0.5, divisible_by=1, min_depth=1, **SMALL),
    "one channel": mobilenet_v2(0.02, divisible_by=1, min_depth=1, **SMALL),
    "tensorflow padding": mobilenet_v2(0.5, padding="tensorflow", epsilon=1e-3, **SMALL),
    "tensorflow padding, even": mobilenet_v2(0.5, resolution=64, classes=10, padding="tensorflow"),
    "relu": mobilenet_v2(0.5, activation="relu", **SMALL),
    "relu6 projection": mobilenet_v2(0.5, projection="relu6", **SMALL),
    "relu projection": mobilenet_v2(0.5, projection="relu", **SMALL),
    "shortcut between expansions": mobilenet_v2(0.5, shortcut="expansion", **SMALL),
    "no shortcut": mobilenet_v2(0.5, shortcut="none", **SMALL),
    "expansion 1": mobilenet_v2(0.5, expansion=1, **SMALL),
    "expansion 2.5": mobilenet_v2(0.5, expansion=2.5, **SMALL),
    "output stride 8": mobilenet_v2(0.35, resolution=65, classes=10, output_stride=8),
    "output stride 16, tensorflow": mobilenet_v2(0.35, resolution=65, classes=None, output_stride=16, padding="tensorflow"),
    "dilation past the image": mobilenet_v2(0.35, resolution=9, classes=10, output_stride=8),
    "no classifier": mobilenet_v2(0.5, resolution=33, classes=None),
    "v1": mobilenet_v1(0.5, **SMALL),
    "v1 odd channels": mobilenet_v1(0.37, min_depth=1, **SMALL),
    "v1 full": mobilenet_v1(0.25, convolution="full", **SMALL),
    "v1 full, dilated, tensorflow": mobilenet_v1(0.25, convolution="full", output_stride=8, padding="tensorflow", **SMALL),
    "v1 output stride 8": mobilenet_v1(0.25, output_stride=8, padding="tensorflow", **SMALL),
    "stride-2 blocks first": mobilenet_v2(0.5, rows=[(6, 24, 2, 2), (1, 40, 1, 2), (3, 40, 3, 1)], **SMALL),
    "1 x 1 pixel": mobilenet_v2(0.35, resolution=1, classes=10),
    "one row": mobilenet_v2(0.35, resolution=(1, 50), classes=10),
    "one column": mobilenet_v1(0.25, resolution=(50, 1), classes=10, padding="tensorflow"),
    "not square": mobilenet_v2(0.35, resolution=(97, 34), classes=10),
    "every block a tap": mobilenet_v2(0.35, **SMALL).until("layer_1", "layer_4", "layer_8", "layer_18", "pool", "classifier"),
    "taps inside blocks": mobilenet_v2(0.35, **SMALL).until(
        "layer_3.expand", "layer_4.depthwise", "layer_4.project", "layer_15.expand", "layer_19"
    ),
    "ssdlite v2": ssdlite_mobilenet_v2(0.35, resolution=65, classes=3),
    "ssdlite v2, tensorflow, even": ssdlite_mobilenet_v2(
        0.5, resolution=(64, 96), classes=5, padding="tensorflow", epsilon=1e-3, min_depth=16
    ),
    "ssdlite v1": ssdlite_mobilenet_v1(0.25, resolution=(70, 33), classes=2, anchors="torchvision"),
    "ssd v2": ssd_mobilenet_v2(0.35, resolution=(33, 64), classes=3),
    "ssd v2, predictors 1 x 1, folded": ssd_mobilenet_v2(
        0.35, resolution=48, classes=3, extras="separable", kernel=1, epsilon=None
    ),
    "deeplab v2": deeplabv3_mobilenet_v2(0.35, resolution=(65, 48), padding="tensorflow"),
    "deeplab v2, separable, folded": deeplabv3_mobilenet_v2(0.35, resolution=34, aspp="separable", head_epsilon=None),
    "deeplab v2, full, output stride 8": deeplabv3_mobilenet_v2(
        0.35, resolution=(33, 50), classes=2, aspp="full", output_stride=8
    ),
    "deeplab v1": deeplabv3_mobilenet_v1(0.25, resolution=(40, 65)),
    "deeplab, map of 1 x 1": deeplabv3_mobilenet_v2(0.35, resolution=(16, 9), aspp="full"),
    "deeplab, other rows": deeplabv3_mobilenet_v2(
        resolution=40, classes=6, output_stride=8, rows=[(1, 16, 1, 1), (4, 24, 1, 2), (4, 32, 2, 2), (4, 48, 2, 2)]
    ),
    "v1 taps": mobilenet_v1(0.25, **SMALL).until("layer_2.depthwise", "layer_5", "layer_13"),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", SWITCHES)
def test_against_the_reference(name, isa, monkeypatch):
    monkeypatch.setenv("MOBILENET_ISA", isa)
    network = SWITCHES[name]
    tensors, x = random_tensors(network), images(network, 2)
    expected = Reference(network, tensors)(x)
    one, two = Native(network, tensors), Native(network, tensors, threads=2)
    assert one.isa == isa
    ours = one(x)
    assert_close(network, ours, expected)
    for other in (two(x), one(x), {k: np.concatenate([one(x[:1])[k], one(x[1:])[k]]) for k in ours}):
        for key in ours:
            np.testing.assert_array_equal(other[key], ours[key])


@pytest.mark.skipif(not {"avx2", "avx512"} <= set(ISAS), reason="needs both")
def test_fused_multiply_adds_agree_between_vector_widths(monkeypatch):
    network = mobilenet_v2(0.5, **SMALL)
    tensors, x = random_tensors(network), images(network)
    results = []
    for isa in ("avx2", "avx512"):
        monkeypatch.setenv("MOBILENET_ISA", isa)
        results.append(Native(network, tensors)(x)["classifier"])
    np.testing.assert_array_equal(*results)


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(1, 80), width=st.integers(1, 80), threads=st.integers(1, 4), band=st.integers(1, 4),
    pixels=st.sampled_from([0, 60]), whole=st.sampled_from([0, 16, 196]), stream=st.sampled_from([10_000, 0, 30, 300]),
    which=st.sampled_from(["v2", "v1", "tensorflow padding", "shortcut between expansions", "output stride 8"]),
)  # fmt: skip
def test_every_style_gives_the_same_bits(height, width, threads, band, pixels, whole, stream, which):
    network = SWITCHES[which].at((height, width))
    native = Native(network, random_tensors(network))
    x = images(network)
    (expected,) = native(x).values()
    plan = planning.make_plan(network, (height, width), threads, Style(band, pixels, whole, stream))
    program = compile_plan(plan, native._weights, native.isa)
    result = np.empty_like(expected)
    _core.Runner(threads).run(program, x, [result])
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 3), (3, 1)])
def test_convolutions_no_builder_makes(kernel, stride, dilation, isa, monkeypatch):
    """The stem, depthwise and full convolution of any odd kernel, stride and dilation."""
    monkeypatch.setenv("MOBILENET_ISA", isa)
    geometry = {"kernel": kernel, "stride": stride, "dilation": dilation}
    layers = (
        Conv("a", ("input",), 3, 21, **geometry, activation="relu"),
        Conv("b", ("a",), 21, 21, **geometry, groups=21, activation="linear"),
        Conv("c", ("b",), 21, 37, **geometry, epsilon=None),
    )
    network = custom(layers, (31, 20), "pytorch", ("a", "b", "c"))
    tensors, x = random_tensors(network), images(network)
    assert_close(network, Native(network, tensors, threads=2)(x), Reference(network, tensors)(x))


@pytest.mark.parametrize("corners", ["aligned", "half_pixel"])
@pytest.mark.parametrize("isa", ISAS)
def test_joins_and_resizes_no_builder_makes(isa, corners, monkeypatch):
    """Up and down, from and to one pixel, read on and taken out; parts at any channel, twice, inside another join."""
    monkeypatch.setenv("MOBILENET_ISA", isa)
    layers = (
        Conv("a", ("input",), 3, 16, kernel=3, stride=2),
        Conv("b", ("a",), 16, 21, kernel=3, stride=3),
        GlobalPool("mean", ("a",)),
        Resize("up", ("b", "a"), corners),
        Resize("down", ("a", "b"), corners),
        Resize("spread", ("mean", "a"), corners),
        Resize("one", ("b", "mean"), corners),
        Concat("inner", ("spread", "up")),
        Concat("outer", ("a", "inner", "a", "up")),
        Conv("c", ("outer",), 90, 20, kernel=3, dilation=2, epsilon=None),
        Resize("image", ("c", "input"), corners),
        Concat("twice", ("c", "c")),
    )
    network = custom(layers, (31, 20), "pytorch", ("image", "down", "one", "twice", "inner"))
    tensors, x = random_tensors(network), images(network, 2)
    ours = Native(network, tensors)(x)
    assert_close(network, ours, Reference(network, tensors)(x))
    for name, value in Native(network, tensors, threads=2)(x).items():
        np.testing.assert_array_equal(value, ours[name])


def test_any_size_and_memory_of_plans():
    network = mobilenet_v2(0.35, classes=5)
    tensors = random_tensors(network)
    native, reference = Native(network, tensors), Reference(network, tensors)
    for size in ((32, 40), (17, 17), (32, 40)):
        x = np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)
        assert_close(network.at(size), native(x), reference(x))
        assert native.planned_bytes(size) == native.plan(size).bytes
    strided = np.zeros((1, 3, 64, 40), np.float32)[:, :, ::2]
    np.testing.assert_array_equal(native(strided)["classifier"], native(np.ascontiguousarray(strided))["classifier"])


def test_the_core_folds_as_the_reference_does():
    """To the bit: weights folded by numpy and handed over with a bias give the same outputs."""
    network = mobilenet_v2(0.35, **SMALL)
    tensors = random_tensors(network)
    folded = mobilenet_v2(0.35, **SMALL, epsilon=None)
    given = {}
    for name, (weight, bias) in fold(network, tensors).items():
        owner = name if name == "classifier" else f"{name}.conv"
        given |= {f"{owner}.weight": weight, f"{owner}.bias": bias}
    x = images(network)
    np.testing.assert_array_equal(Native(network, tensors)(x)["classifier"], Native(folded, given)(x)["classifier"])


def test_linear_network():
    layers = Conv("a", ("input",), 3, 5, kernel=3, stride=2), Linear("fc", ("a",), 5, 19)
    network = custom(layers, (1, 2), "pytorch", ("fc",))
    tensors, x = random_tensors(network), images(network, 3)
    assert_close(network, Native(network, tensors)(x), Reference(network, tensors)(x))


def test_real_photos(imagenet, shared):
    """The published weights: the same answers as the reference, logits within the derived tolerance."""
    from mobilenet.images.open import open_image
    from mobilenet.predict.evaluate import evaluate, records_for
    from mobilenet.predict.predictor import Predictor

    data = shared / "data" / "imagenet100"
    native = Native(imagenet.network, imagenet.tensors)
    predictor, reference = Predictor(imagenet, native), Reference(imagenet.network, imagenet.tensors)
    for record in records_for(imagenet, data)[::10]:
        x = imagenet.preprocessing(open_image(record.name))[None]
        ours, expected = native(x), reference(x)
        assert_close(imagenet.network, ours, expected)
        assert ours["classifier"].argmax() == expected["classifier"].argmax()
    score = evaluate(predictor, data)
    assert (round(100 * score.metrics["top1"]), round(100 * score.metrics["top5"])) == (89, 99)


def test_real_masks(voc_small, shared):
    """DeepLabv3-MobileNetV2 0.5 at 257 pixels on 72 images: LiteRT's own scores."""
    import mobilenet
    from mobilenet.predict.evaluate import evaluate

    predictor = mobilenet.load(voc_small, threads=2)
    assert predictor.runtime.name == "native"
    score = evaluate(predictor, shared / "data" / "voc2012")
    assert score.metrics["mIoU"] == pytest.approx(0.556, abs=0.003)
    assert score.metrics["pixel_accuracy"] == pytest.approx(0.9075, abs=0.001)


def test_real_boxes(coco, shared):
    """SSDLite-MobileNetV2 on 103 images: the score of the numpy reference."""
    pytest.importorskip("faster_coco_eval")
    import mobilenet
    from mobilenet.predict.evaluate import evaluate

    score = evaluate(mobilenet.load(coco, threads=2), shared / "data" / "coco")
    assert score.metrics["mAP"] == pytest.approx(0.3236, abs=0.0005)
