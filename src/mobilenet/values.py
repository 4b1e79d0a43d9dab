"""Frozen values: what `dataclasses` makes, without what it takes to make them.

dataclasses imports inspect and compiles six methods for every class: a seventh of the time from a process's start to its
answer on one photo. All `Value` classes share their methods. To `dataclasses.replace`, `fields` and `asdict`, to pickle, copy
and `inspect.signature` a Value is a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**settings: Any) -> Callable[[type], type]:
        return lambda cls: cls


MISSING = object()


class Field(NamedTuple):
    """How a field is filled where nothing is given for it, and which methods leave it out."""

    default: Any = MISSING
    default_factory: Callable[[], Any] | None = None
    repr: bool = True
    hash: bool = True


def field(
    *, default: Any = MISSING, default_factory: Callable[[], Any] | None = None, repr: bool = True, hash: bool = True
) -> Any:
    """As `dataclasses.field`."""
    return Field(default, default_factory, repr, hash)


class Twin:
    """An attribute that a class has from the dataclass which it stands for, made when somebody asks."""

    def __init__(self, attribute: Callable[[type], Any]) -> None:
        self.attribute = attribute

    def __get__(self, value: object, cls: type[Value]) -> Any:
        if cls not in TWINS:
            TWINS[cls] = twin(cls)
        return self.attribute(TWINS[cls])


TWINS: dict[type, type] = {}


def twin(cls: type[Value]) -> type:
    """The dataclass with the same fields as a Value's class."""
    import dataclasses

    made = []
    for name, of in cls.value_fields.items():
        missing = {} if of.default is MISSING else {"default": of.default}
        if of.default_factory is not None:
            missing = {"default_factory": of.default_factory}
        made.append((name, cls.__annotations__[name], dataclasses.field(repr=of.repr, hash=of.hash, **missing)))
    return dataclasses.make_dataclass(cls.__name__, made, frozen=True)


def signature(cls: type) -> Any:
    import inspect

    return inspect.signature(cls)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """The annotations of a subclass are its fields; `__post_init__` may refuse their values.

    >>> class Point(Value):
    ...     x: int
    ...     y: int = 0
    >>> Point(1) == Point(x=1, y=0), replace(Point(1), y=2)
    (True, Point(x=1, y=2))
    """

    value_fields: ClassVar[dict[str, Field]]
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Any]]
    else:
        __dataclass_fields__ = Twin(lambda cls: cls.__dataclass_fields__)
        __signature__ = Twin(signature)

    def __init_subclass__(cls) -> None:
        found = {}
        for name in cls.__annotations__:
            given = cls.__dict__.get(name, MISSING)
            if isinstance(given, Field):
                delattr(cls, name)
            found[name] = given if isinstance(given, Field) else Field(given)
        cls.value_fields = found

    def __init__(self, *args: Any, **given: Any) -> None:
        of, values = self.value_fields, self.__dict__
        if len(args) > len(of):
            raise TypeError(f"{type(self).__name__}() takes {len(of)} values, got {len(args)}")
        values.update(zip(of, args, strict=False))
        for name in given:
            if name not in of or name in values:
                problem = "two values for" if name in values else "no field"
                raise TypeError(f"{type(self).__name__}() got {problem} {name!r}; its fields are {', '.join(of)}")
        values.update(given)
        if len(values) < len(of):
            for name in of:
                if name not in values:
                    values[name] = self._missing(name)
        self.__post_init__()

    def _missing(self, name: str) -> Any:
        default, factory, *_ = self.value_fields[name]
        if factory is not None:
            return factory()
        if default is MISSING:
            raise TypeError(f"{type(self).__name__}() has no value for {name!r}")
        return default

    def __post_init__(self) -> None:
        """For subclasses that check their values."""

    def __setattr__(self, name: str, value: Any) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or all(getattr(self, name) == getattr(other, name) for name in self.value_fields)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name, of in self.value_fields.items() if of.hash))

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name, of in self.value_fields.items() if of.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"


V = TypeVar("V", bound=Value)


def replace(value: V, **changes: Any) -> V:
    """As `dataclasses.replace`: the same value with other fields, checked anew."""
    return type(value)(**{**as_dict(value), **changes})


def as_dict(value: Value) -> dict[str, Any]:
    """The fields by name, as they are."""
    return {name: getattr(value, name) for name in value.value_fields}
