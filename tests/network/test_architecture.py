"""The rows as networks: channels, strides, rates and shortcuts against the released code's rules, and every refusal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from mobilenet.network import catalog
from mobilenet.network.layers import Add, Conv, Linear, padding_amounts, strided
from mobilenet.network.mobilenet import MOBILENET_V1_SHALLOW, make_divisible, mobilenet_v1, mobilenet_v2


def depthwise(network):
    return [layer for layer in network.layers if isinstance(layer, Conv) and layer.name.endswith("depthwise")]


CHANNELS = {  # TensorFlow-slim: stem, 16, 24, 32, 64, 96, 160, 320, last
    0.35: (16, 8, 8, 16, 24, 32, 56, 112, 1280),
    0.5: (16, 8, 16, 16, 32, 48, 80, 160, 1280),
    0.75: (24, 16, 24, 24, 48, 72, 120, 240, 1280),
    1.0: (32, 16, 24, 32, 64, 96, 160, 320, 1280),
    1.3: (40, 24, 32, 40, 80, 128, 208, 416, 1664),
    1.4: (48, 24, 32, 48, 88, 136, 224, 448, 1792),
}


@pytest.mark.parametrize("width", CHANNELS)
def test_channels_of_every_published_width(width):
    shapes = mobilenet_v2(width).shapes()
    ends = ("layer_1", "layer_2", "layer_4", "layer_7", "layer_11", "layer_14", "layer_17", "layer_18", "layer_19")
    network = mobilenet_v2(width)
    assert tuple(shapes[network[end].name].channels for end in ends) == CHANNELS[width]


def test_seventeen_blocks_ten_shortcuts():
    network = mobilenet_v2()
    assert len(depthwise(network)) == 17
    assert sum(isinstance(layer, Add) for layer in network.layers) == 10
    assert list(network.blocks()) == [f"layer_{i}" for i in range(1, 20)] + ["pool", "classifier"]


def test_deeper_variants_repeat_as_timm_does():
    for depth, repeats in ((1.2, (1, 3, 4, 5, 4, 4, 1)), (1.4, (1, 3, 5, 6, 5, 5, 1))):
        assert len(depthwise(mobilenet_v2(depth=depth, fix_ends=True))) == sum(repeats)
    assert len(depthwise(mobilenet_v2(depth=1.2))) == sum((2, 3, 4, 5, 4, 4, 2))


@pytest.mark.parametrize(
    ("output_stride", "rates"),
    [(32, {}), (16, {16: 2, 17: 2, 18: 2}), (8, {**dict.fromkeys(range(9, 16), 2), 16: 4, 17: 4, 18: 4})],
)
def test_atrous_rates(output_stride, rates):
    network = mobilenet_v2(output_stride=output_stride)
    assert {i: layer.dilation for i, layer in enumerate(depthwise(network), start=2) if layer.dilation > 1} == rates
    assert network.shapes(256)["layer_18.project"][1:] == (256 // output_stride,) * 2


def test_v1_output_stride_sixteen_dilates_only_after_the_dropped_stride():
    layers = depthwise(mobilenet_v1(output_stride=16))
    assert [(layer.stride, layer.dilation) for layer in layers[-2:]] == [(1, 1), (1, 2)]


def test_expansion_shortcuts_stand_where_bottleneck_shortcuts_do():
    plain, wide = mobilenet_v2(), mobilenet_v2(shortcut="expansion")
    ends = [layer.name for layer in plain.layers if isinstance(layer, Add)]
    sums = [layer for layer in wide.layers if isinstance(layer, Add)]
    number = lambda name: int(name.partition(".")[0].removeprefix("layer_"))  # noqa: E731
    assert [number(layer.name) for layer in sums] == [number(name) + 1 for name in ends]
    assert all(layer.inputs[1] == layer.name.replace("add", "expand") for layer in sums)
    assert not any(isinstance(layer, Add) for layer in mobilenet_v2(shortcut="none").layers)


def test_projection_and_expansion_ablations():
    assert all(ly.activation == "relu6" for ly in mobilenet_v2(projection="relu6").layers if isinstance(ly, Conv))
    wide = mobilenet_v2(expansion=8)
    assert wide["layer_3.expand"].out_channels == 8 * 16
    narrow = mobilenet_v2(expansion=1)
    assert not any(layer.name.endswith("expand") for layer in narrow.layers)
    with_fraction = mobilenet_v2(expansion=2.5)["layer_3.expand"]
    assert with_fraction.out_channels == make_divisible(40) == 40


def test_last_convolution_rules():
    last = lambda **kw: mobilenet_v2(**kw)["layer_19"].out_channels  # noqa: E731
    assert last(width=0.5) == 1280
    assert last(width=0.5, scale_last=True) == 640
    assert last(width=1.4) == last(width=1.4, scale_last=True) == 1792
    assert mobilenet_v2(1.2, fix_ends=True)["layer_1"].out_channels == 32


def test_v1_ablations():
    assert len(mobilenet_v1(rows=MOBILENET_V1_SHALLOW).blocks()) == len(mobilenet_v1().blocks()) - 5
    full = mobilenet_v1(convolution="full")
    assert all(layer.groups == 1 and layer.kernel == 3 for layer in full.layers if isinstance(layer, Conv))


def test_width_below_eight_channels_stops_at_the_minimum():
    assert mobilenet_v1(0.1)["layer_0"].out_channels == 8
    assert mobilenet_v2(0.1)["layer_2.project"].out_channels == 8
    assert mobilenet_v2(0.1, min_depth=16)["layer_2.project"].out_channels == 16


@given(
    width=st.floats(0.05, 2),
    resolution=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    classes=st.one_of(st.none(), st.integers(1, 50)),
    output_stride=st.sampled_from([8, 16, 32]),
    shortcut=st.sampled_from(["bottleneck", "expansion", "none"]),
    expansion=st.sampled_from([None, 1, 2.5, 6, 10]),
)
@settings(max_examples=40, deadline=None)
def test_any_member_is_whole_and_survives_its_description(**arguments):
    network = mobilenet_v2(**arguments)
    shapes = network.shapes()  # asserts that sums fit
    for layer in network.layers:
        if isinstance(layer, (Conv, Linear)):
            assert layer.in_channels == shapes[layer.inputs[0]].channels
    assert catalog.from_description(json.loads(json.dumps(network.description))) == network


@given(size=st.integers(1, 200), stride=st.sampled_from([1, 2]), dilation=st.integers(1, 4))
def test_padding_gives_every_output_a_window(size, stride, dilation):
    reach = 2 * dilation
    for style in ("tensorflow", "pytorch"):
        before, after = padding_amounts(size, 3, stride, dilation, style)
        assert (size + before + after - reach - 1) // stride + 1 == strided(size, stride)
    assert padding_amounts(224, 3, 2, 1, "tensorflow") == (0, 1)
    assert padding_amounts(225, 3, 2, 1, "tensorflow") == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"width": 0}, ("width 0", "above 0")),
        ({"width": float("nan")}, ("width nan",)),
        ({"width": 9}, ("width 9", "at most 8")),
        ({"resolution": 0}, ("resolution 0", "1 to 16384")),
        ({"resolution": (224, 70000)}, ("70000", "16384")),
        ({"resolution": 22.4}, ("22.4", "int")),
        ({"resolution": (1, 2, 3)}, ("height and width",)),
        ({"classes": 0}, ("classes 0", "at least 1")),
        ({"classes": True}, ("classes True",)),
        ({"output_stride": 4}, ("output_stride 4", "8, 16 or 32")),
        ({"padding": "same"}, ("padding 'same'", "tensorflow")),
        ({"epsilon": 0}, ("epsilon 0",)),
        ({"depth": 0}, ("depth 0",)),
        ({"expansion": 0.5}, ("expansion 0.5", "1 to 64")),
        ({"projection": "swish"}, ("'swish'", "relu6")),
        ({"shortcut": "yes"}, ("'yes'", "bottleneck")),
        ({"activation": "linear"}, ("'linear'",)),
        ({"min_depth": 0}, ("min_depth 0",)),
        ({"divisible_by": 0}, ("divisible_by 0",)),
        ({"rows": []}, ("rows",)),
        ({"rows": [(6, 24, 2, 3)]}, ("rows", "s of 1 or 2")),
    ],
)
def test_values_out_of_range_are_refused(arguments, words):
    with pytest.raises(ValueError, match=r"; for example|: must be (a |')") as refusal:
        mobilenet_v2(**arguments)
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_unknown_names_answer_with_the_nearest():
    with pytest.raises(ValueError, match=r"no architecture is called 'mobilnet_v2'; nearest: mobilenet_v2"):
        catalog.build("mobilnet_v2")
    with pytest.raises(ValueError, match=r"no setting of mobilenet_v2 is called 'widht'; nearest: width"):
        catalog.build("mobilenet_v2", widht=1)
    with pytest.raises(ValueError, match=r"no layer or block 'layer_99'"):
        mobilenet_v2().until("layer_99")
    with pytest.raises(ValueError, match="no tap given"):
        mobilenet_v2().until()
    for wrong in ({}, {"architecture": 3}, {"architecture": "mobilenet_v2", "width": "wide"},
                  {"architecture": "mobilenet_v2", "rows": 7}, {"architecture": "mobilenet_v2", "rows": [[1]]}):  # fmt: skip
        with pytest.raises(ValueError, match=r"called None|called 3|'wide'|rows 7|rows \[1\]"):
            catalog.from_description(wrong)


def test_until_keeps_only_what_the_tap_needs():
    network = mobilenet_v2().until("layer_15.expand", "layer_18")
    assert network.layers[-1].name == "layer_18.project"
    assert "layer_15.expand" in network.last_use()
    assert not any(layer.name in ("pool", "classifier", "layer_19") for layer in network.layers)


def test_with_classes():
    assert mobilenet_v2().with_classes(7) == mobilenet_v2(classes=7)
    with pytest.raises(ValueError, match="without a classifier"):
        mobilenet_v2(classes=None).with_classes(7)
    with pytest.raises(ValueError, match="classes 0"):
        mobilenet_v2().with_classes(0)
