"""Integer networks on the engine: the integers of the reference, whatever the plan, the threads and the instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.grid import gridded
from support.networks import STYLES, networks

from mobilenet import _core
from mobilenet.engine.integer_weights import pack_integers
from mobilenet.engine.native import Native, compile_plan
from mobilenet.engine.plan.integers import GridIntegers, Integers
from mobilenet.engine.plan.layout import U8
from mobilenet.engine.plan.plan import make_plan
from mobilenet.engine.reference_grid import GridReference
from mobilenet.errors import UsageError
from mobilenet.network.heads import deeplabv3_mobilenet_v2
from mobilenet.network.layers import Add, Conv, Network
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.values import replace

ISAS = _core.isas()


def folded(network: Network) -> Network:
    """The same network without batch normalization."""
    return replace(network, layers=tuple(replace(x, epsilon=None) if isinstance(x, Conv) else x for x in network.layers))


def images(network: Network, count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3, *network.resolution)).astype(np.float32)


def after_depthwise(network: Network, integers: Integers) -> bool:
    """Whether an addition, or an output in real numbers, stands behind a depthwise convolution."""
    convs = [layer for layer in network.layers if isinstance(layer, Conv)]
    return any(x.depthwise and (x.name in integers.shortcuts or x.name in integers.real) for x in convs)


@settings(deadline=None, max_examples=60)
@given(networks(), STYLES, st.integers(1, 3), st.sampled_from(ISAS), st.integers(0, 1000), st.sampled_from([127, 30]))
def test_any_network_and_plan_gives_the_integers_of_the_reference(network, style, threads, isa, seed, magnitude):
    network = folded(network)
    tensors, quantization = gridded(network, seed, magnitude)
    integers = GridIntegers(network, quantization)
    if after_depthwise(network, integers):
        return  # refused: see below
    weights = pack_integers(network, tensors, quantization, integers, isa)
    plan = make_plan(network, network.resolution, threads, style, U8, integers)
    x = images(network, seed=seed)
    outputs = {name: np.full((1, *shape), np.nan, np.float32) for name, shape in plan.outputs}
    _core.Runner(threads).run(compile_plan(plan, weights, isa), x, list(outputs.values()))
    for name, expected in GridReference(network, tensors, quantization)(x).items():
        np.testing.assert_array_equal(outputs[name].reshape(expected.shape), expected, err_msg=f"{name} on {isa}")


FAMILIES = {
    "v1 with full convolutions": mobilenet_v1(0.25, (40, 52), classes=7, convolution="full", epsilon=None),
    "v2 with wide blocks": mobilenet_v2(1.0, 48, classes=1000, epsilon=None),
    "v2 at width 1.4": mobilenet_v2(1.4, (33, 47), classes=3, epsilon=None),
    "segmenter": deeplabv3_mobilenet_v2(0.5, (41, 57), classes=21, aspp="separable", epsilon=None, head_epsilon=None),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_instruction_set_gives_the_same_integers(family, monkeypatch):
    network = FAMILIES[family]
    tensors, quantization = gridded(network)
    x = images(network, 2)
    expected = GridReference(network, tensors, quantization)(x)
    for isa in ISAS:
        monkeypatch.setenv("MOBILENET_ISA", isa)
        for threads in (1, 2):
            runtime = Native(network, tensors, threads, None, quantization)
            assert (runtime.name, runtime.precision, runtime.isa) == ("native", "int8", isa)
            for name, value in runtime(x).items():
                np.testing.assert_array_equal(value, expected[name], err_msg=f"{name} on {isa}, {threads} threads")


def test_activations_take_a_third_of_a_megabyte():
    network = mobilenet_v2(1.0, 224, classes=1000, epsilon=None)
    tensors, quantization = gridded(mobilenet_v2(1.0, 32, classes=1000, epsilon=None))
    runtime = Native(network, tensors, 1, None, quantization)
    assert runtime.planned_bytes(224) <= 0.36e6
    assert runtime.planned_bytes(513) <= 1.0e6


def test_an_addition_after_a_depthwise_convolution_is_refused():
    layers = (
        Conv("a", ("input",), 3, 8, 3, 2, epsilon=None),
        Conv("b", ("a",), 8, 8, 3, groups=8, epsilon=None, activation="linear"),
        Add("c", ("a", "b")),
    )
    network = replace(mobilenet_v2(1.0, 16), layers=layers, outputs=("c",), task="features")
    tensors, quantization = gridded(network)
    with pytest.raises(UsageError, match="use the reference runtime"):
        Native(network, tensors, 1, None, quantization)
