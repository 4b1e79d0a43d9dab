"""Frozen dataclasses to JSON and back, and changed field by field from text, every value held to its declared type.

In JSON a dataclass is an object. Where a field may hold one of several (a schedule, an optimizer), the object says which by
``"kind"``, the class's name in lower case; the name alone means one with its defaults.
"""

from __future__ import annotations

import collections.abc
import json
import reprlib
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ...errors import unknown_name

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """JSON's types: dataclasses become objects with all their fields, tuples lists."""
    if is_dataclass(value):
        return {"kind": kind_of(type(value)), **{f.name: to_json(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def from_json(cls: type[T], data: Any) -> T:
    """The reverse of `to_json`. ValueError names the key that is unknown, missing or of the wrong type."""
    value: T = parse(cls, data, cls.__name__.lower())
    return value


def kind_of(cls: Any) -> str:
    return str(cls.__name__).lower()


def parse(hint: Any, data: Any, where: str) -> Any:
    """`data`, in JSON's types, as what the annotation `hint` asks for."""
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = {kind_of(choice): choice for choice in choices if is_dataclass(choice)}
    if data is None and type(None) in choices:
        return None
    if kinds and isinstance(data, (str, Mapping)):
        given = dict(data) if isinstance(data, Mapping) else {"kind": data}
        kind = given.pop("kind", next(iter(kinds)) if len(kinds) == 1 else None)
        if kind not in kinds:
            raise ValueError(unknown_name(where, kind, kinds))
        return parse_fields(kinds[kind], given, where)
    for choice in choices:
        if choice not in kinds.values() and choice is not type(None) and (found := plain(choice, data, where)) is not UNFIT:
            return found
    raise ValueError(f"{where} {reprlib.repr(data)}: must be {' or '.join(map(named, choices))}")


UNFIT = object()


def plain(hint: Any, data: Any, where: str) -> Any:
    """`data` as a number, a text, a list of them or an object, or UNFIT."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if isinstance(data, str) and data not in arguments:
            raise ValueError(unknown_name(where, data, arguments))
        return data if data in arguments else UNFIT
    if origin is tuple:
        if not isinstance(data, (list, tuple)):
            return UNFIT
        kinds = [arguments[0]] * len(data) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(data):
            return UNFIT
        return tuple(parse(kind, item, where) for kind, item in zip(kinds, data, strict=True))
    if origin in (collections.abc.Mapping, dict):
        return dict(data) if isinstance(data, Mapping) else UNFIT
    if hint is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        return float(data)
    fits = hint in (int, bool, str) and type(data) is hint
    return data if fits else UNFIT


def named(hint: Any) -> str:
    if hint is type(None):
        return "null"
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if is_dataclass(hint):
        return repr(kind_of(hint))
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
    return words.get(hint) or "a list of " + ", ".join(named(a) for a in get_args(hint) if a is not Ellipsis)


def parse_fields(cls: Any, given: Mapping[str, Any], where: str) -> Any:
    hints = get_type_hints(cls)
    for key in given:
        if key not in hints:
            raise ValueError(unknown_name(f"setting of {where}", key, hints))
    values = {key: parse(hints[key], value, f"{where}.{key}") for key, value in given.items()}
    missing = [f.name for f in fields(cls) if f.name not in values and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise ValueError(f"{where}: no {missing[0]!r} in it; give {', '.join(missing)}")
    return cls(**values)


def paths(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Every setting in `to_json`'s object by its path: ``lr``, ``optimizer``, ``optimizer.momentum``."""
    found: list[str] = []
    for key, item in data.items():
        if key != "kind":
            found += [prefix + key, *(paths(item, f"{prefix}{key}.") if isinstance(item, Mapping) else ())]
    return found


def changed(data: Mapping[str, Any], path: str, text: str) -> dict[str, Any]:
    """`data`, as `to_json` makes it, with the setting at `path` taken from `text`: JSON, or a text as it stands.

    The last name of a path is enough where it stands in one place only. Nothing is checked but that the path leads
    somewhere (ValueError gives the nearest names); `from_json` does the rest, when all changes are in.
    """
    known = paths(data)
    if path.partition(".")[0] not in data:
        ends = [name for name in known if name.rpartition(".")[2] == path]
        if len(ends) > 1:
            raise ValueError(f"setting {path!r} stands in several places: name one of {', '.join(ends)}")
        if not ends:
            raise ValueError(
                unknown_name("setting", path, dict.fromkeys([*known, *(name.rpartition(".")[2] for name in known)]))
            )
        path = ends[0]
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return placed(data, path.split("."), value)


def placed(data: Any, steps: list[str], value: Any) -> dict[str, Any]:
    key, *rest = steps
    data = {"kind": data} if isinstance(data, str) else data if isinstance(data, Mapping) else {}
    return {**data, key: placed(data.get(key), rest, value) if rest else value}
