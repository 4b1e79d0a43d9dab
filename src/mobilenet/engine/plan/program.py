"""A plan as bytes: the one form in which it enters the native core (native/core/program_file.cc), from Python, a file, a
browser or a phone. docs/program.md describes the format; `steps.py` declares the fields of each step."""

from __future__ import annotations

import struct
from typing import NamedTuple, get_args

from ...network.layers import Conv, Linear
from .steps import DepthwiseStep, ExpandDepthwiseStep, Plan, StemStep, Step

MAGIC, VERSION = b"MBNP", 1
PACKING = 1  # the order of packed weights: kPackingVersion of native/core/program_file.h

KINDS = {kind: index for index, kind in enumerate(get_args(Step))}
NUMBERS = {"f32": 0}
ACTIVATIONS = {"linear": 0, "relu": 1, "relu6": 2}
CORNERS = {"half_pixel": 0, "aligned": 1}
PRODUCT, DEPTHWISE, STEM = range(3)  # kinds of weights


class Weights(NamedTuple):
    """What a program says of one layer's weights: enough to pack them."""

    kind: int
    outputs: int
    inputs: int
    kernel: int
    panel_blocks: int  # 0 unless `kind` is PRODUCT
    name: str


def pack_program(plan: Plan) -> bytes:
    """`plan` as a program. Raises struct.error if a number does not fit its field."""
    weights = weights_of(plan)
    tables = {
        "corners": CORNERS,
        "output": {name: index for index, (name, _) in enumerate(plan.outputs)},
        "buffer": {buffer.name: index for index, buffer in enumerate(plan.buffers)},
        "weights": {w.name: index for index, w in enumerate(weights)},
    }
    parts = [MAGIC, words(VERSION, PACKING, 1, NUMBERS[plan.layout.number], plan.layout.itemsize, plan.layout.block)]
    parts.append(words(plan.threads, *plan.resolution, len(plan.labels)) + longs(plan.bytes, plan.zeros))
    parts.append(words(len(weights)))
    parts += [words(*w[:-1]) + text(w.name) for w in weights]
    parts.append(words(len(plan.buffers)))
    for b in plan.buffers:
        parts.append(words(NUMBERS[b.layout.number]) + longs(b.offset))
        parts.append(words(b.channels, b.height, b.width, b.slots, b.left, b.right))
    parts.append(words(len(plan.outputs)))
    parts += [words(*shape) + text(name) for name, shape in plan.outputs]
    stages = [len(plan.stages)]
    for stage in plan.stages:
        for steps in stage:
            stages.append(len(steps))
            for step in steps:
                stages += step_words(step, tables)
    parts.append(words(*stages))
    return b"".join(parts)


def step_words(step: Step, tables: dict[str, dict[str, int]]) -> list[int]:
    """A step's label, kind and fields; names become indices."""
    numbers = [step.label, KINDS[type(step)]]
    for field, value in zip(step._fields[1:], step[1:], strict=True):
        if isinstance(value, tuple):  # a span or a window
            numbers += value
        elif isinstance(value, str):
            numbers.append(tables[field if field in tables else "buffer"][value])
        elif isinstance(value, Conv | Linear):
            activation = value.activation if isinstance(value, Conv) else "linear"
            numbers += tables["weights"][value.name], ACTIVATIONS[activation]
        else:
            numbers.append(-1 if value is None else value)
    return numbers


def weights_of(plan: Plan) -> list[Weights]:
    """The weights that a plan's steps read, in the order of first use."""
    found: dict[str, Weights] = {}
    for step in (step for stage in plan.stages for steps in stage for step in steps):
        for field, layer in zip(step._fields, step, strict=True):
            if not isinstance(layer, Conv | Linear) or layer.name in found:
                continue
            inputs, kernel, panel_blocks = layer.in_channels, layer.kernel if isinstance(layer, Conv) else 1, 0
            if isinstance(step, StemStep):
                kind = STEM
            elif isinstance(step, DepthwiseStep) or (isinstance(step, ExpandDepthwiseStep) and field == "depthwise"):
                kind, inputs = DEPTHWISE, 1
            else:
                wide = field == "expand" or isinstance(layer, Linear)
                kind, panel_blocks = PRODUCT, plan.layout.expand_panel if wide else plan.layout.panel
            found[layer.name] = Weights(kind, layer.out_channels, inputs, kernel, panel_blocks, layer.name)
    return list(found.values())


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def longs(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def text(name: str) -> bytes:
    """The length in bytes, then UTF-8 padded with zeros to whole words."""
    encoded = name.encode()
    return words(len(encoded)) + encoded + bytes(-len(encoded) % 4)
