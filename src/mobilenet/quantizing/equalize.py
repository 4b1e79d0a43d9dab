"""Cross-layer equalization: a channel may be larger in one tensor if the layers that read it are smaller in return.

A tensor has one scale for all its channels, so a channel of a small range has few of its 256 levels. If the layers that make
a tensor multiply channel c by a factor and the layers that read it divide by the same factor, the network stays what it is. A
depthwise convolution has a scale for each channel, so dividing costs it nothing; in other layers the weights of a channel that
shrinks lose precision. `balanced` weighs both (arXiv 1906.04721 equalizes ranges; here the noise decides).

The limit of a ReLU6 does not move: its channels may only grow, up to the range in which the limit still lies where it lay or
beyond what the images ever reached.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from ..network.layers import Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize
from .draft import Draft, Reals
from .observe import Observed

EXPONENTS = np.linspace(0, 1, 11)
ROUNDS = 10
"""In each round the factors are improved for the steps that the round before has left, which moves the steps."""
MAX_GROWTH = 64.0
"""The largest factor of a channel: one that is nearly always 0 holds noise and stays small."""


@dataclass
class Group:
    """Tensors whose channels must be scaled alike, for example all sums along a chain of shortcuts."""

    tensors: list[str] = field(default_factory=list)
    writers: list[Conv] = field(default_factory=list)
    readers: list[Conv | Linear] = field(default_factory=list)
    frozen: bool = False


def groups(network: Network) -> list[Group]:
    """The groups that may be scaled: only convolutions and linear layers write and read them; no output is among them."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    def tied(layer: Layer) -> tuple[str, ...]:
        """Inputs whose channels are those of the output."""
        if isinstance(layer, Add | GlobalPool):
            return layer.inputs
        return layer.inputs[:1] if isinstance(layer, Resize) else ()

    for layer in network.layers:
        for name in tied(layer):
            parent[root(name)] = root(layer.name)
    found: dict[str, Group] = defaultdict(Group)
    for layer in network.layers:
        group = found[root(layer.name)]
        group.tensors.append(layer.name)
        match layer:
            case Conv():
                group.writers.append(layer)
                found[root(layer.inputs[0])].readers.append(layer)
            case Linear():
                group.frozen = True
                found[root(layer.inputs[0])].readers.append(layer)
            case Concat():
                group.frozen = True
                for name in layer.inputs:
                    found[root(name)].frozen = True
            case _:
                pass
    for name in ("input", *(network[output].name for output in network.outputs)):
        found[root(name)].frozen = True
    return [group for group in found.values() if not group.frozen and group.readers and group.writers]


def equalize(draft: Draft, observed: dict[str, Observed]) -> dict[str, Observed]:
    """Scales the channels of every group in `draft`, in place; returns what the scaled network's tensors hold."""
    observed = dict(observed)
    for group in groups(draft.network):
        factors = balanced(draft, group, observed)
        for writer in group.writers:
            draft.weights[writer.name] *= factors[:, None, None, None]
            draft.biases[writer.name] *= factors
        for reader in group.readers:
            weight = draft.weights[reader.name]
            if isinstance(reader, Conv) and reader.depthwise:
                weight /= factors[:, None, None, None]
            else:
                weight /= factors.reshape(-1, *(1,) * (weight.ndim - 2))
        for name in group.tensors:
            if name in observed:
                observed[name] = observed[name].scaled(factors)
    return observed


def balanced(draft: Draft, group: Group, observed: dict[str, Observed]) -> Reals:
    """The factor of each channel: those of least noise in the readers' outputs.

    The factors start as (largest range / range of the channel) to the best exponent; then each is improved by itself.
    """
    seen = [observed[name] for name in group.tensors if name in observed]
    limited = any(writer.activation == "relu6" for writer in group.writers)
    low, high = np.min([one.low for one in seen], axis=0), np.max([one.high for one in seen], axis=0)
    square = np.mean([one.square for one in seen], axis=0)
    ranges = np.maximum(np.maximum(high, 0) - np.minimum(low, 0), 1e-12)
    most = ranges.max()
    if limited:
        most = min(most, 6.0)
    highest = np.clip(most / ranges, 1, MAX_GROWTH)
    lowest = 1.0 if limited else 1 / MAX_GROWTH
    candidates = [highest**exponent for exponent in EXPONENTS]

    def noise(factors: Reals) -> float:
        step = (ranges * factors).max() / 255
        return float(sum(reader_noise(draft, reader, factors, step, square) for reader in group.readers))

    best: Reals = min(candidates, key=noise)
    for _ in range(ROUNDS):
        factors: Reals = np.clip(improved(draft, group, best, (ranges * best).max() / 255, square), lowest, highest)
        if noise(factors) >= noise(best):
            break
        best = factors
    return best


def improved(draft: Draft, group: Group, factors: Reals, step: float, square: Reals) -> Reals:
    """The factors of least noise if neither the tensor's step nor the steps of the readers' weights changed.

    A channel's share of the noise is a / factor^2 + b factor^2: from the levels of its bytes, and from those of its weights.
    """
    a, b = np.zeros_like(factors), np.full_like(factors, 1e-30)
    for reader in group.readers:
        weight = draft.weights[reader.name]
        energy = (weight.reshape(*weight.shape[:2], -1) ** 2).sum(axis=2)
        if isinstance(reader, Conv) and reader.depthwise:
            a += step**2 / (square + 1e-12) / len(weight)
            continue
        signal = energy @ square + 1e-12
        scaled = np.abs(weight).reshape(*weight.shape[:2], -1).max(axis=2) / factors
        levels = (scaled.max(axis=1) / 127) ** 2
        a += step**2 * (energy / signal[:, None]).mean(axis=0)
        b += square * (levels / signal).mean() * weight[0, 0].size
    return np.asarray((a / b) ** 0.25)


def reader_noise(draft: Draft, reader: Conv | Linear, factors: Reals, step: float, square: Reals) -> float:
    """The noise of a reader's outputs, relative to their signal: from its input's levels, and from its weights' levels."""
    weight = draft.weights[reader.name]
    energy = (weight.reshape(*weight.shape[:2], -1) ** 2).sum(axis=2)
    if isinstance(reader, Conv) and reader.depthwise:
        signal = energy[:, 0] * square + 1e-12
        return float((step**2 / 12 * energy[:, 0] / factors**2 / signal).mean())
    taps = weight[0, 0].size
    signal = energy @ square + 1e-12
    scaled = np.abs(weight).reshape(*weight.shape[:2], -1).max(axis=2) / factors
    levels = (scaled.max(axis=1) / 127) ** 2 / 12
    noise = step**2 / 12 * (energy / factors**2).sum(axis=1) + levels * taps * (square * factors**2).sum()
    return float((noise / signal).mean())
