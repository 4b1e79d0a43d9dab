r"""PyTorch checkpoints (.pth, .pt, .pth.tar) read without torch, admitting nothing but plain tensors.

`torch.save` has written two forms and both are read: since 1.6 a zip of stored records (`<any name>/data.pkl`, `byteorder`,
`data/<key>`); before, five pickles (magic, protocol, system, the object, storage keys), then of every storage its number of
elements as little-endian int64 and the elements. In both, the pickle says how tensors view storages, which are raw bytes.

That pickle is a program written by whoever made the file: `pickles` interprets it and runs nothing. A tensor is
copied out of the mapped file after its view has been checked to lie inside its storage. All copies together take at most
`MAX_COPIES` times the file's size and `SPARE` bytes.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...limits import check_limit
from .pickles import MAX_PICKLE, CheckpointError, Storage, TensorView, damaged, interpreted, raw_dtype, refused, show

MAX_NAME = 1024  # characters of a tensor's name
MAX_COPIES = 4  # times the file's size that all arrays take; tied weights or bfloat16 take twice, a forged expansion far more
SPARE = 2**20  # bytes beside that, for small files

WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "state_dict_ema", "model_ema", "ema", "ema_state_dict")
PREFIXES = ("module.", "_orig_mod.")  # left by DataParallel and AveragedModel, and by torch.compile

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the form before torch 1.6


def read_pth(path: str | os.PathLike[str], entry: str | None = None, start: int = 0) -> dict[str, NDArray[np.generic]]:
    """Tensors of the checkpoint at `path` by name, in the file's order, without torch and without running the file's code.

    Arrays are C-contiguous copies in native byte order with the dtypes of the file, except that bfloat16 is widened to float32.
    No two share memory, even if the file ties weights. The checkpoint begins at byte `start` of the file. One that wraps its
    state dict is opened at the one key of `WRAPPERS` that holds tensors; `entry` names the key if several do (weights and their
    moving average) or another does. A prefix of `PREFIXES` that every name carries is dropped, and with it AveragedModel's
    counter `n_averaged`.

    Raises `OSError` if the file cannot be opened, and `CheckpointError` for everything wrong in it: code or anything else
    that is no plain dense tensor, damage, a view outside its storage, no state dict or several.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would block, a device never end
            raise refused("is not a regular file, as a checkpoint is", "name the file itself")
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise damaged("is empty")
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))  # closed with the last view of it
        data = data[start:]
        head = bytes(data[:16])
        if head.startswith(b"PK\3\4"):
            root, records, order = read_zip(data)
        elif head.startswith(b"\x80"):
            root, records, order = read_legacy(data)
        elif bytes(data[257:262]) == b"ustar":
            raise refused("is the tar form of torch before 0.1.10, not read here")
        else:
            raise damaged(f"begins with {head!r}, but a checkpoint is a zip or a pickle by torch.save")
        check_limit("max_tensor_bytes", len(data), "bytes", CheckpointError)
        budget = MAX_COPIES * len(data) + SPARE
        arrays = {}
        for name, tensor in state_dict(root, entry).items():
            arrays[name] = to_array(name, tensor, records[tensor.storage.key], order, budget)
            budget -= arrays[name].nbytes
        return arrays
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


# ---- the two containers: each returns the pickled object, the bytes of every storage, and their byte order

Contents = tuple[object, dict[str, memoryview], Literal["<", ">"]]


def read_zip(data: memoryview) -> Contents:
    members = zip_members(data)
    tops = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(tops) != 1:
        raise refused(f"is a zip with {len(tops)} records <name>/data.pkl, torch.save writes one")
    order = bytes(members.get(f"{tops[0]}/byteorder", b"little"))
    if order not in (b"little", b"big"):
        raise damaged("its record byteorder is neither little nor big")
    program = members[f"{tops[0]}/data.pkl"]
    if len(program) > MAX_PICKLE:
        raise refused(f"its data.pkl has {len(program)} bytes, at most {MAX_PICKLE} are read")
    storages: dict[str, Storage] = {}
    stream = io.BytesIO(program)
    root = interpreted(stream, storages)
    if stream.tell() != len(program):
        raise damaged(f"its data.pkl goes on after its end at byte {stream.tell()}")
    records = {}
    for key, storage in storages.items():
        record = members.get(f"{tops[0]}/data/{key}")
        if record is None or len(record) != storage.size:
            state = "is missing" if record is None else f"has {len(record)} bytes"
            raise damaged(f"its record {show(f'data/{key}')} {state}, tensors need {storage.size}")
        records[key] = record
    return root, records, "<" if order == b"little" else ">"


def zip_members(data: memoryview) -> dict[str, memoryview]:
    """Name -> bytes of every member of a zip as torch writes it: stored, in plain, no name twice, the directory at the end."""
    end = len(data) - 22
    if end < 0 or bytes(data[end : end + 4]) != b"PK\5\6":
        raise damaged("is a zip that does not end in its directory, so it is cut short")
    members: dict[str, memoryview] = {}
    try:
        count, size, start = struct.unpack_from("<HII", data, end + 10)  # below 4 GiB zip64 only repeats them
        at, room = start, start
        for _ in range(count):
            sign, flags, method, crc, packed, length, *skip, offset = struct.unpack_from("<4s4xHH4xIIIHHH8xI", data, at)
            raw = bytes(data[at + 46 : at + 46 + skip[0]])
            at += 46 + sum(skip)  # name, extra field, comment
            name = raw.decode()
            if method or flags & 1 or packed != length:
                raise refused(f"its record {show(name)} is compressed or encrypted, not as torch.save writes")
            local, *skip = struct.unpack_from("<4s22xHH", data, offset)
            first = offset + 30 + sum(skip)
            if (sign, local) != (b"PK\1\2", b"PK\3\4") or bytes(data[offset + 30 : offset + 30 + skip[0]]) != raw:
                raise damaged(f"its record {show(name)} is not where the zip directory says")
            room -= length  # records that overlap would make much of a small file
            if name in members or first + length > start or room < 0:  # a length or offset past 4 GiB reads 2**32 - 1 here
                raise damaged(f"its record {show(name)} is there twice, overlaps another or is past 4 GiB")
            members[name] = data[first : first + length]
            if crc and zlib.crc32(members[name]) != crc:  # torch can be told to leave 0
                raise damaged(f"its record {show(name)} does not match its checksum")
        if at != start + size or at > end:
            raise damaged("its zip directory is out of place or past 65,534 records")
    except (struct.error, UnicodeDecodeError, OverflowError):
        raise damaged("its zip directory is broken") from None
    return members


def read_legacy(data: memoryview) -> Contents:
    storages: dict[str, Storage] = {}
    records: dict[str, memoryview] = {}
    stream = io.BytesIO(data[:MAX_PICKLE])
    if interpreted(stream, storages) != MAGIC:
        raise refused("is a pickle, but not by torch.save")
    protocol, _system, root, keys = (interpreted(stream, storages) for _ in range(4))
    if protocol != PROTOCOL:
        raise refused(f"is of a form of torch.save that is not known, only {PROTOCOL} is")
    at = stream.tell()
    for key in keys if isinstance(keys, list) else ():
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or key in records:
            raise damaged("its list of storages has one twice, or one that no tensor views")
        count, at = int.from_bytes(data[at : at + 8], "little"), at + 8
        records[key] = data[at : at + storage.size]
        if count != storage.count or len(records[key]) != storage.size:
            content = f"{count} elements in the {len(records[key])} bytes left"
            raise damaged(f"its storage {show(key)} has {content}, tensors need {storage.count}")
        at += storage.size
    if len(records) != len(storages) or at != len(data):
        raise damaged(f"has {len(records)} of {len(storages)} storages and ends at byte {at} of {len(data)}")
    return root, records, "<"


# ---- from the pickled object to arrays


def state_dict(root: object, entry: str | None) -> dict[str, TensorView]:
    """The tensors by name: the root itself, or its value under `entry` or one of `WRAPPERS`; common prefixes are removed."""
    if not isinstance(root, dict):
        raise refused(f"holds a {kind(root)}, not a mapping of names to tensors")
    wrapped = [key for key in WRAPPERS if has_tensors(root.get(key))] if entry is None else [entry]
    if len(wrapped) > 1:
        raise refused("holds several state dicts", f"choose one by entry=, of {', '.join(map(repr, wrapped))}")
    state: Any = root.get(wrapped[0]) if wrapped else root
    if not has_tensors(state):
        held = ", ".join(f"{show(key)} ({kind(value)})" for key, value in list(root.items())[:8]) or "nothing"
        where = f"entry {show(entry)}" if entry is not None else f"root or under {', '.join(WRAPPERS)}"
        raise refused(f"has no tensors at its {where}; it holds {held}", "name the mapping of tensors by entry=")
    for name, value in state.items():
        if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable() or not isinstance(value, TensorView):
            raise refused(f"holds {show(name)} ({kind(value)}) where only tensors by name may be")
    while True:
        weights = {name: tensor for name, tensor in state.items() if name != "n_averaged"}
        prefix = next((prefix for prefix in PREFIXES if weights and all(name.startswith(prefix) for name in weights)), None)
        if prefix is None:
            return dict(state)
        state = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def has_tensors(value: object) -> bool:
    return isinstance(value, dict) and any(isinstance(item, TensorView) for item in value.values())


def kind(value: object) -> str:
    return type(value).__name__.strip("_").lower()


def to_array(name: str, tensor: TensorView, record: memoryview, order: Literal["<", ">"], budget: int) -> NDArray[np.generic]:
    """A C-contiguous copy of the view `tensor` of `record`: the view must lie inside, the copy take at most `budget` bytes."""
    shape, raw = tensor.shape, raw_dtype(tensor.dtype)
    wide = np.dtype("uint32" if tensor.dtype == "bfloat16" else tensor.dtype)
    strides = [step if n > 1 else 0 for n, step in zip(shape, tensor.stride, strict=True)]
    count = math.prod(shape)
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if count and last >= len(record) // raw.itemsize:
        view_of = f"{show(shape)} at {tensor.offset} by {show(tensor.stride)}"
        raise damaged(f"its tensor {show(name)} views {view_of}, outside its storage of {len(record)} bytes")
    if count * wide.itemsize > budget or math.prod(n or 1 for n in shape) >= 1 << 59:  # even an empty array has this limit
        raise damaged(f"its tensors up to {show(name)} {show(shape)} take over four times the file's size")
    if count:
        place = tensor.offset * raw.itemsize
        view = np.ndarray(shape, raw.newbyteorder(order), record, place, [step * raw.itemsize for step in strides])
        array = np.array(view, wide, order="C")
    else:
        array = np.empty(shape, wide)
    if tensor.dtype == "bfloat16":
        array <<= 16
        return array.view(np.float32)
    return array
