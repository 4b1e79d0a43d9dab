"""Files by address: local ones, and object stores, through pyarrow's filesystems."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from ..errors import UsageError, short_repr
from ..files import WriteError, write_atomically
from ..images.open import ImageError
from ..limits import limits
from ..predict.output import import_pyarrow
from ..values import Value

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

WEB = ("http://", "https://")
WHOLE = ("s3", "gcs", "abfs")
"""pyarrow's names of object stores. A file appears in one when it is closed, so none is ever seen half written."""


class Place(Value):
    """A file or folder of a filesystem.

    Attributes:
        path: inside `filesystem`.
        root: the path that ``s3://bucket``, say, stands for; the paths of all files at this address begin with it.
        address: of the root, ``s3://bucket``; empty if files are named by their paths.
        options: what stands behind paths in the address, ``?region=...``; names end with it.
    """

    filesystem: FileSystem
    path: str
    root: str = ""
    address: str = ""
    options: str = ""

    def named(self, path: str) -> str:
        """The name by which `Stores.at` finds another path of the filesystem."""
        rest = path.removeprefix(self.root)
        return f"{self.address}{quote(rest)}{self.options}" if self.address else rest


class Stores:
    """Opens addresses. Each filesystem is made once.

    Args:
        filesystem: of pyarrow or fsspec; if it is given, every name except an http address is a path in it.
    """

    def __init__(self, filesystem: FileSystem | None = None) -> None:
        self.filesystem = filesystem
        self.roots: dict[tuple[str, str], tuple[FileSystem, str]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return Stores, (self.filesystem,)

    def has(self, name: str) -> bool:
        """Whether pyarrow opens this name: it is an address other than http, or a path in `filesystem`."""
        if name.lower().startswith(WEB):
            return False
        return self.filesystem is not None or "://" in name

    def at(self, name: str) -> Place:
        """The place that a name stands for. Raises UsageError for an address that pyarrow does not know."""
        import_pyarrow()
        from pyarrow import fs

        if not self.has(name):
            return Place(
                fs.LocalFileSystem(), os.path.abspath(name), "" if os.path.isabs(name) else os.path.join(os.getcwd(), "")
            )
        if self.filesystem is not None:
            return Place(as_filesystem(self.filesystem), name.rstrip("/"))
        parts = urlsplit(name)
        address, options = f"{parts.scheme}://{parts.netloc}", f"?{parts.query}" if parts.query else ""
        if (address, options) not in self.roots:
            try:
                filesystem, root = fs.FileSystem.from_uri(f"{address}/{options}")
            except Exception as error:  # pyarrow raises errors of its own kinds
                raise UsageError(f"{short_repr(name)}: pyarrow cannot open this address ({reason(error)}); check it") from error
            self.roots[address, options] = filesystem, root.rstrip("/")
        filesystem, root = self.roots[address, options]
        return Place(filesystem, f"{root}/{unquote(parts.path).strip('/')}".rstrip("/"), root, address, options)

    def read(self, name: str) -> bytes:
        """The content of a file, cut one byte past the limit. Raises ImageError."""
        place = self.at(name)
        try:
            with place.filesystem.open_input_stream(place.path) as file:
                content: bytes = file.read(limits().max_image_bytes + 1)
        except Exception as error:  # of pyarrow, fsspec or the store
            raise ImageError(f"{short_repr(name)}: cannot be read ({reason(error)}); check the address") from error
        return content

    def write(self, folder: str, name: str, content: bytes) -> None:
        """Writes a file in an existing folder, whole or not at all. Raises WriteError."""
        place = self.at(folder)
        filesystem, path = place.filesystem, f"{place.path}/{name}"
        if filesystem.type_name == "local":
            write_atomically(path, content)
            return
        growing = path if filesystem.type_name in WHOLE else f"{place.path}/.{name}.{os.urandom(6).hex()}"
        try:
            with filesystem.open_output_stream(growing) as file:
                file.write(content)
            if growing != path:
                filesystem.move(growing, path)
        except Exception as error:
            if growing != path:
                with suppress(Exception):
                    filesystem.delete_file(growing)
            raise WriteError(f"{place.named(path)}: cannot be written ({reason(error)}); check it, then go on") from error

    def files(self, item: str, wanted: Callable[[str], bool], recursive: bool = True) -> Iterator[str]:
        """The names of the files that an address stands for: one file, a folder's files, or those that match a pattern (``*``,
        ``[]``, ``**`` for any depth).

        Folders come one after the other, sorted by name. In folders and patterns, `wanted` is asked with each file's name,
        without its folders. A file that is named itself is always listed.

        Raises:
            UsageError: an address that pyarrow does not know, or that cannot be listed.
        """
        from pyarrow import fs

        place = self.at(item)
        start, pattern = place.path, None
        if found := re.search(r"[*[]", place.path):
            start, pattern = place.path[: found.start()].rpartition("/")[0], pattern_of(place.path)
            recursive = "/" in place.path[len(start) + 1 :] or "**" in place.path
        try:
            info = place.filesystem.get_file_info(start or "/")
            if info.type == fs.FileType.File:
                yield item
            elif info.type != fs.FileType.NotFound:
                for path in below(place.filesystem, start or "/", recursive):
                    if wanted(path.rpartition("/")[2]) and (pattern is None or pattern.fullmatch(path)):
                        yield place.named(path)
        except OSError as error:
            raise UsageError(f"{short_repr(item)}: cannot be listed ({reason(error)}); check the address") from error


def below(filesystem: FileSystem, folder: str, recursive: bool) -> Iterator[str]:
    """The paths of the files of a folder, sorted, without hidden files and folders."""
    from pyarrow import fs

    entries: list[FileInfo] = filesystem.get_file_info(fs.FileSelector(folder))
    for entry in sorted(entries, key=lambda entry: str(entry.base_name)):
        if entry.base_name.startswith("."):
            continue
        if entry.type == fs.FileType.Directory:
            if recursive:
                yield from below(filesystem, entry.path, recursive)
        else:
            yield entry.path


def pattern_of(path: str) -> re.Pattern[str]:
    """A shell pattern, in which ``**`` is any depth, as a regular expression that matches whole paths."""
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\[[^/\]]+\])", path)
    return re.compile("".join(
        signs.get(piece) or (f"[{piece[1:-1].replace('!', '^', 1)}]" if piece.startswith("[") else re.escape(piece))
        for piece in pieces
    ))  # fmt: skip


def as_filesystem(given: FileSystem) -> FileSystem:
    """`filesystem` if it is pyarrow's, else pyarrow's wrapper of one of fsspec."""
    from pyarrow import fs

    return given if isinstance(given, fs.FileSystem) else fs.PyFileSystem(fs.FSSpecHandler(given))


def reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
