"""Published TensorFlow models on the engine: the integers of their reference, whatever the plan, threads and instruction set.
`--published-images N` runs N images instead of a few, at the models' own resolutions."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from support.networks import STYLES, custom, networks
from support.quantized import extreme, quantized

from mobilenet import _core
from mobilenet.convert.convert import convert
from mobilenet.engine.integer_weights import pack_integers
from mobilenet.engine.native import Native, compile_plan
from mobilenet.engine.plan.integers import PublishedIntegers
from mobilenet.engine.plan.layout import U8
from mobilenet.engine.plan.plan import make_plan
from mobilenet.engine.plan.steps import Style
from mobilenet.engine.reference_int8 import Int8Reference, quantize
from mobilenet.errors import UsageError
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.network.heads import deeplabv3_mobilenet_v2
from mobilenet.network.layers import Add, Concat, Conv, GlobalPool, Network, Resize
from mobilenet.network.quantization import Quantization
from mobilenet.tasks.segmentation import SegmentationDecoder
from mobilenet.values import replace

ISAS = _core.isas()
Tensors = dict[str, np.ndarray]


def folded(network: Network) -> Network:
    """The same network without batch normalization."""
    return replace(network, layers=tuple(replace(x, epsilon=None) if isinstance(x, Conv) else x for x in network.layers))


def images(network: Network, count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.1, 1.1, (count, 3, *network.resolution)).astype(np.float32)


def history(network: Network, tensors: Tensors, quantization: Quantization, x: np.ndarray) -> dict[str, np.ndarray]:
    """The real numbers of every layer, which stand for its integers one to one."""
    integers = Int8Reference(network, tensors, quantization).integers(quantize(x, quantization, "input"), keep=True)
    real = {}
    for name, value in integers.items():
        scale, zero_point = quantization.activations[name]
        real[name] = (value - zero_point).astype(np.float32) * np.float32(scale)
    return real


def packed(network: Network, tensors: Tensors, quantization: Quantization, isa: str) -> dict[str, Any]:
    return pack_integers(network, tensors, quantization, PublishedIntegers(network, quantization), isa)


def run(network: Network, quantization: Quantization, weights: dict[str, Any], x: np.ndarray, style: Style, threads: int,
        isa: str) -> dict[str, np.ndarray]:  # fmt: skip
    plan = make_plan(network, x.shape[2:], threads, style, U8, PublishedIntegers(network, quantization))
    outputs = {name: np.full((len(x), *shape), np.nan, np.float32) for name, shape in plan.outputs}
    _core.Runner(threads).run(compile_plan(plan, weights, isa), x, list(outputs.values()))
    return outputs


@settings(deadline=None, max_examples=60)
@given(networks(), STYLES, st.integers(1, 3), st.sampled_from(ISAS), st.integers(0, 1000), st.booleans(), st.booleans(),
       st.sampled_from(["int8", "uint8"]))  # fmt: skip
def test_any_network_and_plan_gives_the_integers_of_the_reference(network, style, threads, isa, seed, every, rare, dtype):
    network = folded(network)
    tensors, quantization = (extreme if rare else quantized)(network, dtype, seed)
    quantization.check(network, tensors)
    x = images(network, seed=seed)
    expected = history(network, tensors, quantization, x)
    if every:  # layer by layer, nothing fused
        network = network.until(*(layer.name for layer in network.layers))
    weights = packed(network, tensors, quantization, isa)
    for name, value in run(network, quantization, weights, x, style, threads, isa).items():
        np.testing.assert_array_equal(value, expected[network[name].name], err_msg=f"{name} on {isa}")


def wired(wiring: str) -> Network:
    """Layers that no family joins in this way, on 9 x 7 pixels."""
    more = {"epsilon": None}
    a = Conv("a", ("input",), 3, 8, 3, 2, activation="linear", **more)
    layers = {
        "an addition after a depthwise convolution": (
            a, Conv("b", ("a",), 8, 8, 3, groups=8, activation="linear", **more), Add("c", ("a", "b")),
        ),
        "an addition after the first convolution": (a, GlobalPool("b", ("a",)), Add("c", ("a", "a"))),
        "a tensor added to itself": (a, Conv("b", ("a",), 8, 70, activation="linear", **more), Add("c", ("b", "b"))),
        "parts that begin anywhere": (
            a, Conv("b", ("a",), 8, 70, 5, dilation=2, **more), Conv("d", ("b",), 70, 70, 5, 2, groups=70, **more),
            Resize("e", ("d", "a"), "aligned"), Concat("f", ("a", "b", "e", "a")), Resize("c", ("f", "input"), "half_pixel"),
        ),
    }[wiring]  # fmt: skip
    return custom(layers, (9, 7), "tensorflow", ("c",))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("wiring", ["an addition after a depthwise convolution", "an addition after the first convolution",
                                    "a tensor added to itself", "parts that begin anywhere"])  # fmt: skip
def test_any_wiring(wiring, dtype):
    network = wired(wiring)
    for seed in range(4):
        tensors, quantization = extreme(network, dtype, seed)
        quantization.check(network, tensors)
        x = images(network, 2, seed)
        expected = history(network, tensors, quantization, x)["c"]
        for isa in ISAS:
            found = run(network, quantization, packed(network, tensors, quantization, isa), x, Style(), 2, isa)["c"]
            np.testing.assert_array_equal(found, expected, err_msg=isa)


MODELS = {  # name: the side of the few images
    "mobilenet_v1_0.25_128_quant": 128,
    "mobilenet_v2_1.0_224_quant": 96,
    "tf2_mobilenet_v2_1.0_224_ptq": 96,
    "deeplabv3_mnv2_pascal_quant": 129,
}


def block_ends(network: Network) -> list[str]:
    """Layers whose output the engine always stores; what lies between them stays fused."""
    return [
        layer.name
        for layer in network.layers
        if isinstance(layer, Add | Concat | Resize) or layer.name.endswith(("project", "pointwise"))
    ]


@pytest.mark.parametrize("name", MODELS)
def test_published_models_in_every_layer(name, shared: Path, pytestconfig: pytest.Config):
    model = convert(shared / "weights" / f"{name}.tflite").model
    network, tensors, quantization = model.network, model.tensors, model.quantization
    assert isinstance(quantization, Quantization)
    count = pytestconfig.getoption("--published-images")
    size = network.resolution if count else (MODELS[name],) * 2
    taps = network.until(*(layer.name for layer in network.layers)), network.until(*block_ends(network)), network
    weights = {isa: packed(network, tensors, quantization, isa) for isa in ISAS}
    scale, zero_point = quantization.activations["input"]
    photos = sorted((shared / "data" / "voc2012").rglob("*.jpg"))[: count or 1]
    assert len(photos) == (count or 1)
    for photo in photos:
        pixels = np.asarray(Image.open(photo).convert("RGB").resize(size[::-1])).transpose(2, 0, 1)[None]
        x = ((pixels - quantization.origin - np.float32(zero_point)) * np.float32(scale)).astype(np.float32)
        expected = history(network, tensors, quantization, x)
        for isa, threads, tapped in product(ISAS, (1, 2), taps):
            for output, value in run(tapped, quantization, weights[isa], x, Style(), threads, isa).items():
                layer = network[output].name
                found = value.reshape(expected[layer].shape)
                np.testing.assert_array_equal(found, expected[layer], err_msg=f"{layer} on {isa}, {threads} threads")


@pytest.mark.parametrize(("dtype", "seed"), [("uint8", 1), ("int8", 2)])
@pytest.mark.parametrize("isa", ISAS)
def test_bytes_of_an_output_stand_for_its_real_numbers_and_answers_are_the_same(monkeypatch, dtype, seed, isa):
    network = folded(deeplabv3_mobilenet_v2(0.35, resolution=(37, 41), classes=5, aspp="none"))
    tensors, quantization = quantized(network, dtype, seed)
    monkeypatch.setenv("MOBILENET_ISA", isa)
    runtime = Native(network, tensors, 2, None, quantization)
    x = images(network, 2, seed)
    real, in_bytes = runtime(x)["upsample"], runtime.in_bytes(x)["upsample"]
    scale, zero_point = runtime.scaling("upsample")
    np.testing.assert_array_equal((in_bytes.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale), real)
    winner = np.empty(real.shape[2:], np.uint8)
    _core.largest(in_bytes[1], winner)
    np.testing.assert_array_equal(winner, real[1].argmax(axis=0))
    decode = SegmentationDecoder(Preprocessing(size=(37, 41), fit="pad", fill=127), tuple("abcde"), 0)
    for size in ((41, 37), (300, 200), (20, 31)):
        expected, found = decode.answer(real[1], size), decode.answer_of_bytes(in_bytes[1], (scale, zero_point), size)
        np.testing.assert_array_equal(found.mask, expected.mask)
        np.testing.assert_array_equal(found.confidence, expected.confidence)


def test_real_numbers_are_not_given_as_bytes():
    network = folded(deeplabv3_mobilenet_v2(0.35, resolution=(33, 33), classes=3, aspp="none"))
    runtime = Native(network, {name: np.zeros(shape, np.float32) for name, shape in network.parameters().items()})
    assert runtime.scaling("upsample") is None
    with pytest.raises(UsageError, match="made of real numbers"):
        runtime.in_bytes(images(network))
    program, x = runtime._program((33, 33)).native, images(network)
    with pytest.raises(ValueError, match="not made of bytes"):
        _core.Runner(1).run(program, x, [np.empty((1, 3, 33, 33), np.uint8)])
