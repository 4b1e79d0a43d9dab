"""Settings: frozen values whose fields are checked, read from JSON and changed by text.

In JSON a value is an object. If a field may hold one of several classes (a schedule, an optimizer), the key ``"kind"`` says
which: the class's name in lower case. A text instead of an object is a kind with its defaults.
"""

from __future__ import annotations

import collections.abc
import json
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from .errors import UsageError, nearest_names, short_repr, unknown_name
from .values import Value

if TYPE_CHECKING:
    from typing import TypeGuard

    from typing_extensions import Self

    F = TypeVar("F", bound=Callable[..., object])

    def cache(function: F) -> F: ...  # mypy does not take a class for hashable
else:
    from functools import cache

T = TypeVar("T")
Rules = Iterator[tuple[str, bool, str]]
"""(field, whether its value is right, what it must be), in the order in which they are checked."""
UNFIT = object()


class Settings(Value):
    """A value whose fields hold what their annotations say and obey its `rules`, or UsageError names the first that does not.

    JSON's types are converted: lists become tuples, ints become floats.

    >>> class Point(Settings):
    ...     x: float
    ...     def rules(self) -> Rules:
    ...         yield "x", self.x >= 0, "at least 0"
    >>> Point(-1)
    Traceback (most recent call last):
    mobilenet.errors.UsageError: point.x -1.0: must be at least 0
    """

    noun = ""  # what messages call the value; default: its class's name in lower case
    former_names = tuple[tuple[str, str], ...]()  # pairs of a name that older files have for a field, and the field's name

    def __post_init__(self) -> None:
        noun = self.noun or kind_of(type(self))
        for name, hint in field_hints(type(self)).items():
            self.__dict__[name] = parse(hint, self.__dict__[name], f"{noun}.{name}")
        require(noun, self, self.rules())

    def rules(self) -> Rules:
        """What the fields must obey beyond their types. A rule may rely on those before it."""
        yield from ()

    def to_json(self) -> dict[str, object]:
        """All fields in JSON's types, without a kind: what a model file stores."""
        return {name: to_tagged_json(value) for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The reverse of `to_json`. A file leaves nothing to guess: only a field whose default is None may be missing."""
        noun = cls.noun or kind_of(cls)
        names = [name for name, options in cls.field_options.items() if options.get("default", "") is not None]
        if not isinstance(data, Mapping):
            raise UsageError(f"{noun} {short_repr(data)}: must be an object with {', '.join(names)}")
        data = with_current_names(cls, data)
        for name in names:
            if name not in data:
                raise UsageError(f"{noun}: no {name!r} in {short_repr(data)}; give {', '.join(names)}")
        return parse_fields(cls, data, noun)


def require(path: str, value: object, rules: Iterable[tuple[str, bool, str]]) -> None:
    """UsageError for the first of `rules` that the attributes of `value` break; `path` is what messages call the value."""
    for name, holds, rule in rules:
        if not holds:
            raise UsageError(f"{path}.{name} {short_repr(getattr(value, name))}: must be {rule}")


def to_tagged_json(value: object) -> object:
    """JSON's types: values and dataclasses become objects with a kind and all their fields, tuples lists. For recipes."""
    if has_fields(type(value)):
        return tagged_fields(value)
    if isinstance(value, Mapping):
        return {key: to_tagged_json(item) for key, item in value.items()}
    return [to_tagged_json(item) for item in value] if isinstance(value, (tuple, list)) else value


def tagged_fields(value: object) -> dict[str, object]:
    """`to_tagged_json` of a value or dataclass."""
    cls = type(value)
    return {"kind": kind_of(cls), **{name: to_tagged_json(getattr(value, name)) for name in required_fields(cls)}}


def from_tagged_json(cls: type[T], data: object) -> T:
    """The reverse of `to_tagged_json`; a kind may be left out where only one class fits, and any field that has a default.

    UsageError names the key that is unknown, missing or of the wrong type.
    """
    return parse(cls, data, kind_of(cls))


def kind_of(cls: type) -> str:
    return cls.__name__.lower()


def has_fields(cls: object) -> TypeGuard[type]:
    """As `dataclasses.is_dataclass`, which is not imported for a Value."""
    return hasattr(cls, "field_options") or hasattr(cls, "__dataclass_fields__")


@cache
def required_fields(cls: type) -> dict[str, bool]:
    """Whether each field of a dataclass lacks a default."""
    if issubclass(cls, Value):  # `dataclasses` is not imported for these
        return {name: not options.keys() & {"default", "default_factory"} for name, options in cls.field_options.items()}
    from dataclasses import MISSING, fields, is_dataclass

    assert is_dataclass(cls)
    return {field.name: field.default is MISSING and field.default_factory is MISSING for field in fields(cls)}


@cache
def field_hints(cls: type) -> dict[str, object]:
    """The type of each field of a dataclass or named tuple, evaluated."""
    hints = get_type_hints(cls)
    return {name: hints[name] for name in getattr(cls, "_fields", None) or required_fields(cls)}


@overload
def parse(hint: type[T], data: object, path: str) -> T: ...
@overload
def parse(hint: object, data: object, path: str) -> object: ...
def parse(hint: object, data: object, path: str) -> object:
    """`data`, in JSON's types or already right, as what the annotation `hint` asks for; `path` is what messages call it."""
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if data is None and type(None) in choices:
        return None
    kinds: dict[str, type] = {kind_of(choice): choice for choice in choices if has_fields(choice)}
    if kinds:
        if isinstance(data, tuple(kinds.values())):
            return data
        if isinstance(data, (str, Mapping)):
            entries = dict(data) if isinstance(data, Mapping) else {"kind": data}
            kind = entries.pop("kind", next(iter(kinds)) if len(kinds) == 1 else None)
            if not isinstance(kind, str) or kind not in kinds:
                raise UsageError(unknown_name(path, kind, kinds))
            return parse_fields(kinds[kind], entries, path)
    for choice in choices:
        if (
            choice not in kinds.values()
            and choice is not type(None)
            and (value := parse_plain(choice, data, path)) is not UNFIT
        ):
            return value
    raise UsageError(f"{path} {short_repr(data)}: must be {' or '.join(map(describe, choices))}")


def parse_plain(hint: object, data: object, path: str) -> object:
    """`data` as a number, a text, a tuple of them or an object, or UNFIT."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if isinstance(data, str) and data not in arguments:
            nearest = "".join(f"; nearest: {name}" for name in nearest_names(data, map(str, arguments))[:1])
            raise UsageError(f"{path} {short_repr(data)}: must be {describe(hint)}{nearest}")
        return data if any(data == item and type(data) is type(item) for item in arguments) else UNFIT
    if origin is tuple or is_named_tuple(hint):
        if not isinstance(data, (list, tuple)):
            return UNFIT
        items = tuple(field_hints(hint).values()) if is_named_tuple(hint) else arguments
        if arguments and arguments[-1] is Ellipsis:
            items = arguments[:1] * len(data)
        if len(items) != len(data):
            return UNFIT
        values = [parse(item, each, path) for item, each in zip(items, data, strict=True)]
        return hint(*values) if is_named_tuple(hint) else tuple(values)
    if origin in (collections.abc.Mapping, dict):
        return dict(data) if isinstance(data, Mapping) else UNFIT
    if hint is float:
        if isinstance(data, (int, float)) and not isinstance(data, bool) and -1e300 < data < 1e300:
            return float(data)
        return UNFIT
    return data if hint in (int, bool, str) and type(data) is hint else UNFIT


def is_named_tuple(hint: object) -> TypeGuard[type]:
    return hasattr(hint, "_fields")


def describe(hint: object) -> str:
    """A type in words, for messages."""
    if hint is type(None):
        return "null"
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if has_fields(hint):
        return repr(kind_of(hint))
    if is_named_tuple(hint):
        return f"a list of {', '.join(field_hints(hint))}"
    words: dict[object, str] = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
    if get_origin(hint) is not tuple:
        return words.get(hint, "an object")
    return "a list of " + ", ".join(describe(item) for item in get_args(hint) if item is not Ellipsis)


def with_current_names(cls: type, entries: Mapping[str, object]) -> dict[str, object]:
    """`entries` with a field's name in place of its former one, unless they have both."""
    current = dict(getattr(cls, "former_names", ()))
    return {key if current.get(key, key) in entries else current[key]: value for key, value in entries.items()}


def parse_fields(cls: type[T], entries: Mapping[str, object], path: str) -> T:
    hints, entries = field_hints(cls), with_current_names(cls, entries)
    for key in entries:
        if key not in hints:
            raise UsageError(unknown_name(f"setting of {path}", key, hints))
    values = {key: parse(hints[key], value, f"{path}.{key}") for key, value in entries.items()}
    missing = [name for name, required in required_fields(cls).items() if required and name not in values]
    if missing:
        raise UsageError(f"{path}: no {missing[0]!r} in it; give {', '.join(missing)}")
    return cls(**values)


def paths(data: Mapping[str, object], prefix: str = "") -> list[str]:
    """Every setting in `to_tagged_json`'s object by its path: ``lr``, ``optimizer``, ``optimizer.momentum``."""
    names: list[str] = []
    for key, item in data.items():
        if key != "kind":
            names += [prefix + key, *(paths(item, f"{prefix}{key}.") if isinstance(item, Mapping) else ())]
    return names


def changed(data: Mapping[str, object], path: str, text: str) -> dict[str, object]:
    """`data`, as `to_tagged_json` makes it, with the setting at `path` taken from `text`: JSON, or the text itself.

    The last name of a path is enough if only one path ends in it. Only the path is checked (UsageError gives the nearest
    names); `from_tagged_json` checks the values when all changes are in.
    """
    known = paths(data)
    if path.partition(".")[0] not in data:
        matches = [name for name in known if name.rpartition(".")[2] == path]
        if len(matches) > 1:
            raise UsageError(f"setting {path!r} stands in several places: name one of {', '.join(matches)}")
        if not matches:
            endings = [name.rpartition(".")[2] for name in known]
            raise UsageError(unknown_name("setting", path, dict.fromkeys([*known, *endings])))
        path = matches[0]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return placed(data, path.split("."), value)


def assignments(data: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting of `to_tagged_json`'s object as `changed` takes it: its path, and its value as text. Kinds come first."""
    for key, item in data.items():
        if key == "kind":
            continue
        if not isinstance(item, Mapping):
            yield prefix + key, item if isinstance(item, str) and not is_json(item) else json.dumps(item)
            continue
        if "kind" in item:
            yield prefix + key, str(item["kind"])
        elif not item:
            yield prefix + key, "{}"
        yield from assignments(item, f"{prefix}{key}.")


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def placed(data: object, steps: list[str], value: object) -> dict[str, object]:
    key, *rest = steps
    data = {"kind": data} if isinstance(data, str) else data if isinstance(data, Mapping) else {}
    return {**data, key: placed(data.get(key), rest, value) if rest else value}
