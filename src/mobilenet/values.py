"""Frozen dataclasses that are cheap to define.

`dataclass` imports inspect and compiles several methods for each class: a tenth of a short program's time. The classes derived
from `Value` share their methods. `dataclasses.fields`, `replace` and `asdict` and `inspect.signature` see a frozen dataclass,
which is made when one of them looks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

if TYPE_CHECKING:
    from dataclasses import Field, field

    from typing_extensions import dataclass_transform
else:

    def field(**options: Any) -> Options:
        """As `dataclasses.field`."""
        return Options(options)

    def dataclass_transform(**keywords: Any) -> Any:
        return lambda cls: cls


__all__ = ["Value", "field", "replace"]

V = TypeVar("V", bound="Value")
REQUIRED = object()


class Options(dict[str, Any]):
    """The keywords of `field`: default, default_factory, repr, hash, kw_only."""


def replace(value: V, /, **changes: Any) -> V:
    """As `dataclasses.replace`: the same value with other fields, checked anew."""
    return type(value)(**{**{name: value.__dict__[name] for name in value.field_options}, **changes})


@cache
def twin(cls: Any) -> Any:
    """The frozen dataclass with the fields of `cls`."""
    import dataclasses

    types = {name: kind for base in reversed(cls.__mro__) for name, kind in vars(base).get("__annotations__", {}).items()}
    fields = [(name, types[name], dataclasses.field(**options)) for name, options in cls.field_options.items()]
    return dataclasses.make_dataclass(cls.__name__, fields, frozen=True)


class Twin:
    """An attribute that a class takes from its `twin`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, value: object, cls: Any) -> Any:
        import inspect

        return inspect.signature(twin(cls)) if self.name == "__signature__" else getattr(twin(cls), self.name)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """The annotations of a subclass are its fields, as for any frozen dataclass; those after ``_: KW_ONLY`` need their names.

    >>> class Point(Value):
    ...     x: int
    ...     y: int = 0
    >>> Point(1) == Point(x=1, y=0), dataclasses.replace(Point(1), y=2)
    (True, Point(x=1, y=2))
    """

    field_options: ClassVar[dict[str, dict[str, Any]]] = {}
    __match_args__: ClassVar[tuple[str, ...]] = ()
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:
        __dataclass_fields__ = Twin("__dataclass_fields__")
        __dataclass_params__ = Twin("__dataclass_params__")
        __signature__ = Twin("__signature__")
        __replace__ = replace

    def __init_subclass__(cls) -> None:
        fields, keyword_only = dict(cls.field_options), Options()
        for name in list(cls.__annotations__):
            if name == "_":
                keyword_only = Options(kw_only=True)
                del cls.__annotations__[name]
                continue
            options = cls.__dict__.get(name, REQUIRED)
            if isinstance(options, Options):
                delattr(cls, name)
            elif type(options).__module__ == "dataclasses":
                raise TypeError(f"{cls.__name__}.{name} has a default of dataclasses.field; use mobilenet.values.field")
            else:
                options = {} if options is REQUIRED else {"default": options}
            fields[name] = {**options, **keyword_only}
        cls.field_options = fields
        positional = tuple(name for name, options in fields.items() if "kw_only" not in options)
        cls.__match_args__ = positional  # type: ignore[misc]

    def __init__(self, *args: Any, **named: Any) -> None:
        values = self.__dict__
        values.update(zip(self.__match_args__, args, strict=False))
        if named or len(args) != len(self.field_options):
            for name, options in self.field_options.items():
                if name in values:
                    continue
                if name in named:
                    values[name] = named.pop(name)
                elif "default" in options:
                    values[name] = options["default"]
                elif "default_factory" in options:
                    values[name] = options["default_factory"]()
                else:
                    raise TypeError(f"{type(self).__name__}() has no value for {name!r}")
        if named or len(args) > len(self.__match_args__):
            problem = f"a second value or no field {next(iter(named))!r}" if named else f"{len(args)} values without a name"
            raise TypeError(f"{type(self).__name__}() got {problem}; its fields are {', '.join(self.field_options)}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """For subclasses that check their values."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(self.__dict__[name] == other.__dict__[name] for name in self.field_options)

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__[name] for name, options in self.field_options.items() if options.get("hash", True)))

    def __repr__(self) -> str:
        shown = (name for name, options in self.field_options.items() if options.get("repr", True))
        return f"{type(self).__qualname__}({', '.join(f'{name}={self.__dict__[name]!r}' for name in shown)})"
