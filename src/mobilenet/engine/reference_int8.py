"""The specification of integer inference: a quantized network in numpy, bit for bit as TFLite's reference kernels compute it.

The code is written to be read. Activations are (N, C, H, W) int32 that hold int8 or uint8 values;
real = scale * (integer - zero point). Sums of products are float matrix products, which are exact if every partial sum stays
below 2^24 in float32 or 2^53 in float64; `exact_float` chooses the narrower type that suffices. Everything after a sum is
integer arithmetic: a scale becomes a 31-bit fraction and a shift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import assert_never
from ..network.cost import cost
from ..network.layers import (
    Activation,
    Add,
    Concat,
    Conv,
    Corners,
    GlobalPool,
    Layer,
    Linear,
    Network,
    Resize,
    Resolution,
)
from ..network.quantization import (
    ADD_SHIFT,
    Affine,
    Multiplier,
    Quantization,
    accumulator_bound,
    activation_limits,
    add_multipliers,
    fixed_point,
    mean_multiplier,
    ratio,
    weighted,
)
from .reference import checked_images, convolve, run_layers

if TYPE_CHECKING:
    from ..tensors import Array, Floats, Plain

Integers = NDArray[np.int32]
Wide = NDArray[np.int64]

LINEAR: Activation = "linear"
RESIZE_SHIFT = 10  # bits of an int8 blend's weights


class Weights(NamedTuple):
    """A layer's parameters, ready to run.

    Attributes:
        weight: minus its zero point, in the float type that sums it exactly.
        bias: in the accumulator's scale.
        multiplier: from the accumulator to the output's integers.
    """

    weight: NDArray[np.floating]
    bias: Wide
    multiplier: Multiplier


class Int8Reference:
    """Runs the quantized `network` with the tensors and the quantization of a model file.

    `Int8Reference(...)(images)` takes (N, 3, H, W) float32, any H and W, and returns each output by name as real numbers:
    {"classifier": (N, K)} float32 logits, all of them multiples of the output's scale. `integers` returns integers.
    """

    name, precision, threads = "int8 reference", "int8", None

    def __init__(self, network: Network, tensors: Mapping[str, Array], quantization: Quantization) -> None:
        self.network, self.quantization = network, quantization
        self.weights: dict[str, Weights] = {}
        for layer, stem in weighted(network):
            weight, bias = tensors[f"{stem}.weight"], tensors[f"{stem}.bias"]
            zero_point = quantization.zero_points[f"{stem}.weight"]
            kind = exact_float(accumulator_bound(weight, zero_point, bias))
            multiplier = fixed_point(quantization.multipliers(layer, f"{stem}.weight"))
            self.weights[layer.name] = Weights(
                (weight.astype(np.int32) - zero_point).astype(kind), bias.astype(np.int64), multiplier
            )

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image if layers run one after the other; this runtime plans no memory."""
        return cost(self.network, resolution).layerwise_bytes

    @np.errstate(over="ignore", invalid="ignore")  # what is no number in an output is an error of its own
    def __call__(self, images: Plain) -> dict[str, Floats]:
        outputs = {}
        for name, value in self.integers(quantize(checked_images(images), self.quantization, "input")).items():
            scale, zero_point = self.quantization.activations[self.network[name].name]
            real = (value - zero_point).astype(np.float32) * np.float32(scale)
            outputs[name] = real.reshape(len(real), -1) if isinstance(self.network[name], Linear) else real
        return outputs

    def integers(self, images: Integers, keep: bool = False) -> dict[str, Integers]:
        """Quantized images (N, 3, H, W) -> each output by name; with `keep`, the output of every layer by its name."""
        history = dict[str, Integers]()
        outputs = run_layers(self.network, images, self.run_layer, history if keep else None)
        return history if keep else outputs

    def run_layer(self, layer: Layer, inputs: list[Integers]) -> Integers:
        quantization = self.quantization
        sources = [quantization.activations[name] for name in layer.inputs]
        result, limits = quantization.activations[layer.name], quantization.range
        match layer:
            case Add():
                return add(inputs[0], inputs[1], sources, result, limits)
            case Concat():
                scaled = [requantize(x, source, result, limits) for x, source in zip(inputs, sources, strict=True)]
                return np.concatenate(scaled, axis=1)
            case Resize():
                blend = resize_signed if quantization.dtype == "int8" else resize_unsigned
                return requantize(blend(inputs[0], inputs[1].shape[2:], layer.corners), sources[0], result, limits)
            case GlobalPool():
                return pool(inputs[0], sources[0], result, limits)
            case Linear() | Conv():
                weights = self.weights[layer.name]
                shifted = (inputs[0] - sources[0].zero_point).astype(weights.weight.dtype)
            case _:
                assert_never(layer)
        if isinstance(layer, Linear):
            sums, activation = (shifted.reshape(len(shifted), -1) @ weights.weight.T)[:, :, None, None], LINEAR
        else:
            sums, activation = convolve(shifted, weights.weight, layer, self.network.padding), layer.activation
        accumulators = sums.astype(np.int64)
        accumulators += weights.bias[:, None, None]
        scaled_back = multiply(accumulators, weights.multiplier)
        scaled_back += result.zero_point
        low, high = activation_limits(activation, result, limits)
        return clamped(scaled_back, (low, high))


def exact_float(bound: int) -> type[np.floating]:
    """The narrowest float type in which sums of integers are exact if their partial sums stay within `bound`."""
    return np.float32 if bound < 2**24 else np.float64


def quantize(images: Floats, quantization: Quantization, name: str) -> Integers:
    """Real numbers -> integers of the tensor `name`, rounded to the nearest, halves away from zero."""
    scale, zero_point = quantization.activations[name]
    real = images / np.float32(scale)
    whole = np.trunc(real + np.copysign(np.float32(0.5), real)) + zero_point
    return clamped(whole, quantization.range)


def clamped(x: Array, limits: tuple[int, int]) -> Integers:
    return np.asarray(np.clip(x, *limits), np.int32)


def multiply(x: Wide, multiplier: Multiplier) -> Wide:
    """`x` (N, C, H, W), 32-bit values, times the multiplier of each channel, in place.

    TFLite's kernels round twice, and so does this: the upper half of the product to the nearest with halves up, then the shift
    to the nearest with halves away from zero. Adding half before a shift rounds halves up; adding one less to a negative number
    rounds them down.
    """
    fraction, exponent = (part[:, None, None] for part in multiplier)
    left, right = np.maximum(exponent, 0), np.maximum(-exponent, 0)
    if left.any():
        x <<= left
    x *= fraction
    x += 1 << 30
    x >>= 31
    if right.any():
        x += (x >> 63) * (right > 0)
        x += (1 << right) >> 1
        x >>= right
    return x


def add(a: Integers, b: Integers, sources: list[Affine], result: Affine, limits: tuple[int, int]) -> Integers:
    """Both inputs, 20 bits finer, on twice the larger scale; then their sum on the output's scale."""
    *terms, of_sum = add_multipliers(sources, result)
    total = np.zeros(a.shape, np.int64)
    for x, source, multiplier in zip((a, b), sources, terms, strict=True):
        total += multiply((x.astype(np.int64) - source.zero_point) << ADD_SHIFT, one(multiplier))
    return clamped(multiply(total, one(of_sum)) + result.zero_point, limits)


def requantize(x: Integers, source: Affine, result: Affine, limits: tuple[int, int]) -> Integers:
    """The same real numbers on another scale."""
    if source == result:
        return x
    scaled = multiply(x.astype(np.int64) - source.zero_point, one(ratio(source, result)))
    return clamped(scaled + result.zero_point, limits)


def one(multiplier: tuple[int, int]) -> Multiplier:
    """Of all channels."""
    fraction, exponent = multiplier
    return Multiplier(np.array([fraction]), np.array([exponent]))


def pool(x: Integers, source: Affine, result: Affine, limits: tuple[int, int]) -> Integers:
    """The mean over rows and columns.

    If input and output have the same scale, it is the mean of the integers, halves away from zero (AVERAGE_POOL_2D). Otherwise
    the sum is multiplied by multiplier / count, whose fraction is rounded down (MEAN).
    """
    count = x.shape[2] * x.shape[3]
    sums = x.astype(np.int64).sum(axis=(2, 3), keepdims=True)
    if source == result:
        mean = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
    else:
        mean = multiply(sums - source.zero_point * count, one(mean_multiplier(source, result, count))) + result.zero_point
    return clamped(mean, limits)


def resize_unsigned(x: Integers, size: tuple[int, ...], corners: Corners) -> Integers:
    """uint8, bilinearly, in float32; halves up."""
    (top, bottom, v), (left, right, u) = (float_taps(n, m, corners) for n, m in zip(x.shape[2:], size, strict=True))
    v, real, unit = v[:, None], x.astype(np.float32), np.float32(1)
    upper, lower = real[:, :, top], real[:, :, bottom]
    blend = upper[..., left] * (unit - v) * (unit - u)
    blend += lower[..., left] * v * (unit - u)
    blend += upper[..., right] * (unit - v) * u
    blend += lower[..., right] * v * u
    return np.asarray(blend + np.float32(0.5), np.int32)


def float_taps(size: int, target: int, corners: Corners) -> tuple[Wide, Wide, Floats]:
    """(pixel before, pixel after, weight of the pixel after) of each output position, computed in float32."""
    places = np.arange(target, dtype=np.float32)
    if corners == "aligned":
        places *= np.float32(size - 1) / np.float32(target - 1) if target > 1 else np.float32(size) / np.float32(target)
    else:
        places = (places + np.float32(0.5)) * (np.float32(size) / np.float32(target)) - np.float32(0.5)
    before = np.maximum(np.floor(places), 0).astype(np.int64)
    return before, np.minimum(np.ceil(places), size - 1).astype(np.int64), places - before.astype(np.float32)


def resize_signed(x: Integers, size: tuple[int, ...], corners: Corners) -> Integers:
    """int8, bilinearly, in integers: positions and weights of 10 bits; halves away from zero."""
    (top, bottom, v), (left, right, u) = (integer_taps(n, m, corners) for n, m in zip(x.shape[2:], size, strict=True))
    v, wide, one = v[:, None], x.astype(np.int64), 1 << RESIZE_SHIFT
    upper, lower = wide[:, :, top], wide[:, :, bottom]
    blend = upper[..., left] * (one - v) * (one - u)
    blend += lower[..., left] * v * (one - u)
    blend += upper[..., right] * (one - v) * u
    blend += lower[..., right] * v * u
    half, whole = 1 << (2 * RESIZE_SHIFT - 1), 2 * RESIZE_SHIFT
    return np.asarray(np.sign(blend) * ((np.abs(blend) + half) >> whole), np.int32)


def integer_taps(size: int, target: int, corners: Corners) -> tuple[Wide, Wide, Wide]:
    """(pixel before, pixel after, weight of the pixel after) of each output position, in 1024ths."""
    one = 1 << RESIZE_SHIFT
    span, steps = (size - 1, target - 1) if corners == "aligned" and target > 1 else (size, target)
    step = (one * span + steps // 2) // steps
    places = np.arange(target, dtype=np.int64) * step
    if corners == "half_pixel":
        places += step // 2 - one // 2
    before = np.maximum(places, 0) // one
    after = np.minimum((places + one - 1) // one, size - 1)
    return np.minimum(before, size - 1), np.maximum(after, 0), places - one * before
