"""The engine's time for each fused unit, beside the least that this machine's arithmetic and memory allow (a roofline)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..network.layers import Linear, Network, Resolution

if TYPE_CHECKING:
    from ..engine.native import Native
    from ..engine.plan.fuse import Unit
    from ..engine.plan.steps import Plan
    from ..modelfile import ModelFile
    from ..tensors import Floats


@dataclass(frozen=True)
class LayerTime:
    """One fused unit's time beside the least that this machine allows.

    Attributes:
        bytes: its weights and the whole tensors that it reads and writes; rows that stream between units stay in the cache.
        bound: the resource that would take longer at its best, ``products`` or ``memory``.
        peak: that best time as a fraction of the measured one.
    """

    name: str
    milliseconds: float
    madds: int
    bytes: int
    bound: str
    peak: float


def layer_times(
    network: Network,
    tensors: Mapping[str, Floats],
    resolution: Resolution | None = None,
    rounds: int = 50,
    bf16: bool = False,
) -> list[LayerTime]:
    """The engine's time for each fused unit on one thread, the median of `rounds`; the last row is for writing the outputs.

    With `bf16` beside the best rate of this machine's products of bfloat16.
    """
    from ..engine.native import Native
    from ..engine.plan.fuse import fuse

    network = network if resolution is None else network.at(resolution)
    engine, itemsize = Native(network, tensors, precision="bf16" if bf16 else "fp32"), 2 if bf16 else 4
    weights = itemsize * sum(np.asarray(tensors[name]).size for name in network.parameters())
    rates = (bf16_product_rate(), bf16_memory_rate(weights)) if bf16 else (product_rate(), memory_rate(weights))
    return timed(engine, fuse(network), network, rates, itemsize, rounds)


def layer_times_of_integers(model: ModelFile, resolution: Resolution | None = None, rounds: int = 50) -> list[LayerTime]:
    """The same of an integer model, beside the best rate of this machine's own dot products of bytes."""
    from ..engine.native import Native
    from ..engine.plan.fuse import fuse
    from ..engine.plan.integers import integers_of

    network = model.network if resolution is None else model.network.at(resolution)
    assert model.quantization is not None
    rates = (
        integer_product_rate(),
        integer_memory_rate(sum(np.asarray(model.tensors[name]).nbytes for name in network.tensors())),
    )
    engine = Native(network, model.tensors, 1, None, model.quantization)
    return timed(engine, fuse(network, integers_of(network, model.quantization)), network, rates, 1, rounds)


def timed(
    engine: Native, units: tuple[Unit, ...], network: Network, rates: tuple[float, float], itemsize: int, rounds: int
) -> list[LayerTime]:
    """`rates`: multiply-adds and bytes a second at their best; `itemsize`: bytes of an activation and of a weight."""
    size, shapes, (products, memory) = network.resolution, network.shapes(), rates
    image = np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)
    plan = engine.plan(size)
    times = np.zeros((rounds, len(plan.labels)))
    for row in times:
        engine.run(image, row)
    madds = [sum(x.madds([shapes[name] for name in x.inputs]) for x in unit.layers) for unit in units] + [0]
    moved = [moved_bytes(unit, network, plan, itemsize) for unit in units]
    moved.append((itemsize + 4) * sum(shape.elements for _, shape in plan.outputs))
    rows = []
    for name, t, count, size_ in zip(plan.labels, np.median(times, axis=0), madds, moved, strict=True):
        least = {"products": count / products, "memory": size_ / memory}
        bound = max(least, key=least.__getitem__)
        rows.append(LayerTime(name, 1e3 * float(t), count, size_, bound, least[bound] / float(t) if t else 0.0))
    return rows


def moved_bytes(unit: Unit, network: Network, plan: Plan, itemsize: int) -> int:
    """Bytes that a unit moves to and from memory: its weights, and those of its tensors that exist whole."""
    from ..engine.plan.fuse import sources

    shapes, whole = network.shapes(plan.resolution), {"input", *(buffer.name for buffer in plan.buffers)}
    tensors = sum(shapes[name].elements for name in (*sources(unit), unit.target) if name in whole)
    weights = sum(int(np.prod(shape)) for layer in unit.layers for _, shape in layer.parameters())
    return itemsize * (tensors + weights)  # an integer channel's bias and multiplier are few bytes beside its weights


def product_rate(seconds: float = 0.2) -> float:
    """Multiply-adds a second of this machine's best case: a product whose operands stay in the first-level cache."""
    pixels, inputs, outputs, repeats = 96, 64, 48, 500
    return repeats * pixels * inputs * outputs / least_time(pixels, inputs, outputs, repeats, seconds)


def memory_rate(size: int, seconds: float = 0.2) -> float:
    """Bytes a second at which the engine reads `size` bytes of weights, from the cache or memory that holds so many."""
    inputs = 1024
    outputs = max(size // (4 * inputs), 48)
    return 4 * inputs * outputs / least_time(1, inputs, outputs, 1, seconds)


def integer_product_rate(seconds: float = 0.2) -> float:
    """Multiply-adds of bytes a second at their best: as deep a product as the first-level cache holds."""
    pixels, inputs, outputs, repeats = 64, 256, 64, 400
    return repeats * pixels * inputs * outputs / least_time(pixels, inputs, outputs, repeats, seconds, number="u8")


def integer_memory_rate(size: int, seconds: float = 0.2) -> float:
    """Bytes a second at which the engine reads `size` bytes of integer weights."""
    inputs = 1024
    outputs = max(size // inputs, 64)
    return inputs * outputs / least_time(1, inputs, outputs, 1, seconds, number="u8")


def bf16_product_rate(seconds: float = 0.2) -> float:
    """Multiply-adds of bfloat16 a second at their best: as deep a product as the first-level cache holds."""
    pixels, inputs, outputs, repeats = 64, 128, 64, 400
    return repeats * pixels * inputs * outputs / least_time(pixels, inputs, outputs, repeats, seconds, number="bf16")


def bf16_memory_rate(size: int, seconds: float = 0.2) -> float:
    """Bytes a second at which the engine reads `size` bytes of bfloat16 weights."""
    inputs = 1024
    outputs = max(size // (2 * inputs), 32)
    return 2 * inputs * outputs / least_time(1, inputs, outputs, 1, seconds, number="bf16")


def least_time(pixels: int, inputs: int, outputs: int, repeats: int, seconds: float, number: str = "f32") -> float:
    """The least seconds that `repeats` of one product took, tried for `seconds`."""
    from .. import _core
    from ..engine.native import compile_plan
    from ..engine.plan.layout import BF16, F32, U8
    from ..engine.plan.memory import Buffer, place
    from ..engine.plan.steps import Plan, ProductStep, Style, Window

    layer = Linear("product", ("source",), inputs, outputs)
    weights: _core.Weights
    isa = _core.isa(os.environ.get("MOBILENET_ISA", ""))
    floats = np.ones((outputs, inputs), np.float32), np.ones(outputs, np.float32)
    if number == "bf16":
        layout, weights = BF16, _core.Bf16ProductWeights(*floats)
        panels = layout.blocks(outputs)
    elif number == "u8":
        layout, multiplier = U8, np.full(outputs, 2**10, np.int32)
        weights = _core.IntegerProductWeights(
            np.ones((outputs, inputs), np.int8), np.ones(outputs, np.int32), multiplier, None, 0, 0, 0, 255, False, isa
        )
        panels = layout.blocks(outputs)
    else:
        layout = F32
        weights = _core.ProductWeights(*floats, F32.expand_panel, isa)
        panels = weights.panels
    buffers, size = place([Buffer(name, layout, channels, 1, pixels, 1) for name, channels in
                           (("source", inputs), ("target", outputs))], 0)  # fmt: skip
    step = ProductStep(0, layer, Window(), "source", "target", None, (0, 1), (0, panels))
    plan = Plan((1, 1), 1, Style(), layout, ("product",), buffers, (((step,) * repeats,),), (), 0, (), size)
    program = compile_plan(plan, {"product": weights}, isa)
    runner, image, best = _core.Runner(1), np.zeros((1, 3, 1, 1), np.float32), float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = time.perf_counter()
        runner.run(program, image, [])
        best = min(best, time.perf_counter() - before)
    return best
