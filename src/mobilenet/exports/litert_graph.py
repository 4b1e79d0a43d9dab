"""A LiteRT model (a TFLite flatbuffer) that grows operator by operator; field numbers are those of TensorFlow's schema.fbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..network.layers import Activation, Corners
from .flatbuffer import Scalar, Table, boolean, float32, int8, int32, serialize, uint8, uint32

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..tensors import Array

MARK = b"TFL3"
SCHEMA_VERSION = 3
SIGNATURE = "serving_default"  # the name under which TensorFlow's converters write the only one, and interpreters look for it

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}
ACTIVATIONS: Mapping[Activation, int] = {"linear": 0, "relu": 1, "relu6": 3}

Code = Literal[
    "ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "FULLY_CONNECTED", "LOGISTIC", "RESHAPE",
    "RESIZE_BILINEAR", "SOFTMAX", "CUSTOM", "PAD", "GATHER", "MEAN", "SUB", "DIV", "MUL", "CAST", "ARG_MAX", "MINIMUM",
    "QUANTIZE", "AVERAGE_POOL_2D",
]  # fmt: skip


class Kind(NamedTuple):
    """The numbers of an operator: its code, and which type its options have."""

    code: int
    options: int


KINDS: Mapping[Code, Kind] = {
    "ADD": Kind(0, 11), "AVERAGE_POOL_2D": Kind(1, 5),
    "CONCATENATION": Kind(2, 10), "CONV_2D": Kind(3, 1), "DEPTHWISE_CONV_2D": Kind(4, 2),
    "DEQUANTIZE": Kind(6, 38), "FULLY_CONNECTED": Kind(9, 8), "LOGISTIC": Kind(14, 0), "MUL": Kind(18, 21),
    "RESHAPE": Kind(22, 17), "RESIZE_BILINEAR": Kind(23, 15), "SOFTMAX": Kind(25, 9), "CUSTOM": Kind(32, 0),
    "PAD": Kind(34, 22), "GATHER": Kind(36, 23), "MEAN": Kind(40, 27), "SUB": Kind(41, 28), "DIV": Kind(42, 29),
    "CAST": Kind(53, 37), "ARG_MAX": Kind(56, 40), "MINIMUM": Kind(57, 39), "QUANTIZE": Kind(114, 89),
}  # fmt: skip
INTEGER_VERSIONS: Mapping[Code, int] = {
    "ADD": 2, "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "DEQUANTIZE": 2, "FULLY_CONNECTED": 4, "PAD": 2,
    "MEAN": 2, "RESIZE_BILINEAR": 2, "ARG_MAX": 2,
}  # fmt: skip
"""The first version of an operator that takes int8."""


class Scale(NamedTuple):
    """real = scales * (integer - zero point): one scale for a tensor, or one for each index along `axis`."""

    scales: Sequence[float] | NDArray[np.float32]
    zero_point: int
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """A tensor by its place in the file.

    Attributes:
        shape: as stored; None stands for any number, which only the first side may have.
    """

    index: int
    shape: tuple[int | None, ...]
    type: str
    scale: Scale | None


Options = Mapping[int, Scalar]
"""The options of an operator by field number of the schema."""


class Graph:
    """Tensors and operators in the order in which they are added; equal calls give equal bytes."""

    def __init__(self) -> None:
        self.tensors: list[Table] = []
        self.operators: list[Table] = []
        self.codes: dict[tuple[Code, str, int], int] = {}
        self.buffers: list[Table] = [{}]  # the first one is empty by the schema's rule: that of computed tensors
        self.constants: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}
        self.names: dict[int, str] = {}

    def tensor(
        self, name: str, shape: Sequence[int | None], type: str = "float32", scale: Scale | None = None, buffer: int = 0
    ) -> Tensor:
        """A tensor; one without a buffer is computed, or is an input."""
        made = Tensor(len(self.tensors), tuple(shape), type, scale)
        fields: dict[int, object] = {
            0: np.array([1 if side is None else side for side in shape], np.int32),
            1: int8(TYPES[type]),
            2: uint32(buffer),
            3: name,
        }
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale.scales, np.float32))
            zero_points = np.full(len(scales), scale.zero_point, np.int64)
            fields[4] = {2: scales, 3: zero_points, 6: int32(scale.axis) if len(scales) > 1 else None}
        if None in shape:
            fields[7] = np.array([-1 if side is None else side for side in shape], np.int32)
        self.tensors.append(fields)  # type: ignore[arg-type]
        self.names[made.index] = name
        return made

    def constant(self, name: str, value: Array, scale: Scale | None = None) -> Tensor:
        """A tensor of the file. Equal ones without a scale are stored once, under the first one's name."""
        data = np.ascontiguousarray(value).tobytes()
        key = (value.dtype.name, value.shape, data)
        if scale is None and value.nbytes < 1024 and key in self.constants:
            return self.constants[key]
        self.buffers.append({0: data})
        made = self.tensor(name, value.shape, value.dtype.name, scale, len(self.buffers) - 1)
        if scale is None:
            self.constants[key] = made
        return made

    def operator(
        self,
        code: Code,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        options: Options | None = None,
        version: int = 1,
        custom: str = "",
        custom_options: bytes | None = None,
    ) -> None:
        """Adds an operator.

        Args:
            version: the least version of the operator that has what is used here, if its input is float.
            custom, custom_options: the name of an operator of others, and its options as a flexbuffer.
        """
        if inputs[0].type in ("int8", "uint8"):
            version = max(version, INTEGER_VERSIONS.get(code, 1) if inputs[0].type == "int8" else 1)
        place = self.codes.setdefault((code, custom, version), len(self.codes))
        kind = KINDS[code].options
        self.operators.append(
            {
                0: uint32(place),
                1: np.array([each.index for each in inputs], np.int32),
                2: np.array([each.index for each in outputs], np.int32),
                3: uint8(kind),
                4: (options or {}) if kind else None,
                5: None if custom_options is None else np.frombuffer(custom_options, np.uint8),
            }
        )

    def then(
        self, code: Code, inputs: Sequence[Tensor], output: Tensor, options: Options | None = None, version: int = 1
    ) -> Tensor:
        """An operator of one output; returns it."""
        self.operator(code, inputs, [output], options, version)
        return output

    def rename(self, tensor: Tensor, name: str) -> None:
        """Gives a tensor another name."""
        self.tensors[tensor.index] = {**self.tensors[tensor.index], 3: name}
        self.names[tensor.index] = name

    def file(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        description: str,
        metadata: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """The whole flatbuffer. `metadata` are buffers by name."""
        entries: list[Table] = []
        for name, content in (metadata or {}).items():
            self.buffers.append({0: content})
            entries.append({0: name, 1: uint32(len(self.buffers) - 1)})
        subgraph: Table = {
            0: self.tensors,
            1: np.array([each.index for each in inputs], np.int32),
            2: np.array([each.index for each in outputs], np.int32),
            3: self.operators,
            4: "main",
        }
        signature: Table = {0: self.ends(inputs), 1: self.ends(outputs), 2: SIGNATURE, 4: uint32(0)}
        root: Table = {
            0: uint32(SCHEMA_VERSION),
            1: [code_of(*key) for key in self.codes],
            2: [subgraph],
            3: description,
            4: self.buffers,
            6: entries or None,
            7: [signature],
        }
        return serialize(root, MARK)

    def ends(self, tensors: Sequence[Tensor]) -> list[Table]:
        """Inputs or outputs by name, for the signature."""
        return [{0: self.names[each.index], 1: uint32(each.index)} for each in tensors]


def code_of(code: Code, custom: str, version: int) -> Table:
    """An operator's code as the schema stores it: twice, since old readers know a field of one byte."""
    number = KINDS[code].code
    return {0: int8(min(number, 127)), 1: custom or None, 2: int32(version), 3: int32(number)}


def convolution_options(depthwise: bool, stride: int, dilation: int, activation: Activation, valid: bool) -> Options:
    """Of CONV_2D or DEPTHWISE_CONV_2D; `valid` means no padding, else TensorFlow's SAME."""
    shared = {0: int8(1 if valid else 0), 1: int32(stride), 2: int32(stride)}
    act = int8(ACTIVATIONS[activation])
    if depthwise:
        return {**shared, 3: int32(1), 4: act, 5: int32(dilation), 6: int32(dilation)}
    return {**shared, 3: act, 4: int32(dilation), 5: int32(dilation)}


def resize_options(corners: Corners) -> Options:
    return {2: boolean(corners == "aligned"), 3: boolean(corners == "half_pixel")}


def concatenation_options(axis: int) -> Options:
    return {0: int32(axis)}


def mean_options(keep_sides: bool) -> Options:
    return {0: boolean(keep_sides)}


def pool_options(height: int, width: int) -> Options:
    """Of AVERAGE_POOL_2D over a whole tensor."""
    return {0: int8(1), 1: int32(1), 2: int32(1), 3: int32(width), 4: int32(height)}


def softmax_options() -> Options:
    return {0: float32(1.0)}  # beta


def gather_options(axis: int) -> Options:
    return {0: int32(axis)}


def cast_options(source: str, result: str) -> Options:
    return {0: int8(TYPES[source]), 1: int8(TYPES[result])}


def arg_max_options(type: str) -> Options:
    return {0: int8(TYPES[type])}
