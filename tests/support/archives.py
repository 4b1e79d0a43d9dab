"""Tar archives of training images that try more than that."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

GHOSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n%%EndComments\nshowpage\n"


def eps_in_a_tar(path: Path) -> None:
    """A member called 0.jpg is EPS, a program that Ghostscript would run."""
    with tarfile.open(path, "w") as archive:
        for name, content in (("0.jpg", GHOSTSCRIPT), ("0.cls", b"0")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def sparse_in_a_tar(path: Path) -> None:
    """A member of 512 bytes claims 8 TiB, of which the rest is a hole."""
    info = tarfile.TarInfo("0.jpg")
    info.size, claimed = 512, 1 << 43
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 512)  # one block of 512 bytes, the rest a hole
    header[483:495] = b"\x80" + claimed.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + bytes(512) + bytes(1024))
