"""Against independent implementations, the same random state in both: torchvision, timm, transformers, Keras, d-li14.

Weights travel through the real converter: the peer's own file, recognized by itself, to a model; then the numpy reference
and the torch module must give what the peer gives.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.weights import tolerance

from mobilenet.convert.convert import convert
from mobilenet.engine.reference import Reference

torch = pytest.importorskip("torch")
from torch import nn as tnn  # noqa: E402

from mobilenet import modelfile, nn  # noqa: E402

SIDES = ((96, 128), (97, 65))  # even and odd


def liven(net, seed: int = 0) -> None:
    """Random batch-norm state, so that a swapped scale, shift, mean or variance shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, tnn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.3, generator=generator)
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
            elif isinstance(module, tnn.Conv2d):
                fan = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan) ** 0.5, generator=generator)


def images_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, 3, height, width)).astype(np.float32)


def check(model: modelfile.ModelFile, peer, sides=SIDES) -> None:
    """The reference within float32's rounding of the peer; our torch module in double precision all but equal to it."""
    net = nn.module(model.network)
    net.load_arrays(model.tensors)
    net.double().eval()
    reference = Reference(model.network, model.tensors)
    for height, width in sides:
        images = images_of(height, width)
        with torch.no_grad():
            peer.float()
            single = peer(torch.from_numpy(images)).numpy()
            peer.double()
            exact = peer(torch.from_numpy(images).double()).numpy()
            ours = net(torch.from_numpy(images).double()).numpy()
            peer.float()
        scale = float(np.abs(exact).max())
        assert scale > 0.01
        assert np.ptp(exact) > 0.1 * scale, "the outputs must differ from class to class to prove anything"
        np.testing.assert_allclose(ours, exact, rtol=0, atol=tolerance(model.network, scale, 2.0**-53))
        answer = reference(images)["classifier"]
        np.testing.assert_allclose(answer, exact, rtol=0, atol=tolerance(model.network, scale))
        np.testing.assert_allclose(answer, single, rtol=0, atol=tolerance(model.network, scale))


@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.0, 1.3, 1.4])
def test_torchvision(width, tmp_path):
    models = pytest.importorskip("torchvision").models
    peer = models.mobilenet_v2(width_mult=width, num_classes=1000).eval()
    liven(peer)
    torch.save(peer.state_dict(), tmp_path / "peer.pth", _use_new_zipfile_serialization=width < 1)
    conversion = convert(tmp_path / "peer.pth")
    assert conversion.layout.name == "torchvision"
    assert conversion.model.network.settings.width == width
    check(conversion.model, peer, ((224, 224), (97, 65)) if width == 1 else SIDES)


@pytest.mark.parametrize(
    ("name", "stride"),
    [
        ("mobilenetv2_035", 32),
        ("mobilenetv2_050", 16),
        ("mobilenetv2_075", 32),
        ("mobilenetv2_100", 8),
        ("mobilenetv2_140", 32),
        ("mobilenetv2_110d", 32),
        ("mobilenetv2_120d", 16),
        ("mobilenetv1_100", 32),
        ("mobilenetv1_100", 16),
        ("mobilenetv1_100", 8),
        ("mobilenetv1_125", 32),
    ],
)
def test_timm(name, stride, tmp_path):
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    peer = timm.create_model(name, output_stride=stride).eval()
    liven(peer)
    save_file(peer.state_dict(), tmp_path / "model.safetensors")
    conversion = convert(tmp_path / "model.safetensors", settings={"output_stride": stride})
    assert conversion.layout.name == "timm"
    check(conversion.model, peer)


class Logits(tnn.Module):
    """A transformers classifier as a function from images to logits."""

    def __init__(self, net) -> None:
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).logits


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {"depth_multiplier": 1.0},
        {"depth_multiplier": 0.75, "tf_padding": False},
        {"depth_multiplier": 0.35, "output_stride": 16},
        {"depth_multiplier": 1.4, "output_stride": 8},
        {"depth_multiplier": 0.5, "finegrained_output": False, "hidden_act": "relu"},
    ],
)
def test_transformers(version, options, tmp_path):
    transformers = pytest.importorskip("transformers")
    if version == 1:
        options = {key: value for key, value in options.items() if key not in ("output_stride", "finegrained_output")}
    config = getattr(transformers, f"MobileNetV{version}Config")(num_labels=1001, image_size=96, **options)
    peer = getattr(transformers, f"MobileNetV{version}ForImageClassification")(config).eval()
    liven(peer)
    peer.save_pretrained(tmp_path)
    conversion = convert(tmp_path / "model.safetensors")
    assert conversion.layout.name == "transformers"
    assert conversion.model.background == 0
    assert conversion.model.network.padding == ("tensorflow" if config.tf_padding else "pytorch")
    check(conversion.model, Logits(peer))


@pytest.mark.parametrize("width", [0.5, 1.4])
def test_d_li14(width, tmp_path):
    """Its layout written out: blocks are flat sequences, the last convolution and the classifier stand at the top."""

    def conv(i, o, k, s=1, g=1):
        return [tnn.Conv2d(i, o, k, s, (k - 1) // 2, groups=g, bias=False), tnn.BatchNorm2d(o)]

    def divisible(value):
        rounded = max(8, int(value + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * value else rounded

    class Block(tnn.Module):
        def __init__(self, i, o, s, t) -> None:
            super().__init__()
            h = i * t
            wide = [*conv(i, h, 1), tnn.ReLU6()] if t > 1 else []
            self.conv = tnn.Sequential(*wide, *conv(h, h, 3, s, h), tnn.ReLU6(), *conv(h, o, 1))
            self.same = s == 1 and i == o

        def forward(self, x):
            return x + self.conv(x) if self.same else self.conv(x)

    class Peer(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            channels = divisible(32 * width)
            features = [tnn.Sequential(*conv(3, channels, 3, 2), tnn.ReLU6())]
            for t, c, n, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                               (6, 320, 1, 1)]:  # fmt: skip
                for i in range(n):
                    features.append(Block(channels, divisible(c * width), s if i == 0 else 1, t))
                    channels = divisible(c * width)
            last = divisible(1280 * width) if width > 1 else 1280
            self.features = tnn.Sequential(*features)
            self.conv = tnn.Sequential(*conv(channels, last, 1), tnn.ReLU6())
            self.classifier = tnn.Linear(last, 1000)

        def forward(self, x):
            return self.classifier(self.conv(self.features(x)).mean((2, 3)))

    peer = Peer().eval()
    liven(peer)
    torch.save({"state_dict": peer.state_dict(), "epoch": 3}, tmp_path / "peer.pth.tar")
    conversion = convert(tmp_path / "peer.pth.tar")
    assert conversion.layout.name == "d-li14"
    check(conversion.model, peer)


@pytest.mark.filterwarnings("ignore")  # Keras, not ours
@pytest.mark.parametrize(
    ("version", "width", "side"), [(1, 0.25, 128), (1, 1.0, 160), (2, 0.35, 96), (2, 1.0, 128), (2, 1.3, 131)]
)
def test_keras(version, width, side, tmp_path):
    pytest.importorskip("h5py")
    keras = pytest.importorskip("keras")
    if version == 1:
        peer = keras.applications.MobileNet((side, side, 3), width, weights=None, dropout=0)
    else:
        peer = keras.applications.MobileNetV2((side, side, 3), width, weights=None)
    generator = np.random.default_rng(0)
    for layer in peer.layers:
        if layer.__class__.__name__ == "BatchNormalization":
            n = layer.gamma.shape[0]
            layer.set_weights([generator.uniform(0.5, 1.5, n), generator.normal(0, 0.3, n), generator.normal(0, 0.3, n),
                               generator.uniform(0.5, 2, n)])  # fmt: skip
    peer.save(tmp_path / "peer.h5")
    conversion = convert(tmp_path / "peer.h5", resolution=side)
    model = conversion.model
    assert (conversion.layout.name, model.network.settings.width) == ("keras", width)
    assert model.network.padding == "tensorflow"
    images = images_of(side, side)
    probabilities = np.asarray(peer.predict(images.transpose(0, 2, 3, 1), verbose=0))
    logits = Reference(model.network, model.tensors)(images)["classifier"]
    powers = np.exp(logits.astype(np.float64))
    ours = powers / powers.sum(1, keepdims=True)
    # d softmax = p (1 - p) d logit <= p d logit: the logits' tolerance, relative to each probability
    atol = tolerance(model.network, float(np.abs(logits).max()))
    np.testing.assert_allclose(ours, probabilities, rtol=2 * atol, atol=1e-9)
    assert np.ptp(logits) > 0.1


def test_configuration_beside_timm_weights_is_read(tmp_path):
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    save_file(timm.create_model("mobilenetv1_100").state_dict(), tmp_path / "model.safetensors")
    cfg = {"input_size": [3, 256, 256], "crop_pct": 0.95, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.25] * 3}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "mobilenetv1_100", "pretrained_cfg": cfg}))
    model = convert(tmp_path / "model.safetensors").model
    assert model.network.resolution == model.preprocessing.size == (256, 256)
    assert (model.preprocessing.resize, model.preprocessing.std) == (269, (0.25,) * 3)


def test_round_trip_is_exact(tmp_path):
    """convert -> torch -> file -> runtime: not a bit changes."""
    models = pytest.importorskip("torchvision").models
    peer = models.mobilenet_v2(width_mult=0.35)
    liven(peer)
    torch.save(peer.state_dict(), tmp_path / "peer.pth")
    first = convert(tmp_path / "peer.pth").model
    modelfile.write(first, tmp_path / "first.safetensors")
    net = nn.load(tmp_path / "first.safetensors")
    second = modelfile.ModelFile(first.network, net.arrays(), first.labels, first.preprocessing, first.label_ids)
    modelfile.write(second, tmp_path / "second.safetensors")
    third = modelfile.read(tmp_path / "second.safetensors")
    assert third.network == first.network
    images = images_of(96, 96)
    answers = [Reference(m.network, m.tensors)(images)["classifier"] for m in (first, third)]
    np.testing.assert_array_equal(*answers)
    for (name, value), original in zip(third.tensors.items(), first.tensors.values(), strict=True):
        np.testing.assert_array_equal(value, original, err_msg=name)
    state = {k: v for k, v in peer.state_dict().items() if "num_batches" not in k}
    for value, original in zip(third.tensors.values(), state.values(), strict=True):
        np.testing.assert_array_equal(value, original.numpy())
