"""TensorFlow.js graph models (model.json and its shards) read as plain data: nodes and weights, nothing run.

Everything is checked before it is used: shards are plain names of files beside the model.json, each is named once, they hold
as many bytes as the manifest says, node names are unique and inputs exist. Quantized shards are refused: this family publishes
none.

Weights take as much memory as the shards, the JSON at most 30 times its size, and time is linear in both. `limits.Limits`
bounds both sizes.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import MobilenetError
from ...limits import TooLarge, check_limit, limits, parse_json

MAX_LIST = 20_000  # nodes, weights, groups, or the shards of all groups together
MAX_RANK = 8
DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "?"}


class TfjsError(MobilenetError):
    """A model.json or a shard is not as it must be; one line with the file, the fault and the remedy."""


Entry = dict[str, Any]
"""An object of the JSON file, whose values have not been checked."""


class Node(NamedTuple):
    """An operation: its name, its kind as TensorFlow calls it, the names of its inputs (without the number of the output)."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, object]


@dataclass(frozen=True)
class TfjsGraph:
    """Nodes by name, constants by the name of their node."""

    nodes: Mapping[str, Node] = field(repr=False)
    weights: Mapping[str, NDArray[np.generic]] = field(repr=False)


def read_tfjs(path: str | os.PathLike[str]) -> TfjsGraph:
    """The graph of the model.json at `path`, with the weights from the shards beside it.

    Raises:
        OSError: the model.json cannot be opened.
        TfjsError: anything else is wrong with it or with a shard.
    """
    path = Path(path)
    if path.is_file():
        check_limit("max_json_bytes", path.stat().st_size, f"{path}, bytes", TfjsError)
    content = read_limited(path, limits().max_json_bytes)
    try:
        model = parse_json(content)
        nodes = parse_nodes(model["modelTopology"]["node"])
        weights = read_weights(entries(model["weightsManifest"]), path.parent)
    except TooLarge as error:
        raise TfjsError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, TfjsError):
            raise TfjsError(f"{path}: {error}; fetch it again") from error
        raise TfjsError(f"{path}: no sound tfjs graph model ({error!r:.120}); fetch it again") from error
    return TfjsGraph(nodes, weights)


def read_limited(path: Path, limit: int) -> bytes:
    if path.exists() and not path.is_file():
        raise TfjsError(f"{path}: is not a regular file")
    with path.open("rb") as file:
        content = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    if len(content) > limit:
        raise TfjsError(f"{path}: is larger than {limit} bytes; this is no MobileNet")
    return content


def entries(value: object) -> list[Entry]:
    if not isinstance(value, list) or len(value) > MAX_LIST or not all(isinstance(item, dict) for item in value):
        raise TfjsError(f"a list of at most {MAX_LIST} objects is {type(value).__name__}")
    return value


def parse_nodes(listed: object) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for item in entries(listed):
        name, op, inputs, attributes = item["name"], item["op"], item.get("input", []), item.get("attr", {})
        if not isinstance(name, str) or not isinstance(op, str) or not isinstance(attributes, dict):
            raise TfjsError(f"node {name!r:.80} has a name, op or attributes of the wrong type")
        if not isinstance(inputs, list) or len(inputs) > MAX_LIST or not all(isinstance(i, str) for i in inputs):
            raise TfjsError(f"node {name!r:.80} has inputs that are no list of names")
        if name in nodes:
            raise TfjsError(f"two nodes are called {name!r:.80}")
        plain = tuple(name.partition(":")[0] for name in inputs if not name.startswith("^"))
        nodes[name] = Node(name, op, plain, attributes)
    for node in nodes.values():
        for name in node.inputs:
            if name not in nodes:
                raise TfjsError(f"node {node.name!r:.80} reads {name!r:.80}, which is not there")
    return nodes


class Weight(NamedTuple):
    """A weight's shape, its type, and its first byte in the shards of its group, taken together."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    start: int


def read_weights(groups: list[Entry], folder: Path) -> dict[str, NDArray[np.generic]]:
    """The weights of all groups of the manifest; `max_tensor_bytes` in all, each shard named once."""
    weights: dict[str, NDArray[np.generic]] = {}
    shards: set[str] = set()
    budget = limits().max_tensor_bytes
    for group in groups:
        paths = group["paths"]
        if not isinstance(paths, list) or len(paths) > MAX_LIST or not all(is_plain_name(path) for path in paths):
            raise TfjsError(f"shards {reprlib.repr(paths)} must be plain names of files beside the model.json")
        if shards.intersection(paths) or len(set(paths)) < len(paths):
            raise TfjsError("its manifest names a shard twice")
        shards.update(paths)
        if len(shards) > MAX_LIST:
            raise TfjsError(f"its manifest names over {MAX_LIST} shards")
        layout, size = group_layout(group, weights, budget)
        budget -= size
        content = bytearray()
        for shard in paths:
            try:
                content += read_limited(folder / shard, size + 1 - len(content))
            except (OSError, TfjsError) as error:
                raise TfjsError(f"shard {shard!r:.80} cannot be read whole ({error})") from error
        if len(content) != size:
            raise TfjsError(f"its shards hold {len(content)} bytes, the manifest says {size}")
        for name, (shape, dtype, start) in layout.items():
            weights[name] = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape)
    return weights


def is_plain_name(path: object) -> bool:
    return isinstance(path, str) and path == Path(path).name and path not in ("", "..")


def group_layout(group: Entry, known: Mapping[str, object], budget: int) -> tuple[dict[str, Weight], int]:
    """Where each weight of a group lies in its shards, one after the other, and the size of all in bytes."""
    layout: dict[str, Weight] = {}
    size = 0
    for item in entries(group["weights"]):
        name, shape, kind = item["name"], item["shape"], item["dtype"]
        if not isinstance(name, str) or name in known or name in layout:
            raise TfjsError(f"weight {name!r:.80} has no name of its own")
        if item.get("quantization"):
            raise TfjsError(f"weight {name!r:.80} is quantized in its shard, not read here")
        if kind not in DTYPES or not is_shape(shape):
            shown = f"{reprlib.repr(kind)} of shape {reprlib.repr(shape)}"
            raise TfjsError(f"weight {name!r:.80} is {shown}; known are {', '.join(DTYPES)}")
        dtype = np.dtype(DTYPES[kind])
        layout[name] = Weight(tuple(shape), dtype, size)
        size += math.prod(shape) * dtype.itemsize
        if size > budget:
            check_limit("max_tensor_bytes", limits().max_tensor_bytes + size - budget, f"weights up to {name!r:.80}, bytes")
    return layout, size


def is_shape(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_RANK and all(type(side) is int and 0 <= side < 2**31 for side in value)


def attribute(node: Node, key: str, *path: str) -> Any:
    """The value at `path` of an attribute, or None."""
    value = node.attributes.get(key)
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def text(node: Node, key: str) -> str:
    """A string attribute: in base64, or a list of bytes (older converters)."""
    value = attribute(node, key, "s")
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True).decode()
        if isinstance(value, list) and len(value) < 100:
            return bytes(value).decode()
    except (TypeError, ValueError, binascii.Error) as error:
        raise TfjsError(f"node {node.name!r:.80} has a {key} {value!r:.40} that is no text") from error
    raise TfjsError(f"node {node.name!r:.80} has a {key} {value!r:.40} that is no text")


def integers(node: Node, key: str, default: int) -> list[int]:
    """A list attribute of four integers, which JSON holds as text; four of `default` if it is absent."""
    listed = attribute(node, key, "list", "i") or [default] * 4
    try:
        values = [int(value) for value in listed] if isinstance(listed, list) and len(listed) == 4 else []
    except (TypeError, ValueError, OverflowError) as error:
        raise TfjsError(f"node {node.name!r:.80} has {key} {listed!r:.40} that are no integers") from error
    if not values or any(not 0 < value < 2**31 for value in values):
        raise TfjsError(f"node {node.name!r:.80} has {key} {listed!r:.40}, must be four integers above 0")
    return values


def number(node: Node, key: str) -> float:
    value = attribute(node, key, "f")
    if not isinstance(value, (int, float)) or not 0 < value < 1:
        raise TfjsError(f"node {node.name!r:.80} has {key} {value!r:.40}, must be above 0 and below 1")
    return float(value)
