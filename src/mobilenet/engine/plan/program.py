"""A plan as bytes: the one form in which it enters the native core (native/core/program_file.cc), from Python, a file, a
browser or a phone. docs/program.md describes the format; `steps.py` declares the fields of each step."""

from __future__ import annotations

import struct
from typing import NamedTuple, get_args

from ...network.layers import Conv, Linear
from .layout import BF16, F32, TensorLayout
from .steps import DepthwiseStep, ExpandDepthwiseStep, PadStep, PixelStep, Plan, StemStep, Step, Window

MAGIC, VERSION = b"MBNP", 4
PACKING = 1  # the order of packed weights: kPackingVersion of native/core/program_file.h

KINDS = {kind: index for index, kind in enumerate(kind for kind in get_args(Step) if kind is not PixelStep)}
"""The number of each kind of step in float32."""
I8_KINDS = {PadStep: 0} | {
    kind: len(KINDS) + index
    for index, kind in enumerate((PixelStep, *(kind for kind in KINDS if kind not in (PadStep, StemStep))))
}
"""The same in integers: PadStep is the same kind, and an image becomes bytes before its convolution."""
BF16_KINDS = {PadStep: 0} | {
    kind: len(KINDS) + len(I8_KINDS) - 1 + index for index, kind in enumerate(kind for kind in KINDS if kind is not PadStep)
}
"""The same where products read bfloat16."""
FIELDS = {kind: tuple(kind.field_options)[1:] for kind in get_args(Step)}  # without the label
NUMBERS = {"f32": 0, "u8": 1, "pixels": 2, "real": 3, "bf16": 4}
ACTIVATIONS = {"linear": 0, "relu": 1, "relu6": 2}
CORNERS = {"half_pixel": 0, "aligned": 1}
PRODUCT, DEPTHWISE, STEM, I8_PRODUCT, I8_DEPTHWISE, BF16_PRODUCT = range(6)  # kinds of weights


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
    steps = _Steps(plan)
    stages = [len(plan.stages)]
    for stage in plan.stages:
        for thread_steps in stage:
            stages.append(len(thread_steps))
            for step in thread_steps:
                stages += steps.words(step)
    layouts = sorted({b.layout for b in plan.buffers}, key=lambda layout: NUMBERS[layout.number])
    parts = [MAGIC, words(VERSION, PACKING, len(layouts))]
    parts += [words(NUMBERS[layout.number], layout.itemsize, layout.block) for layout in layouts]
    parts.append(words(plan.threads, *plan.resolution, len(plan.labels)) + longs(plan.bytes, plan.zeros))
    parts.append(words(len(plan.borders)))
    parts += [words(value) + longs(size) for value, size in plan.borders]
    parts.append(words(len(steps.weights)))
    parts += [words(*w[:-1]) + text(w.name) for w in steps.weights]
    parts.append(words(len(plan.buffers)))
    for b in plan.buffers:
        parts.append(words(NUMBERS[b.layout.number]) + longs(b.offset))
        parts.append(words(b.channels, b.height, b.width, b.slots, b.left, b.right, b.zero))
    parts.append(words(len(plan.outputs)))
    parts += [words(*shape) + text(name) for name, shape in plan.outputs]
    parts.append(words(*stages))
    return b"".join(parts)


class _Steps:
    """Packs steps one after another; `weights` are those that they have read so far."""

    def __init__(self, plan: Plan) -> None:
        self.layout, self.integers = plan.layout, plan.layout not in (F32, BF16)
        self.kinds = kinds_of(plan.layout)
        self.weights: list[Weights] = []
        self.layers: dict[str, tuple[int, ...]] = {}  # index of the weights and, but for integers, the activation
        self.buffers = {buffer.name: index for index, buffer in enumerate(plan.buffers)}
        self.tables = {"corners": CORNERS, "output": {name: index for index, (name, _) in enumerate(plan.outputs)}}

    def words(self, step: Step) -> list[int]:
        """A step's label, kind and fields; names become indices. Compares types, not isinstance: there are many steps."""
        numbers = [step.label, self.kinds[type(step)]]
        for field in FIELDS[type(step)]:
            value = getattr(step, field)
            kind = type(value)
            if kind is tuple or kind is Window:  # a span or a window
                numbers += value
            elif kind is str:
                numbers.append(self.tables.get(field, self.buffers)[value])
            elif kind is int:
                numbers.append(value)
            elif value is None:
                numbers.append(-1)
            else:
                assert isinstance(value, Conv | Linear)
                numbers += self.layers.get(value.name) or self.declare(step, field, value)
        return numbers

    def declare(self, step: Step, field: str, layer: Conv | Linear) -> tuple[int, ...]:
        """Adds the weights of `layer`, which `step` is the first to read. Returns their index and the activation, which
        integer weights know themselves."""
        inputs, kernel, panel_blocks = layer.in_channels, layer.kernel if isinstance(layer, Conv) else 1, 0
        if isinstance(step, StemStep):
            kind = STEM
        elif isinstance(step, DepthwiseStep) or (isinstance(step, ExpandDepthwiseStep) and field == "depthwise"):
            kind, inputs = DEPTHWISE, 1
        else:
            wide = field == "expand" or isinstance(layer, Linear)
            kind, panel_blocks = PRODUCT, self.layout.expand_panel if wide else self.layout.panel
        if self.integers:
            kind, panel_blocks = I8_PRODUCT if kind == PRODUCT else I8_DEPTHWISE, 0
        elif kind == PRODUCT and self.layout == BF16:
            kind, panel_blocks = BF16_PRODUCT, 0
        self.weights.append(Weights(kind, layer.out_channels, inputs, kernel, panel_blocks, layer.name))
        activation = layer.activation if isinstance(layer, Conv) else "linear"
        index = len(self.weights) - 1
        self.layers[layer.name] = (index,) if self.integers else (index, ACTIVATIONS[activation])
        return self.layers[layer.name]


def kinds_of(layout: TensorLayout) -> dict[type[Step], int]:
    """The numbers of the steps in a plan of `layout`."""
    return KINDS if layout == F32 else BF16_KINDS if layout == BF16 else I8_KINDS


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}i", *numbers)


def longs(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def text(name: str) -> bytes:
    """The length in bytes, then UTF-8 padded with zeros to whole words."""
    encoded = name.encode()
    return words(len(encoded)) + encoded + bytes(-len(encoded) % 4)
