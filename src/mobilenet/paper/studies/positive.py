"""How many channels are positive after each layer with a ReLU: the paper's Figure 7, in numpy.

Lemma 2 says when such a layer loses nothing: as many of its outputs must be positive as its input has dimensions. An expansion
by t makes t times as many channels, so a share of 1/t of them is what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...engine.reference import Reference, checked_images, convolve, run_layer, run_layers
from ...images.open import open_image
from ...network.layers import Conv, Layer, Network
from ...zoo.load import load_model

if TYPE_CHECKING:
    from ...images.preprocessing import Preprocessing
    from ...tensors import Floats


class Positive(NamedTuple):
    """A layer's share of positive channels, counted at every pixel of every image.

    Attributes:
        mean, deviation, least: over the pixels; `least` is the share that all but a hundredth of the pixels reach.
    """

    layer: str
    channels: int
    mean: float
    deviation: float
    least: float


def share_of(layer: Conv, output: Floats) -> Positive:
    """The shares of one layer's output (N, C, H, W)."""
    shares = (output > 0).mean(axis=1, dtype=np.float64)
    mean, deviation, least = shares.mean(), shares.std(), np.quantile(shares, 0.01)
    return Positive(layer.name, layer.out_channels, *(round(float(each), 5) for each in (mean, deviation, least)))


def positive(network: Network, tensors: Mapping[str, Floats], images: Floats) -> list[Positive]:
    """Of every convolution with a ReLU, with the tensors of a model file. `images`: (N, 3, H, W) float32, normalized."""
    reference, found = Reference(network, tensors), list[Positive]()

    def run(layer: Layer, inputs: list[Floats]) -> Floats:
        output = run_layer(layer, inputs, reference.folded, network.padding)
        if isinstance(layer, Conv) and layer.activation != "linear":
            found.append(share_of(layer, output))
        return output

    run_layers(network, checked_images(images), run)
    return found


def positive_at_start(network: Network, images: Floats, seed: int = 0) -> list[Positive]:
    """As `positive`, with weights of before the first step: normal ones, and batch normalization by the statistics of `images`.

    The variance of the weights does not matter, because batch normalization divides by it.
    """
    random, found = np.random.default_rng(seed), list[Positive]()

    def run(layer: Layer, inputs: list[Floats]) -> Floats:
        if not isinstance(layer, Conv):
            return run_layer(layer, inputs, {}, network.padding)
        shape = (layer.out_channels, layer.in_channels // layer.groups, layer.kernel, layer.kernel)
        y = convolve(inputs[0], random.normal(size=shape).astype(np.float32), layer, network.padding)
        y -= y.mean(axis=(0, 2, 3), keepdims=True)
        y /= np.sqrt(y.var(axis=(0, 2, 3), keepdims=True) + (layer.epsilon or 0))
        if layer.activation != "linear":
            np.clip(y, 0, 6 if layer.activation == "relu6" else None, out=y)
            found.append(share_of(layer, y))
        return y

    last = [layer.name for layer in network.layers if isinstance(layer, Conv)][-1]
    run_layers(network.until(last), checked_images(images), run)
    return found


def positive_in_file(model: str | Path, images: Sequence[Path]) -> list[Positive]:
    """As `positive`, of a known model or a model file on some photos. Raises MobilenetError if one cannot be read."""
    loaded = load_model(model).dequantized()
    return positive(loaded.network, loaded.tensors, batch_of(loaded.preprocessing, images))


def batch_of(preprocessing: Preprocessing, images: Sequence[Path]) -> Floats:
    """The photos as one input (N, 3, H, W). Raises ImageError."""
    return np.stack([preprocessing(open_image(path)) for path in images])
