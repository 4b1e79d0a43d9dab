"""The native core's face; see native/binding.cc."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | memoryview[Any]
Span = tuple[int, int]
Range = tuple[float, float]

BLOCK: int

def isas() -> list[str]: ...
def isa(name: str = "") -> str: ...
def bounds(values: Floats) -> tuple[float, float]: ...
def planes(pixels: bytes, levels: array[float], target: Floats) -> None: ...

class BatchNorm:
    def __init__(self, gamma: Floats, beta: Floats, mean: Floats, variance: Floats, epsilon: float) -> None: ...

class Slab:
    def __init__(self) -> None: ...

class ProductWeights:
    def __init__(
        self, weight: Floats, after: Floats | BatchNorm, panel_blocks: int, isa: str = "", slab: Slab | None = None
    ) -> None: ...
    @property
    def panels(self) -> int: ...
    @property
    def bytes(self) -> int: ...

class DepthwiseWeights:
    def __init__(self, weight: Floats, after: Floats | BatchNorm) -> None: ...

class StemWeights:
    def __init__(self, weight: Floats, after: Floats | BatchNorm) -> None: ...

class Window:
    def __init__(self, kernel: int = 1, stride: int = 1, dilation: int = 1, top: int = 0, left: int = 0) -> None: ...

class Place:
    def __init__(self, thread: int, label: int) -> None: ...

class Program:
    def __init__(self, isa: str, threads: int, height: int, width: int, arena_floats: int, zeros: int) -> None: ...
    def buffer(
        self, *, offset: int, channels: int, height: int, width: int, slots: int, left: int = 0, right: int = 0
    ) -> int: ...
    def output(self, channels: int, height: int, width: int) -> int: ...
    def barrier(self) -> None: ...
    def pad(self, at: Place, *, target: int, slots: Span) -> None: ...
    def stem(self, at: Place, *, weights: StemWeights, window: Window, target: int, rows: Span, range: Range) -> None: ...
    def product(
        self,
        at: Place,
        *,
        weights: ProductWeights,
        window: Window,
        source: int,
        target: int,
        residual: int = -1,
        rows: Span,
        panels: Span,
        range: Range,
    ) -> None: ...
    def depthwise(
        self,
        at: Place,
        *,
        weights: DepthwiseWeights,
        window: Window,
        source: int,
        target: int,
        rows: Span,
        blocks: Span,
        range: Range,
    ) -> None: ...
    def expand_depthwise(
        self,
        at: Place,
        *,
        expand: ProductWeights,
        depthwise: DepthwiseWeights,
        window: Window,
        source: int,
        ring: int,
        target: int,
        expanded: Span,
        rows: Span,
        panels: Span,
        expand_range: Range,
        range: Range,
    ) -> None: ...
    def product_pool(
        self, at: Place, *, weights: ProductWeights, source: int, scratch: int, target: int, panels: Span, range: Range
    ) -> None: ...
    def pool(self, at: Place, *, source: int, target: int, blocks: Span) -> None: ...
    def add(self, at: Place, *, a: int, b: int, target: int, rows: Span) -> None: ...
    def resize(self, at: Place, *, source: int, target: int, align_corners: bool, rows: Span) -> None: ...
    def concat(self, at: Place, *, source: int, target: int, channel: int, rows: Span) -> None: ...
    def emit(self, at: Place, *, source: int, output: int, rows: Span) -> None: ...
    @property
    def threads(self) -> int: ...
    @property
    def labels(self) -> int: ...

class Runner:
    def __init__(self, threads: int) -> None: ...
    def run(self, program: Program, images: Floats, outputs: Sequence[Floats], seconds: NDArray[Any] | None = None) -> None: ...
    @property
    def arena_bytes(self) -> int: ...
