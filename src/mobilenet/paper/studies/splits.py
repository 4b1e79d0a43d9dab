"""Section 5.1: a block whose inner channels are computed in t parts, as a network of its own that every runtime can run.

F(x) is the sum of the parts' projections, since between the expansion and the projection no channel sees another one. A block
becomes t blocks that read the same input, and each adds its projection to the sum so far. The number of MAdds stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...engine.plan.plan import make_plan
from ...engine.plan.steps import Plan, Step, Style
from ...errors import UsageError
from ...network.cost import cost
from ...network.layers import Add, Conv, Layer, Network
from ...values import replace

if TYPE_CHECKING:
    from ...tensors import Floats

GRAIN = 16  # channels that a part is a multiple of, where there are enough: a vector of the engine
WHOLE = Style(whole=2**40)
"""The engine's plans without bands: every unit computes all its rows before the next one begins."""


class Parts(NamedTuple):
    """A block's three layers, its shortcut's source, and the name of its result."""

    expand: Conv
    depthwise: Conv
    project: Conv
    shortcut: str | None
    target: str


def parts_of(block: tuple[Layer, ...]) -> Parts | None:
    """The parts of an inverted residual with a linear projection; None for any other block."""
    match block:
        case (Conv() as expand, Conv(depthwise=True) as depthwise, Conv(activation="linear") as project):
            return Parts(expand, depthwise, project, None, project.name)
        case (Conv() as expand, Conv(depthwise=True) as depthwise, Conv(activation="linear") as project, Add() as add):
            (source,) = (name for name in add.inputs if name != project.name)
            return Parts(expand, depthwise, project, source, add.name)
        case _:
            return None


def spans(channels: int, t: int) -> list[tuple[int, int]]:
    """The channels of each part, from and to: multiples of `GRAIN` where there are enough, else as even as can be."""
    grain = GRAIN if channels // GRAIN >= t and channels % GRAIN == 0 else 1
    count = channels // grain
    return [(count * part // t * grain, count * (part + 1) // t * grain) for part in range(t)]


def split_network(network: Network, t: int) -> Network:
    """`network`, whose batch normalization is folded (epsilon None), with every inverted residual in `t` parts.

    Raises UsageError unless t is 1 or more and no block has fewer inner channels, or if batch normalization is not folded.
    """
    if network.settings.epsilon is not None:
        raise UsageError("split: the network has batch normalization; build it with epsilon=None")
    layers = list[Layer]()
    for name, block in network.blocks().items():
        parts = parts_of(block)
        layers += block if parts is None or t == 1 else split_block(name, parts, t)
    return replace(network, layers=tuple(layers))


def split_block(name: str, parts: Parts, t: int) -> list[Layer]:
    inner = parts.expand.out_channels
    if not 1 <= t <= inner:
        raise UsageError(f"split {t}: must be 1 to {inner}, the inner channels of {name}; the paper recommends 2 to 5")
    layers, total = list[Layer](), parts.shortcut
    for part, (first, last) in enumerate(spans(inner, t)):
        channels = last - first
        expand = replace(parts.expand, name=f"{name}.expand_{part}", out_channels=channels)
        depthwise = replace(
            parts.depthwise,
            name=f"{name}.depthwise_{part}",
            inputs=(expand.name,),
            in_channels=channels,
            out_channels=channels,
            groups=channels,
        )
        project = replace(parts.project, name=f"{name}.project_{part}", inputs=(depthwise.name,), in_channels=channels)
        layers += [expand, depthwise, project]
        if total is not None:
            target = parts.target if part == t - 1 else f"{name}.sum_{part}"
            layers.append(Add(target, (total, project.name)))
        total = layers[-1].name
    return layers


def split_tensors(network: Network, tensors: Mapping[str, Floats], t: int) -> dict[str, Floats]:
    """The tensors of `split_network(network, t)` from those of `network`. The first part has the projection's bias."""
    found = dict(tensors)
    for name, block in network.blocks().items():
        parts = parts_of(block)
        if parts is None or t == 1:
            continue
        whole = {kind: (found.pop(f"{layer.prefix}.weight"), found.pop(f"{layer.prefix}.bias")) for kind, layer in named(parts)}
        for part, (first, last) in enumerate(spans(parts.expand.out_channels, t)):
            for kind in ("expand", "depthwise"):
                weight, bias = whole[kind]
                found[f"{name}.{kind}_{part}.conv.weight"] = weight[first:last]
                found[f"{name}.{kind}_{part}.conv.bias"] = bias[first:last]
            weight, bias = whole["project"]
            found[f"{name}.project_{part}.conv.weight"] = np.ascontiguousarray(weight[:, first:last])
            found[f"{name}.project_{part}.conv.bias"] = bias if part == 0 else np.zeros_like(bias)
    return found


def named(parts: Parts) -> tuple[tuple[str, Conv], ...]:
    return ("expand", parts.expand), ("depthwise", parts.depthwise), ("project", parts.project)


def random_tensors(network: Network, seed: int = 0) -> dict[str, Floats]:
    """Normal weights that keep the size of activations, and small biases, for a network that is only timed."""
    random, found = np.random.default_rng(seed), dict[str, "Floats"]()
    for name, shape in network.tensors().items():
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 10_000
        found[name] = (random.normal(size=shape) * np.sqrt(2 / fan_in)).astype(np.float32)
    return found


class Moment(NamedTuple):
    """Bytes of activations alive while some work is done, `begin` and `end` being shares of all MAdds."""

    begin: float
    end: float
    bytes: int


def layerwise(network: Network) -> list[Moment]:
    """The working set of a runtime that runs layer by layer and frees each tensor after its last use, in float32."""
    ledger = cost(network)
    return moments([(layer.madds, layer.live * 4) for layer in ledger.layers])


def moments(work: list[tuple[int, int]]) -> list[Moment]:
    total, done, found = sum(madds for madds, _ in work), 0, list[Moment]()
    for madds, alive in work:
        found.append(Moment(done / total, (done + madds) / total, alive))
        done += madds
    return found


def planned(network: Network, style: Style) -> tuple[Plan, list[Moment]]:
    """The engine's plan on one thread, and the bytes of its buffers that are alive at each stage."""
    plan = make_plan(network, network.resolution, 1, style)
    madds = {layer.name: layer.madds for layer in cost(network).layers}
    work = list[tuple[int, int]]()
    for number, stage in enumerate(plan.stages):
        convs = {name for steps in stage for step in steps for name in layers_of(step)}
        alive = sum(b.bytes for b in plan.buffers if not b.host and b.first <= number <= b.last)
        work.append((sum(madds[name] for name in convs), alive))
    return plan, moments(work)


def layers_of(step: Step) -> list[str]:
    """The layers with weights that a step computes."""
    found = (getattr(step, field, None) for field in ("conv", "expand", "depthwise"))
    return [layer.name for layer in found if layer is not None]
