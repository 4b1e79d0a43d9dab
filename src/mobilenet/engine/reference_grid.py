"""The specification of our own integer networks: `network.grid` has the rules, this computes them in numpy, layer by layer.

Activations are (N, C, H, W) uint8. A sum of products is a float matrix product, which is exact whatever the order of its terms,
because no partial sum reaches 2^24 (float32) or 2^53 (float64); `exact_float` chooses the narrower type that suffices. A sum
becomes a byte by one rounding (`rounded`). docs/numerics.md has the same rules in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import assert_never
from ..network.cost import cost
from ..network.grid import (
    ADD_SHIFT,
    BLEND_SHIFT,
    MAX_SUM,
    SHIFT,
    GridQuantization,
    Shortcut,
    add_multipliers,
    blend_taps,
    limits,
    mean_multiplier,
    ratio,
    real_outputs,
    shortcuts,
)
from ..network.layers import Activation, Add, Concat, Conv, Corners, GlobalPool, Layer, Linear, Network, Resize, Resolution
from ..network.quantization import Affine, weighted
from .reference import checked_images, convolve, run_layers

if TYPE_CHECKING:
    from ..tensors import Array, Floats, Plain

    Sums = Array  # integers, whatever the type: int64, float32 or float64

Bytes = NDArray[np.uint8]
Reals = NDArray[np.floating]
LINEAR: Activation = "linear"


class Weights(NamedTuple):
    """A layer's parameters, ready to run.

    Attributes:
        weight: in the float type that sums it exactly; (out, in / groups, k, k).
        bias: for inputs minus their zero points: the model file's, plus the weights times the zero point.
        zero_points: of the input; one, or one for each channel of the image.
    """

    weight: Reals
    bias: Reals
    zero_points: Reals


class GridReference:
    """Runs the quantized `network` with the tensors and the quantization of a model file.

    `GridReference(...)(images)` takes (N, 3, H, W) float32, any H and W, and returns each output by name as real numbers:
    {"classifier": (N, K)} float32. `integers` takes pixels and returns integers.
    """

    name, precision, threads = "int8 reference", "int8", None

    def __init__(self, network: Network, tensors: Mapping[str, Array], quantization: GridQuantization) -> None:
        self.network, self.quantization = network, quantization
        self.shortcuts, self.real = shortcuts(network), real_outputs(network)
        self.conv_of = {shortcut.add: conv for conv, shortcut in self.shortcuts.items()}
        self.stems = {layer.name: stem for layer, stem in weighted(network)}
        self.weights = {layer.name: self.prepared(layer, tensors) for layer, _ in weighted(network)}

    def prepared(self, layer: Conv | Linear, tensors: Mapping[str, Array]) -> Weights:
        stem = self.stems[layer.name]
        weight, bias = tensors[f"{stem}.weight"], tensors[f"{stem}.bias"].astype(np.int64)
        if layer.inputs[0] == "input":
            zero_points = np.array(self.quantization.pixels.zero_points)
        else:
            zero_points = np.array([self.quantization.activations[layer.inputs[0]].zero_point])
        taps = weight.astype(np.int64).reshape(*weight.shape[:2], -1).sum(axis=2)
        bias += (taps * zero_points).sum(axis=1)
        reach = np.maximum(zero_points, 255 - zero_points).max()
        magnitudes = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1) * reach + np.abs(bias)
        kind = exact_float(int(magnitudes.max()))
        return Weights(weight.astype(kind), bias.astype(kind), zero_points.astype(kind))

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image if layers run one after the other; this runtime plans no memory."""
        return cost(self.network, resolution, "int8").layerwise_bytes

    @np.errstate(over="ignore", invalid="ignore")  # what is no number in an output is an error of its own
    def __call__(self, images: Plain) -> dict[str, Floats]:
        """Each output as real numbers: a sum times its scale, or a byte minus its zero point times its scale, in float32."""
        outputs = self.integers(self.pixels(checked_images(images)))
        return {name: self.real_numbers(self.network[name], value) for name, value in outputs.items()}

    def pixels(self, images: Floats) -> Bytes:
        """Real images -> bytes: RNE(x * factor + offset) in float64, from 0 to 255."""
        factor, offset = (np.array(part)[:, None, None] for part in self.quantization.pixels)
        return clamped(np.rint(images.astype(np.float64) * factor + offset), (0, 255))

    def real_numbers(self, layer: Layer, integers: Array) -> Floats:
        if layer.name not in self.real:
            scale, zero_point = self.quantization.activations[layer.name]
            return (integers.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
        sums: Floats = integers.astype(np.float32)
        if isinstance(layer, Resize):
            return sums * np.float32(self.quantization.activations[layer.inputs[0]].scale / 2 ** (2 * BLEND_SHIFT))
        sums *= self.quantization.scales[f"{self.stems[layer.name]}.weight"][:, None, None]
        return sums.reshape(len(sums), -1) if isinstance(layer, Linear) else sums

    def integers(self, pixels: Bytes, keep: bool = False) -> dict[str, Array]:
        """Pixels (N, 3, H, W) uint8 -> each output by name: bytes, or int32 sums if it is real.

        With `keep`, the output of every layer by its name, but of the convolutions whose sums an addition continues.
        """
        history: dict[str, Array] = {}
        outputs = run_layers(self.network, pixels, self.run_layer, history if keep else None)
        return {name: value for name, value in history.items() if name not in self.shortcuts} if keep else outputs

    def run_layer(self, layer: Layer, inputs: list[Array]) -> Array:
        """Bytes -> the layer's bytes; or its sums, as integers, if it is a real output or an addition continues them."""
        activations = self.quantization.activations
        match layer:
            case Conv() | Linear():
                sums = self.sums(layer, inputs[0])
                if layer.name in self.shortcuts:
                    return sums
                if layer.name in self.real:
                    return sums.astype(np.int32)
                activation = layer.activation if isinstance(layer, Conv) else LINEAR
                return rounded(sums, self.multipliers(layer), SHIFT, activations[layer.name], activation)
            case Add() if layer.name in self.conv_of:
                conv = self.conv_of[layer.name]
                return self.finished_shortcut(conv, self.shortcuts[conv], dict(zip(layer.inputs, inputs, strict=True)))
            case Add():
                return add(inputs, [activations[name] for name in layer.inputs], activations[layer.name])
            case Concat():
                result = activations[layer.name]
                return np.concatenate(
                    [rescaled(x, activations[name], result) for x, name in zip(inputs, layer.inputs, strict=True)], axis=1
                )
            case Resize():
                blended = blend(inputs[0], inputs[1].shape[2:], layer.corners)
                if layer.name in self.real:
                    return np.asarray(blended - (activations[layer.inputs[0]].zero_point << (2 * BLEND_SHIFT)), np.int32)
                return rounded(blended, np.array([1]), 2 * BLEND_SHIFT, Affine(1.0, 0))
            case GlobalPool():
                return mean(inputs[0], activations[layer.inputs[0]], activations[layer.name])
            case _:
                assert_never(layer)

    def multipliers(self, layer: Layer) -> NDArray[np.int64]:
        return self.quantization.multipliers[f"{self.stems[layer.name]}.weight"].astype(np.int64)

    def sums(self, layer: Conv | Linear, x: Bytes) -> Sums:
        """bias + the sum of weight * input, (N, out, H, W)."""
        weight, bias, zero_points = self.weights[layer.name]
        shifted = x.astype(weight.dtype)
        shifted -= zero_points[:, None, None]
        if isinstance(layer, Linear):
            sums: Sums = (shifted.reshape(len(x), -1) @ weight.T)[:, :, None, None]
        else:
            sums = convolve(shifted, weight, layer, self.network.padding)
        sums += bias[:, None, None]
        return sums

    def finished_shortcut(self, conv: str, shortcut: Shortcut, inputs: Mapping[str, Array]) -> Bytes:
        """The sums of a convolution, plus those of the addition behind it: multiplier * (residual - its zero point)."""
        residual, result = self.quantization.activations[shortcut.residual], self.quantization.activations[shortcut.add]
        factors = self.quantization.residual_multipliers(f"{self.stems[conv]}.weight", residual, result)
        more = inputs[shortcut.residual].astype(np.float32) - np.float32(residual.zero_point)
        more *= factors[:, None, None].astype(np.float32)  # below 2^23
        return rounded(inputs[conv] + more, self.multipliers(self.network[conv]), SHIFT, result)


def exact_float(bound: int) -> type[np.floating]:
    """The narrowest float type in which sums of integers are exact if their partial sums stay within `bound`."""
    return np.float32 if bound <= MAX_SUM else np.float64


def clamped(x: Array, range_: tuple[int, int]) -> Bytes:
    return np.clip(x, *range_, out=x).astype(np.uint8)


def rounded(sums: Sums, multipliers: NDArray[np.int64], shift: int, result: Affine, activation: Activation = LINEAR) -> Bytes:
    """clamp(zero point + RNE(sum * multiplier / 2^shift)), a multiplier for each channel or one for all.

    A sum has 24 bits and a multiplier 23, so their product is exact in float64, and so is its division by a power of 2; then
    `rint` is RNE. `rounded_in_integers` is the same without floats, for any size.
    """
    real = sums * (multipliers.astype(np.float64) / 2**shift)[:, None, None]
    np.rint(real, out=real)
    real += result.zero_point
    return clamped(real, limits(activation, result))


def rounded_in_integers(sums: NDArray[np.int64], multiplier: int, shift: int) -> NDArray[np.int64]:
    """RNE(sum * multiplier / 2^shift) with 64-bit integers: half and one less is added before the shift, and one more if the
    result would be odd."""
    product = sums * multiplier
    return (product + ((1 << (shift - 1)) - 1) + ((product >> shift) & 1)) >> shift


def add(inputs: list[Bytes], sources: list[Affine], result: Affine) -> Bytes:
    """Two bytes, each times its factor in 2^-14, and one rounding."""
    total = np.zeros(inputs[0].shape, np.int64)
    for x, source, factor in zip(inputs, sources, add_multipliers(sources, result), strict=True):
        total += factor * (x.astype(np.int64) - source.zero_point)
    return rounded(total, np.array([1]), ADD_SHIFT, result)


def rescaled(x: Bytes, source: Affine, result: Affine) -> Bytes:
    """The same real numbers on another scale."""
    if source == result:
        return x
    return rounded(x.astype(np.int64) - source.zero_point, np.array([ratio(source, result)]), SHIFT, result)


def mean(x: Bytes, source: Affine, result: Affine) -> Bytes:
    """The mean over rows and columns."""
    count = x.shape[2] * x.shape[3]
    sums = x.sum(axis=(2, 3), keepdims=True, dtype=np.int64) - source.zero_point * count
    real = rounded_in_integers(sums, *mean_multiplier(source, result, count)) + result.zero_point
    return clamped(real, limits(LINEAR, result))


def blend(x: Bytes, size: tuple[int, ...], corners: Corners) -> NDArray[np.int32]:
    """Bilinearly, times 2^16: first the rows, then the columns, each a blend of two neighbors in 256ths."""
    wide = x.astype(np.int32)
    for axis, target in zip((2, 3), size, strict=True):
        before, after, weights = blend_taps(wide.shape[axis], target, corners)
        share = np.array(weights, np.int32).reshape((-1, 1) if axis == 2 else (-1,))
        wide = wide.take(before, axis) * ((1 << BLEND_SHIFT) - share) + wide.take(after, axis) * share
    return wide
