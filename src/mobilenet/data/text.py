"""Files of labels as text, JSON, XML and YAML: within the limits, from whatever editor or machine they come."""

from __future__ import annotations

import os
import re
import stat
from typing import Any
from xml.etree import ElementTree

from ..errors import UsageError
from ..limits import TooLarge, check_limit, parse_json
from .layout import DataError

DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading numbers and names out of a damaged file raises."""

PEEK = 1 << 16  # bytes
ENCODINGS = re.compile(
    r"utf[-_]?(8|16)|(us-)?ascii|iso[-_]?8859[-_]\d+|latin[-_]?\d|windows-\d+|cp\d+|gb(k|2312|18030)|big5|shift[-_]jis"
    r"|euc[-_]\w\w|koi8[-_][ru]",
    re.IGNORECASE,
)
"""What an XML file may declare. Python knows encodings besides that take time with the square of the length (punycode)."""


def read_text(path: str | os.PathLike[str], limit: str = "max_annotation_bytes") -> str:
    """The text of a file in UTF-8 or UTF-16 (byte order marks are dropped), or in the encoding that an XML file declares.

    Raises DataError if it cannot be read, is past the limit, or is in another encoding.
    """
    try:
        check_regular(path)
        with open(path, "rb") as file:
            check_limit(limit, os.fstat(file.fileno()).st_size, f"{path}, bytes", DataError)
            content = file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check it") from error
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    if content[:5] == b"<?xml" and (
        declared := re.match(rb"<\?xml[^>]{0,200}encoding=[\"']([A-Za-z0-9._-]{1,40})[\"']", content)
    ):
        name = declared[1].decode()
        if not ENCODINGS.fullmatch(name):
            raise DataError(f"{path}: is in the encoding {name}; save it as UTF-8")
        encoding = encoding if name.lower() == "utf-8" else name
    try:
        return content.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise DataError(f"{path}: is no text in UTF-8; save it as UTF-8") from error


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """The lines that are not blank, without blanks around them, whatever system ended them. Raises DataError."""
    text = read_text(path)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return [line for each in text.split("\n") if (line := each.strip())]


def read_json(path: str | os.PathLike[str]) -> Any:
    """A JSON document. Raises DataError."""
    try:
        return parse_json(read_text(path), "max_annotation_bytes")
    except TooLarge as error:
        raise DataError(f"{path}: {error}") from error
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{path}: is no JSON ({error!s:.100}); get it again") from error


def read_xml(path: str | os.PathLike[str]) -> ElementTree.Element:
    """The root of an XML document without a document type: entities, which could expand without end or name other files, are
    declared there only. Raises DataError.
    """
    text = read_text(path)
    if "<!DOCTYPE" in text:
        raise DataError(f"{path}: has a document type, which no file of labels needs; save it without")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path}: is no XML ({error!s:.100}); get it again") from error


def read_yaml(path: str | os.PathLike[str]) -> dict[str, object]:
    """A YAML document whose root is a mapping. All scalars stay text, so that a class may be called ``no`` or ``1e3``.

    Nothing but text, lists and mappings is ever made of it. Raises DataError, and UsageError if PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise UsageError(f"{path}: reading it needs PyYAML; pip install 'mobilenet[yaml]'") from error
    text, loader = read_text(path, "max_json_bytes"), getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    depth = 0
    try:
        for event in yaml.parse(
            text, loader
        ):  # one by one; what `load` does calls itself for each level, and C code has no end to that
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            check_limit("max_json_depth", depth, f"{path}, YAML as deep as this", DataError)
            if isinstance(event, yaml.AliasEvent):  # a few of them make a text of any length
                raise DataError(f"{path}: has an alias, *{event.anchor}; write in its place what it stands for")
        content = yaml.load(text, loader)
    except DataError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is no YAML ({reason:.160}); correct it") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: must be lines of 'key: value', as a data.yaml of YOLO is")
    return content


def check_regular(path: str | os.PathLike[str]) -> None:
    """DataError for a pipe, which may wait for ever, and for a device, which may have no end. OSError if there is no file."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise DataError(f"{path}: is no regular file; save it as one")


def peek(path: str | os.PathLike[str]) -> str:
    """The beginning of a file as text, "" if there is none: enough to tell one kind of labels from another."""
    try:
        check_regular(path)
        with open(path, "rb") as file:
            head = file.read(PEEK)
    except (OSError, DataError):
        return ""
    return head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")


def is_key(name: str, text: str) -> bool:
    """Whether JSON's beginning `text` has an object with the key `name`, not only a text of that name."""
    return re.search(rf'"{re.escape(name)}"\s*:', text) is not None
