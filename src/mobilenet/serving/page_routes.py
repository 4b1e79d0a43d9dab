"""The page at ``/``: a route for each of its files, and the headers that keep it to itself."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from .page import INDEX, Words, index, page_files

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
WORDS = Words(
    promise="Your images go to this server and nowhere else.",
    links='<nav aria-label="Server"><a href="docs">API</a></nav>',
    loading="Asking the server for its models",
    without_scripts='This page needs JavaScript; the server answers without it too, see <a href="docs">API</a>.',
)
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
    contents = {**page_files(), INDEX: index(WORDS)}
    return [Route("/" if name == INDEX else f"/{name}", endpoint(name, content)) for name, content in contents.items()]


def endpoint(name: str, content: bytes) -> Callable[[Request], Awaitable[Response]]:
    media_type, tag = MEDIA_TYPES[name.rpartition(".")[2]], f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    headers = {**HEADERS, "etag": tag}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return answer
