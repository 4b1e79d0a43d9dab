"""Mutations that reach behind a format's own guard: JSON is changed value by value, checksums are made right again.

A reader refuses a file whose checksum is wrong before it looks at the rest, so blind changes would only ever test the checksum.
One input of eight keeps its wrong checksum: that refusal is code too.
"""

from __future__ import annotations

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

Plain = Callable[[bytes, int], bytes]
"""libFuzzer's own mutation: changes bytes without knowing what they are, to at most so many."""

SHARD = b"\n\0SHARD\0\n"  # between a tfjs model.json and its shard, in one input
JSON = ("description", "recipe", "coco", "coco_masks", "labelme", "tfjs", "index")
VALUES = (None, True, -1, 0, 1, 0.5, 2**31, 2**63, 10**400, 1e308, float("inf"), float("nan"), "", "a", "\x1b[31m\n", "\ud800",
          "1" * 5000, "x" * 5000, [], {}, [[[]]], {"kind": "a"}, [1, 2], ["a"] * 50)  # fmt: skip


def mutated(name: str, data: bytes, max_size: int, seed: int, plain: Plain) -> bytes:
    """The next input of target `name`, made from `data`."""
    choice = random.Random(seed)
    changed = _changed(name, data, max_size, choice, plain)
    return sealed(name, changed) if choice.random() < 0.875 else changed


def _changed(name: str, data: bytes, max_size: int, choice: random.Random, plain: Plain) -> bytes:
    if choice.random() < 0.67:
        if name in JSON:
            head, mark, tail = data.partition(SHARD)
            made = changed_json(head, choice)
            if made is not None and len(made + mark + tail) <= max_size:
                return made + mark + tail
        elif name in ("model", "safetensors"):
            made = changed_header(data, choice)
            if made is not None and len(made) <= max_size:
                return made
    return plain(data, max_size)


def changed_json(text: bytes | str, choice: random.Random) -> bytes | None:
    """JSON with one value, key or item changed; None if `text` is no JSON, or has no such place."""
    try:
        root = json.loads(text)
    except (ValueError, RecursionError):
        return None
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        if isinstance(value, (dict, list)):
            for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
                places.append((value, key))
                collect(item)

    collect(root)
    if not places:
        return None
    owner, key = choice.choice(places)
    other_owner, other_key = choice.choice(places)
    match choice.randrange(5):
        case 0:
            del owner[key]
        case 1 if isinstance(owner, dict):
            owner[choice.choice(["a", "kind", "", "x" * 2000, str(other_key)])] = owner.pop(key)
        case 1 | 2:
            owner[key] = copy.deepcopy(other_owner[other_key])
        case 3 if type(owner[key]) is int:
            owner[key] += choice.choice([-1, 1, -(10**6), 10**6])
        case 3 if type(owner[key]) is float:
            owner[key] *= choice.choice([-1, 0.5, 2, 1e-300, 1e300])
        case _:
            owner[key] = choice.choice(VALUES)
    return json.dumps(root).encode()


def changed_header(data: bytes, choice: random.Random) -> bytes | None:
    """A safetensors file with one place of its header changed, mostly inside the JSON of one of its metadata."""
    text, rest = split_header(data)
    try:
        header = json.loads(text)
        metadata = header.get("__metadata__", {})
        documents = [key for key, value in metadata.items() if value[:1] in ("{", "[")]
        if documents and choice.random() < 0.7:
            key = choice.choice(documents)
            inner = changed_json(metadata[key], choice)
            metadata[key] = metadata[key] if inner is None else inner.decode()
            changed = json.dumps(header).encode()
        else:
            changed = changed_json(text, choice) or text
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    changed = changed.replace(b'{"__metadata__": {"checksum": "', b'{"__metadata__":{ "checksum":"', 1)  # as the writer sets it
    changed += b" " * (-len(changed) % 8)
    return len(changed).to_bytes(8, "little") + changed + rest


def split_header(data: bytes) -> tuple[bytes, bytes]:
    """(the header of a safetensors file, what follows it)."""
    length = int.from_bytes(data[:8], "little")
    return data[8 : 8 + length], data[8 + length :]


# Seals ------------------------------------------------------------------------------------------------------------------


def sealed(name: str, data: bytes) -> bytes:
    """`data` with the checksums that the reader of target `name` compares made right, where it still has the form for them."""
    match name:
        case "model":
            return sealed_model(data)
        case "pth":
            return sealed_zip(data)
        case "package":
            return sealed_zip(data) if data.startswith(b"PK") else sealed_tar(data)
        case "shard":
            return sealed_tar(data)
        case "image" | "mask":
            return sealed_png(data)
        case _:
            return data


def sealed_model(data: bytes) -> bytes:
    from mobilenet.tensorfile import CHECKSUM, NO_CHECKSUM, file_checksum

    text, rest = split_header(data)
    if not text.startswith(CHECKSUM):
        return data
    written = text[len(CHECKSUM) : len(CHECKSUM) + len(NO_CHECKSUM)]
    right = file_checksum(text.replace(written, NO_CHECKSUM, 1), rest)
    return data[:8] + text.replace(written, right, 1) + rest


def sealed_zip(data: bytes) -> bytes:
    """Sets the CRC of each member, in its own head and in the directory, to that of the bytes that are there."""
    content, at = bytearray(data), 0
    while (at := data.find(b"PK\1\2", at)) >= 0 and at + 46 <= len(data):
        method, packed, start = (
            struct.unpack_from(f"<{kind}", data, at + place)[0] for kind, place in (("H", 10), ("L", 20), ("L", 42))
        )
        at += 46
        if data[start : start + 4] != b"PK\3\4" or start + 30 > len(data):
            continue
        names = sum(struct.unpack_from("<HH", data, start + 26))
        member = data[start + 30 + names : start + 30 + names + packed]
        if method == 8:
            try:
                member = zlib.decompressobj(-15).decompress(member, 2**20)
            except zlib.error:
                continue
        crc = struct.pack("<L", zlib.crc32(member))
        content[start + 14 : start + 18] = content[at - 30 : at - 26] = crc
    return bytes(content)


def sealed_tar(data: bytes) -> bytes:
    """Sets the sum in the head of each member, as far as sizes lead from one to the next."""
    content, at = bytearray(data), 0
    while at + 512 <= len(content) and any(content[at : at + 512]):
        block = bytes(content[at : at + 148]) + b" " * 8 + bytes(content[at + 156 : at + 512])
        content[at + 148 : at + 156] = b"%06o\0 " % sum(block)
        try:
            size = int(block[124:136].strip(b" \0") or b"0", 8)
        except ValueError:
            break
        at += 512 + -(-max(size, 0) // 512) * 512
    return bytes(content)


def sealed_png(data: bytes) -> bytes:
    """Sets the CRC of each chunk."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    content, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">L", data, at)[0]
        if end + 4 > len(data):
            break
        content[end : end + 4] = struct.pack(">L", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(content)
