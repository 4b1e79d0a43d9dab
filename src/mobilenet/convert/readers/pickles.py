"""The pickle inside a checkpoint, interpreted instead of run: only descriptions of tensors come out.

A pickle is a program written by whoever made the file, so it is not handed to `pickle.Unpickler`. The interpreter here knows
the thirty opcodes that torch emits, imports and calls nothing, and bounds time and memory (the memo of Python's unpickler
allocates by an index that the file chooses). An opcode costs constant time or time linear in the bytes it reads; values are
never hashed, compared or printed in depth; and a pickle has at most `MAX_PICKLE` bytes and `MAX_STEPS` opcodes.
"""

from __future__ import annotations

import io
import pickle  # for the names of opcodes alone: nothing is unpickled
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import MobilenetError

MAX_PICKLE = 4 << 20  # bytes; MobileNetV2's is 47 kB, and 10,000 tensors fit in this and the next
MAX_STEPS = 1 << 19  # opcodes; MobileNetV2's takes 11,462
MAX_AXES = 32  # numpy 1's limit

STORAGES = {
    "torch.FloatStorage": "float32", "torch.DoubleStorage": "float64", "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16", "torch.BoolStorage": "bool", "torch.ByteStorage": "uint8",
    "torch.CharStorage": "int8", "torch.ShortStorage": "int16", "torch.IntStorage": "int32", "torch.LongStorage": "int64",
    "torch.ComplexFloatStorage": "complex64", "torch.ComplexDoubleStorage": "complex128",
    "torch.storage.UntypedStorage": "uint8",  # under tensors of DTYPES, which have no class of their own
}  # fmt: skip
DTYPES = ("torch.uint16", "torch.uint32", "torch.uint64")
INERT = ("collections.Counter", "torch.Size", "torch.device")  # beside the weights of honest files; read as None
REBUILDS = ("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state")
ALLOWED = {"collections.OrderedDict", *STORAGES, *DTYPES, *INERT, *(f"torch._utils._rebuild_{name}" for name in REBUILDS)}
SAVE_AGAIN = "if you trust its source, load it with torch and save model.state_dict() alone"
REMEDIES = {
    "argparse.Namespace": "training arguments; if you trust the file, load it with torch and save its state dict alone",
    "torch._utils._rebuild_qtensor": "save the tensors after .dequantize(), or bring the float model",
    "torch._utils._rebuild_sparse_tensor": "save the tensors after .to_dense()",
}

OPERANDS = {  # what follows an opcode
    **dict.fromkeys((pickle.BINPUT, pickle.BINGET, pickle.BININT1, pickle.LONG1, pickle.PROTO), struct.Struct("<B")),
    **dict.fromkeys((pickle.LONG_BINPUT, pickle.LONG_BINGET, pickle.BINUNICODE), struct.Struct("<I")),
    pickle.BININT: struct.Struct("<i"), pickle.BININT2: struct.Struct("<H"), pickle.BINFLOAT: struct.Struct(">d"),
}  # fmt: skip
CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False, pickle.EMPTY_TUPLE: ()}
TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}


class CheckpointError(MobilenetError):
    """A checkpoint cannot or must not be read. One line: the file, its fault, the rule, the remedy."""


def refused(fault: str, remedy: str = SAVE_AGAIN) -> CheckpointError:
    return CheckpointError(f"{fault}; {remedy}")


def damaged(fault: str) -> CheckpointError:
    return refused(fault, "the file is damaged or forged; bring it again")


def show(value: object) -> str:
    """A string, number or shape of the file as a short piece of one line."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@dataclass(frozen=True)
class Global:
    """A name that the pickle mentions, one of the few that weights need. It is never imported."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in ALLOWED:
            raise refused(f"its pickle names {show(self.name)}, only tensors are read", REMEDIES.get(self.name, SAVE_AGAIN))


@dataclass(frozen=True)
class Storage:
    key: str
    dtype: str
    count: int

    @property
    def size(self) -> int:  # bytes
        return self.count * raw_dtype(self.dtype).itemsize


@dataclass(frozen=True, eq=False)
class TensorView:
    """A view of a storage, in elements of `dtype`; `pth.to_array` checks that it lies inside."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.shape, *self.stride)
        axes = len(self.shape)
        if axes > MAX_AXES or axes != len(self.stride) or any(type(n) is not int or not 0 <= n < 1 << 63 for n in numbers):
            raise damaged(f"has a tensor whose view is not whole numbers >= 0 for at most {MAX_AXES} axes")


def opcodes(stream: io.BytesIO) -> Iterator[tuple[bytes, Any]]:
    """The opcodes up to STOP, each with its operand of fixed size or None; operands of other sizes are left in `stream`."""
    for _ in range(MAX_STEPS):
        op = stream.read(1)
        if not op:  # if an operand is cut short, the opcode after it is missing too
            raise EOFError
        layout = OPERANDS.get(op)
        yield op, layout and layout.unpack(stream.read(layout.size))[0]
        if op == pickle.STOP:
            return
    raise refused(f"its pickle takes over {MAX_STEPS} steps, far more than weights need")


def interpreted(stream: io.BytesIO, storages: dict[str, Storage]) -> object:
    """The value that the pickle at `stream` builds: None, a number, string, tuple, list, dict, `Storage` or `TensorView`.

    Reads to the end of the pickle. Knows the opcodes that torch.save emits and refuses any other. Enters the storages that it
    meets in `storages`, by key.
    """
    stack: list[Any] = []
    marks: list[list[Any]] = []  # the stack below each open mark
    memo: dict[int, object] = {}
    try:
        for op, operand in opcodes(stream):
            match op:
                case pickle.BINPUT | pickle.LONG_BINPUT:
                    memo[operand] = stack[-1]
                case pickle.BINGET | pickle.LONG_BINGET:
                    stack.append(memo[operand])
                case pickle.BININT | pickle.BININT1 | pickle.BININT2 | pickle.BINFLOAT:
                    stack.append(operand)
                case pickle.LONG1:
                    stack.append(int.from_bytes(stream.read(operand), "little", signed=True))
                case pickle.BINUNICODE:
                    stack.append(stream.read(operand).decode())
                case pickle.NONE | pickle.NEWTRUE | pickle.NEWFALSE | pickle.EMPTY_TUPLE:
                    stack.append(CONSTANTS[op])
                case pickle.EMPTY_LIST | pickle.EMPTY_DICT:
                    stack.append([] if op == pickle.EMPTY_LIST else {})
                case pickle.MARK:
                    marks.append(stack)
                    stack = []
                case pickle.TUPLE:
                    items, stack = stack, marks.pop()
                    stack.append(tuple(items))
                case pickle.TUPLE1 | pickle.TUPLE2 | pickle.TUPLE3:
                    items = [stack.pop() for _ in range(TUPLES[op])]
                    stack.append(tuple(reversed(items)))
                case pickle.APPEND:
                    item = stack.pop()
                    fill(stack[-1], list, [item])
                case pickle.APPENDS:
                    items, stack = stack, marks.pop()
                    fill(stack[-1], list, items)
                case pickle.SETITEM:
                    value, key = stack.pop(), stack.pop()
                    fill(stack[-1], dict, [key, value])
                case pickle.SETITEMS:
                    items, stack = stack, marks.pop()
                    fill(stack[-1], dict, items)
                case pickle.BUILD:  # attributes of an OrderedDict: a state dict's _metadata, versions of modules
                    stack.pop()
                    fill(stack[-1], dict, [])
                case pickle.GLOBAL:
                    module, name = (stream.readline(256).decode().removesuffix("\n") for _ in range(2))
                    stack.append(Global(f"{module}.{name}"))
                case pickle.BINPERSID:
                    storage = persistent_storage(stack.pop())
                    if storages.setdefault(storage.key, storage) != storage:
                        raise damaged(f"its pickle describes storage {show(storage.key)} in two ways")
                    stack.append(storage)
                case pickle.REDUCE:
                    arguments, function = stack.pop(), stack.pop()
                    stack.append(called(function, arguments))
                case pickle.PROTO if operand != 2:
                    raise refused(f"its pickle has protocol {operand}, only torch's default 2 is read")
                case pickle.PROTO | pickle.STOP:
                    pass
                case _:
                    raise refused(f"its pickle has opcode {op!r}, which torch.save does not write")
        (value,) = stack
        return value
    except CheckpointError:
        raise
    except (LookupError, ValueError, EOFError, struct.error):  # empty stack, unknown memo, no UTF-8, cut short
        raise damaged(f"its pickle is malformed or cut short at byte {stream.tell()}") from None


def fill(target: object, kind: type[list[Any] | dict[Any, Any]], items: list[Any]) -> None:
    """Put `items` into a list, or key, value, key, value into a dict."""
    if not isinstance(target, kind):
        raise refused(f"its pickle changes something that is no {kind.__name__}")
    if isinstance(target, list):
        return target.extend(items)
    for key in items[::2]:  # tuples can take for ever to hash, and integers past 64 bits be made to collide
        if not isinstance(key, str) and not (isinstance(key, int) and abs(key) < 1 << 63):
            raise refused(f"has a mapping with a key of type {type(key).__name__}, not a name")
    target.update(zip(items[::2], items[1::2], strict=True))


def persistent_storage(persistent: object) -> Storage:
    """The storage of a persistent id: its class, key, device, elements; before 1.6 also None: it is no part of another."""
    match persistent:
        case ("storage", Global(name), str(key), str(), int(count), *view) if name in STORAGES and view in ([], [None]):
            if 0 <= count < 1 << 63:
                return Storage(key, STORAGES[name], count)
    raise refused("its pickle refers to what is no storage of its own")


def called(function: object, arguments: object) -> object:
    """The value that torch's `function` would return for `arguments`."""
    name = function.name if isinstance(function, Global) else type(function).__name__
    if isinstance(function, Global) and isinstance(arguments, tuple) and len(arguments) <= 8:  # no function of torch takes more
        match (name.removeprefix("torch._utils._rebuild_"), *arguments):
            case ("collections.OrderedDict",):
                return {}
            case ("tensor" | "tensor_v2", Storage() as data, offset, tuple(shape), tuple(stride), *rest) if not any(rest[2:]):
                return TensorView(data, data.dtype, offset, shape, stride)  # the rest: whether lazily conjugated or negated
            case ("tensor_v3", Storage(_, "uint8") as data, offset, tuple(shape), tuple(stride), _, _, Global(dtype), *rest):
                if dtype in DTYPES and not any(rest):
                    return TensorView(data, dtype.removeprefix("torch."), offset, shape, stride)
            case ("parameter" | "parameter_with_state", TensorView() as tensor, *_):
                return tensor
            case (inert, *_) if inert in INERT:
                return None
    raise refused(f"its pickle calls {show(name)} for what is no plain dense tensor")


def raw_dtype(dtype: str) -> np.dtype[np.generic]:
    """How elements are read: bools as bytes, because not every byte is a bool, and bfloat16 as its bits."""
    return np.dtype({"bool": "uint8", "bfloat16": "uint16"}.get(dtype, dtype))
