"""The specification: numpy runs a network layer by layer, in code that is written to be read.

Tensors are (N, C, H, W) float32. Every faster engine is tested against this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..errors import UsageError, assert_never
from ..images.bilinear import resize
from ..network.cost import cost
from ..network.layers import (
    Add,
    Concat,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Network,
    Padding,
    Resize,
    Resolution,
    Shape,
    padding_around,
    strided,
)
from .fold import Folded, fold

if TYPE_CHECKING:
    from ..tensors import Array, Floats, Plain

T = TypeVar("T")


class Reference:
    """Runs `network` with the tensors of a model file (names and shapes as `Network.tensors` lists them).

    `Reference(...)(images)` takes (N, 3, H, W) float32, any H and W, and returns each output by name:
    {"classifier": (N, K)} for a classifier, (N, C, H', W') for a tap or an output of another head.
    """

    name, precision, threads = "reference", "fp32", None
    folded: Mapping[str, Folded]

    def __init__(self, network: Network, tensors: Mapping[str, Floats]) -> None:
        self.network, self.folded = network, fold(network, tensors)

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image if layers run one after the other; this runtime plans no memory."""
        return cost(self.network, resolution).layerwise_bytes

    @np.errstate(over="ignore", invalid="ignore")  # what is no number in an output is an error of its own
    def __call__(self, images: Plain) -> dict[str, Floats]:
        def run(layer: Layer, inputs: list[Floats]) -> Floats:
            return run_layer(layer, inputs, self.folded, self.network.padding)

        return run_layers(self.network, checked_images(images), run)


def checked_images(images: Plain) -> Floats:
    """`images` as an array. Raises UsageError unless it is float32 of shape (N, 3, H, W)."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.float32 or not images.size:
        raise UsageError(f"images {images.dtype}{images.shape}: must be float32 (N, 3, H, W) with no empty side")
    return images


def run_layers(
    network: Network, images: T, run: Callable[[Layer, list[T]], T], history: dict[str, T] | None = None
) -> dict[str, T]:
    """Each output by name. `run` makes a layer's output from its inputs; a tensor is dropped after its last use.

    Args:
        history: gets the output of every layer, by its name.
    """
    values, last_use = {"input": images}, network.last_use()
    for index, layer in enumerate(network.layers):
        values[layer.name] = run(layer, [values[name] for name in layer.inputs])
        if history is not None:
            history[layer.name] = values[layer.name]
        values = {name: value for name, value in values.items() if last_use.get(name, -1) > index}
    return {name: values[network[name].name] for name in network.outputs}


def run_layer(layer: Layer, inputs: list[Floats], folded: Mapping[str, Folded], padding: Padding) -> Floats:
    """Inputs (N, C, H, W) -> the layer's output (N, C', H', W'), or (N, K) for a linear layer."""
    match layer:
        case Add():
            return inputs[0] + inputs[1]
        case Concat():
            return np.concatenate(inputs, axis=1)
        case Resize():
            return resize(inputs[0], inputs[1].shape[2:], layer.corners)
        case GlobalPool():
            return np.asarray(inputs[0].mean(axis=(2, 3), keepdims=True))
        case Linear():
            weight, bias = folded[layer.name]
            return np.asarray(inputs[0].reshape(len(inputs[0]), -1) @ weight.T + bias)
        case Conv():
            weight, bias = folded[layer.name]
            y = convolve(inputs[0], weight, layer, padding)
            y += bias[:, None, None]
            if layer.activation != "linear":
                np.clip(y, 0, 6 if layer.activation == "relu6" else None, out=y)
            return y
        case _:
            assert_never(layer)


def convolve(x: Array, weight: Array, layer: Conv, padding: Padding) -> Array:
    """The sum over the kernel's positions, in the type of `x`: each multiplies the shifted image by one matrix of channels.

    Padding is 0; integers come here minus their zero point.
    """
    n, channels, h, w = x.shape
    k, s, d = layer.kernel, layer.stride, layer.dilation
    rows, columns = strided(h, s), strided(w, s)
    x = np.pad(x, [(0, 0), (0, 0), *padding_around(layer, Shape(channels, h, w), padding)])
    y = np.zeros((n, layer.out_channels, rows, columns), x.dtype)
    for i in range(k):
        for j in range(k):
            shifted = x[:, :, i * d : i * d + (rows - 1) * s + 1 : s, j * d : j * d + (columns - 1) * s + 1 : s]
            if layer.depthwise:
                y += shifted * weight[:, 0, i, j, None, None]
            else:
                product = weight[:, :, i, j] @ shifted.reshape(n, layer.in_channels, rows * columns)
                y += product.reshape(y.shape)
    return y
