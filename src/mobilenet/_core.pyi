"""The native core's face; see native/bindings/python.cc."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Memory = memoryview[Any]  # of any element type: the core checks it
Floats = NDArray[np.float32] | Memory

def isas() -> list[str]: ...
def isa(name: str = "") -> str: ...
def bounds(values: Floats) -> tuple[float, float]: ...
def checksum(bytes: bytes | Memory) -> tuple[int, int]: ...
def planes(pixels: bytes, levels: array[float], target: Floats) -> None: ...
def softmax(logits: Floats, row: int, probabilities: array[float]) -> None: ...
def likeliest(values: array[float], most: int) -> list[int]: ...
def nms(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64], iou: float, selected: NDArray[np.int64]
) -> int: ...
def detections(
    logits: Sequence[Floats],
    codes: Sequence[Floats],
    defaults: NDArray[np.float64],
    slots: int,
    softmax: bool,
    yxhw: bool,
    threshold: float,
    iou: float,
    candidates: int,
    size: tuple[float, float],
    window: tuple[float, float, float, float],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
) -> int: ...
def segment_bytes(
    logits: NDArray[np.uint8],
    zero: int,
    scale: float,
    mask: NDArray[np.uint8],
    confidence: NDArray[np.float32],
    isa: str = "",
) -> None: ...
def count_values(values: NDArray[np.uint8], counts: NDArray[np.int64]) -> None: ...
def tint(
    pixels: object,
    opacity: NDArray[np.uint8],
    spacing: int,
    classes: NDArray[np.uint8],
    step: int,
    colors: bytes,
    target: NDArray[np.uint8],
) -> None: ...
def largest(planes: NDArray[np.uint8], target: NDArray[np.uint8]) -> None: ...
def segment(
    scores: NDArray[np.float32], logits: bool, mask: NDArray[np.uint8], confidence: NDArray[np.float32], isa: str = ""
) -> bool: ...

class Resampler:
    def __init__(
        self,
        image: tuple[int, int],
        origin: tuple[int, int],
        part: tuple[int, int],
        box: tuple[float, float, float, float],
        resized: tuple[int, int],
        offset: tuple[int, int],
        down_first: bool,
        fill: int,
        filter: str,
        levels: array[float],
        target: Floats,
        isa: str = "",
    ) -> None: ...
    @property
    def rows(self) -> tuple[int, int]: ...
    def feed(self, pixels: bytes | Memory, row: int) -> None: ...
    def feed_arrow(self, array: object, row: int) -> None: ...

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

class Bf16ProductWeights:
    def __init__(self, weight: Floats, after: Floats | BatchNorm, slab: Slab | None = None) -> None: ...
    @property
    def bytes(self) -> int: ...

class DepthwiseWeights:
    def __init__(self, weight: Floats, after: Floats | BatchNorm) -> None: ...

class StemWeights:
    def __init__(self, weight: Floats, after: Floats | BatchNorm) -> None: ...

Integers = NDArray[np.int32] | Memory
Bytes = NDArray[np.int8] | NDArray[np.int16] | Memory
Factors = Integers | Floats | tuple[Integers, Integers]

class IntegerProductWeights:
    def __init__(
        self,
        weight: Bytes,
        bias: Integers,
        factors: Factors,
        residual: Integers | None,
        residual_zero: int,
        zero: int,
        low: int,
        high: int,
        image: bool,
        isa: str = "",
        slab: Slab | None = None,
    ) -> None: ...

class IntegerDepthwiseWeights:
    def __init__(
        self, weight: Bytes, bias: Integers, factors: Factors, zero: int, low: int, high: int, isa: str = ""
    ) -> None: ...

Weights = ProductWeights | DepthwiseWeights | StemWeights | IntegerProductWeights | IntegerDepthwiseWeights | Bf16ProductWeights

class Program:
    def __init__(self, data: bytes, weights: dict[str, Weights], isa: str = "") -> None: ...
    @property
    def threads(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def outputs(self) -> list[tuple[int, int, int]]: ...
    @property
    def labels(self) -> int: ...

def packed(weights: Weights) -> tuple[list[int], list[bytes]]: ...
def packing(isa: str) -> int: ...
def linked(program: bytes, weights: bytes, isa: str = "") -> Program: ...

class Runner:
    def __init__(self, threads: int) -> None: ...
    def run(
        self, program: Program, images: Floats, outputs: Sequence[Floats], seconds: NDArray[np.float64] | None = None
    ) -> None: ...
    @property
    def arena_bytes(self) -> int: ...
