"""Targets that read the bodies of requests to the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

SIDE = 4  # of the images that the network takes, so that a whole tensor is a short body


@lru_cache(maxsize=1)
def served() -> SimpleNamespace:
    """What `parse_inference` asks of a model that is served."""
    from support.models import toy

    return SimpleNamespace(resolution=(SIDE, SIDE), predictor=SimpleNamespace(model=toy()))


def inference(path: Path) -> None:
    """A request of the KServe protocol: the header with the length of the JSON, a line break, the body."""
    from mobilenet.serving.kserve import parse_inference

    header, _, body = path.read_bytes().partition(b"\n")
    parse_inference(served(), body, header.decode("latin-1") if header else None)


def inference_seeds() -> Iterator[bytes]:
    count = 3 * SIDE * SIDE
    tensor = {"name": "input", "shape": [1, 3, SIDE, SIDE], "datatype": "FP32"}
    yield b"\n" + json.dumps({"id": "7", "inputs": [{**tensor, "data": [0.5] * count}]}).encode()
    outputs = [{"name": "classifier", "parameters": {"binary_data": True}}]
    raw = {**tensor, "parameters": {"binary_data_size": 4 * count}}
    head = json.dumps({"inputs": [raw], "outputs": outputs, "parameters": {"binary_data_output": True}}).encode()
    yield b"%d\n" % len(head) + head + bytes(4 * count)


def form(path: Path) -> None:
    """The content type, a line break, a body of multipart/form-data."""
    from starlette.datastructures import Headers

    from mobilenet.serving.bodies import from_multipart
    from mobilenet.serving.settings import Allowance

    head, _, body = path.read_bytes().partition(b"\n")
    headers = Headers(raw=[(b"content-type", head.strip(b"\r"))])
    asyncio.run(from_multipart(headers, body, Allowance(max_images=3)))


def form_seeds() -> Iterator[bytes]:
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\nPNG\r\n'
    field = b'--x\r\nContent-Disposition: form-data; name="top"\r\n\r\n5\r\n'
    yield b"multipart/form-data; boundary=x\n" + part + field + b"--x--\r\n"
    yield b'multipart/form-data; boundary="x"; charset=latin-1\n' + part + part + b"--x--\r\n"


TARGETS = (
    ("inference", "request", inference, inference_seeds, "starlette"),
    ("form", "request", form, form_seeds, "python_multipart"),
)
