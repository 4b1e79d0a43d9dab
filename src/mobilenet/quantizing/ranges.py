"""The scale and zero point of each tensor of bytes: the range whose rounding and saturation together lose least."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..network.grid import ADD_SHIFT, MAX_RESIDUAL, MAX_SUM, Pixels, byte_tensors, shortcuts
from ..network.layers import Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize
from ..network.quantization import Affine
from .draft import Draft
from .observe import Observed

MAX_SAMPLES = 60_000
SHARES = np.linspace(0.3, 1.0, 29)
"""Parts of the observed range that are tried."""


def ranges(draft: Draft, observed: Mapping[str, Observed], pixels: Pixels) -> dict[str, Affine]:
    """The affine of every tensor of bytes. A resize has its input's, and so have a concatenation and what it joins."""
    network = draft.network
    chosen: dict[str, Affine] = {}
    shared = families(network)
    for name in byte_tensors(network):
        if name not in chosen:
            family = next((family for family in shared if name in family), {name})
            members = [observed[member] for member in sorted(family)]
            chosen.update(dict.fromkeys(family, affine(members, ceiling(network, family))))
    for _ in network.layers:  # a larger scale may require a larger one after it
        needed = {layer.name: least_scale(draft, layer, chosen, pixels) for layer in network.layers}
        small = {name: least for name, least in needed.items() if name in chosen and chosen[name].scale < least}
        if not small:
            break
        for name, least in small.items():
            family = next((family for family in shared if name in family), {name})
            low, high = (-chosen[name].zero_point * chosen[name].scale, (255 - chosen[name].zero_point) * chosen[name].scale)
            chosen.update(dict.fromkeys(family, affine_of(low, high, least)))
    return chosen


def least_scale(draft: Draft, layer: Layer, chosen: Mapping[str, Affine], pixels: Pixels) -> float:
    """The smallest scale that the integers of `layer` can express with the scales of its inputs, and a little more."""
    found = shortcuts(draft.network)
    behind = {shortcut.add: name for name, shortcut in found.items()}
    match layer:
        case Add() if layer.name in behind:
            conv = draft.network[behind[layer.name]]
            residual = chosen[found[conv.name].residual].scale
            least = residual * 2**ADD_SHIFT / MAX_RESIDUAL * 1.02
            return float(max(least, largest_step(draft, conv, chosen, pixels, residual)))
        case Add():
            a, b = (float(chosen[source].scale) for source in layer.inputs)
            return (a + b) / 3.9
        case GlobalPool():
            return float(chosen[layer.inputs[0]].scale / 4)
        case Conv() | Linear() if layer.name in chosen:
            return largest_step(draft, layer, chosen, pixels, 0.0)
        case _:
            return 0.0


def largest_step(draft: Draft, layer: Layer, chosen: Mapping[str, Affine], pixels: Pixels, residual: float) -> float:
    """The least real number that 1 in a sum may stand for, so that weights stay within 127 and sums below 2^24."""
    weight, bias = np.abs(draft.weights[layer.name]), np.abs(draft.biases[layer.name])
    scale = 1.0
    if layer.inputs[0] == "input":
        weight = weight / np.array(pixels.factor)[:, None, None]
    else:
        scale = chosen[layer.inputs[0]].scale
    flat = weight.reshape(len(weight), -1)
    sums = 255 * (flat.sum(axis=1) * scale + residual) + bias
    return float(max(flat.max() / 127 * scale, sums.max() / MAX_SUM) * 1.02)


def families(network: Network) -> list[set[str]]:
    """Tensors that must have one scale: those that a resize or a concatenation only copies."""
    found: list[set[str]] = []
    kept = set(byte_tensors(network))
    for layer in network.layers:
        if layer.name in kept and isinstance(layer, Resize | Concat):
            names = {layer.name, *(layer.inputs[:1] if isinstance(layer, Resize) else layer.inputs)} & kept
            for other in [family for family in found if family & names]:
                found.remove(other)
                names |= other
            found.append(names)
    return found


def ceiling(network: Network, family: set[str]) -> float:
    """The largest real number that the tensors can hold."""
    limited = all(getattr(network[name], "activation", "") == "relu6" for name in family if isinstance(network[name], Conv))
    return 6.0 if limited and any(isinstance(network[name], Conv) for name in family) else np.inf


def affine(members: list[Observed], most: float) -> Affine:
    """The scale and zero point of least mean square error over the members' samples; values above `most` do not occur."""
    samples = np.concatenate([one.samples.ravel() for one in members])
    samples = samples[:: max(len(samples) // MAX_SAMPLES, 1)].astype(np.float32)
    low = min(0.0, *(float(one.low.min()) for one in members))
    high = min(max(1e-6, *(float(one.high.max()) for one in members)), most)
    best, error = Affine(1.0, 0), np.inf
    for share in SHARES:
        for other in SHARES[::2] if low < 0 else (1.0,):
            candidate = affine_of(low * other, high * share)
            loss = mean_square_error(samples, candidate)
            if loss < error:
                best, error = candidate, loss
    return best


def affine_of(low: float, high: float, least: float = 2.0**-60) -> Affine:
    """The affine of the range from `low`, at most 0, to `high`, in which 0 is exact; its scale is at least `least`."""
    scale = float(np.float32(max((high - low) / 255, least * (1 + 2.0**-20))))
    return Affine(scale, int(np.clip(round(-low / scale), 0, 255)))


def mean_square_error(samples: NDArray[np.float32], candidate: Affine) -> float:
    scale, zero_point = candidate
    integers = samples * np.float32(1 / scale)
    np.rint(integers, out=integers)
    np.clip(integers, -zero_point, 255 - zero_point, out=integers)
    integers *= np.float32(scale)
    integers -= samples
    return float(np.dot(integers, integers)) / len(samples)
