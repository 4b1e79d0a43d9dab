"""TFLite models (.tflite) read as plain data: tensors with their quantization, operators with the options that matter.

Nothing is run and no schema package is needed: the field numbers below are those of TensorFlow's `schema.fbs`, version 3.
Arrays are read-only views of the file's bytes, so reading takes the file's size and at most `MAX_LIST` small objects of each
kind. `Flatbuffer` bounds the time: its budget is a multiple of the file's size.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import MobilenetError
from ...limits import check_limit
from ...network.layers import Activation
from .flatbuffers import Flatbuffer, FlatbufferError, Table

MAGIC = b"TFL3"
MAX_LIST = 10_000  # tensors, operators, buffers; the family's largest model has under 600
MAX_NAME = 8192  # bytes; names of fused tensors list every part
MAX_RANK = 8
MAX_ELEMENTS = 2**31 - 1

UINT8: np.dtype[np.uint8] = np.dtype("u1")
INT32: np.dtype[np.int32] = np.dtype("<i4")
INT64: np.dtype[np.int64] = np.dtype("<i8")
FLOAT32: np.dtype[np.float32] = np.dtype("<f4")
DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 6: "?", 9: "i1"}
CODES = {0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE",
         9: "FULLY_CONNECTED", 14: "LOGISTIC", 19: "RELU", 21: "RELU6", 22: "RESHAPE", 23: "RESIZE_BILINEAR", 25: "SOFTMAX",
         34: "PAD", 37: "BATCH_TO_SPACE_ND", 38: "SPACE_TO_BATCH_ND", 40: "MEAN", 43: "SQUEEZE", 56: "ARG_MAX",
         114: "QUANTIZE"}  # fmt: skip
ACTIVATIONS: dict[int, Activation] = {0: "linear", 1: "relu", 3: "relu6"}
PADDINGS = {0: "same", 1: "valid"}

# number of the options' type: what they hold, as name: (field, struct form, default)
GEOMETRY = {"padding": (0, "b", 0), "stride_w": (1, "i", 0), "stride_h": (2, "i", 0)}
OPTIONS: dict[int, dict[str, tuple[int, str, int]]] = {
    1: {**GEOMETRY, "activation": (3, "b", 0), "dilation_w": (4, "i", 1), "dilation_h": (5, "i", 1)},
    2: {**GEOMETRY, "depth_multiplier": (3, "i", 0), "activation": (4, "b", 0),
        "dilation_w": (5, "i", 1), "dilation_h": (6, "i", 1)},
    5: {**GEOMETRY, "filter_w": (3, "i", 0), "filter_h": (4, "i", 0), "activation": (5, "b", 0)},
    8: {"activation": (0, "b", 0)},
    10: {"axis": (0, "i", 0), "activation": (1, "b", 0)},
    11: {"activation": (0, "b", 0)},
    15: {"align_corners": (2, "?", 0), "half_pixel_centers": (3, "?", 0)},
    27: {"keep_dims": (0, "?", 0)},
}  # fmt: skip
OPTIONS_OF = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "AVERAGE_POOL_2D": 5, "FULLY_CONNECTED": 8, "CONCATENATION": 10, "ADD": 11,
              "RESIZE_BILINEAR": 15, "MEAN": 27}  # fmt: skip

Reals = NDArray[np.float32]
Integers = NDArray[np.int64]


class TFLiteError(MobilenetError):
    """A file is no sound TFLite model, or uses what this reader does not know; one line says what and where."""


@dataclass(frozen=True)
class TFLiteTensor:
    """A tensor of a graph.

    Attributes:
        name: the converter's, parts of a fused tensor joined by semicolons.
        shape: as stored: N, H, W, C for activations; out, H, W, in for weights; 1, H, W, channels depthwise.
        dtype: of its elements.
        scale: (1,) for the tensor or (n,) along `axis`, positive; empty if it is not quantized.
        zero_point: as many as scales; real = scale * (integer - zero_point).
        data: a constant's elements, or None for a computed tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    scale: Reals = field(repr=False)
    zero_point: Integers = field(repr=False)
    axis: int
    data: NDArray[np.generic] | None = field(repr=False)


class Operator(NamedTuple):
    """An operator: its name in capitals, tensors by index (-1: left out), options by name."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class TFLiteGraph:
    """A model's only subgraph. Operators stand in an order that can be run: each reads tensors made before it."""

    tensors: tuple[TFLiteTensor, ...] = field(repr=False)
    operators: tuple[Operator, ...] = field(repr=False)
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_tflite(path: str | os.PathLike[str]) -> TFLiteGraph:
    """The graph in the file at `path`. Raises OSError if it cannot be opened, TFLiteError for everything wrong in it."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise TFLiteError(f"{path}: is not a regular file; name the .tflite file itself")
    with path.open("rb") as file:
        check_limit("max_tensor_bytes", os.fstat(file.fileno()).st_size, f"{path}, bytes", TFLiteError)
        data = file.read()
    return parse_tflite(data, str(path))


def parse_tflite(data: bytes, source: str) -> TFLiteGraph:
    """The graph in the bytes of a file; `source` names it in messages."""
    try:
        if data[4:8] != MAGIC:
            raise FlatbufferError(f"it has no mark TFL3 (it begins {data[:8]!r})")
        return parse_graph(Flatbuffer(data).root())
    except FlatbufferError as error:
        raise TFLiteError(f"{source}: no sound TFLite model: {error}; fetch it again") from error


def parse_graph(model: Table) -> TFLiteGraph:
    if (version := model.scalar(0, "I")) != 3:
        raise FlatbufferError(f"it is of schema version {version}, this reader knows 3")
    subgraphs = model.tables(2, MAX_LIST)
    if len(subgraphs) != 1:
        raise FlatbufferError(f"it has {len(subgraphs)} subgraphs, a network has one")
    buffers = model.tables(4, MAX_LIST)
    codes = [parse_code(table) for table in model.tables(1, MAX_LIST)]
    tensors = tuple(parse_tensor(table, buffers) for table in subgraphs[0].tables(0, MAX_LIST))
    inputs, outputs = (indices(subgraphs[0], i, len(tensors), least=0) for i in (1, 2))
    operators = tuple(parse_operator(table, codes, len(tensors)) for table in subgraphs[0].tables(3, MAX_LIST))
    graph = TFLiteGraph(tensors, operators, inputs, outputs)
    check_order(graph)
    return graph


def parse_code(table: Table) -> str:
    old, new = table.scalar(0, "b"), table.scalar(3, "i")
    code = max(old, new)
    return CODES.get(code, table.text(1, MAX_NAME) or f"OPERATOR_{code}")


def parse_tensor(table: Table, buffers: list[Table]) -> TFLiteTensor:
    name = table.text(3, MAX_NAME)
    sides = table.array(0, INT32)
    kind = table.scalar(1, "b")
    if kind not in DTYPES:
        raise FlatbufferError(f"tensor {name[:80]!r} is of type {kind}, this reader knows {sorted(DTYPES)}")
    if len(sides) > MAX_RANK or (sides < 0).any():
        raise FlatbufferError(f"tensor {name[:80]!r} claims the shape {sides[:MAX_RANK].tolist()}")
    shape, dtype = tuple(int(side) for side in sides), np.dtype(DTYPES[kind])
    elements = math.prod(shape)
    if elements > MAX_ELEMENTS:
        raise FlatbufferError(f"tensor {name[:80]!r} claims {elements} elements")
    index = table.scalar(2, "I")
    if index >= len(buffers):
        raise FlatbufferError(f"tensor {name[:80]!r} names buffer {index} of {len(buffers)}")
    if buffers[index].scalar(1, "Q") > 1 or buffers[index].scalar(2, "Q") > 1:
        raise FlatbufferError(f"tensor {name[:80]!r} keeps its data outside the flatbuffer, not read here")
    raw = buffers[index].array(0, UINT8)
    data = None
    if len(raw):
        if len(raw) != elements * dtype.itemsize:
            raise FlatbufferError(f"tensor {name[:80]!r} {dtype}{shape} has {len(raw)} bytes of data")
        data = raw.view(dtype).reshape(shape)
    scale, zero_point, axis = parse_quantization(table.table(4), name, shape)
    return TFLiteTensor(name, shape, dtype, scale, zero_point, axis, data)


def parse_quantization(table: Table | None, name: str, shape: tuple[int, ...]) -> tuple[Reals, Integers, int]:
    if table is None or not len(scale := table.array(2, FLOAT32)):
        return np.empty(0, np.float32), np.empty(0, np.int64), 0
    zero_point, axis = table.array(3, INT64), table.scalar(6, "i")
    if not len(zero_point):
        zero_point = np.zeros(len(scale), np.int64)
    along = len(scale) == 1 or (0 <= axis < len(shape) and shape[axis] == len(scale))
    if not along or len(zero_point) not in (1, len(scale)):
        raise FlatbufferError(
            f"tensor {name[:80]!r} {shape} has {len(scale)} scales, {len(zero_point)} zero points, axis {axis}"
        )
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise FlatbufferError(f"tensor {name[:80]!r} has a scale that is no positive number")
    if (np.abs(zero_point) > 2**31).any():
        raise FlatbufferError(f"tensor {name[:80]!r} has a zero point past 32 bits")
    return scale, np.broadcast_to(zero_point, scale.shape), axis


def parse_operator(table: Table, codes: list[str], tensors: int) -> Operator:
    index = table.scalar(0, "I")
    if index >= len(codes):
        raise FlatbufferError(f"an operator names code {index} of {len(codes)}")
    code = codes[index]
    inputs, outputs = indices(table, 1, tensors, least=-1), indices(table, 2, tensors, least=0)
    options: dict[str, Any] = {}
    kind, content = table.scalar(3, "B"), table.table(4)
    if code in OPTIONS_OF:
        if content is not None and kind != OPTIONS_OF[code]:
            raise FlatbufferError(f"a {code} has options of type {kind}, not {OPTIONS_OF[code]}")
        for name, (number, form, default) in OPTIONS[OPTIONS_OF[code]].items():
            options[name] = default if content is None else content.scalar(number, form, default)
    for name, known in (("padding", PADDINGS), ("activation", ACTIVATIONS)):
        if name in options:
            if options[name] not in known:
                raise FlatbufferError(f"a {code} has {name} {options[name]}, this reader knows {list(known.values())}")
            options[name] = known[options[name]]
    return Operator(code, inputs, outputs, options)


def indices(table: Table, number: int, tensors: int, least: int) -> tuple[int, ...]:
    """Tensors by index, each from `least` to below `tensors`."""
    listed = table.array(number, INT32)
    if len(listed) > MAX_LIST or ((listed < least) | (listed >= tensors)).any():
        raise FlatbufferError(f"it names tensors {listed[:8].tolist()} of {tensors}")
    return tuple(int(index) for index in listed)


def check_order(graph: TFLiteGraph) -> None:
    """Raises FlatbufferError unless every tensor is made once, before it is read: no circle, no gap."""
    ready = {i for i, tensor in enumerate(graph.tensors) if tensor.data is not None}
    for index in graph.inputs:
        if index in ready:
            raise FlatbufferError(f"its input {graph.tensors[index].name[:80]!r} is a constant or named twice")
        ready.add(index)
    for operator in graph.operators:
        for index in operator.inputs:
            if index >= 0 and index not in ready:
                raise FlatbufferError(f"a {operator.code} reads {graph.tensors[index].name[:80]!r} before it is made")
        for index in operator.outputs:
            if index in ready:
                raise FlatbufferError(f"a {operator.code} makes {graph.tensors[index].name[:80]!r} a second time")
            ready.add(index)
    for index in graph.outputs:
        if index not in ready:
            raise FlatbufferError(f"its output {graph.tensors[index].name[:80]!r} is never made")
