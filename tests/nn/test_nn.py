"""The torch modules: names, taps, heads, initialization, memory formats, and the compilers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from support.weights import compare_with_torch, random_tensors

from mobilenet.network import mobilenet as architecture
from mobilenet.network.layers import Add
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2

torch = pytest.importorskip("torch")
from mobilenet import nn  # noqa: E402

ABLATIONS = [
    mobilenet_v2(0.35, (33, 40), classes=5),
    mobilenet_v2(0.35, 32, classes=5, shortcut="expansion", padding="tensorflow"),
    mobilenet_v2(0.35, 31, classes=5, shortcut="none", projection="relu6"),
    mobilenet_v2(0.35, 30, classes=5, expansion=1, activation="relu"),
    mobilenet_v2(0.35, 64, classes=5, expansion=2.5, output_stride=8, padding="tensorflow"),
    mobilenet_v2(0.35, 47, classes=None, output_stride=16),
    mobilenet_v2(0.3, 1, classes=2, depth=1.4, scale_last=True, epsilon=1e-3),
    mobilenet_v1(0.25, 33, classes=5, padding="tensorflow"),
    mobilenet_v1(0.25, (5, 64), classes=5, output_stride=8, convolution="full"),
]


@pytest.mark.parametrize("network", ABLATIONS, ids=range(len(ABLATIONS)))
def test_torch_and_the_reference_agree(network):
    compare_with_torch(network)


def test_state_has_the_canonical_names():
    network = mobilenet_v2(0.5)
    state = nn.module(network).state_dict()
    kept = {name: tuple(value.shape) for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert kept == network.tensors()


def test_arrays_round_trip_exactly():
    network = mobilenet_v2(0.35, classes=3)
    tensors, net = random_tensors(network), nn.module(network)
    net.load_arrays(tensors)
    for name, value in net.arrays().items():
        np.testing.assert_array_equal(value, tensors[name])
    with pytest.raises(KeyError, match=r"classifier\.bias"):
        net.load_arrays({k: v for k, v in tensors.items() if k != "classifier.bias"})
    with pytest.raises(RuntimeError, match=r"classifier\.bias"):
        net.load_arrays({**tensors, "classifier.bias": np.zeros(4, np.float32)})


def test_taps_share_parameters_and_stop_at_the_deepest():
    net = nn.mobilenet_v2(width=0.35, classes=4).eval()
    features = net.taps("layer_15.expand", "layer_18")
    images = torch.randn(1, 3, 96, 96)
    found = features(images)
    assert {name: tuple(value.shape[1:]) for name, value in found.items()} == {
        "layer_15.expand": (192, 6, 6),
        "layer_18": (112, 3, 3),
    }
    assert not any(name.startswith(("layer_19", "classifier")) for name in features.state_dict())
    assert features.get_parameter("layer_3.expand.conv.weight") is net.get_parameter("layer_3.expand.conv.weight")
    torch.testing.assert_close(found["layer_18"], net.taps("layer_18")(images)["layer_18"], rtol=0, atol=0)
    assert features.training is net.training is False, "a tap of a network in evaluation mode must not drop features"
    assert net.train().taps("layer_18").training
    with pytest.raises(ValueError, match="no layer or block 'layer_77'"):
        net.taps("layer_77")


def test_new_head_keeps_the_backbone():
    net = nn.mobilenet_v2(width=0.35, classes=4).eval()
    other = net.with_classes(9)
    assert other.network == mobilenet_v2(0.35, classes=9)
    assert other.get_parameter("layer_1.conv.weight") is net.get_parameter("layer_1.conv.weight")
    assert other(torch.randn(2, 3, 32, 32)).shape == (2, 9)
    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 4)
    assert not other.training
    deep = copy.deepcopy(other)
    assert deep.get_parameter("layer_1.conv.weight") is not net.get_parameter("layer_1.conv.weight")


def test_initialization_as_in_the_sources():
    torch.manual_seed(0)
    theirs = nn.mobilenet_v2(initialization="tensorflow").get_parameter("layer_19.conv.weight")
    assert theirs.abs().max() <= 0.18
    assert theirs.std().item() == pytest.approx(0.09 * 0.8796, rel=0.01)  # a normal cut at two deviations
    ours = nn.mobilenet_v2()
    weight = ours.get_parameter("layer_19.conv.weight")
    assert weight.std().item() == pytest.approx((2 / 1280) ** 0.5, rel=0.01)
    assert ours.get_parameter("classifier.weight").std().item() == pytest.approx(0.01, rel=0.01)
    assert not ours.get_parameter("classifier.bias").any()
    assert (ours.get_parameter("layer_3.expand.norm.weight") == 1).all()
    unknown = ({"initialization": "keras"}, {"pretrained": True}, {"weights": "DEFAULT"})
    for wrong in (*unknown, {"dropout": 1}, {"norm_momentum": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            nn.mobilenet_v2(**wrong)


def test_zero_residuals_make_blocks_with_a_shortcut_begin_as_the_shortcut():
    network = architecture.mobilenet_v2(classes=4)
    net = nn.module(network, zero_residuals=True).eval()
    blocks = [layer.name.partition(".")[0] for layer in network.layers if isinstance(layer, Add)]
    assert len(blocks) == 10
    with torch.no_grad():
        seen = net.taps(*[f"layer_{number}" for number in range(2, 19)])(torch.randn(1, 3, 64, 64))
    for number in range(3, 19):
        same = f"layer_{number}" in blocks
        assert same == (seen[f"layer_{number}"].shape == seen[f"layer_{number - 1}"].shape)
        assert not same or torch.equal(seen[f"layer_{number}"], seen[f"layer_{number - 1}"])
    with pytest.raises(ValueError, match="no batch norm"):
        nn.module(architecture.mobilenet_v2(epsilon=None), zero_residuals=True)


def test_settings_reach_the_modules():
    net = nn.mobilenet_v2(epsilon=1e-3, norm_momentum=0.003, dropout=0.5, classes=10, width=0.35)
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.003)}
    net.train()
    torch.manual_seed(0)
    images = torch.randn(1, 3, 32, 32)
    net.eval()
    still = net(images)
    torch.testing.assert_close(still, net(images), rtol=0, atol=0)
    net.training = True  # dropout alone
    assert not torch.equal(still, net(images))


def test_channels_last_stays():
    net = nn.mobilenet_v2(width=0.35, padding="tensorflow", classes=None).eval().to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)
    assert net(images).is_contiguous(memory_format=torch.channels_last)


def test_gradients_reach_every_parameter():
    net = nn.mobilenet_v2(width=0.35, classes=3, shortcut="expansion")
    net(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@pytest.mark.parametrize("padding", ["pytorch", "tensorflow"])
def test_export_is_exact(padding):
    net = nn.mobilenet_v2(width=0.35, classes=3, padding=padding).eval()
    images = torch.randn(2, 3, 64, 64)
    program = torch.export.export(net, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=8)},))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images[:1]), net(images[:1]), rtol=0, atol=0)


def test_compile_makes_one_graph():
    net = nn.mobilenet_v2(width=0.35, classes=3).eval()
    compiled = torch.compile(net, backend="eager", fullgraph=True)  # a graph break would raise
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), net(images), rtol=0, atol=0)
