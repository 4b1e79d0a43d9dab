"""Small quantized networks for tests: random weights, scales and zero points measured on random images."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mobilenet.engine.fold import fold
from mobilenet.engine.reference import run_layer
from mobilenet.modelfile import ModelFile
from mobilenet.network.layers import Network
from mobilenet.network.quantization import MAX_ACCUMULATOR, Affine, Quantization, accumulator_bound, weighted
from support.weights import random_tensors


def quantized(network: Network, dtype: str, seed: int = 0) -> tuple[dict[str, np.ndarray], Quantization]:
    """Integers of a random network without batch norm: per tensor for uint8, per channel for int8, as TensorFlow does.

    Resizes keep their input's scale, and pools but for int8 at even seeds; a concatenation has a scale of its own.
    """
    generator = np.random.default_rng(seed)
    least, largest = (-128, 127) if dtype == "int8" else (0, 255)
    real = random_tensors(network, seed)
    values = {"input": generator.uniform(-1, 1, (2, 3, *network.resolution)).astype(np.float32)}
    for layer in network.layers:
        values[layer.name] = run_layer(layer, [values[n] for n in layer.inputs], fold(network, real), network.padding)
    activations: dict[str, Affine] = {}
    for name, value in values.items():
        low, high = min(float(value.min()), 0.0), max(float(value.max()), 0.01)
        pooled = name.endswith(("mean", "pool")) and (dtype == "uint8" or seed % 2 == 1)
        kept = pooled or name.startswith("upsample") or name.endswith(".resize")
        if kept:
            activations[name] = activations[network[name].inputs[0]]
        else:
            scale = float(np.float32((high - low) / 255))
            activations[name] = Affine(scale, int(np.clip(round(least - low / scale), least, largest)))
    tensors, scales, zero_points = {}, {}, {}
    for layer, stem in weighted(network):
        weight = real[f"{stem}.weight"]
        if dtype == "int8":
            scale, zero = np.abs(weight).reshape(len(weight), -1).max(axis=1) / 127, 0
            integers = np.clip(np.rint(weight / scale.reshape(-1, *(1,) * (weight.ndim - 1))), -127, 127)
        else:
            scale = np.array([(weight.max() - weight.min()) / 255])
            zero = int(np.clip(round(-weight.min() / scale[0]), 0, 255))
            integers = np.clip(np.rint(weight / scale[0]) + zero, 0, 255)
        scales[f"{stem}.weight"], zero_points[f"{stem}.weight"] = scale.astype(np.float32), zero
        tensors[f"{stem}.weight"] = integers.astype(dtype)
        step = scale * activations[layer.inputs[0]].scale
        tensors[f"{stem}.bias"] = np.rint(real[f"{stem}.bias"] / step).astype(np.int32)
    tensors = {name: tensors[name] for name in network.tensors()}
    return tensors, Quantization(dtype, activations, scales, zero_points)


def extreme(network: Network, dtype: str, seed: int) -> tuple[dict[str, np.ndarray], Quantization]:
    """The same with what calibrations seldom make, each layer differently: any zero point, weights of all integers with any
    zero point, scales of a tensor or of its channels, multipliers of 2^-34 to 2^5, sums up to the 32 bits that are allowed."""
    tensors, quantization = quantized(network, dtype, seed)
    generator, (low, high) = np.random.default_rng(seed), quantization.range
    activations = dict(quantization.activations)
    for name, (scale, _) in quantization.activations.items():
        kept = any(activations[name] == activations[source] for source in network[name].inputs) if name != "input" else False
        if not kept and generator.integers(2):
            zero_point = int(generator.choice([low, high, int(generator.integers(low, high + 1))]))
            activations[name] = Affine(float(np.float32(scale * 2 ** generator.uniform(-1, 1))), zero_point)
    scales, zero_points = dict(quantization.scales), dict(quantization.zero_points)
    for layer, stem in weighted(network):
        name = f"{stem}.weight"
        if generator.integers(2):
            tensors[name] = generator.integers(low, high + 1, tensors[name].shape).astype(dtype)
            zero_points[name] = int(generator.choice([low, high, 0, int(generator.integers(low, high + 1))]))
        spread = 60 * np.sqrt(np.prod(tensors[name].shape[1:])) * 60
        exponents = generator.uniform(*((-34, 5) if generator.integers(4) == 0 else (-1, 1)), layer.out_channels)
        factor = 2.0**exponents if exponents.min() < -2 else 60 / spread * 2.0**exponents
        factor = factor[: 1 if generator.integers(2) else None]
        step = activations[layer.name].scale / activations[layer.inputs[0]].scale
        scales[name] = np.maximum(factor * step, 1e-37).astype(np.float32)
        most = float((scales[name] / step).max())
        room = MAX_ACCUMULATOR / 2 ** (max(math.frexp(most)[1], 0) + 1) - accumulator_bound(
            tensors[name], zero_points[name], np.zeros(layer.out_channels, np.int32)
        )
        if room < 1:  # the weights alone reach past 32 bits
            scales[name] = scales[name] * np.float32(2.0**-6 / most)
            room = 1000
        bias = generator.uniform(-1, 1, layer.out_channels) * min(room, room if generator.integers(4) == 0 else spread)
        tensors[f"{stem}.bias"] = bias.astype(np.int32)
    return tensors, Quantization(quantization.dtype, activations, scales, zero_points)


def changed(part: str, name: str, value: object) -> Callable[[ModelFile], None]:
    """A change of one entry of a model's quantization; None removes it."""

    def change(model: ModelFile) -> None:
        mapping = getattr(model.quantization, part)
        if value is None:
            del mapping[name]
        else:
            mapping[name] = value

    return change
