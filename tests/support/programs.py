"""Plans made by hand, for steps and numbers that the planner never makes."""

from __future__ import annotations

from typing import Any

from mobilenet.engine.native import compile_plan
from mobilenet.engine.plan.layout import F32
from mobilenet.engine.plan.memory import Buffer
from mobilenet.engine.plan.steps import Plan, Step, Style
from mobilenet.network.layers import Conv, Shape


class Draft:
    """One stage under construction. The arena begins with `zeros` bytes of zeros; buffers follow one another in it."""

    def __init__(self, height: int, width: int, threads: int = 1, arena: int = 1 << 22, zeros: int = 1 << 12) -> None:
        self.size, self.threads, self.arena, self.zeros = (height, width), threads, arena, zeros
        self.buffers: list[Buffer] = []
        self.steps: list[list[Step]] = [[] for _ in range(threads)]
        self.outputs: list[tuple[str, Shape]] = []
        self.weights: dict[str, Any] = {}
        self.borders: tuple[tuple[int, int], ...] = ()
        self.next = zeros

    def buffer(self, channels: int, height: int, width: int, slots: int | None = None, left: int = 0, right: int = 0,
               offset: int | None = None) -> str:  # fmt: skip
        at = self.next if offset is None else offset
        name = f"buffer {len(self.buffers)}"
        slots = height if slots is None else slots
        self.buffers.append(Buffer(name, F32, channels, height, width, slots, left, right, offset=at))
        self.next = at + self.buffers[-1].bytes
        return name

    def output(self, channels: int, height: int, width: int) -> str:
        self.outputs.append((f"output {len(self.outputs)}", Shape(channels, height, width)))
        return self.outputs[-1][0]

    def conv(self, weights: Any, out_channels: int, in_channels: int, kernel: int = 1, groups: int = 1) -> Conv:
        """A convolution without padding or activation, with its packed weights."""
        name = f"conv {len(self.weights)}"
        self.weights[name] = weights
        return Conv(name, ("x",), in_channels, out_channels, kernel=kernel, groups=groups, activation="linear")

    def add(self, step: Step, thread: int = 0) -> None:
        self.steps[thread].append(step)

    def plan(self) -> Plan:
        stages = (tuple(map(tuple, self.steps)),)
        return Plan(self.size, self.threads, Style(), F32, ("all",), tuple(self.buffers), stages, tuple(self.outputs),
                    self.zeros, self.borders, self.arena)  # fmt: skip

    def compile(self, isa: str = "") -> Any:
        """The native program. Raises ValueError if the core refuses it."""
        return compile_plan(self.plan(), self.weights, isa)
