"""The ledger against the papers' and the released code's exact figures, and against what torch really holds and does."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings, strategies as st

from mobilenet.network.cost import cost, save_figure
from mobilenet.network.mobilenet import MOBILENET_V1_SHALLOW, mobilenet_v1, mobilenet_v2

# width, resolution: MAdds in millions as TensorFlow-slim's table of checkpoints prints them (Figure 5), and exactly
SLIM_V2 = {
    (1.4, 224): (582, 582_195_824), (1.3, 224): (509, 509_374_560),
    (1.0, 224): (300, 300_774_272), (1.0, 192): (221, 221_316_608), (1.0, 160): (154, 154_083_200),
    (1.0, 128): (99, 99_074_048), (1.0, 96): (56, 56_289_152),
    (0.75, 224): (209, 209_069_792), (0.75, 192): (153, 153_941_888), (0.75, 160): (107, 107_295_200),
    (0.75, 128): (69, 69_129_728), (0.75, 96): (39, 39_445_472),
    (0.5, 224): (97, 97_131_840), (0.5, 192): (71, 71_701_760), (0.5, 160): (50, 50_184_000),
    (0.5, 128): (32, 32_578_560), (0.5, 96): (18, 18_885_440),
    (0.35, 224): (59, 59_285_808), (0.35, 192): (43, 43_896_512), (0.35, 160): (30, 30_874_800),
    (0.35, 128): (20, 20_220_672), (0.35, 96): (11, 11_934_128),
}  # fmt: skip

# width: weights only, trainable, trainable with 1001 classes, total with statistics, last convolution scaled with 1001
PARAMS_V2 = {
    0.35: (1_662_048, 1_677_128, 1_678_409, 1_691_208, 750_729),
    0.5: (1_949_136, 1_968_680, 1_969_961, 1_987_224, 1_225_641),
    0.75: (2_608_784, 2_636_424, 2_637_705, 2_663_064, 2_239_945),
    1.0: (3_469_760, 3_504_872, 3_506_153, 3_538_984, 3_506_153),
    1.3: (5_341_536, 5_386_792, 5_388_457, 5_431_048, 5_388_457),
    1.4: (6_059_840, 6_108_776, 6_110_569, 6_156_712, 6_110_569),
}

MADDS_V1 = {
    1.0: (568_740_352, 418_121_728, 290_675_200, 186_400_768),
    0.75: (325_400_448, 239_273_472, 166_396_800, 106_770_432),
    0.5: (149_497_088, 109_970_432, 76_524_800, 49_160_192),
    0.25: (41_030_272, 30_212_608, 21_059_200, 13_570_048),
}
PARAMS_V1 = {1.0: 4_231_976, 0.75: 2_585_560, 0.5: 1_331_592, 0.25: 470_072}


@pytest.mark.parametrize(("width", "resolution"), SLIM_V2)
def test_all_22_checkpoints_of_figure_5(width, resolution):
    printed, exact = SLIM_V2[width, resolution]
    ledger = cost(mobilenet_v2(width, resolution))
    assert ledger.madds == exact
    assert ledger.madds // 10**6 == printed
    assert ledger.madds == sum(layer.madds for layer in cost(mobilenet_v2(width), resolution).layers)


@pytest.mark.parametrize("width", PARAMS_V2)
def test_params_in_every_convention(width):
    weights, trainable, tf, total, scaled = PARAMS_V2[width]
    ledger = cost(mobilenet_v2(width))
    assert (ledger.weights, ledger.params, ledger.params + ledger.statistics) == (weights, trainable, total)
    assert cost(mobilenet_v2(width, classes=1001)).params == tf
    assert cost(mobilenet_v2(width, classes=1001, scale_last=True)).params == scaled


def test_further_figures_of_v2():
    full = cost(mobilenet_v2())
    assert full.statistics == 34_112 == 2 * 17_056
    # batch norm folded, 1001 classes: weights, one bias a channel, the classifier's biases
    tf = cost(mobilenet_v2(classes=1001))
    assert tf.weights + 17_056 + 1001 == 3_489_097
    assert cost(mobilenet_v2().until("layer_18")).params == 1_811_712
    assert cost(mobilenet_v2().until("layer_19")).params == 2_223_872
    for side, madds in {32: 7_392_128, 256: 392_456_192, 288: 496_362_368, 300: 564_405_744, 320: 612_492_800}.items():
        assert cost(mobilenet_v2(), side).madds == madds
    assert tf.madds == full.madds + 1280


def test_deeper_variants():
    deep, deeper = (cost(mobilenet_v2(w, depth=d, fix_ends=True)) for w, d in ((1.1, 1.2), (1.2, 1.4)))
    assert (deep.params, deep.madds) == (4_516_520, 430_516_080)
    assert (deeper.params, deeper.madds) == (5_831_144, 668_857_568)


def test_madds_per_layer():
    madds = {layer.name: layer.madds for layer in cost(mobilenet_v2()).layers}
    wanted = {
        "layer_1": 10_838_016, "layer_2.depthwise": 3_612_672, "layer_2.project": 6_422_528,
        "layer_3.expand": 19_267_584, "layer_3.depthwise": 2_709_504, "layer_3.project": 7_225_344,
        "layer_18.expand": 7_526_400, "layer_18.depthwise": 423_360, "layer_18.project": 15_052_800,
        "layer_19": 20_070_400, "classifier": 1_280_000, "pool": 0,
    }  # fmt: skip
    assert {name: madds[name] for name in wanted} == wanted


@pytest.mark.parametrize("width", MADDS_V1)
def test_v1_tables_6_and_7(width):
    assert cost(mobilenet_v1(width)).params == PARAMS_V1[width]
    for side, madds in zip((224, 192, 160, 128), MADDS_V1[width], strict=True):
        assert cost(mobilenet_v1(width), side).madds == madds


def test_v1_other_rows():
    full = cost(mobilenet_v1(convolution="full"))  # Table 4
    assert (full.madds, full.params) == (4_867_293_184, 29_294_088)
    shallow = cost(mobilenet_v1(rows=MOBILENET_V1_SHALLOW))  # Table 5
    assert (shallow.madds, shallow.params) == (307_323_392, 2_887_976)
    assert cost(mobilenet_v1(0.5), 160).madds // 10**6 == 76  # Table 9
    base = cost(mobilenet_v1(classes=None))  # the released code's docstring
    assert (base.madds, base.weights) == (567_716_352, 3_185_088)
    base = cost(mobilenet_v1(0.75, 128, classes=None))
    assert (base.madds, base.weights) == (106_002_432, 1_800_144)


def test_v1_table_2_shares():
    ledger = cost(mobilenet_v1())
    share = lambda start: sum(ly.madds for ly in ledger.layers if ly.operation.startswith(start)) / ledger.madds  # noqa: E731
    assert share("conv 1x1") == pytest.approx(0.94857, abs=5e-6)
    assert share("depthwise") == pytest.approx(0.03057, abs=5e-6)
    assert share("conv 3x3") == pytest.approx(0.01906, abs=5e-6)  # the paper prints 1.19 %, its digits swapped
    assert share("linear") == pytest.approx(0.00180, abs=5e-6)


def test_memory_of_section_5_1():
    ledger = cost(mobilenet_v2())
    assert ledger.layerwise_bytes == 4 * 1_505_280  # layer_3's depthwise: 96 x 112 x 112 in, 96 x 56 x 56 out
    assert cost(mobilenet_v2(), precision="fp16").layerwise_bytes == 2 * 1_505_280
    assert cost(mobilenet_v2(), precision="int8").layerwise_bytes == 1_505_280
    assert ledger.blockwise_bytes == 4 * 602_112  # layer_2
    assert max(layer.output.elements for layer in ledger.layers) == 1_204_224
    blocks = {block.name: block for block in ledger.blocks}
    assert blocks["layer_3"].live == 275_968
    splits = {1: 1_781_248, 2: 1_028_608, 3: 777_728, 4: 652_288, 5: 577_024, 6: 526_848, 96: 291_648}
    assert {t: blocks["layer_3"].split(t) for t in splits} == splits
    assert blocks["layer_2"].split(4) == 602_112 + 401_408 // 4
    assert ledger.split_bytes(1) == 4 * 1_781_248
    assert ledger.split_bytes(4) == 4 * (602_112 + 100_352)  # from here layer_2, which has no expansion, dominates
    assert ledger.split_bytes(2) == 4 * 1_028_608
    with pytest.raises(ValueError, match="split 0"):
        ledger.split_bytes(0)


def test_shortcuts_between_expansions_break_the_bound():
    plain, wide = cost(mobilenet_v2()), cost(mobilenet_v2(shortcut="expansion"))
    late = {block.name: block.live for block in wide.blocks}
    assert all(block.live <= late[block.name] for block in plain.blocks)
    assert late["layer_5"] - {b.name: b.live for b in plain.blocks}["layer_5"] == 144 * 56 * 56  # kept whole for the sum


@given(
    version=st.sampled_from([1, 2]),
    width=st.floats(0.1, 1.5),
    side=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    classes=st.one_of(st.none(), st.integers(1, 30)),
    output_stride=st.sampled_from([8, 16, 32]),
    padding=st.sampled_from(["tensorflow", "pytorch"]),
    shortcut=st.sampled_from(["bottleneck", "expansion", "none"]),
    expansion=st.sampled_from([None, 1, 3, 4.5]),
)
@settings(max_examples=25, deadline=None)
def test_ledger_is_what_torch_holds_and_does(version, width, side, classes, output_stride, padding, shortcut, expansion):
    """Multiply-adds, sizes and parameters counted by hooks on the running module."""
    torch = pytest.importorskip("torch")
    from mobilenet import nn

    common = {"width": width, "resolution": side, "classes": classes, "output_stride": output_stride, "padding": padding}
    ablation = {} if version == 1 else {"shortcut": shortcut, "expansion": expansion}
    network = (mobilenet_v1 if version == 1 else mobilenet_v2)(**common, **ablation)
    ledger, net = cost(network), nn.module(network).eval()
    lines = {layer.name: layer for layer in ledger.layers}
    seen = {}

    def count(name):
        def hook(module, inputs, output):
            conv = getattr(module, "conv", module)
            seen[name] = output.numel() * math.prod(conv.weight.shape[1:]), output.numel()

        return hook

    for name, part in net.parts().items():
        part.register_forward_hook(count(name))
    with torch.no_grad():
        net(torch.zeros(1, 3, *side))
    assert seen == {name: (lines[name].madds, lines[name].output.elements) for name in net.parts()}
    assert ledger.params == sum(p.numel() for p in net.parameters())
    assert ledger.statistics == sum(b.numel() for name, b in net.named_buffers() if "running" in name)
    convs = [m for m in net.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert ledger.weights == sum(m.weight.numel() for m in convs)


def test_json_is_the_contract():
    ledger = json.loads(json.dumps(cost(mobilenet_v2()).to_json()))
    assert ledger["params"] == 3_504_872
    assert ledger["madds"] == 300_774_272
    assert ledger["memory"]["layerwise_bytes"] == 6_021_120
    assert {"planned_bytes", "layerwise_bytes"} <= ledger["memory"].keys()
    assert {"name", "operation", "output", "params", "madds", "activation_bytes", "live_bytes"} == ledger["layers"][0].keys()
    assert sum(layer["madds"] for layer in ledger["layers"]) == ledger["madds"]


def test_refusals():
    with pytest.raises(ValueError, match="precision 'fp8'"):
        cost(mobilenet_v2(), precision="fp8")
    with pytest.raises(ValueError, match="resolution -1"):
        cost(mobilenet_v2(), -1)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_figure(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    save_figure(cost(mobilenet_v2()), tmp_path / f"cost{suffix}")
    assert (tmp_path / f"cost{suffix}").stat().st_size > 10_000
    with pytest.raises(ValueError, match=r"cost\.xyz"):
        save_figure(cost(mobilenet_v2()), tmp_path / "cost.xyz")
