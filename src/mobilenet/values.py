"""Frozen dataclasses that are cheap to define.

`dataclass(frozen=True)` compiles seven methods for each class, which takes a good part of a short program's time. A `Value` is
a dataclass whose `__init__` alone is compiled; the other methods are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from dataclasses import Field

    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**settings: Any) -> Callable[[type], type]:
        return lambda cls: cls


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """The annotations of a subclass are its fields, as for any frozen dataclass.

    >>> class Point(Value):
    ...     x: int
    ...     y: int = 0
    >>> Point(1) == Point(x=1, y=0), dataclasses.replace(Point(1), y=2)
    (True, Point(x=1, y=2))
    """

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init_subclass__(cls) -> None:
        if cls.__annotations__:  # a subclass without fields of its own shares its base's __init__
            dataclass(eq=False, repr=False)(cls)

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__dict__ or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        self.__dict__[name] = value  # by __init__, once

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [name for name, of in self.__dataclass_fields__.items() if of.compare]
        return [self.__dict__[name] for name in names] == [other.__dict__[name] for name in names]

    def __hash__(self) -> int:
        fields = self.__dataclass_fields__.items()
        return hash(tuple(self.__dict__[name] for name, of in fields if (of.compare if of.hash is None else of.hash)))

    def __repr__(self) -> str:
        values = (f"{name}={self.__dict__[name]!r}" for name, of in self.__dataclass_fields__.items() if of.repr)
        return f"{type(self).__qualname__}({', '.join(values)})"


dataclass(eq=False, repr=False)(Value)
