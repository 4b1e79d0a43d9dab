"""Layers gathered into the units the engine runs as one: the fused block of section 5.1 (arXiv 1801.04381) above all.

A tensor disappears inside a unit where nothing else reads it. What is left over, an ablation's shortcut between expanded
tensors or a tap in the middle of a block, runs as smaller units of the same kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from ...network.layers import Add, Concat, Conv, Corners, GlobalPool, Layer, Linear, Network, Resize


class StemUnit(NamedTuple):
    """A full convolution of the picture itself."""

    conv: Conv
    target: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (self.conv,)


class BlockUnit(NamedTuple):
    """A depthwise convolution with the products around it: [expand] -> depthwise -> [project] [+ residual]."""

    expand: Conv | None
    depthwise: Conv
    project: Conv | None
    residual: str | None
    source: str
    target: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in (self.expand, self.depthwise, self.project) if layer is not None)


class ProductUnit(NamedTuple):
    """A 1x1 convolution, a full k x k one, or a linear layer [+ residual]."""

    conv: Conv | Linear
    residual: str | None
    source: str
    target: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (self.conv,)


class PooledProductUnit(NamedTuple):
    """A 1x1 convolution of which only the mean over the picture is wanted."""

    conv: Conv
    source: str
    target: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (self.conv,)


class GlobalPoolUnit(NamedTuple):
    source: str
    target: str
    layers: tuple[Layer, ...] = ()


class AddUnit(NamedTuple):
    a: str
    b: str
    target: str
    layers: tuple[Layer, ...] = ()


class ConcatUnit(NamedTuple):
    """Tensors beside each other along their channels."""

    parts: tuple[str, ...]
    target: str
    layers: tuple[Layer, ...] = ()


class ResizeUnit(NamedTuple):
    """A bilinear resize. What it takes its size from is not read: the plan knows all sizes."""

    source: str
    corners: Corners
    target: str
    layers: tuple[Layer, ...] = ()


Unit = StemUnit | BlockUnit | ProductUnit | PooledProductUnit | GlobalPoolUnit | AddUnit | ConcatUnit | ResizeUnit


def sources(unit: Unit) -> tuple[str, ...]:
    """The tensors a unit reads."""
    if isinstance(unit, StemUnit):
        return ("input",)
    if isinstance(unit, AddUnit):
        return unit.a, unit.b
    if isinstance(unit, ConcatUnit):
        return unit.parts
    residual = residual_of(unit)
    return (unit.source,) if residual is None else (unit.source, residual)


def residual_of(unit: Unit) -> str | None:
    """The tensor a unit adds to its result."""
    return unit.residual if isinstance(unit, BlockUnit | ProductUnit) else None


def reads(layer: Layer) -> tuple[str, ...]:
    """The tensors whose values a layer needs."""
    return layer.inputs[:1] if isinstance(layer, Resize) else layer.inputs


def fuse(network: Network) -> tuple[Unit, ...]:
    """`network` as units, in an order that can be run."""
    layers = network.layers
    uses = Counter(name for layer in layers for name in reads(layer))
    uses.update(network[name].name for name in network.outputs)
    readers = {name: layer for layer in layers for name in reads(layer) if uses[name] == 1}  # where only one does
    done: set[str] = set()
    made = {"input"}
    units: list[Unit] = []

    def then(layer: Layer) -> Layer | None:
        """The layer that follows and is the only one to see this one's result."""
        return readers.get(layer.name)

    def shortcut(layer: Layer) -> tuple[Layer, str | None]:
        """The addition after `layer`, with the other tensor, where that is known by now."""
        after = then(layer)
        if isinstance(after, Add) and after.inputs.count(layer.name) == 1:
            (other,) = (name for name in after.inputs if name != layer.name)
            if other in made and other != "input":
                return after, other
        return layer, None

    def pointwise(layer: Layer | None) -> bool:
        return isinstance(layer, Conv) and layer.kernel == 1 and layer.stride == 1 and layer.groups == 1

    def block(expand: Conv | None, depthwise: Conv) -> BlockUnit:
        project = then(depthwise)
        source = (expand or depthwise).inputs[0]
        if not pointwise(project):
            return BlockUnit(expand, depthwise, None, None, source, depthwise.name)
        assert isinstance(project, Conv)
        last, residual = shortcut(project)
        return BlockUnit(expand, depthwise, project, residual, source, last.name)

    for layer in layers:
        if layer.name in done:
            continue
        unit: Unit
        after = then(layer)
        if isinstance(layer, GlobalPool):
            unit = GlobalPoolUnit(layer.inputs[0], layer.name)
        elif isinstance(layer, Add):
            unit = AddUnit(*layer.inputs, layer.name)
        elif isinstance(layer, Concat):
            unit = ConcatUnit(layer.inputs, layer.name)
        elif isinstance(layer, Resize):
            unit = ResizeUnit(layer.inputs[0], layer.corners, layer.name)
        elif isinstance(layer, Linear):
            unit = ProductUnit(layer, None, layer.inputs[0], layer.name)
        elif layer.inputs == ("input",):
            unit = StemUnit(layer, layer.name)
        elif layer.depthwise:
            unit = block(None, layer)
        elif pointwise(layer) and isinstance(after, Conv) and after.depthwise:
            unit = block(layer, after)
        elif pointwise(layer) and isinstance(after, GlobalPool):
            unit = PooledProductUnit(layer, layer.inputs[0], after.name)
        else:
            last, residual = shortcut(layer)
            unit = ProductUnit(layer, residual, layer.inputs[0], last.name)
        check(network, layer, unit)
        done.update(part.name for part in unit.layers)
        done.add(unit.target)
        made.add(unit.target)
        units.append(unit)
    return tuple(units)


def check(network: Network, layer: Layer, unit: Unit) -> None:
    """ValueError for what the format of layers can say and no builder makes."""
    problem = ""
    for part in unit.layers:
        if isinstance(part, Conv) and part.groups not in (1, part.in_channels):
            problem = f"groups {part.groups}: the engine runs 1 group or one for each channel"
        elif isinstance(part, Conv) and part.groups > 1 and not part.depthwise:
            problem = "a depthwise convolution with a channel multiplier"
        elif isinstance(part, Conv) and (part.kernel % 2 == 0 or part.kernel > 15):
            problem = f"kernel {part.kernel}: the engine runs odd kernels up to 15"
    if not isinstance(unit, StemUnit) and "input" in sources(unit):
        problem = "it reads the picture, which only a full convolution may"
    if isinstance(unit, StemUnit) and unit.conv.groups > 1:
        problem = "a depthwise convolution of the picture"
    if problem:
        raise ValueError(f"layer {layer.name!r} of {network.architecture}: {problem}; use the reference runtime")


def weighted(network: Network) -> Mapping[str, tuple[Unit, Conv | Linear]]:
    """Every layer with weights, and the unit it runs in."""
    return {layer.name: (unit, layer) for unit in fuse(network) for layer in unit.layers if isinstance(layer, Conv | Linear)}
