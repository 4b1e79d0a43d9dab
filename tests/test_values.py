"""Values are frozen dataclasses to everyone who asks."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import replace
from typing import Literal

import pytest

from mobilenet.errors import UsageError
from mobilenet.network.layers import Add, Concat, Conv
from mobilenet.settings import Rules, Settings
from mobilenet.values import Value, field


class Point(Value):
    x: int
    y: int = 0
    notes: dict[str, int] = field(default_factory=dict, hash=False)
    secret: str = field(default="s", repr=False)

    def __post_init__(self) -> None:
        if self.y < 0:
            raise ValueError(f"y {self.y}: must be 0 or more")


@dataclasses.dataclass(frozen=True)
class Twin:
    x: int
    y: int = 0
    notes: dict[str, int] = dataclasses.field(default_factory=dict, hash=False)
    secret: str = dataclasses.field(default="s", repr=False)


def test_a_field_of_dataclasses_is_refused():
    with pytest.raises(TypeError, match=r"^Wrong\.x has a default of dataclasses\.field; use mobilenet\.values\.field$"):

        class Wrong(Value):
            x: dict[str, int] = dataclasses.field(default_factory=dict)


def test_they_are_what_dataclasses_are():
    point, twin = Point(1, y=2, notes={"a": 1}), Twin(1, y=2, notes={"a": 1})
    assert repr(point) == repr(twin).replace("Twin", "Point")
    assert hash(point) == hash(twin)
    assert dataclasses.asdict(point) == dataclasses.asdict(twin)
    assert [(f.name, f.type, f.default) for f in dataclasses.fields(Point)] == [
        (f.name, f.type, f.default) for f in dataclasses.fields(Twin)
    ]
    assert inspect.signature(Point) == inspect.signature(Twin)
    assert dataclasses.is_dataclass(Point)
    assert Point(1).notes is not Point(1).notes
    assert point == Point(1, 2, {"a": 1})
    assert point != Point(1, 2)
    assert Point(1) != twin
    for same in (copy.deepcopy(point), pickle.loads(pickle.dumps(point)), copy.copy(point), replace(point)):
        assert same == point
        assert same is not point
    assert replace(point, y=5).y == 5


def test_they_are_frozen_and_checked():
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2
    with pytest.raises(AttributeError):
        del point.x
    with pytest.raises(ValueError, match="y -1"):
        replace(point, y=-1)
    with pytest.raises(TypeError):
        replace(point, z=1)
    for args, given in (((), {}), ((1, 2, {}, "", 5), {}), ((1,), {"x": 2}), ((1,), {"z": 2})):
        with pytest.raises(TypeError, match="Point"):
            Point(*args, **given)


def test_kinds_differ():
    assert Add("a", ("x", "y")) != Concat("a", ("x", "y"))
    assert Conv("a", ("x",), 3, 8) == Conv("a", ("x",), 3, 8, kernel=1)
    assert len({Conv("a", ("x",), 3, 8), Conv("a", ("x",), 3, 8), Conv("a", ("x",), 3, 9)}) == 2


class Color(Settings):
    shade: Literal["light", "dark"]
    share: float = 1.0
    levels: tuple[int, ...] = ()
    name: str | None = None

    def rules(self) -> Rules:
        yield "share", 0 <= self.share <= 1, "from 0 to 1"


def test_settings_convert_what_json_has():
    color = Color("dark", 1, [1, 2])
    assert color == Color("dark", 1.0, (1, 2)) == Color.from_json({"shade": "dark", "share": 1, "levels": [1, 2]})
    assert Color.from_json(color.to_json()) == color
    assert type(color.share) is float


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "must be an object with shade, share, levels"),
        ({}, "no 'shade' in"),
        ({"shade": "drak"}, "must be 'light' or 'dark'; nearest: dark"),
        ({"shade": 1}, "must be 'light' or 'dark'"),
        ({"share": "1"}, "color.share '1': must be a number"),
        ({"share": True}, "color.share True: must be a number"),
        ({"share": float("nan")}, "must be a number"),
        ({"share": 10**400}, "must be a number"),
        ({"share": 1.5}, "color.share 1.5: must be from 0 to 1"),
        ({"levels": [1.0]}, "must be a whole number"),
        ({"levels": 3}, "must be a list of a whole number"),
        ({"name": 3}, "must be a text or null"),
        ({"x" * 10**6: 3}, "no setting of color is called 'xxx"),
    ],
)
def test_settings_refuse_in_one_short_line(data, message):
    if data:
        data = {"shade": "dark", "share": 1.0, "levels": [], **data}
    with pytest.raises(UsageError, match=message) as refusal:
        Color.from_json(data)
    assert len(str(refusal.value)) < 400
