"""The scans of a progressive JPEG, counted before it is decoded."""

from __future__ import annotations

import re
from typing import IO

MARKER = re.compile(rb"\xff+([^\xff\x00\x01\xd0-\xd7])")  # of a segment: neither a stuffed zero nor a restart
SCAN, START, END = 0xDA, 0xD8, 0xD9


def count_scans(file: IO[bytes], limit: int) -> int:
    """The scans of an open JPEG file, at most `limit` + 1. Each lets the decoder visit all pixels again.

    Walks from segment to segment as libjpeg does, past the coded pixels, where a marker's bytes cannot occur.
    """
    file.seek(0)
    content = file.read()
    scans, position = 0, 2
    while scans <= limit and (match := MARKER.search(content, position)):
        position = match.end()
        code = match[1][0]
        if code == END:
            break
        scans += code == SCAN
        if code != START:
            position += int.from_bytes(content[position : position + 2], "big")
    return scans
