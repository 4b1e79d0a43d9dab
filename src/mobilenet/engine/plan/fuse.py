"""Layers grouped into units, each of which the engine runs as one: above all the fused block (arXiv 1801.04381, section 5.1).

A tensor inside a unit never exists whole if nothing else reads it. Layers that fit no block, such as an ablation's shortcut
between expanded tensors or a tap in the middle of a block, run as smaller units of the same kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import UsageError, assert_never
from ...network.layers import Add, Concat, Conv, Corners, GlobalPool, Layer, Linear, Network, Resize
from ...values import Value

if TYPE_CHECKING:
    from .integers import Integers


class StemUnit(Value):
    """A full convolution of the image."""

    conv: Conv
    target: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (self.conv,)


class BlockUnit(Value):
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


class ProductUnit(Value):
    """A 1x1 convolution, a full k x k one, or a linear layer [+ residual]."""

    conv: Conv | Linear
    residual: str | None
    source: str
    target: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (self.conv,)


class PooledProductUnit(Value):
    """A 1x1 convolution of which only the mean over the image is needed."""

    conv: Conv
    source: str
    target: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (self.conv,)


class GlobalPoolUnit(Value):
    source: str
    target: str
    layers: tuple[Layer, ...] = ()


class AddUnit(Value):
    a: str
    b: str
    target: str
    layers: tuple[Layer, ...] = ()


class ConcatUnit(Value):
    """Tensors side by side along their channels."""

    parts: tuple[str, ...]
    target: str
    layers: tuple[Layer, ...] = ()


class ResizeUnit(Value):
    """A bilinear resize. The tensor that gives it its size is not read: the plan knows all sizes."""

    source: str
    corners: Corners
    target: str
    layers: tuple[Layer, ...] = ()


Unit = StemUnit | BlockUnit | ProductUnit | PooledProductUnit | GlobalPoolUnit | AddUnit | ConcatUnit | ResizeUnit


def sources(unit: Unit) -> tuple[str, ...]:
    """The tensors a unit reads."""
    match unit:
        case StemUnit():
            return ("input",)
        case AddUnit():
            return unit.a, unit.b
        case ConcatUnit():
            return unit.parts
        case BlockUnit() | ProductUnit():
            return (unit.source,) if unit.residual is None else (unit.source, unit.residual)
        case PooledProductUnit() | GlobalPoolUnit() | ResizeUnit():
            return (unit.source,)
        case _:
            assert_never(unit)


def residual_of(unit: Unit) -> str | None:
    """The tensor a unit adds to its result."""
    return unit.residual if isinstance(unit, BlockUnit | ProductUnit) else None


def reads(layer: Layer) -> tuple[str, ...]:
    """The tensors whose values a layer needs."""
    return layer.inputs[:1] if isinstance(layer, Resize) else layer.inputs


def rounded_tensors(network: Network) -> frozenset[str]:
    """The tensors that are bfloat16 if products compute in it: those that a product reads, but not the image."""
    return frozenset(
        layer.inputs[0]
        for layer in network.layers
        if (isinstance(layer, Conv) and not layer.depthwise) or isinstance(layer, Linear)
    ) - {"input"}


def fuse(network: Network, integers: Integers | None = None) -> tuple[Unit, ...]:
    """`network` as units, in an order that can be run.

    An addition goes into a unit where it gives the same result: in `integers`, where the sums of a convolution continue in it.

    Raises:
        UsageError: the engine cannot run a layer.
    """
    fusion = _Fusion(network, integers)
    for layer in network.layers:
        if layer.name not in fusion.done:
            fusion.add(layer, fusion.unit(layer))
    return tuple(fusion.units)


class _Fusion:
    """The units so far, and what is needed to decide on the next one."""

    def __init__(self, network: Network, integers: Integers | None) -> None:
        self.network, self.integers = network, integers
        uses = Counter(name for layer in network.layers for name in reads(layer))
        uses.update(network[name].name for name in network.outputs)
        self.readers = {name: layer for layer in network.layers for name in reads(layer) if uses[name] == 1}  # the only one
        self.done: set[str] = set()  # layers
        self.tensors = {"input"}  # that exist once the units so far have run
        self.units: list[Unit] = []

    def add(self, layer: Layer, unit: Unit) -> None:
        check(self.network, layer, unit, self.integers)
        self.done.update((*(part.name for part in unit.layers), unit.target))
        self.tensors.add(unit.target)
        self.units.append(unit)

    def unit(self, layer: Layer) -> Unit:
        """The unit that begins with `layer`."""
        match layer:
            case GlobalPool():
                return GlobalPoolUnit(layer.inputs[0], layer.name)
            case Add():
                return AddUnit(layer.inputs[0], layer.inputs[1], layer.name)
            case Concat():
                return ConcatUnit(layer.inputs, layer.name)
            case Resize():
                return ResizeUnit(layer.inputs[0], layer.corners, layer.name)
            case Linear():
                return ProductUnit(layer, None, layer.inputs[0], layer.name)
            case Conv():
                return self.convolution(layer)
            case _:
                assert_never(layer)

    def convolution(self, layer: Conv) -> Unit:
        after = self.readers.get(layer.name)
        if layer.inputs == ("input",):
            return StemUnit(layer, layer.name)
        if layer.depthwise:
            return self.block(None, layer)
        if pointwise(layer) and isinstance(after, Conv) and after.depthwise:
            return self.block(layer, after)
        if pointwise(layer) and isinstance(after, GlobalPool):
            return PooledProductUnit(layer, layer.inputs[0], after.name)
        last, residual = self.shortcut(layer)
        return ProductUnit(layer, residual, layer.inputs[0], last.name)

    def block(self, expand: Conv | None, depthwise: Conv) -> BlockUnit:
        project = self.readers.get(depthwise.name)
        source = (expand or depthwise).inputs[0]
        if not isinstance(project, Conv) or not pointwise(project):
            return BlockUnit(expand, depthwise, None, None, source, depthwise.name)
        last, residual = self.shortcut(project)
        return BlockUnit(expand, depthwise, project, residual, source, last.name)

    def shortcut(self, layer: Layer) -> tuple[Layer, str | None]:
        """The addition after `layer` and the other tensor that it adds, if that exists by now; otherwise `layer` itself."""
        if self.integers is not None:
            shortcut = self.integers.shortcuts.get(layer.name)
            return (self.network[shortcut.add], shortcut.residual) if shortcut else (layer, None)
        after = self.readers.get(layer.name)
        if isinstance(after, Add) and after.inputs.count(layer.name) == 1:
            (other,) = (name for name in after.inputs if name != layer.name)
            if other in self.tensors and other != "input":
                return after, other
        return layer, None


def pointwise(layer: Conv) -> bool:
    return layer.kernel == 1 and layer.stride == 1 and layer.groups == 1


def check(network: Network, layer: Layer, unit: Unit, integers: Integers | None) -> None:
    """Raises UsageError for what a network can describe and the engine cannot run; no builder makes such layers."""
    problem = ""
    for part in unit.layers:
        if isinstance(part, Conv) and part.groups not in (1, part.in_channels):
            problem = f"groups {part.groups}: the engine runs 1 group or one for each channel"
        elif isinstance(part, Conv) and part.groups > 1 and not part.depthwise:
            problem = "a depthwise convolution with a channel multiplier"
        elif isinstance(part, Conv) and (part.kernel % 2 == 0 or part.kernel > 15):
            problem = f"kernel {part.kernel}: the engine runs odd kernels up to 15"
    if not isinstance(unit, StemUnit) and "input" in sources(unit):
        problem = "it reads the image, which only a full convolution may"
    if isinstance(unit, StemUnit) and unit.conv.groups > 1:
        problem = "a depthwise convolution of the image"
    if integers is not None:
        alone = unit.conv if isinstance(unit, StemUnit) else unit.depthwise if isinstance(unit, BlockUnit) else None
        if alone is not None and (alone.name in integers.shortcuts or (alone.depthwise and alone.name in integers.real)):
            problem = "an addition or real numbers after a depthwise convolution or the first one"
    if problem:
        raise UsageError(f"layer {layer.name!r} of {network.architecture}: {problem}; use the reference runtime")


def weighted(network: Network, integers: Integers | None = None) -> Mapping[str, tuple[Unit, Conv | Linear]]:
    """Every layer with weights, and the unit it runs in."""
    return {
        layer.name: (unit, layer)
        for unit in fuse(network, integers)
        for layer in unit.layers
        if isinstance(layer, Conv | Linear)
    }
