"""Seeds for the native harness `program`: their weights are named by their shape, so that the harness can pack them."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock


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
            for style in (Style(), Style(1, 0, 0, 0), Style(whole=0, stream=None)):
                yield program(make_plan(network, network.resolution, threads, style))
    for network in large:
        for style in (Style(), Style(1, 0, 0, 0)):
            yield program(make_plan(network, network.resolution, 1, style))


def program(plan: object) -> bytes:
    """The bytes of a plan, with each layer's name replaced by "kind outputs inputs kernel panel_blocks"."""
    from mobilenet.engine.plan import program as packing

    class ByShape(packing.Weights):
        def __new__(cls, *fields):  # type: ignore[no-untyped-def]
            return super().__new__(cls, *fields[:-1], " ".join(map(str, fields[:-1])))

    with mock.patch.object(packing, "Weights", ByShape):
        return packing.pack_program(plan)  # type: ignore[arg-type]


def packed_weights(data: bytes) -> dict[str, object]:
    """The weights that a program of `seeds`, perhaps changed, names by shape."""
    import re

    import numpy as np

    from mobilenet import _core

    weights: dict[str, object] = {}
    for name in re.findall(rb"[0-2] \d{1,4} \d{1,4} [1-7] \d{1,4}", data):
        kind, outputs, inputs, kernel, panel_blocks = map(int, name.split())
        if not outputs or not inputs or outputs * inputs * kernel**2 > 2**16:
            continue
        weight, bias = np.ones((outputs, inputs, kernel, kernel), np.float32), np.zeros(outputs, np.float32)
        if kind == 0 and 1 <= panel_blocks <= 1024:
            weights[name.decode()] = _core.ProductWeights(weight, bias, panel_blocks)
        elif kind == 1 and inputs == 1:
            weights[name.decode()] = _core.DepthwiseWeights(weight, bias)
        elif kind == 2 and inputs == 3:
            weights[name.decode()] = _core.StemWeights(weight, bias)
    return weights
