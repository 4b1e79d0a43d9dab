"""The ONNX graph, run by ONNX Runtime, against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from support.networks import custom
from support.weights import random_tensors, tolerance

from mobilenet.engine.reference import Reference
from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssd_mobilenet_v2, ssdlite_mobilenet_v1
from mobilenet.network.layers import Conv, GlobalPool, Resize
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from mobilenet.exports.onnx import to_onnx  # noqa: E402

NETWORKS = {
    "v2": mobilenet_v2(0.35, resolution=33, classes=10),
    "tensorflow": mobilenet_v2(0.35, resolution=(64, 33), classes=10, padding="tensorflow", output_stride=8),
    "ablations": mobilenet_v2(0.35, resolution=33, classes=10, shortcut="expansion", projection="relu6"),
    "v1": mobilenet_v1(0.25, resolution=33, classes=None, activation="relu"),
    "full": mobilenet_v1(0.25, resolution=33, classes=10, convolution="full"),
    "ssdlite": ssdlite_mobilenet_v1(0.25, resolution=65, classes=3),
    "ssd": ssd_mobilenet_v2(0.35, resolution=(48, 33), classes=3, padding="tensorflow"),
    "deeplab": deeplabv3_mobilenet_v2(0.35, resolution=(65, 50), classes=4, aspp="full"),
    "half pixel": custom(
        (
            Conv("a", ("input",), 3, 4),
            GlobalPool("mean", ("a",)),
            Resize("up", ("mean", "a"), "half_pixel"),
            Resize("down", ("a", "mean")),
        ),
        (5, 8),
        "pytorch",
        ("up", "down"),
    ),
    "taps": mobilenet_v2(0.35, resolution=33, classes=10).until("layer_4", "layer_15.expand", "classifier"),
}


@pytest.mark.parametrize("batch", [1, None])
@pytest.mark.parametrize("name", NETWORKS)
def test_in_onnx_runtime(name, batch):
    network = NETWORKS[name]
    tensors = random_tensors(network)
    x = np.random.default_rng(0).standard_normal((1 if batch else 3, 3, *network.resolution)).astype(np.float32)
    expected = Reference(network, tensors)(x)
    session = onnxruntime.InferenceSession(to_onnx(network, tensors, batch=batch).SerializeToString())
    results = session.run(None, {"input": x})
    assert [output.name for output in session.get_outputs()] == list(expected)
    for value, wanted in zip(results, expected.values(), strict=True):
        assert value.shape == wanted.shape
        scale = max(float(np.abs(wanted).max()), 1.0)
        # ONNX Runtime may use Winograd's form for full 3 x 3 convolutions, which costs a digit more.
        np.testing.assert_allclose(value, wanted, rtol=0, atol=10 * tolerance(network, scale))
