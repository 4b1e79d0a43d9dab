"""The server's addresses as an OpenAPI document, and as a plain page that is made of the document."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from . import kserve
from .answers import MAX_TOP, OUTPUTS

if TYPE_CHECKING:
    from .settings import Allowance

    Json = dict[str, object]

PREDICTION: Json = {
    "type": "object",
    "required": ["label", "index", "score"],
    "properties": {
        "label": {"type": "string"},
        "index": {"type": "integer"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "id": {"type": "string", "description": "WordNet id of ImageNet, category id of COCO."},
        "box": {"type": "array", "items": {"type": "number"}, "description": "x0, y0, x1, y1 in pixels, of a detection."},
        "share": {"type": "number", "description": "Part of the image, of a region of a segmentation."},
    },
}
MASK: Json = {
    "type": "object",
    "description": "With mask=runs: classes[i] fills the next lengths[i] pixels, row by row.",
    "properties": {
        "height": {"type": "integer"},
        "width": {"type": "integer"},
        "classes": {"type": "array", "items": {"type": "integer"}},
        "lengths": {"type": "array", "items": {"type": "integer"}},
    },
}
ENTRY: Json = {
    "type": "object",
    "required": ["input", "task", "model"],
    "properties": {
        "input": {"type": "string", "description": "Name of the file, its address, or - for a bare body."},
        "task": {"enum": ["classification", "detection", "segmentation"]},
        "model": {"type": "string"},
        "size": {"type": "array", "items": {"type": "integer"}, "description": "Width and height of the image."},
        "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
        "mask": {"$ref": "#/components/schemas/Mask"},
        "backend": {"type": "string"},
        "milliseconds": {"type": "object", "additionalProperties": {"type": "number"}},
        "error": {"type": "string", "description": "In place of predictions, of one image among several."},
    },
}
ERROR: Json = {
    "type": "object",
    "required": ["error", "status"],
    "properties": {"error": {"type": "string"}, "status": {"type": "integer"}},
}
TENSOR: Json = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"const": kserve.DATATYPE},
        "data": {"type": "array", "items": {}},
        "parameters": {"type": "object"},
    },
}
INFERENCE: Json = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
        "outputs": {"type": "array", "items": {"type": "object"}},
        "parameters": {"type": "object"},
    },
}
SCHEMAS: Json = {
    "Prediction": PREDICTION, "Mask": MASK, "Entry": ENTRY, "Error": ERROR, "Tensor": TENSOR, "Inference": INFERENCE
}  # fmt: skip
BINARY: Json = {"schema": {"type": "string", "format": "binary"}}
FAILURES = {
    "400": "The request cannot be understood.",
    "404": "No model has this name.",
    "408": "The body came too slowly.",
    "413": "The body is too large.",
    "429": "The queue is full; Retry-After says when to ask again.",
    "503": "No answer in time, or the server is ending.",
}
PREDICT_FAILURES = {
    **FAILURES,
    "403": "Addresses are not fetched here.",
    "406": "Accept names no type that is made here.",
    "415": "The body is of a type that is not read.",
    "422": "The image cannot be decoded, or is past a limit.",
}


def document(names: Sequence[str], allowance: Allowance) -> Json:
    """The OpenAPI 3.1 document of a server with models of these names."""
    model: Json = {"name": "model", "in": "path", "required": True, "schema": {"enum": list(names)}}
    paths: Json = {
        "/v1/models": {"get": plain("The models: task, labels, network, memory.")},
        "/v1/models/{model}": {"parameters": [model], "get": plain("One of them.")},
        "/v1/models/{model}/predict": {"parameters": [model], "post": predict_operation(allowance)},
        "/v1/status": {"get": plain("Memory of the process, workers and queue.")},
        "/healthz": {"get": plain("Whether the process is alive.")},
        "/readyz": {"get": plain("Whether requests should be sent here: 503 as soon as the server is asked to end.")},
        "/metrics": {"get": plain("Counters and histograms for Prometheus.", "text/plain")},
        "/v2": {"get": plain("KServe protocol: the server and its extensions.")},
        "/v2/health/live": {"get": plain("KServe protocol: as /healthz.")},
        "/v2/health/ready": {"get": plain("KServe protocol: as /readyz.")},
        "/v2/models/{model}": {"parameters": [model], "get": plain("KServe protocol: names, types and shapes of tensors.")},
        "/v2/models/{model}/ready": {"parameters": [model], "get": plain("KServe protocol: whether the model is ready.")},
        "/v2/models/{model}/infer": {"parameters": [model], "post": infer_operation()},
    }
    info = {"title": "mobilenet serve", "version": version("mobilenet"), "license": {"name": "Apache-2.0"}}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": SCHEMAS}}


def plain(summary: str, media_type: str = "application/json") -> Json:
    return {"summary": summary, "responses": {"200": {"description": "OK", "content": {media_type: {}}}}}


def failures(told: Mapping[str, str]) -> Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {number: {"description": description, "content": content} for number, description in sorted(told.items())}


def predict_operation(allowance: Allowance) -> Json:
    entry: Json = {"$ref": "#/components/schemas/Entry"}
    urls: Json = {"type": "object", "properties": {"urls": {"type": "array", "items": {"type": "string", "format": "uri"}}}}
    form: Json = {"type": "object", "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}}}
    content: Json = {"image/*": BINARY, "application/octet-stream": BINARY, "multipart/form-data": {"schema": form}}
    if allowance.fetch_urls:
        content["application/json"] = {"schema": urls}
    answers: Json = {
        "application/json": {"schema": {"oneOf": [entry, {"type": "array", "items": entry}]}},
        "image/jpeg": BINARY,
        "image/png": BINARY,
    }
    return {
        "summary": "What an image shows: labels, boxes or a mask.",
        "description": f"At most {allowance.max_body_bytes} bytes, and {allowance.max_images} images in a form. The answer to "
        "a form or to addresses is a list. Annotated images and masks by the query output, or by the header Accept.",
        "parameters": [
            query("threshold", {"type": "number", "minimum": 0, "maximum": 1}, "The least score."),
            query("top", {"type": "integer", "minimum": 1, "maximum": MAX_TOP}, "The most predictions."),
            query("output", {"enum": list(OUTPUTS)}, "JSON, the image with its answer drawn on it, or the mask."),
            query("mask", {"enum": ["runs"]}, "JSON of a segmentation holds the mask too."),
        ],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "The answer.", "content": answers}, **failures(PREDICT_FAILURES)},
    }


def infer_operation() -> Json:
    schema = {"$ref": "#/components/schemas/Inference"}
    content: Json = {"application/json": {"schema": schema}, "application/octet-stream": BINARY}
    return {
        "summary": "KServe protocol: the network alone, tensors in and out.",
        "description": f"One input, {kserve.INPUT!r}, {kserve.DATATYPE}, as /v2/models/{{model}} says. With the header "
        f"{kserve.HEADER} tensors are raw bytes behind the JSON.",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "The outputs.", "content": content}, **failures(FAILURES)},
    }


def query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def reference_page(described: Json) -> str:
    """The document as one page of HTML, without scripts."""
    sections = []
    for path, item in cast("dict[str, Json]", described["paths"]).items():
        for method, operation in item.items():
            if method != "parameters":
                sections.append(section(method, path, cast("Json", operation)))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>mobilenet serve: addresses</title><link rel="stylesheet" href="/style.css"></head>
<body class="reference"><main><h1>Addresses of this server</h1>
<p>The same as a document for programs: <a href="/openapi.json">openapi.json</a>. Try it by hand: <a href="/">the page</a>.</p>
<pre>curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' http://HOST:PORT/v1/models/NAME/predict</pre>
{"".join(sections)}</main></body></html>
"""


def section(method: str, path: str, operation: Json) -> str:
    def text(value: object) -> str:
        return html.escape(str(value))

    parameters = "".join(
        f"<tr><th scope=row><code>{text(each['name'])}</code></th><td>{text(each['description'])}</td></tr>"
        for each in cast("list[Json]", operation.get("parameters", []))
    )
    answers = "".join(
        f"<tr><th scope=row>{number}</th><td>{text(answer['description'])}</td></tr>"
        for number, answer in cast("dict[str, Json]", operation["responses"]).items()
    )
    details = f"<p>{text(operation['description'])}</p>" if "description" in operation else ""
    table = f"<table><caption>Query</caption>{parameters}</table>" if parameters else ""
    return (
        f"<section><h2><code>{method.upper()} {text(path)}</code></h2><p>{text(operation['summary'])}</p>{details}{table}"
        f"<table><caption>Answers</caption>{answers}</table></section>"
    )
