"""TensorFlow.js graph models (model.json and its shards) read as plain data: nodes and weights, nothing run.

Everything is checked before it is used: shards are plain names beside the model.json, their sizes are what the manifest
says, node names are unique and inputs exist. Quantised shards are refused: they are not this family's published files.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LARGEST_JSON = 64 * 2**20  # bytes; the published model's has half a million
LARGEST_WEIGHTS = 2**30  # bytes, all shards together
LARGEST_LIST = 20_000  # nodes or weights
LARGEST_RANK = 8
DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "?"}


class TfjsError(ValueError):
    """A model.json or a shard that is not as it must be; one line says which, what and the remedy."""


class Node(NamedTuple):
    """An operation: its name, its kind as TensorFlow calls it, the names of its inputs (outputs' numbers left off)."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class TfjsGraph:
    """Nodes by name, constants by the name of their node."""

    nodes: Mapping[str, Node] = field(repr=False)
    weights: Mapping[str, NDArray[Any]] = field(repr=False)


def read_tfjs(path: str | os.PathLike[str]) -> TfjsGraph:
    """The graph of the model.json at `path`, with the weights from the shards beside it. OSError, or TfjsError."""
    path = Path(path)
    content = read_limited(path, LARGEST_JSON)
    try:
        model = json.loads(content)
        nodes = parse_nodes(model["modelTopology"]["node"])
        weights: dict[str, NDArray[Any]] = {}
        for group in entries(model["weightsManifest"]):
            parse_group(group, path.parent, weights)
    except RecursionError as error:
        raise TfjsError(f"{path}: nested too deep; fetch it again") from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, TfjsError):
            raise TfjsError(f"{path}: {error}; fetch it again") from error
        raise TfjsError(f"{path}: no sound tfjs graph model ({error!r:.120}); fetch it again") from error
    return TfjsGraph(nodes, weights)


def read_limited(path: Path, limit: int) -> bytes:
    if path.exists() and not path.is_file():
        raise TfjsError(f"{path}: is not a regular file")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise TfjsError(f"{path}: is larger than {limit} bytes; this is no MobileNet")
    return content


def entries(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > LARGEST_LIST or not all(isinstance(item, dict) for item in value):
        raise TfjsError(f"a list of at most {LARGEST_LIST} objects is {type(value).__name__}")
    return value


def parse_nodes(listed: Any) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for item in entries(listed):
        name, op, inputs, attributes = item["name"], item["op"], item.get("input", []), item.get("attr", {})
        if not isinstance(name, str) or not isinstance(op, str) or not isinstance(attributes, dict):
            raise TfjsError(f"node {name!r:.80} has a name, op or attributes of the wrong type")
        if not isinstance(inputs, list) or len(inputs) > LARGEST_LIST or not all(isinstance(i, str) for i in inputs):
            raise TfjsError(f"node {name!r:.80} has inputs that are no list of names")
        if name in nodes:
            raise TfjsError(f"two nodes are called {name!r:.80}")
        plain = tuple(given.partition(":")[0] for given in inputs if not given.startswith("^"))
        nodes[name] = Node(name, op, plain, attributes)
    for node in nodes.values():
        for given in node.inputs:
            if given not in nodes:
                raise TfjsError(f"node {node.name!r:.80} reads {given!r:.80}, which is not there")
    return nodes


def parse_group(group: Mapping[str, Any], folder: Path, weights: dict[str, NDArray[Any]]) -> None:
    """One group of the manifest: its weights lie one after the other in its shards, taken together."""
    paths = group["paths"]
    if not isinstance(paths, list) or not all(isinstance(p, str) and p == Path(p).name and p not in ("", "..") for p in paths):
        raise TfjsError(f"shards {paths!r:.80} must be plain names of files beside the model.json")
    layout: dict[str, tuple[tuple[int, ...], np.dtype[Any], int]] = {}
    total = 0
    for item in entries(group["weights"]):
        name, shape, kind = item["name"], item["shape"], item["dtype"]
        if not isinstance(name, str) or name in weights or name in layout:
            raise TfjsError(f"weight {name!r:.80} has no name of its own")
        if item.get("quantization"):
            raise TfjsError(f"weight {name!r:.80} is quantised in its shard, not read here")
        if kind not in DTYPES or not is_shape(shape):
            raise TfjsError(f"weight {name!r:.80} is {kind!r:.20} of shape {shape!r:.60}; known are {', '.join(DTYPES)}")
        dtype = np.dtype(DTYPES[kind])
        layout[name] = (tuple(shape), dtype, total)
        total += math.prod(shape) * dtype.itemsize
        if total > LARGEST_WEIGHTS:
            raise TfjsError(f"its weights up to {name!r:.80} take over {LARGEST_WEIGHTS} bytes")
    content = bytearray()
    for shard in paths:
        try:
            content += read_limited(folder / shard, total + 1 - len(content))
        except (OSError, TfjsError) as error:
            raise TfjsError(f"shard {shard!r:.80} cannot be read whole ({error})") from error
    if len(content) != total:
        raise TfjsError(f"its shards hold {len(content)} bytes, the manifest says {total}")
    for name, (sides, dtype, start) in layout.items():
        weights[name] = np.frombuffer(content, dtype, math.prod(sides), start).reshape(sides)


def is_shape(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= LARGEST_RANK
        and all(type(side) is int and 0 <= side < 2**31 for side in value)
    )


def attribute(node: Node, key: str, *path: str) -> Any:
    """What stands at `path` of an attribute, or None."""
    value = node.attributes.get(key)
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def text(node: Node, key: str) -> str:
    """A string attribute: in base64, or as a list of bytes (older converters)."""
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
    """A list attribute of four integers, which JSON holds as text; four of `default` where it is absent."""
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
