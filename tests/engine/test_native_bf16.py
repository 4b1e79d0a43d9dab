"""Networks whose products compute in bfloat16: what the reference says, within the bound of docs/numerics.md."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.networks import STYLES, custom, networks
from support.weights import bf16_deviation, images, published_model, random_tensors, root_mean_square, tolerance

from mobilenet import _core
from mobilenet.engine.native import Native, compile_plan, pack
from mobilenet.engine.plan.layout import BF16
from mobilenet.engine.plan.plan import make_plan
from mobilenet.engine.plan.steps import Style
from mobilenet.engine.reference import Reference
from mobilenet.engine.reference_bf16 import Bf16Reference, round_to_bf16
from mobilenet.errors import UsageError
from mobilenet.network.heads import deeplabv3_mobilenet_v1, deeplabv3_mobilenet_v2, ssd_mobilenet_v2, ssdlite_mobilenet_v2
from mobilenet.network.layers import Add, Conv, Network
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2

ISAS = [isa for isa in ("portable", "amx") if isa in _core.isas()]  # the others leave bfloat16 to the plain loops


USUAL = Style()


def run(network: Network, tensors, x: np.ndarray, isa: str, threads: int = 1, style: Style = USUAL) -> dict[str, np.ndarray]:
    plan = make_plan(network, network.resolution, threads, style, BF16)
    outputs = {name: np.full((1, *shape), np.nan, np.float32) for name, shape in plan.outputs}
    program = compile_plan(plan, pack(network, tensors, isa, "bf16"), isa)
    _core.Runner(threads).run(program, x, list(outputs.values()))
    return outputs


def assert_close(network: Network, tensors, x: np.ndarray, ours: dict[str, np.ndarray]) -> None:
    """The engine's error is that of the reference: roundings are the same but for values between two bfloat16. Random weights
    may amplify them, in both."""
    rounded = Bf16Reference(network, tensors)(x)
    for name, expected in Reference(network, tensors)(x).items():
        found, usual = ours[name].reshape(expected.shape), root_mean_square(rounded[name] - expected)
        assert root_mean_square(found - expected) <= 3 * usual + tolerance(network, np.abs(expected).max()), name


@settings(deadline=None, max_examples=40)
@given(networks(), STYLES, st.integers(1, 3), st.sampled_from(ISAS), st.integers(0, 1000))
def test_any_network_and_plan_is_close_to_the_reference_and_has_the_same_bits(network, style, threads, isa, seed):
    tensors, x = random_tensors(network, seed), images(network, seed=seed)
    ours = run(network, tensors, x, isa, threads, style)
    assert_close(network, tensors, x, ours)
    for name, usual in run(network, tensors, x, isa).items():
        np.testing.assert_array_equal(ours[name], usual)


FAMILIES = {
    "v1 with full convolutions": mobilenet_v1(0.25, (40, 52), classes=7, convolution="full"),
    "v1": mobilenet_v1(0.5, 64, classes=10),
    "v2 at width 1.4": mobilenet_v2(1.4, (33, 47), classes=3),
    "v2, dilated": mobilenet_v2(0.35, 65, classes=10, output_stride=8),
    "taps": mobilenet_v2(0.35, 65).until("layer_3.expand", "layer_4.depthwise", "layer_4.project", "layer_19"),
    "ssdlite": ssdlite_mobilenet_v2(0.35, (65, 70), classes=3),
    "ssd": ssd_mobilenet_v2(0.35, (33, 64), classes=3),
    "deeplab v2": deeplabv3_mobilenet_v2(0.5, (41, 57), classes=21, aspp="separable"),
    "deeplab v1": deeplabv3_mobilenet_v1(0.25, (40, 65)),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, isa, monkeypatch):
    network = FAMILIES[family]
    tensors, x = random_tensors(network), images(network)
    monkeypatch.setenv("MOBILENET_ISA", isa)
    one, two = (Native(network, tensors, threads, precision="bf16")(x) for threads in (1, 2))
    assert_close(network, tensors, x, one)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 3), (3, 1)])
def test_convolutions_no_builder_makes(kernel, stride, dilation, isa):
    """Kernels of all kinds, and each within a float32's rounding of the reference where no bfloat16 is rounded before it."""
    geometry = {"kernel": kernel, "stride": stride, "dilation": dilation}
    layers = (
        Conv("a", ("input",), 3, 21, activation="relu"),
        Conv("b", ("a",), 21, 37, **geometry, activation="linear"),
        Conv("c", ("input",), 3, 20, **geometry, activation="relu6"),
        Conv("d", ("c",), 20, 20, **geometry, groups=20, activation="relu6"),
        Conv("e", ("d",), 20, 20, **geometry, groups=20, activation="linear"),
    )
    network = custom(layers, (31, 20), "pytorch", ("b", "e"))
    tensors, x = random_tensors(network), images(network)
    ours, expected = run(network, tensors, x, isa, 2), Bf16Reference(network, tensors)(x)
    assert_close(network, tensors, x, ours)
    np.testing.assert_allclose(ours["e"], expected["e"], rtol=0, atol=2.0**-18 * np.abs(expected["e"]).max())
    assert_nearly_all_equal(ours["b"], expected["b"])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 24), (40, 40), (72, 20), (136, 33)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 4)])
def test_fused_blocks(inputs, outputs, stride, dilation, isa):
    """A block in bands and whole, of any number of channels: more inputs than tiles hold at once, too."""
    middle = 3 * inputs + 8
    layers = (
        Conv("a", ("input",), 3, inputs, kernel=3, activation="relu6"),
        Conv("expand", ("a",), inputs, middle, activation="relu6"),
        Conv("depthwise", ("expand",), middle, middle, 3, stride, dilation, groups=middle, activation="relu6"),
        Conv("project", ("depthwise",), middle, outputs, activation="linear"),
        *((Add("sum", ("project", "a")),) if stride == 1 and inputs == outputs else ()),
    )
    last = layers[-1].name
    network = custom(layers, (12, 35), "pytorch", (last,))
    tensors, x = random_tensors(network), images(network)
    expected = Bf16Reference(network, tensors)(x)[last]
    for style in (Style(4), Style(3, 0, 0), Style(whole=1000)):
        assert_nearly_all_equal(run(network, tensors, x, isa, 2, style)[last], expected)


def assert_nearly_all_equal(ours: np.ndarray, expected: np.ndarray) -> None:
    """Within the roundings of float32, but for sums of which a term lay between two bfloat16 and was rounded otherwise: a few
    of them, by a bfloat16's unit of one term or two."""
    difference, largest = np.abs(ours - expected), np.abs(expected).max()
    assert (difference <= 2.0**-18 * largest).mean() > 0.8
    assert difference.max() <= 2.0**-8 * largest


def test_a_published_network_deviates_as_much_as_its_roundings_say():
    model = published_model("imagenet")
    x = images(model.network)
    (expected,) = Reference(model.network, model.tensors)(x).values()
    (found,) = Bf16Reference(model.network, model.tensors)(x).values()
    deviation = root_mean_square(found - expected) / root_mean_square(expected)
    assert bf16_deviation(model.network) / 2 < deviation < 2 * bf16_deviation(model.network)


def test_rounding():
    x = np.array([1, 1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8 - 2.0**-20, 3.4e38, 1e-39, -1e-39, np.inf, np.nan], np.float32)
    expected = np.array([1, 1, 1 + 2.0**-6, -1 - 2.0**-7, np.inf, 0, -0.0, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(round_to_bf16(x), expected)
    assert np.signbit(round_to_bf16(x)[6])


def test_other_processors_refuse(monkeypatch):
    network = mobilenet_v2(0.35, 32, classes=3)
    others = [isa for isa in _core.isas() if isa not in ISAS]
    for isa in others:
        monkeypatch.setenv("MOBILENET_ISA", isa)
        with pytest.raises(UsageError, match=rf"bf16: it needs a processor with AMX .*is {isa}, .*; choose fp32, or quantize"):
            Native(network, random_tensors(network), precision="bf16")
