"""Tensors by name, and texts by key, in one file: the safetensors format.

Eight bytes give the length of a JSON header, which gives each tensor's type, shape and place in the data that follow it.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

from .errors import MobilenetError
from .limits import TooLarge, check_limit, parse_json
from .tensors import FORMATS, Tensors, checksum

if TYPE_CHECKING:
    from pathlib import Path

    from .tensors import Array

DTYPES = {"float32": "F32", "int32": "I32", "int8": "I8", "uint8": "U8"}
"""What the format calls the types that model files use."""
CHECKSUM, NO_CHECKSUM = b'{"__metadata__":{ "checksum":"', b"0" * 64
"""How the header of a file with a checksum begins. No other writer sets this blank, so its files are not taken for damaged."""
CODES = {DTYPES[name]: code for name, code in FORMATS.items()}


class ModelFileError(MobilenetError):
    """A model file, or a model that should become one, is wrong; the message names the file, the value and the remedy."""


def read_safetensors(path: str | Path) -> tuple[Tensors, dict[str, str]]:
    """Tensors and metadata of any safetensors file. Raises ModelFileError if it is none.

    Well-formed files are parsed here; anything else is left to the safetensors library, which also words the error.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            header_fits = size >= 8 and length <= size - 8
            if header_fits:
                check_limit("max_json_bytes", length, f"{path}, bytes of its header", ModelFileError)
                check_limit("max_tensor_bytes", size - 8 - length, f"{path}, bytes of its tensors", ModelFileError)
            if header_fits and (content := _read_well_formed(file, length, size)):
                return content
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); give the path of a model file") from error
    if not header_fits:
        raise ModelFileError(
            f"{path}: not a safetensors file, or cut short ({size} bytes, header of {length}); fetch or convert it again"
        )
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as archive:
            return Tensors({name: archive.get_tensor(name) for name in archive.keys()}), archive.metadata() or {}
    except (SafetensorError, OSError, ValueError, TypeError, MemoryError, AttributeError) as error:
        raise ModelFileError(f"{path}: not a readable safetensors file ({error}); fetch or convert it again") from error


def _read_well_formed(file: IO[bytes], length: int, size: int) -> tuple[Tensors, dict[str, str]] | None:
    """Tensors and metadata of an open file of `size` bytes whose header of `length` bytes comes next.

    The tensors are the file's own memory, mapped: a file in use may be replaced, but not written to. None if a tensor has a
    type other than `DTYPES`, or if the tensors do not follow one another without a gap to the file's end.
    """
    tensors: list[tuple[int, int, str, str, tuple[int, ...]]] = []
    try:
        text = file.read(length)
        header = parse_json(text)
        metadata = header.pop("__metadata__", {})
        for name, entry in header.items():
            (begin, end), shape = entry["data_offsets"], tuple(entry["shape"])
            if not all(type(number) is int and number > 0 for number in (begin + 1, end, *shape)):
                return None
            tensors.append((begin, end, name, CODES[entry["dtype"]], shape))
    except TooLarge as error:
        raise ModelFileError(f"{file.name}: its header, {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        return None
    tensors.sort(key=lambda tensor: tensor[:2])
    position = 0
    for begin, end, _, code, shape in tensors:
        width = struct.calcsize(code)
        if begin != position or (begin + 8 + length) % width or end - begin != math.prod(shape) * width:
            return None
        position = end
    if position != size - 8 - length or sys.byteorder != "little" or any(len(shape) > 4 for *_, shape in tensors):
        return None
    data: Any = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))[8 + length :]
    if text.startswith(CHECKSUM):  # a file of before, or of another writer, has none in this place
        written = text[len(CHECKSUM) : len(CHECKSUM) + len(NO_CHECKSUM)]
        if file_checksum(text.replace(written, NO_CHECKSUM, 1), data) != written:
            raise ModelFileError(f"{file.name}: is damaged, its checksum is not the one it was written with; make it again")
    return Tensors({name: data[begin:end].cast(code, shape) for begin, end, name, code, shape in tensors}), metadata


def mark_of(path: str | Path) -> str:
    """What tells a file from others at a glance: the checksum that stands in it, or its size if it has none."""
    with open(path, "rb") as file:
        head = file.read(8 + len(CHECKSUM) + len(NO_CHECKSUM))[8:]
        if head.startswith(CHECKSUM):
            return head[len(CHECKSUM) :].decode("ascii", "replace")
        return f"{file.seek(0, 2)} bytes"


def to_safetensors(tensors: Mapping[str, Array], metadata: Mapping[str, str], names: Iterable[str]) -> bytes:
    """The bytes of a file with the tensors `names`, in this order. Unlike the library's, equal content gives equal bytes.

    Two metadata are added: ``checksum``, of the whole file, which every reading compares, and ``sha256``, of the tensors' bytes
    in the file's order, by which people compare weights.

    Raises UnicodeEncodeError if a text has a lone surrogate.
    """
    from hashlib import sha256

    header: dict[str, object] = {}
    data = bytearray()
    for name in names:
        tensor = tensors[name]
        begin = len(data)
        data += tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype.name], "shape": tensor.shape, "data_offsets": [begin, len(data)]}
    own = {"checksum": NO_CHECKSUM.decode(), "sha256": sha256(data).hexdigest()}
    header = {"__metadata__": {**own, **metadata}, **header}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text = CHECKSUM + text[len(CHECKSUM) - 1 :]
    text += b" " * (-len(text) % 8)  # so that the data is aligned
    text = text.replace(NO_CHECKSUM, file_checksum(text, data), 1)
    return b"".join([len(text).to_bytes(8, "little"), text, data])


def file_checksum(header: bytes, data: Any) -> bytes:
    """What follows `CHECKSUM` in a header: the checksums of the header with `NO_CHECKSUM` in its place, and of the data."""
    return f"{checksum(header)}{checksum(memoryview(data))}".encode()
