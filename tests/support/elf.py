"""What an ELF file of 64 bits says of itself, as far as tests ask: its dynamic entries, segments and undefined symbols."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

DYNAMIC, STACK, RELRO = 2, 0x6474E551, 0x6474E552  # kinds of segments
STRINGS, FLAGS, FLAGS_1, TEXT_RELOCATIONS = 5, 30, 0x6FFFFFFB, 22  # kinds of dynamic entries
BIND_NOW, NOW_1 = 8, 1
EXECUTABLE = 1


class Elf(NamedTuple):
    segments: dict[int, int]  # flags by kind
    dynamic: dict[int, int]  # value by kind
    text: bytes  # all bytes, for names of symbols

    def has_symbol(self, name: str) -> bool:
        return b"\0" + name.encode() + b"\0" in self.text


def read_elf(path: Path) -> Elf:
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01", "64 bits, little-endian"
    (start,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    segments, dynamic = {}, {}
    for i in range(count):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, start + i * size)
        segments[kind] = flags
        if kind == DYNAMIC:
            dynamic = dict(struct.iter_unpack("<QQ", data[offset : offset + length // 16 * 16]))
    return Elf(segments, dynamic, data)
