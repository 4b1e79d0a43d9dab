"""The routes of a server, as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from . import kserve
from .answers import answer, wishes_of
from .bodies import images_of, read_body, refuse_large
from .metrics import CONTENT_TYPE, resident_bytes
from .models import Served, Stamp
from .openapi import document, reference_page
from .page_routes import page_routes
from .responses import Closing, Deadline, error_response, json_response
from .settings import RequestError
from .state import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    Handler = Callable[[State, Request], Awaitable[Response]]


def make_app(state: State) -> Starlette:
    """The application. Its lifespan watches the model files, and ends the pool."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch(state))
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            state.pool.close()

    routes = [Route(path, guarded(state, path, handler), methods=[method]) for method, path, handler in TABLE]
    handlers = {HTTPException: partial(http_error, state)}
    app = Starlette(routes=[*routes, *page_routes()], exception_handlers=handlers, lifespan=lifespan)
    app.add_middleware(Deadline, seconds=state.allowance.request_seconds)
    return app


async def watch(state: State) -> None:
    """Loads models again whose files have changed. A file must look the same twice, so that a copy under way is not read."""
    seconds, before = state.allowance.watch_seconds, list[tuple[str, Stamp]]()
    while seconds:
        await asyncio.sleep(seconds)
        changed = await asyncio.to_thread(state.models.changed)
        await state.reload([each[0] for each in changed if each in before])
        before = changed


def guarded(state: State, path: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The handler with errors as JSON, and counted."""

    async def endpoint(request: Request) -> Response:
        start = time.perf_counter()
        response: Response
        try:
            response = await handler(state, request)
        except RequestError as error:
            if error.http_status == 429:
                state.metrics.count("mobilenet_refused_total")
            response = error_response(error)
            if error.closes:
                response = Closing(response)
        except ClientDisconnect:
            response = Response(status_code=499)  # nobody reads it
        except MemoryError:
            response = error_response(RequestError(503, "no memory for this request; ask again", retry_seconds=5))
        except Exception as error:
            state.models.report(f"{path}: {type(error).__name__}: {error}")
            response = error_response(RequestError(500, f"{type(error).__name__} in the server, which says more in its log"))
        name: str = request.path_params.get("model", "")
        known, number = name if name in state.models else "", str(response.status_code)
        state.metrics.count("mobilenet_requests_total", route=path, model=known, status=number)
        state.metrics.observe("mobilenet_request_seconds", time.perf_counter() - start, route=path)
        return response

    return endpoint


async def http_error(state: State, request: Request, error: HTTPException) -> Response:
    """Of the router: no such address, no such method."""
    state.metrics.count("mobilenet_requests_total", route="", model="", status=str(error.status_code))
    told = {
        404: f"no address {request.url.path[:200]!r}; GET /docs lists them",
        405: f"method {request.method[:20]!r} is not for this address; GET /docs lists what is",
    }
    response = error_response(RequestError(error.status_code, told.get(error.status_code, str(error.detail))))
    if error.headers:
        response.headers.update(error.headers)
    return response


async def predict(state: State, request: Request) -> Response:
    served = state.models.find(request.path_params["model"])
    wishes = wishes_of(unique_query(request), request.headers.get("accept", ""))
    refuse_large(request, state.allowance)
    state.pool.refuse_if_full()
    with state.held.account() as account:
        body = await read_body(request, state.allowance, account)
        given, several = await images_of(request, body, state.allowance)
        start = time.perf_counter()
        found = await state.pool.run(lambda: answer(served, given, several, wishes, start))
    queue_seconds = max(time.perf_counter() - start - found.seconds, 0.0)
    state.metrics.observe("mobilenet_queue_seconds", queue_seconds)
    for seconds in found.network_seconds:
        state.metrics.count("mobilenet_images_total", model=served.name)
        state.metrics.observe("mobilenet_network_seconds", seconds, model=served.name)
    network = sum(found.network_seconds)
    headers = {
        "server-timing": f"queue;dur={1e3 * queue_seconds:.2f}, network;dur={1e3 * network:.2f}, "
        f"worker;dur={1e3 * found.seconds:.2f}",
        "vary": "accept",
        "cache-control": "no-store",
    }
    return Response(found.content, 200, headers, found.media_type)


def unique_query(request: Request) -> dict[str, str]:
    """The query's parameters. RequestError 400 if one is given twice."""
    pairs: Sequence[tuple[str, str]] = request.query_params.multi_items()
    query = dict(pairs)
    if len(query) != len(pairs):
        raise RequestError(400, "a query parameter is given twice; give each once")
    return query


async def list_models(state: State, request: Request) -> Response:
    return json_response({"models": [served.description() for served in state.models.values()]})


async def describe_model(state: State, request: Request) -> Response:
    return json_response(state.models.find(request.path_params["model"]).description())


async def status(state: State, request: Request) -> Response:
    pool = state.pool
    return json_response({
        "memory_bytes": resident_bytes(),
        "workers": pool.workers,
        "busy": pool.num_running,
        "waiting": pool.num_waiting,
        "queue": pool.queue,
        "ready": not state.draining,
    })  # fmt: skip


async def metrics(state: State, request: Request) -> Response:
    return Response(state.metrics.text(), media_type=CONTENT_TYPE)


async def live(state: State, request: Request) -> Response:
    return json_response({"live": True})


async def ready(state: State, request: Request) -> Response:
    if state.draining:
        raise RequestError(503, "the server is ending; ask another one", retry_seconds=1)
    return json_response({"ready": True})


async def openapi(state: State, request: Request) -> Response:
    return json_response(document(list(state.models), state.allowance))


async def docs(state: State, request: Request) -> Response:
    page = reference_page(document(list(state.models), state.allowance))
    return Response(page, media_type="text/html; charset=utf-8", headers={"content-security-policy": DOCS_POLICY})


DOCS_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"


async def server_metadata(state: State, request: Request) -> Response:
    return json_response(kserve.server_metadata(version("mobilenet")))


async def model_metadata(state: State, request: Request) -> Response:
    return json_response(kserve.model_metadata(found_version(state, request)))


async def model_ready(state: State, request: Request) -> Response:
    served = found_version(state, request)
    return json_response({"name": served.name, "ready": not state.draining})


def found_version(state: State, request: Request) -> Served:
    asked = request.path_params.get("version", kserve.VERSION)
    if asked != kserve.VERSION:
        raise RequestError(404, f"version {asked[:40]!r}: every model has the version {kserve.VERSION!r} only")
    return state.models.find(request.path_params["model"])


async def infer(state: State, request: Request) -> Response:
    served = found_version(state, request)
    refuse_large(request, state.allowance)
    state.pool.refuse_if_full()
    with state.held.account() as account:
        body = await read_body(request, state.allowance, account)
        header = request.headers.get(kserve.HEADER)
        inferred = await state.pool.run(lambda: kserve.infer(served, body, header))
    state.metrics.observe("mobilenet_network_seconds", inferred.network_seconds, model=served.name)
    if inferred.json_length is None:
        return Response(inferred.content, media_type="application/json")
    headers = {kserve.HEADER: str(inferred.json_length)}
    return Response(inferred.content, media_type="application/octet-stream", headers=headers)


V2 = "/v2/models/{model}"
TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v1/models", list_models),
    ("GET", "/v1/models/{model}", describe_model),
    ("POST", "/v1/models/{model}/predict", predict),
    ("GET", "/v1/status", status),
    ("GET", "/healthz", live),
    ("GET", "/readyz", ready),
    ("GET", "/metrics", metrics),
    ("GET", "/openapi.json", openapi),
    ("GET", "/docs", docs),
    ("GET", "/v2", server_metadata),
    ("GET", "/v2/health/live", live),
    ("GET", "/v2/health/ready", ready),
    ("GET", V2, model_metadata),
    ("GET", f"{V2}/ready", model_ready),
    ("POST", f"{V2}/infer", infer),
    ("GET", f"{V2}/versions/{{version}}", model_metadata),
    ("GET", f"{V2}/versions/{{version}}/ready", model_ready),
    ("POST", f"{V2}/versions/{{version}}/infer", infer),
)
"""Every address but those of the page: method, path, handler."""
