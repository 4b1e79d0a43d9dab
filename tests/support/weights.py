"""Random weights, and how far two runtimes may differ with them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mobilenet.engine.reference import Reference
from mobilenet.network.layers import Conv, Linear, Network
from mobilenet.network.rounding import tolerance


def published_model(name: str):
    """A real model by name, by whichever carrier answers; skips where none does."""
    from mobilenet.zoo.carriers import FetchError
    from mobilenet.zoo.load import load_model

    try:
        return load_model(name)
    except FetchError as error:
        pytest.skip(str(error))


def images(network: Network, count: int = 1, seed: int = 1) -> np.ndarray:
    """(count, 3, H, W) float32 noise of the network's own size."""
    return np.random.default_rng(seed).standard_normal((count, 3, *network.resolution)).astype(np.float32)


def random_tensors(network: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that keep activations between ReLU6's ends: He-scaled, with batch norm that really shifts and scales."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for name, shape in network.tensors().items():
        if name.endswith("running_var"):
            value = generator.uniform(0.5, 2, shape)
        elif name.endswith("norm.weight"):
            value = generator.uniform(0.5, 1.5, shape)
        elif name.endswith((".bias", "running_mean")):
            value = generator.normal(0, 0.3, shape)
        else:
            value = generator.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape)
        tensors[name] = value.astype(np.float32)
    return tensors


def bf16_deviation(network: Network) -> float:
    """How far outputs lie from those of `network` in float32, relative, in root mean square, if its products read bfloat16.

    Each product reads two rounded factors. A rounding to 8 bits is evenly spread within 2^-8 of the value, or less, so its
    relative error is 2^-8 / sqrt(3) in the same mean; a sum of many terms keeps it. Layers in sequence add their squares, if
    normalization keeps the gain between them near one, as in a trained network.
    """
    products = sum(isinstance(x, Linear) or (isinstance(x, Conv) and not x.depthwise) for x in network.layers)
    return 2.0**-8 * math.sqrt(2 * products / 3)


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def compare_with_torch(network: Network) -> dict[str, np.ndarray]:
    """The reference's outputs for two random images, compared with torch in double precision, which is exact here.

    They may differ by float32's rounding.
    """
    import torch

    from mobilenet import nn

    tensors = random_tensors(network)
    net = nn.module(network).eval()
    net.load_arrays(tensors)
    images = np.random.default_rng(1).standard_normal((2, 3, *network.resolution)).astype(np.float32)
    outputs = Reference(network, tensors)(images)
    with torch.no_grad():
        exact = net.double().taps(*network.outputs)(torch.from_numpy(images).double())
    assert list(outputs) == list(exact)
    for name, value in exact.items():
        scale = value.abs().max().item()
        assert scale > 0.01
        np.testing.assert_allclose(outputs[name], value.numpy(), rtol=0, atol=tolerance(network, scale))
    return outputs
