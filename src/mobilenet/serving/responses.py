"""JSON answers, errors, and how a response ends where a client is slow or sends too much."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress

from starlette.responses import Response

from .settings import RequestError

Message = MutableMapping[str, object]
Scope = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LINGER_SECONDS = 1.0
"""For which the rest of a refused body is read and thrown away: a connection that is closed on unread bytes is reset, and the
client may never see why."""


def json_response(value: object, http_status: int = 200, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Response(content, http_status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def error_response(error: RequestError) -> Response:
    """``{"error": one line, "status": number}``, as the KServe protocol has it."""
    headers = {} if error.retry_seconds is None else {"retry-after": str(error.retry_seconds)}
    return json_response(error_body(error), error.http_status, headers)


def error_body(error: RequestError) -> dict[str, object]:
    return {"error": str(error), "status": error.http_status}


class Closing:
    """A response after which the connection is closed, though the request's body was not read to its end."""

    def __init__(self, response: Response) -> None:
        self.response, self.status_code = response, response.status_code
        response.headers["connection"] = "close"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def held(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await self.response(scope, receive, held)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(thrown_away(receive), LINGER_SECONDS)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def thrown_away(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return


class Deadline:
    """Ends a request that takes longer than `seconds`: with status 503 or, in the middle of an answer that the client
    does not read, by closing the connection."""

    def __init__(self, app: App, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await asyncio.wait_for(self.app(scope, receive, noted), self.seconds)
        except asyncio.TimeoutError:
            if begun:
                return
            error = RequestError(503, f"no answer within {self.seconds:g} s; ask again, or raise --timeout", retry_seconds=1)
            response = error_response(error)
            response.headers["connection"] = "close"
            await response(scope, receive, send)
