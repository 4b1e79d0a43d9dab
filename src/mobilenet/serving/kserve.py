"""The KServe protocol, version 2 (Open Inference Protocol), for a network without preprocessing and decoding.

Tensors are JSON lists, or raw bytes behind the JSON (the extension for binary tensor data): numbers in little-endian order, the
size of each in the parameter ``binary_data_size``, and the size of the JSON in the header ``Inference-Header-Content-Length``.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import MobilenetError, short_repr, unknown_name
from ..limits import parse_json
from ..network.layers import Linear
from .models import Served
from .settings import RequestError

if TYPE_CHECKING:
    from ..tensors import Floats

    Entry = dict[str, object]

INPUT = "input"
"""The name of the network's input, as in an ONNX file of ours."""
VERSION = "1"
DATATYPE = "FP32"
HEADER = "Inference-Header-Content-Length"
EXTENSIONS = ("binary_tensor_data",)
MAX_BATCH = 64
MAX_JSON_NUMBERS = 2_000_000
"""Of all outputs of one answer in JSON, where a number takes up to 22 bytes; the binary extension takes four."""
MAX_OUTPUT_BYTES = 256 * 2**20


class Wanted(NamedTuple):
    """An output that a request asks for, and whether as raw bytes."""

    name: str
    binary: bool


class Inference(NamedTuple):
    """A request: its id, the images (N, 3, H, W), and the outputs that it wants."""

    id: str | None
    images: Floats
    outputs: tuple[Wanted, ...]


class Inferred(NamedTuple):
    """The body of an answer, the length of the JSON in it if bytes follow that, and the seconds in the network."""

    content: bytes
    json_length: int | None
    network_seconds: float


def server_metadata(version: str) -> Entry:
    return {"name": "mobilenet", "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(served: Served) -> Entry:
    size = served.resolution
    outputs = [{"name": name, "datatype": DATATYPE, "shape": [-1, *shape]} for name, shape in output_shapes(served).items()]
    inputs = [{"name": INPUT, "datatype": DATATYPE, "shape": [-1, 3, *size]}]
    return {"name": served.name, "versions": [VERSION], "platform": "mobilenet", "inputs": inputs, "outputs": outputs}


def output_shapes(served: Served) -> dict[str, tuple[int, ...]]:
    """Of every output without the batch: channels, rows and columns, or channels of a vector."""
    network = served.predictor.model.network
    shapes = network.shapes(served.resolution)
    vectors = {name for name in network.outputs if isinstance(network[name], Linear)}
    return {name: (shapes[name].channels,) if name in vectors else tuple(shapes[name]) for name in network.outputs}


def parse_inference(served: Served, body: bytes, header: str | None) -> Inference:
    """A request's body.

    Args:
        header: the value of `HEADER`, or None.

    Raises:
        RequestError: 400, with what is wrong.
    """
    end = len(body)
    if header is not None:
        if not header.isdecimal() or len(header) > 12 or int(header) > len(body):
            raise RequestError(400, f"{HEADER} {short_repr(header)}: must be the bytes of the JSON, at most {len(body)}")
        end = int(header)
    try:
        request = parse_json(body[:end])
    except (ValueError, MobilenetError) as error:
        raise RequestError(400, f"the body is no JSON that is read here: {error}") from None
    if not isinstance(request, dict):
        raise RequestError(400, 'the body must be a JSON object with "inputs"')
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, f'"inputs" must be a list of one tensor, {INPUT!r}')
    identity = request.get("id")
    if identity is not None and (not isinstance(identity, str) or len(identity) > 256):
        raise RequestError(400, '"id" must be a text of at most 256 characters')
    images = tensor_of(inputs[0], body[end:], served.resolution)
    return Inference(identity, images, wanted_outputs(served, request))


def tensor_of(entry: Mapping[str, object], raw: bytes, resolution: tuple[int, int]) -> Floats:
    """(N, 3, H, W) float32."""
    if entry.get("name") != INPUT:
        raise RequestError(400, f"input {short_repr(entry.get('name'))}: the network's only input is {INPUT!r}")
    if entry.get("datatype") != DATATYPE:
        raise RequestError(400, f"datatype {short_repr(entry.get('datatype'))}: must be {DATATYPE}")
    shape, expected = entry.get("shape"), [3, *resolution]
    sizes = shape if isinstance(shape, list) and all(type(side) is int for side in shape) else []
    if len(sizes) != 4 or sizes[1:] != expected or not 1 <= sizes[0] <= MAX_BATCH:
        raise RequestError(
            400, f"shape {short_repr(shape)}: must be [N, {', '.join(map(str, expected))}], N at most {MAX_BATCH}"
        )
    count = math.prod(sizes)
    parameters = entry.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None:
        if "data" in entry or type(size) is not int or size != 4 * count or size != len(raw):
            raise RequestError(
                400,
                f"binary_data_size {short_repr(size)} with {len(raw)} bytes behind the JSON: must be {4 * count}, and no data",
            )
        images = np.frombuffer(raw, "<f4").astype(np.float32)
    else:
        if raw:
            raise RequestError(400, f"{len(raw)} bytes behind the JSON, but no binary_data_size; give it, or leave them out")
        images = numbers_of(entry.get("data"))
    if images.size != count:
        raise RequestError(400, f"data of {images.size} numbers: shape {sizes} has {count}")
    if not np.isfinite(images).all():
        raise RequestError(400, "data holds NaN or infinity, or a number that float32 cannot hold")
    return images.reshape(sizes)


def numbers_of(data: object) -> Floats:
    """Numbers in a flat list, or in lists inside one another, in the order of the tensor."""
    if not isinstance(data, list):
        raise RequestError(400, f'"data" {short_repr(data)}: must be a list of numbers')
    try:
        array = np.array(data)
        if array.dtype.kind not in "iuf":
            raise ValueError
        with np.errstate(over="ignore"):
            return array.astype(np.float32).ravel()
    except (ValueError, TypeError, OverflowError):
        raise RequestError(400, '"data" must hold numbers only, in lists of equal lengths') from None


def wanted_outputs(served: Served, request: Mapping[str, object]) -> tuple[Wanted, ...]:
    known = served.predictor.model.network.outputs
    parameters = request.get("parameters")
    binary = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    entries = request.get("outputs")
    if entries is None or entries == []:
        return tuple(Wanted(name, binary) for name in known)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RequestError(400, '"outputs" must be a list of objects with a "name"')
    wanted = list[Wanted]()
    for entry in entries:
        name, own = entry.get("name"), entry.get("parameters")
        if name not in known:
            raise RequestError(400, unknown_name("output", name, known))
        if any(name == each.name for each in wanted):
            raise RequestError(400, f"output {name!r} is asked for twice")
        if isinstance(own, dict) and "classification" in own:
            raise RequestError(400, "the classification extension is not here; POST the image to /v1/models/NAME/predict")
        wanted.append(Wanted(name, own["binary_data"] is True if isinstance(own, dict) and "binary_data" in own else binary))
    return tuple(wanted)


def refuse_large_answer(served: Served, inference: Inference) -> None:
    """RequestError 400 if the answer would be too large, before anything is computed."""
    shapes, batch = output_shapes(served), len(inference.images)
    sizes = {each: batch * math.prod(shapes[each.name]) for each in inference.outputs}
    in_json = sum(size for each, size in sizes.items() if not each.binary)
    if in_json > MAX_JSON_NUMBERS:
        raise RequestError(
            400, f"{in_json} numbers in JSON: at most {MAX_JSON_NUMBERS}; ask for binary_data_output, or send fewer images"
        )
    if 4 * sum(sizes.values()) > MAX_OUTPUT_BYTES:
        raise RequestError(400, f"outputs of {4 * sum(sizes.values())} bytes: at most {MAX_OUTPUT_BYTES}; send fewer images")


def infer(served: Served, body: bytes, header: str | None) -> Inferred:
    """Runs the network, and writes its outputs. Runs in the pool's threads."""
    inference = parse_inference(served, body, header)
    refuse_large_answer(served, inference)
    start = time.perf_counter()
    results = served.runtime(inference.images)
    seconds = time.perf_counter() - start
    entries, raw = list[dict[str, object]](), list[bytes]()
    for name, binary in inference.outputs:
        array = np.ascontiguousarray(results[name], "<f4")
        entry: dict[str, object] = {"name": name, "datatype": DATATYPE, "shape": list(array.shape)}
        if binary:
            raw.append(array.tobytes())
            entry["parameters"] = {"binary_data_size": array.nbytes}
        elif not np.isfinite(array).all():
            raise RequestError(500, f"output {name!r} holds NaN or infinity, which JSON cannot; ask for binary_data")
        else:
            entry["data"] = array.ravel().tolist()
        entries.append(entry)
    identity = {} if inference.id is None else {"id": inference.id}
    answer = {"model_name": served.name, "model_version": VERSION, **identity, "outputs": entries}
    head = json.dumps(answer, separators=(",", ":")).encode()
    return Inferred(b"".join([head, *raw]), len(head) if raw else None, seconds)
