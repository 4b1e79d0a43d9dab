"""Architectures by name, and a network from the description that a model file stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import unknown_name
from . import heads
from . import mobilenet as architecture
from .layers import Network

ARCHITECTURES: dict[str, Callable[..., Network]] = {
    function.__name__: function
    for function in (
        architecture.mobilenet_v1,
        architecture.mobilenet_v2,
        heads.ssdlite_mobilenet_v1,
        heads.ssdlite_mobilenet_v2,
        heads.ssd_mobilenet_v2,
        heads.deeplabv3_mobilenet_v1,
        heads.deeplabv3_mobilenet_v2,
    )
}


def build(name: Any, /, **settings: Any) -> Network:
    """The network called `name`; `settings` are its function's arguments. Unknown names raise ValueError with the nearest."""
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise ValueError(unknown_name("architecture", name, ARCHITECTURES))
    function = ARCHITECTURES[name]
    code = function.__code__
    accepted = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for key in settings:
        if key not in accepted:
            raise ValueError(unknown_name(f"setting of {name}", key, accepted))
    if isinstance(settings.get("resolution"), list):
        settings["resolution"] = tuple(settings["resolution"])
    try:
        return function(**settings)
    except TypeError as error:  # a value of the wrong type, from a file or a command line nobody checked
        raise ValueError(f"{name} with {settings!r:.200}: {error}; see help(mobilenet.{name}) for the types") from error


def from_description(description: Mapping[str, Any]) -> Network:
    """The network of `Network.description`, as read from JSON. Raises ValueError for anything that does not build."""
    settings = dict(description)
    return build(settings.pop("architecture", None), **settings)
