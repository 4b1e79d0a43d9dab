"""The heads: every exact figure that can be derived for them, the paper's tables, and the same outputs in torch and numpy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.paths import ROOT
from support.weights import compare_with_torch, random_tensors

from mobilenet.engine.reference import Reference
from mobilenet.errors import UsageError
from mobilenet.images.bilinear import bilinear_taps, resize
from mobilenet.network import catalog
from mobilenet.network.cost import Cost, cost, space_to_batch_madds
from mobilenet.network.heads import (
    deeplabv3_mobilenet_v1,
    deeplabv3_mobilenet_v2,
    ssd_mobilenet_v2,
    ssdlite_mobilenet_v1,
    ssdlite_mobilenet_v2,
)
from mobilenet.network.layers import Concat, Resize
from mobilenet.network.mobilenet import MOBILENET_V2, mobilenet_v2

pytestmark = pytest.mark.usefixtures("one_thread")
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)

DETECTORS = [
    (ssdlite_mobilenet_v2(), 4_337_013, 788_830_144),
    (ssdlite_mobilenet_v2(classes=90), 4_500_543, 804_397_504),
    (ssdlite_mobilenet_v2(resolution=300), 4_337_013, 734_610_416),
    (ssdlite_mobilenet_v2(resolution=300, classes=90), 4_500_543, 749_503_856),
    (ssd_mobilenet_v2(), 17_000_501, 1_870_281_472),
    (ssdlite_mobilenet_v1(), 5_100_661, 1_309_162_944),
    (ssdlite_mobilenet_v2(classes=90, anchors="torchvision"), 4_664_988, 870_061_504),
    (ssdlite_mobilenet_v2(0.5, scale_last=True), 1_480_181, 264_565_216),
    (ssdlite_mobilenet_v2(0.5, classes=90, scale_last=True), 1_562_111, 272_348_896),
    (ssdlite_mobilenet_v2(0.35, scale_last=True), 890_679, 161_381_226),
    (ssdlite_mobilenet_v2(0.35, classes=90, scale_last=True), 947_709, 166_713_786),
]

# parameters, multiply-adds at 513 and (or None) at 512, the same at 513 as TensorFlow 1 ran atrous convolutions
SEGMENTERS = [
    (deeplabv3_mobilenet_v2(), 2_113_557, 2_740_709_056, 2_603_958_272, 2_742_445_696),
    (deeplabv3_mobilenet_v2(aspp="full"), 4_523_541, 5_363_508_928, 5_070_209_024, 5_823_096_448),
    (deeplabv3_mobilenet_v2(output_stride=8), 2_113_557, 8_825_853_632, 8_564_916_224, None),
    (deeplabv3_mobilenet_v1(), 11_145_301, 12_760_886_976, 12_042_108_928, 14_226_627_264),
]

# all six scales, each with its mirror image
MULTI_SCALE = [
    (deeplabv3_mobilenet_v2(output_stride=8), 152_334_636_288, 152_525_490_432),
    (deeplabv3_mobilenet_v2(output_stride=8, aspp="full"), 327_929_763_072, 387_477_555_456),
    (deeplabv3_mobilenet_v1(output_stride=8), 800_745_156_864, 990_785_564_928),
]

SMALL = [
    ssdlite_mobilenet_v2(0.35, (65, 40), classes=3, padding="tensorflow"),
    ssdlite_mobilenet_v1(0.25, 33, classes=2, anchors="torchvision"),
    ssd_mobilenet_v2(0.35, 64, classes=1, scale_last=True, min_depth=16),
    ssd_mobilenet_v2(0.35, 1, classes=1, extras="separable", kernel=1),
    deeplabv3_mobilenet_v2(0.35, (33, 65), classes=4, padding="tensorflow", epsilon=1e-3),
    deeplabv3_mobilenet_v2(0.35, 47, classes=4, output_stride=8, aspp="separable"),
    deeplabv3_mobilenet_v1(0.25, (40, 17), classes=1, aspp="full"),
    deeplabv3_mobilenet_v2(1.0, 40, classes=4, output_stride=8, rows=[(1, 8, 1, 2), (4, 16, 2, 2), (4, 16, 1, 2)]),
]


def part(ledger: Cost, *starts: str) -> tuple[int, int]:
    chosen = [line for line in ledger.layers if line.name.startswith(starts)]
    return sum(line.params for line in chosen), sum(line.madds for line in chosen)


@pytest.mark.parametrize(("network", "params", "madds"), DETECTORS)
def test_detectors_exactly(network, params, madds):
    ledger = cost(network)
    assert (ledger.params, ledger.madds) == (params, madds)


@pytest.mark.parametrize(("network", "params", "madds", "at_512", "padded"), SEGMENTERS)
def test_segmenters_exactly(network, params, madds, at_512, padded):
    ledger = cost(network)
    assert (ledger.params, ledger.madds, cost(network, 512).madds) == (params, madds, at_512)
    assert padded is None or space_to_batch_madds(network) == padded


def multi_scale(network) -> tuple[int, int]:
    sides = [int((513 - 1) * scale + 1) for scale in SCALES]
    return sum(2 * cost(network, side).madds for side in sides), sum(2 * space_to_batch_madds(network, side) for side in sides)


@pytest.mark.parametrize(("network", "madds", "padded"), MULTI_SCALE)
def test_multi_scale_and_mirrored_exactly(network, madds, padded):
    assert multi_scale(network) == (madds, padded)


def test_parts_and_further_figures():
    ledger = cost(ssdlite_mobilenet_v2())
    assert part(ledger, "layer_") == (2_223_872, 611_212_800)
    assert part(ledger, "extra_") == (656_960, 38_550_976)
    assert part(ledger, "box_", "class_") == (1_456_181, 139_066_368)
    shapes = ssdlite_mobilenet_v2().shapes()
    maps = ["layer_15.expand", "layer_19", *(f"extra_{i}.expand" for i in range(1, 5))]
    assert [tuple(shapes[name]) for name in maps] == [
        (576, 20, 20), (1280, 10, 10), (512, 5, 5), (256, 3, 3), (256, 2, 2), (128, 1, 1)
    ]  # fmt: skip
    folded = cost(ssdlite_mobilenet_v2(resolution=300, classes=90))  # one bias a channel instead of four values
    assert folded.params - folded.statistics // 2 == 4_475_167
    cityscapes = cost(deeplabv3_mobilenet_v2(resolution=(1025, 2049), classes=19))
    assert cityscapes.madds == 21_233_054_912
    plain = cost(mobilenet_v2())
    assert space_to_batch_madds(mobilenet_v2()) == plain.madds, "nothing to pad without a rate"


# The paper's tables beside ours: docs/ledger.md holds these rows ---------------------------------------------------------


def table_5() -> list[tuple[str, ...]]:
    rows = []
    for name, network, printed in (("SSD", ssd_mobilenet_v2(), ("14.8M", "1.25B")),
                                   ("SSDLite", ssdlite_mobilenet_v2(), ("2.1M", "0.35B"))):  # fmt: skip
        params, madds = part(cost(network), "extra_", "box_", "class_")
        rows.append((name, *printed, f"{params:,}", f"{madds:,}"))
    return rows


def table_6() -> list[tuple[str, ...]]:
    rows = []
    for name, network, printed in (("MNet V1 + SSDLite", ssdlite_mobilenet_v1(), ("5.1M", "1.3B")),
                                   ("MNet V2 + SSDLite", ssdlite_mobilenet_v2(), ("4.3M", "0.8B"))):  # fmt: skip
        ledger = cost(network)
        rows.append((name, *printed, f"{ledger.params:,}", f"{ledger.madds:,}"))
    return rows


def table_7() -> list[tuple[str, ...]]:
    rows = []
    for name, build, stride, aspp, mf, printed in (
        ("MNet V1", deeplabv3_mobilenet_v1, 16, "full", False, ("11.15M", "14.25B")),
        ("MNet V1", deeplabv3_mobilenet_v1, 8, "full", True, ("11.15M", "941.9B")),
        ("MNet V2", deeplabv3_mobilenet_v2, 16, "full", False, ("4.52M", "5.8B")),
        ("MNet V2", deeplabv3_mobilenet_v2, 8, "full", True, ("4.52M", "387B")),
        ("MNet V2", deeplabv3_mobilenet_v2, 16, "none", False, ("2.11M", "2.75B")),
        ("MNet V2", deeplabv3_mobilenet_v2, 8, "none", True, ("2.11M", "152.6B")),
    ):
        network = build(output_stride=stride, aspp=aspp)
        madds, padded = multi_scale(network) if mf else (cost(network).madds, space_to_batch_madds(network))
        yes = {True: "yes", False: ""}
        params = cost(network).params
        rows.append((name, str(stride), yes[aspp != "none"], yes[mf], *printed, f"{params:,}", f"{madds:,}", f"{padded:,}"))
    return rows


@pytest.mark.parametrize("table", [table_5, table_6, table_7])
def test_the_ledger_document_holds_what_the_code_counts(table):
    document = (ROOT / "docs" / "ledger.md").read_text("utf-8")
    for row in table():
        assert "| " + " | ".join(row).replace("|  |", "| |").replace("|  |", "| |") + " |" in document


# Networks as values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [*SMALL, DETECTORS[0][0], SEGMENTERS[0][0]])
def test_a_description_makes_the_same_network_again(network):
    again = catalog.from_description(json.loads(json.dumps(network.description)))
    assert again == network
    assert again.task == network.task == ("detection" if "ssd" in network.architecture else "segmentation")


@pytest.mark.parametrize("network", [network for network, *_ in DETECTORS[:7]] + [network for network, *_ in SEGMENTERS])
def test_other_classes_are_another_build(network):
    assert network.with_classes(7) == catalog.from_description({**network.description, "classes": 7})


def test_tasks():
    assert mobilenet_v2().task == "classification"
    assert mobilenet_v2(classes=None).task == mobilenet_v2().until("layer_18").task == "features"
    assert deeplabv3_mobilenet_v2().until("logits").task == "features"


def test_atrous_rates_follow_the_output_stride():
    for stride, rates in ((16, [6, 12, 18]), (8, [12, 24, 36]), (32, [3, 6, 9])):
        for aspp in ("full", "separable"):
            network = deeplabv3_mobilenet_v2(output_stride=stride, aspp=aspp)
            found = [layer.dilation for layer in network.layers if layer.name.startswith("aspp") and layer.kernel == 3]
            assert found == rates
    kinds = [type(layer) for layer in deeplabv3_mobilenet_v2().layers]
    assert kinds.count(Concat) == 1
    assert kinds.count(Resize) == 2


def test_deeplab_stands_on_the_last_bottleneck_of_any_rows():
    """Table 2's rows are the default; of others the last bottleneck carries the head, and the settings make it again."""
    assert deeplabv3_mobilenet_v2(rows=MOBILENET_V2) == deeplabv3_mobilenet_v2()
    assert deeplabv3_mobilenet_v2()["aspp_0"].inputs == ("layer_18.project",)
    network = deeplabv3_mobilenet_v2(resolution=64, output_stride=8, rows=[(1, 8, 1, 2), (4, 16, 2, 2), (4, 24, 1, 2)])
    assert network["aspp_0"].inputs == ("layer_5.project",)
    assert network.shapes()["layer_5.project"] == (24, 8, 8)
    assert (network["layer_5.depthwise"].stride, network["layer_5.depthwise"].dilation) == (1, 1)
    assert deeplabv3_mobilenet_v2(**network.settings.to_json()) == network


@pytest.mark.parametrize(
    ("build", "settings", "words"),
    [
        (ssdlite_mobilenet_v2, {"classes": 0}, "classes 0"),
        (ssdlite_mobilenet_v2, {"classes": None}, "classes None"),
        (ssdlite_mobilenet_v1, {"anchors": "caffe"}, "anchors 'caffe'"),
        (ssd_mobilenet_v2, {"kernel": 5}, "kernel 5"),
        (ssd_mobilenet_v2, {"extras": "none"}, "extras 'none'"),
        (deeplabv3_mobilenet_v2, {"aspp": True}, "aspp True"),
        (deeplabv3_mobilenet_v2, {"output_stride": 4}, "output_stride 4"),
        (deeplabv3_mobilenet_v2, {"rows": [(6, 24, 2, 3)]}, "rows"),
        (deeplabv3_mobilenet_v1, {"head_epsilon": 0}, "head_epsilon 0"),
        (deeplabv3_mobilenet_v1, {"width": 0}, "width 0"),
    ],
)
def test_refusals(build, settings, words):
    with pytest.raises(ValueError, match=words):
        build(**settings)


# Running --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", SMALL, ids=range(len(SMALL)))
def test_torch_and_the_reference_agree(network):
    pytest.importorskip("torch")
    outputs, shapes = compare_with_torch(network), network.shapes()
    assert {name: value.shape for name, value in outputs.items()} == {name: (2, *shapes[name]) for name in network.outputs}
    assert list(outputs) == list(network.outputs)


@pytest.mark.parametrize("corners", ["aligned", "half_pixel"])
@pytest.mark.parametrize(
    ("size", "target"), [((1, 1), (5, 4)), ((3, 7), (1, 1)), ((5, 4), (13, 9)), ((9, 30), (4, 11)), ((6, 6), (6, 6))]
)
def test_bilinear_resizing_is_torchs(corners, size, target):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((2, 3, *size)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(x).double(), target, mode="bilinear", align_corners=corners == "aligned"
    )
    ours = resize(x, target, corners)
    assert ours.dtype == np.float32
    # two blends of three roundings each, values up to the largest of x
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=8 * 2.0**-24 * np.abs(x).max() * 2)


def test_bilinear_taps_stay_on_the_image():
    for size in (1, 2, 5):
        for target in (1, 2, 3, 17):
            for corners in ("aligned", "half_pixel"):
                before, after, weights = bilinear_taps(size, target, corners)
                assert all(0 <= b <= a < size for b, a in zip(before, after, strict=True))
                assert all(0 <= w <= 1 for w in weights)


def test_large_and_odd_images_run():
    torch = pytest.importorskip("torch")
    from mobilenet import nn

    net = nn.deeplabv3_mobilenet_v2(width=0.35, classes=3).eval()
    with torch.inference_mode():
        for size in ((513, 513), (1025, 2049), (257, 1), (3, 130)):
            assert net(torch.zeros(1, 3, *size)).shape == (1, 3, *size)
        found = nn.ssdlite_mobilenet_v2(width=0.35, classes=2).eval()(torch.zeros(1, 3, 301, 77))
    assert found["class_0.predict"].shape == (1, 9, 19, 5)
    network = deeplabv3_mobilenet_v2(0.35, 513, classes=3)
    (logits,) = Reference(network, random_tensors(network))(np.zeros((1, 3, 513, 513), np.float32)).values()
    assert logits.shape == (1, 3, 513, 513)


def test_heads_begin_as_in_the_sources():
    torch = pytest.importorskip("torch")
    from mobilenet import nn

    torch.manual_seed(0)
    for source, cut in (("tensorflow", 0.8796), ("pytorch", 1.0)):
        net = nn.ssdlite_mobilenet_v2(initialization=source)
        for name in ("extra_1.reduce", "class_1.predict"):
            assert net.get_parameter(f"{name}.conv.weight").std().item() == pytest.approx(0.03 * cut, rel=0.01)
        assert not net.get_parameter("box_0.predict.conv.bias").any()
        logits = nn.deeplabv3_mobilenet_v2(initialization=source, classes=200).get_parameter("logits.conv.weight")
        assert logits.std().item() == pytest.approx(0.01 * cut, rel=0.02)
    backbone = nn.ssdlite_mobilenet_v2(initialization="tensorflow").get_parameter("layer_19.conv.weight")
    assert backbone.std().item() == pytest.approx(0.09 * 0.8796, rel=0.01)


def test_dropout_and_new_classes_in_torch():
    torch = pytest.importorskip("torch")
    from mobilenet import nn

    x = torch.randn(2, 3, 33, 33)
    net = nn.deeplabv3_mobilenet_v2(width=0.35, classes=4, dropout=0.5)
    torch.nn.init.normal_(net.get_parameter("logits.conv.weight"))
    assert not torch.equal(net(x), net(x)), "dropout before the logits in training"
    net.eval()
    assert torch.equal(net(x), net(x))
    with pytest.raises(UsageError, match="a detector has none"):
        nn.ssdlite_mobilenet_v2(width=0.35, classes=4, dropout=0.5)
    other = net.with_classes(7)
    assert other(x).shape == (2, 7, 33, 33)
    assert other.get_parameter("layer_1.conv.weight") is net.get_parameter("layer_1.conv.weight")
    found = nn.ssdlite_mobilenet_v2(width=0.35, classes=4).eval().with_classes(2)(x)
    assert (found["class_0.predict"].shape[1], found["class_1.predict"].shape[1], found["box_1.predict"].shape[1]) == (
        9,
        18,
        24,
    )


def test_heads_export_and_keep_channels_last():
    torch = pytest.importorskip("torch")
    from mobilenet import nn

    net = nn.deeplabv3_mobilenet_v2(width=0.1, classes=3).eval()  # it has every kind of layer that a head brings
    x = torch.randn(1, 3, 33, 41)
    torch.testing.assert_close(torch.export.export(net, (x,)).module()(x), net(x))
    for each in (net, nn.ssdlite_mobilenet_v2(width=0.1, classes=3).eval()):
        last = each.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        some = last["class_0.predict"] if isinstance(last, dict) else last
        assert some.is_contiguous(memory_format=torch.channels_last)
