"""The page at ``/``: its files, and the headers that keep it to itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from ...images.palette import COLORS, SHADES, class_color, shade, text_color

if TYPE_CHECKING:
    from starlette.requests import Request

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
    "jpg": "image/jpeg",
}
POLICY = "; ".join([
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' blob:",
    "media-src 'self' blob:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
])  # fmt: skip
"""Nothing but the server's own files, and what the page makes of the user's images. `img-src` and `media-src` need blob: for
these."""
HEADERS = {
    "content-security-policy": POLICY,
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


def page_routes() -> list[Route]:
    """A route for each file, so that no path from outside ever reaches a file system."""
    routes = [Route("/palette.json", endpoint("palette.json", palette()))]
    for item in files(__package__).iterdir():
        if item.name.rpartition(".")[2] in MEDIA_TYPES:
            path = "/" if item.name == "index.html" else f"/{item.name}"
            routes.append(Route(path, endpoint(item.name, item.read_bytes())))
    return routes


@cache
def palette() -> bytes:
    """For every class its colors as the package draws them: of the first, second ... object, and of text on them."""
    classes = [[shade(class_color(index), number) for number in range(len(SHADES))] for index in range(len(COLORS) // 3)]
    colors = [[f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in shades] for shades in classes]
    texts = [["#000000" if text_color(each) == (0, 0, 0) else "#ffffff" for each in shades] for shades in classes]
    return json.dumps({"colors": colors, "texts": texts}, separators=(",", ":")).encode()


def endpoint(name: str, content: bytes) -> Callable[[Request], Awaitable[Response]]:
    media_type, tag = MEDIA_TYPES[name.rpartition(".")[2]], f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    headers = {**HEADERS, "etag": tag}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return answer
