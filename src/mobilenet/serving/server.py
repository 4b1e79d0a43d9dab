"""The server itself: its socket, limits on connections, signals, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import h11  # which uvicorn brings
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import MobilenetError, UsageError
from .app import make_app
from .responses import LINGER_SECONDS, error_body
from .settings import RequestError
from .state import State

BACKLOG = 256
KEEP_ALIVE_SECONDS = 15


class Encryption:
    """A certificate and its key, files in PEM. Browsers give the camera to pages of https and of localhost only."""

    def __init__(self, certificate: str, key: str) -> None:
        self.certificate, self.key = certificate, key


def run(
    state: State,
    host: str,
    port: int,
    encryption: Encryption | None = None,
    access_log: bool = False,
    started: Callable[[str], None] = lambda address: None,
) -> None:
    """Serves until SIGTERM or Ctrl-C: then no connection is accepted, and requests at work are answered.

    Args:
        port: 0 for any that is free.
        started: is called with the server's address when it accepts connections.

    Raises:
        MobilenetError: the address cannot be used, or the certificate cannot be read.
    """
    files = {} if encryption is None else {"ssl_certfile": encryption.certificate, "ssl_keyfile": encryption.key}
    config = uvicorn.Config(
        make_app(state),
        http=protocol_of(state),
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_level="info" if access_log else "warning",
        access_log=access_log,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(round(state.allowance.drain_seconds), 1),
        **files,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise MobilenetError(f"certificate or key: cannot be read ({error}); give PEM files that belong together") from error
    with listening(host, port) as bound:
        place = bound.getsockname()
        shown = f"[{place[0]}]" if ":" in place[0] else place[0]
        Server(config, state, lambda: started(f"{'https' if files else 'http'}://{shown}:{place[1]}")).run(sockets=[bound])


def listening(host: str, port: int) -> socket.socket:
    """A bound socket. Raises UsageError if the address cannot be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"address {host!r}, port {port}: cannot be used ({reason}); choose another --host or --port"
        ) from error
    # Connections inherit it. asyncio sets it on sockets of its own only; without it the second part of an answer waits 40 ms
    # for the client's delayed acknowledgement of the first.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


class Server(uvicorn.Server):  # type: ignore[misc]
    """Says when it accepts connections, loads all models again at SIGHUP, and is not ready as soon as it is asked to end."""

    def __init__(self, config: uvicorn.Config, state: State, started: Callable[[], None]) -> None:
        super().__init__(config)
        self.shared, self.tell_started = state, started
        self.reloading: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if hasattr(signal, "SIGHUP"):
            with suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
        self.tell_started()

    def reload(self) -> None:
        if self.reloading is None or self.reloading.done():
            self.reloading = asyncio.ensure_future(self.shared.reload(list(self.shared.models)))

    def handle_exit(self, sig: int, frame: object) -> None:
        self.shared.draining = True
        super().handle_exit(sig, frame)


def protocol_of(state: State) -> type[H11Protocol]:
    """The protocol of a server's connections."""
    return type("BoundedProtocol", (Bounded,), {"shared": state})


class Bounded(H11Protocol):  # type: ignore[misc]
    """HTTP/1.1 with bounds on the number of connections and on the time that a request's head takes: a client that sends a byte
    now and then would hold a connection for ever. Its own errors are JSON."""

    shared: State
    head_timer: asyncio.TimerHandle | None = None
    ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.shared.num_connections = len(self.connections)
        if len(self.connections) > self.shared.allowance.connections:
            message = f"{self.shared.allowance.connections} connections are open, and no more may be; ask again"
            self.end_with(RequestError(503, message, retry_seconds=1))
        else:
            self.start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_timer()
        super().connection_lost(exc)
        self.shared.num_connections = len(self.connections)

    def data_received(self, data: bytes) -> None:
        if self.ended or self.transport.is_closing():
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self.stop_timer()
        elif self.head_timer is None:
            self.start_timer()

    def on_response_complete(self) -> None:
        self.stop_timer()
        super().on_response_complete()

    def start_timer(self) -> None:
        self.head_timer = self.loop.call_later(self.shared.allowance.header_seconds, self.too_slow)

    def stop_timer(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def too_slow(self) -> None:
        seconds = self.shared.allowance.header_seconds
        self.end_with(RequestError(408, f"no whole request within {seconds:g} s; send it faster"))

    def send_400_response(self, msg: str) -> None:
        self.end_with(RequestError(400, f"{msg.rstrip('.')}: it is no HTTP/1.1"))

    def end_with(self, error: RequestError) -> None:
        """Answers with an error, if an answer can be given, and closes the connection."""
        body = json.dumps(error_body(error)).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if error.retry_seconds is not None:
            headers.append((b"retry-after", str(error.retry_seconds).encode()))
        with suppress(h11.LocalProtocolError):
            for event in (
                h11.Response(status_code=error.http_status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        self.ended = True
        self.stop_timer()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
