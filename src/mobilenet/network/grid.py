"""The quantization of our own integer networks: uint8 activations, int8 weights, and one rounding everywhere.

real = scale * (integer - zero point) for every activation, uint8. A layer's sum is an integer,

    sum = bias + sum of weight * input,    weight int8 from -127 to 127, bias int32 with the input's zero point folded in,

where a tap outside the image reads the zero point. It becomes the next activation by

    output = clamp(zero point + RNE(sum * multiplier / 2^22)),    multiplier an integer from 1 to 2^22 for each output channel,

RNE being rounding to the nearest integer, halves to the even one. No sum reaches 2^24 in magnitude, so float32 holds every sum,
and one fused multiply-add with one rounding computes this exactly. docs/numerics.md has the rules of all layers, and
`engine.reference_grid` computes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..settings import Settings, parse
from .layers import Activation, Add, Concat, Conv, Corners, GlobalPool, Layer, Linear, Network, Resize
from .quantization import Affine, Quantization, QuantizationError, check_names, weighted

if TYPE_CHECKING:
    from ..tensors import Array, Floats

Wide = NDArray[np.int64]

SHIFT = 22
"""A multiplier k stands for k / 2^22."""
ONE = 1 << SHIFT
MAX_SUM = 2**24 - 1
"""The largest magnitude of a sum."""
MAX_RESIDUAL = 2**15 - 1
"""The largest multiplier of a residual: it fits 16 bits."""
ADD_SHIFT = 14
"""Bits behind the point of an addition's two multipliers."""
BLEND_SHIFT = 8
"""Bits behind the point of a resize's weights, along each axis."""

NEEDED, NO_PLACE = "which the network needs", "which has no place in the network"

RGB = tuple[float, float, float]


class Pixels(NamedTuple):
    """How real images become bytes: pixel = clamp(RNE(x * factor + offset)), in float64, for red, green and blue.

    Both are a float32's values. The pixel of a real 0, which padding reads, is RNE(offset).
    """

    factor: RGB
    offset: RGB

    @property
    def zero_points(self) -> tuple[int, int, int]:
        red, green, blue = (round(each) for each in self.offset)  # halves to the even one
        return red, green, blue

    @classmethod
    def of(cls, mean: RGB, std: RGB) -> Pixels:
        """The reverse of a preprocessing's (pixel / 255 - mean) / std."""
        return cls(rounded(255 * each for each in std), rounded(255 * each for each in mean))


class Shortcut(NamedTuple):
    """An addition that goes into the sums of the convolution before it: the names of the addition and of its other input."""

    add: str
    residual: str


class Stored(Settings):
    """What a model file's metadata hold of a quantization."""

    noun = "quantization"

    scheme: Literal["grid"]
    pixels: Pixels
    activations: Mapping[str, object]


@dataclass(frozen=True)
class GridQuantization:
    """Scales, zero points and multipliers of a network.

    Attributes:
        pixels: of the image.
        activations: of every tensor of bytes (see `byte_tensors`) by its layer's name. A resize keeps its input's.
        multipliers: (out,) int32 by weight's name, of every layer with weights that makes bytes.
        scales: (out,) float32 by weight's name, of every layer with weights whose output is real (see `real_outputs`): the
            real number that 1 in its sum stands for.
    """

    pixels: Pixels
    activations: Mapping[str, Affine] = field(repr=False)
    multipliers: Mapping[str, NDArray[np.int32]] = field(repr=False)
    scales: Mapping[str, Floats] = field(repr=False)

    dtype = "int8"  # of the weights

    def to_json(self) -> dict[str, object]:
        """In JSON's types, without the arrays, which a model file stores as tensors; equal values give equal text."""
        activations = {name: list(affine) for name, affine in sorted(self.activations.items())}
        return {"scheme": "grid", "pixels": [list(part) for part in self.pixels], "activations": activations}

    @classmethod
    def from_json(
        cls, data: object, multipliers: Mapping[str, NDArray[np.int32]], scales: Mapping[str, Floats]
    ) -> GridQuantization:
        """The reverse of `to_json`. UsageError names the entry of `data` that is missing, unknown or of the wrong type."""
        stored = Stored.from_json(data)
        activations = {name: parse(Affine, pair, f"activation {name!r:.80}") for name, pair in stored.activations.items()}
        return cls(stored.pixels, activations, dict(multipliers), dict(scales))

    def target(self, name: str, shortcut: Shortcut | None) -> Affine:
        """Scale and zero point of what the sums of layer `name` become: its own, or those of the addition in its sums.

        Args:
            shortcut: that addition, of `shortcuts(network)`.
        """
        return self.activations[name if shortcut is None else shortcut.add]

    def residual_multipliers(self, weight: str, residual: Affine, result: Affine) -> Wide:
        """(out,) factors of (residual - its zero point) in the sums of a layer: RNE(residual scale / the sum's scale)."""
        exact = residual.scale * ONE / (self.multipliers[weight].astype(np.float64) * result.scale)
        return np.rint(exact).astype(np.int64)

    def weight_scales(self, layer: Conv | Linear, stem: str, shortcut: Shortcut | None) -> NDArray[np.float64]:
        """(out,): the real number that 1 in a weight stands for; if it multiplies the image, the image counted in pixels.

        `shortcut` as in `target`.
        """
        name = f"{stem}.weight"
        source = 1.0 if layer.inputs[0] == "input" else self.activations[layer.inputs[0]].scale
        if name in self.scales:
            return self.scales[name].astype(np.float64) / source
        return self.multipliers[name].astype(np.float64) * (self.target(layer.name, shortcut).scale / (ONE * source))

    def dequantized(self, network: Network, tensors: Mapping[str, Array]) -> dict[str, Floats]:
        """The same weights and biases as real numbers, each rounded once to float32."""
        return dequantized(network, self, tensors)

    def check(self, network: Network, tensors: Mapping[str, Array]) -> None:
        """QuantizationError unless everything here and in `tensors` fits `network`, and no sum can reach 2^24."""
        if network.statistics():
            raise QuantizationError(f"quantization: {network.architecture} has batch norm; fold it first (epsilon None)")
        check_wiring(network)
        check_pixels(self.pixels)
        check_names("activation", byte_tensors(network), self.activations, NEEDED, NO_PLACE)
        for name, affine in self.activations.items():
            check_affine(name, affine)
        real = real_outputs(network)
        stems = {f"{stem}.weight": layer for layer, stem in weighted(network)}
        check_names("scale", [name for name, layer in stems.items() if layer.name in real], self.scales, NEEDED, NO_PLACE)
        check_names(
            "multiplier", [name for name, layer in stems.items() if layer.name not in real], self.multipliers, NEEDED, NO_PLACE
        )
        continued = shortcuts(network)
        for name, owner in stems.items():
            self.check_factors(name, owner)
            self.check_sums(name, continued.get(owner.name), tensors)
        inside = {shortcut.add for shortcut in continued.values()}
        for layer in network.layers:
            if layer.name in self.activations and layer.name not in inside:
                self.check_scales(layer)

    def check_factors(self, name: str, layer: Conv | Linear) -> None:
        factor: Array = self.multipliers[name] if name in self.multipliers else self.scales[name]
        expected, noun = ("int32", "multiplier") if name in self.multipliers else ("float32", "scale")
        if factor.dtype != expected or factor.shape != (layer.out_channels,):
            raise QuantizationError(
                f"quantization: the {noun} of {name!r} is {factor.dtype}{factor.shape}, must be {expected}"
                f"({layer.out_channels},)"
            )
        if expected == "float32" and not (np.isfinite(factor).all() and (factor > 0).all()):
            raise QuantizationError(f"quantization: the scale of {name!r} must be above 0 and finite")
        if expected == "int32" and not ((factor >= 1) & (factor <= ONE)).all():
            wrong = factor[(factor < 1) | (factor > ONE)][0]
            raise QuantizationError(f"quantization: a multiplier of {name!r} is {wrong}, must be from 1 to {ONE}")

    def check_sums(self, name: str, shortcut: Shortcut | None, tensors: Mapping[str, Array]) -> None:
        weight, bias = tensors[name], tensors[name.removesuffix("weight") + "bias"]
        if (weight == -128).any():
            raise QuantizationError(f"quantization: {name!r} holds -128; weights are from -127 to 127")
        low, high = sum_bounds(weight, bias)
        if shortcut is not None:
            residual = self.activations[shortcut.residual]
            factor = self.residual_multipliers(name, residual, self.activations[shortcut.add])
            if not ((factor >= 1) & (factor <= MAX_RESIDUAL)).all():
                wrong = factor[(factor < 1) | (factor > MAX_RESIDUAL)][0]
                raise QuantizationError(
                    f"quantization: {shortcut.add!r} multiplies {shortcut.residual!r} by {wrong}, must be from 1 to "
                    f"{MAX_RESIDUAL}"
                )
            low, high = low - factor * residual.zero_point, high + factor * (255 - residual.zero_point)
        if low.min() < -MAX_SUM or high.max() > MAX_SUM:
            reach = max(-int(low.min()), int(high.max()))
            raise QuantizationError(f"quantization: sums of {name!r} reach {reach}, must stay below 2^24; it is damaged")

    def check_scales(self, layer: Layer) -> None:
        """QuantizationError for the scales of a layer without weights if the layer's integers cannot express their ratios."""
        result = self.activations[layer.name]
        sources = {name: self.activations[name] for name in layer.inputs if name in self.activations}
        problem = ""
        match layer:
            case Add():
                if sum(add_multipliers([sources[name] for name in layer.inputs], result)) * 255 > MAX_SUM:
                    problem = "its sums reach 2^24: its scale is too small beside those of its inputs"
            case Concat():
                if not all(1 <= ratio(source, result) <= ONE for source in sources.values()):
                    problem = "its scale must be at least that of every input, and at most 2^22 times as large"
            case Resize():
                if result != sources[layer.inputs[0]]:
                    problem = f"must have the scale and the zero point of its input, {list(sources[layer.inputs[0]])}"
            case GlobalPool():
                if not 2.0**-8 <= sources[layer.inputs[0]].scale / result.scale <= 4:
                    problem = "its scale must be from a quarter to 256 times that of its input"
            case Conv() | Linear():
                pass
        if problem:
            raise QuantizationError(f"quantization: activation {layer.name!r}, {list(result)}: {problem}")


def check_wiring(network: Network) -> None:
    """QuantizationError for a layer that reads the image's values and is no convolution: only those know its zero points."""
    for layer in network.layers:
        reads_image = "input" in (layer.inputs[:1] if isinstance(layer, Resize) else layer.inputs)
        if reads_image and not (isinstance(layer, Conv) and layer.groups == 1):
            raise QuantizationError(f"quantization: {layer.name!r} reads the image, which only a full convolution may")


def check_pixels(pixels: Pixels) -> None:
    for name, values, least, most in (("factor", pixels.factor, 2.0**-20, 2.0**20), ("offset", pixels.offset, 0.0, 255.0)):
        for value in values:
            if not (isinstance(value, float) and least <= value <= most and float(np.float32(value)) == value):
                rule = f"a float32's value from {least:g} to {most:g}"
                raise QuantizationError(f"quantization: pixels.{name} {value!r:.40}: must be {rule}")


def check_affine(name: str, affine: Affine) -> None:
    scale, zero_point = affine
    if not (isinstance(scale, float) and 2.0**-100 <= scale <= 2.0**100 and float(np.float32(scale)) == scale):
        raise QuantizationError(
            f"quantization: the scale of activation {name!r} is {scale!r:.40}, must be a float32's value from 2^-100 to 2^100"
        )
    if not isinstance(zero_point, int) or isinstance(zero_point, bool) or not 0 <= zero_point <= 255:
        raise QuantizationError(
            f"quantization: the zero point of activation {name!r} is {zero_point!r:.40}, must be an int from 0 to 255"
        )


def rounded(values: Any) -> RGB:
    red, green, blue = (float(np.float32(value)) for value in values)
    return red, green, blue


def shortcuts(network: Network) -> dict[str, Shortcut]:
    """By convolution: the addition that goes into its sums, so that both together round once.

    It is a linear convolution that only the addition reads, and the other input of the addition is made before it.
    """
    uses = Counter(name for layer in network.layers for name in layer.inputs)
    uses.update(network[name].name for name in network.outputs)
    place = {layer.name: index for index, layer in enumerate(network.layers)}
    found = {}
    for layer in network.layers:
        if not isinstance(layer, Add):
            continue
        for name, other in (layer.inputs, layer.inputs[::-1]):
            conv = network.layers[place[name]] if name in place else None
            linear = isinstance(conv, Conv) and conv.activation == "linear"
            if linear and uses[name] == 1 and other != "input" and place[other] < place[name]:
                found[name] = Shortcut(layer.name, other)
    return found


def real_outputs(network: Network) -> frozenset[str]:
    """The outputs that are real numbers: linear layers and resizes that no layer reads. Their sums are never rounded."""
    read = {name for layer in network.layers for name in layer.inputs}
    outputs = [network[name] for name in network.outputs]
    linear = [layer for layer in outputs if isinstance(layer, Linear | Resize) or getattr(layer, "activation", "") == "linear"]
    return frozenset(layer.name for layer in linear if layer.name not in read)


def byte_tensors(network: Network) -> list[str]:
    """The layers whose output is a tensor of bytes: all but `real_outputs` and the convolutions of `shortcuts`."""
    others = {*real_outputs(network), *shortcuts(network)}
    return [layer.name for layer in network.layers if layer.name not in others]


def limits(activation: Activation, result: Affine) -> tuple[int, int]:
    """The least and the largest byte that the activation lets through: 0 to 255 at most."""
    low, high = 0, 255
    if activation in ("relu", "relu6"):
        low = result.zero_point
    if activation == "relu6":
        high = min(high, result.zero_point + round(6 / result.scale))
    return low, high


def sum_bounds(weight: Array, bias: Array) -> tuple[Wide, Wide]:
    """(out,) the least and the largest sum of each channel, over all inputs. Weights are integers, none of them -128."""
    flat, start = weight.reshape(len(weight), -1), bias.astype(np.int64)
    total, magnitude = (part.sum(axis=1, dtype=np.int64) for part in (flat, np.abs(flat)))
    return start + 255 * ((total - magnitude) // 2), start + 255 * ((total + magnitude) // 2)


def ratio(source: Affine, result: Affine) -> int:
    """The multiplier from one scale to another."""
    return round(source.scale / result.scale * ONE)


def add_multipliers(sources: list[Affine], result: Affine) -> list[int]:
    """The factors of an addition's inputs, in 2^-14: RNE(2^14 input scale / output scale)."""
    return [round(source.scale / result.scale * 2**ADD_SHIFT) for source in sources]


def mean_multiplier(source: Affine, result: Affine, count: int) -> tuple[int, int]:
    """(k, shift): a mean over `count` pixels is RNE(sum * k / 2^shift). The shift grows with `count`, so k stays precise."""
    shift = SHIFT + count.bit_length() - 1
    return round(source.scale / result.scale * 2**shift / count), shift


def blend_taps(size: int, target: int, corners: Corners) -> tuple[list[int], list[int], list[int]]:
    """For each of `target` pixels: the pixel before, the pixel after, and the weight of the one after in 256ths, halves up."""
    before, after, weights = [], [], []
    for index in range(target):
        if corners == "aligned":
            place, unit = (index * (size - 1), target - 1) if target > 1 else (0, 1)
        else:
            place, unit = max((2 * index + 1) * size - target, 0), 2 * target
        first, rest = divmod(place, unit)
        first = min(first, size - 1)
        before.append(first)
        after.append(min(first + 1, size - 1))
        weights.append(((rest << (BLEND_SHIFT + 1)) + unit) // (2 * unit))
    return before, after, weights


def dequantized(network: Network, quantization: GridQuantization, tensors: Mapping[str, Array]) -> dict[str, Floats]:
    """The same weights and biases as real numbers, each rounded once to float32."""
    real: dict[str, Floats] = {}
    continued = shortcuts(network)
    for layer, stem in weighted(network):
        weight, bias = tensors[f"{stem}.weight"].astype(np.float64), tensors[f"{stem}.bias"].astype(np.float64)
        scale = quantization.weight_scales(layer, stem, continued.get(layer.name))
        per_tap = weight.reshape(*weight.shape[:2], -1).sum(axis=2)
        if layer.inputs[0] == "input":
            factor, offset = np.array(quantization.pixels.factor), np.array(quantization.pixels.offset)
            bias += per_tap @ offset
            weight *= factor[:, None, None]
            source = 1.0
        else:
            source, zero_point = quantization.activations[layer.inputs[0]]
            bias += per_tap.sum(axis=1) * zero_point
        real[f"{stem}.weight"] = (weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32)
        real[f"{stem}.bias"] = (bias * scale * source).astype(np.float32)
    return real


def quantization_from_json(
    data: object, scales: Mapping[str, Floats], multipliers: Mapping[str, NDArray[np.int32]]
) -> Quantization | GridQuantization:
    """The reverse of either `to_json`: `data` of our own networks names its scheme. UsageError as they say."""
    if isinstance(data, Mapping) and "scheme" in data:
        return GridQuantization.from_json(data, multipliers, scales)
    if multipliers:
        raise QuantizationError(
            f"quantization: a multiplier for {next(iter(multipliers))!r:.80}, which its scheme does not have"
        )
    return Quantization.from_json(data, scales)
