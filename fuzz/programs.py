"""Seeds for the native harness `program`: their weights are named by their shape, so that the harness can pack them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from unittest import mock

IMAGE, REAL, RESIDUAL, FRACTIONS = 1, 2, 4, 8  # flags of integer weights
PRODUCT, DEPTHWISE = 3, 4  # kinds of integer weights


def seeds() -> Iterator[bytes]:
    """Every kind of step, in programs of one to three threads and of the planner's main styles."""
    from mobilenet.engine.plan.plan import make_plan
    from mobilenet.engine.plan.steps import Style
    from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssdlite_mobilenet_v2
    from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2

    rows = ((1, 16, 2, 1), (2, 24, 1, 2))
    networks = [
        mobilenet_v1(0.25, 8, classes=3, rows=((1, 64), (2, 128))),
        mobilenet_v2(0.35, resolution=(9, 12), classes=3, rows=rows),
        mobilenet_v2(0.35, resolution=16, classes=None, rows=rows),
    ]
    large = [
        ssdlite_mobilenet_v2(0.35, resolution=(8, 9), classes=2),
        deeplabv3_mobilenet_v2(0.35, resolution=(9, 8), classes=2, aspp="full"),
    ]
    for network in networks:
        for threads in (1, 2, 3):
            for style in (Style(), Style(1, 0, 0, 0), Style(whole=0, stream=1)):
                yield program(make_plan(network, network.resolution, threads, style))
    for network in large:
        for style in (Style(), Style(1, 0, 0, 0)):
            yield program(make_plan(network, network.resolution, 1, style))
    yield from integer_seeds()


def integer_seeds() -> Iterator[bytes]:
    """The same in integers, our own and published ones."""
    from support.grid import gridded
    from support.quantized import quantized

    from mobilenet.engine.plan.fuse import StemUnit, weighted
    from mobilenet.engine.plan.integers import integers_of
    from mobilenet.engine.plan.layout import U8
    from mobilenet.engine.plan.plan import make_plan
    from mobilenet.engine.plan.steps import Style
    from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssdlite_mobilenet_v2
    from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2

    rows = ((1, 16, 2, 1), (2, 24, 1, 2))
    small = [
        mobilenet_v1(0.25, 8, classes=3, rows=((1, 64), (2, 128)), epsilon=None),
        mobilenet_v2(0.35, resolution=(9, 12), classes=3, rows=rows, epsilon=None),
    ]
    large = [
        ssdlite_mobilenet_v2(0.35, resolution=(8, 9), classes=2, epsilon=None),
        deeplabv3_mobilenet_v2(0.35, resolution=(9, 8), classes=2, aspp="full", epsilon=None, head_epsilon=None),
    ]
    made = [(network, gridded(network)[1]) for network in small + large]
    made += [
        (network, quantized(network, dtype)[1]) for network, dtype in zip(small + large, ["int8", "uint8"] * 2, strict=True)
    ]
    for network, quantization in made:
        integers = integers_of(network, quantization)
        flags = {
            name: IMAGE * isinstance(unit, StemUnit)
            + REAL * (name in integers.real)
            + RESIDUAL * (integers.in_sums and name in integers.shortcuts)
            + FRACTIONS * (not integers.in_sums)
            for name, (unit, _) in weighted(network, integers).items()
        }
        for threads in (1, 2, 3) if network in small else (1,):
            for style in (Style(), Style(1, 0, 0, 0)):
                yield program(make_plan(network, network.resolution, threads, style, U8, integers), flags)


def program(plan: object, flags: Mapping[str, int] = MappingProxyType({})) -> bytes:
    """The bytes of a plan, with each layer's name replaced by "kind outputs inputs kernel panel_blocks flags"."""
    from mobilenet.engine.plan import program as packing

    class ByShape(packing.Weights):
        def __new__(cls, *fields):  # type: ignore[no-untyped-def]
            return super().__new__(cls, *fields[:-1], " ".join(map(str, (*fields[:-1], flags.get(fields[-1], 0)))))

    with mock.patch.object(packing, "Weights", ByShape):
        return packing.pack_program(plan)  # type: ignore[arg-type]


def packed_weights(data: bytes) -> dict[str, object]:
    """The weights that a program of `seeds`, perhaps changed, names by shape."""
    import re

    import numpy as np

    from mobilenet import _core

    weights: dict[str, object] = {}
    for name in re.findall(rb"[0-4] \d{1,4} \d{1,4} [1-7] \d{1,4}(?: \d+)?", data):
        kind, outputs, inputs, kernel, panel_blocks, flags, *_ = *map(int, name.split()), 0
        if not outputs or not inputs or outputs * inputs * kernel**2 > 2**19:
            continue
        if kind >= PRODUCT:
            with contextlib.suppress(ValueError):  # past a limit of the sums
                weights[name.decode()] = packed_integers(kind, outputs, inputs, kernel, flags)
            continue
        weight, bias = np.ones((outputs, inputs, kernel, kernel), np.float32), np.zeros(outputs, np.float32)
        if kind == 0 and 1 <= panel_blocks <= 1024:
            weights[name.decode()] = _core.ProductWeights(weight, bias, panel_blocks)
        elif kind == 1 and inputs == 1:
            weights[name.decode()] = _core.DepthwiseWeights(weight, bias)
        elif kind == 2 and inputs == 3:
            weights[name.decode()] = _core.StemWeights(weight, bias)
    return weights


def packed_integers(kind: int, outputs: int, inputs: int, kernel: int, flags: int) -> object:
    """Integer weights, as `pack_integers` of fuzz/native/program.cc makes them."""
    import numpy as np

    from mobilenet import _core

    weight = (np.arange(outputs * inputs * kernel**2) % 17 - 8).astype(np.int8).reshape(outputs, inputs, kernel, kernel)
    bias, multiplier, factor = (np.full(outputs, value, np.int32) for value in (100, 1 << 15, 50))
    if flags & FRACTIONS:
        wide = (np.arange(weight.size) % 301 - 150).astype(np.int16).reshape(weight.shape)
        fractions = np.full(outputs, 3 << 29, np.int32), np.full(outputs, -8, np.int32)
        if kind == DEPTHWISE:
            return _core.IntegerDepthwiseWeights(wide, bias, fractions, 7, 0, 250)
        return _core.IntegerProductWeights(wide, bias, fractions, None, 0, 7, 0, 250, bool(flags & IMAGE))
    if kind == DEPTHWISE:
        return _core.IntegerDepthwiseWeights(weight, bias, multiplier, 7, 0, 250)
    factors = np.full(outputs, 0.5, np.float32) if flags & REAL else multiplier
    residual, zero = (factor, 9) if flags & RESIDUAL else (None, 0)
    return _core.IntegerProductWeights(weight, bias, factors, residual, zero, 7, 0, 250, bool(flags & IMAGE))
