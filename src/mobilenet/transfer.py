"""Downloads that end: one limit of time for all of it, and nothing read but the answer."""

from __future__ import annotations

import http.client
import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib import request

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")
Address = tuple[str, int]
"""A host and a port."""


class Transfer:
    """The connections of one download."""

    def __init__(self) -> None:
        self.copies, self.stopped, self.lock = list[socket.socket](), False, threading.Lock()

    def handlers(self, context: ssl.SSLContext | None = None, max_redirects: int = 10) -> tuple[request.BaseHandler, ...]:
        """For an opener: they open http and https, and follow redirects to these without reading what comes with them."""
        return _Http(self), _Https(self, context), _Redirects(max_redirects)

    def connect(self, address: Address, timeout: float | None = None, source: Address | None = None) -> socket.socket:
        made = socket.create_connection(address, timeout, source)
        with self.lock:
            if self.stopped:
                made.close()
                raise TimeoutError("too late")
            self.copies.append(made.dup())  # TLS takes the socket itself away
        return made

    def plain(self, *arguments: Any, **options: Any) -> http.client.HTTPConnection:
        return self._watched(http.client.HTTPConnection(*arguments, **options))

    def secure(self, *arguments: Any, **options: Any) -> http.client.HTTPConnection:
        return self._watched(http.client.HTTPSConnection(*arguments, **options))

    def _watched(self, connection: http.client.HTTPConnection) -> http.client.HTTPConnection:
        vars(connection).update(_create_connection=self.connect)
        return connection

    def end(self) -> None:
        """Closes what is open; the thread that reads from it meets the end of the answer."""
        with self.lock:
            self.stopped = True
            for copy in self.copies:
                with suppress(OSError):
                    copy.shutdown(socket.SHUT_RDWR)
                copy.close()
            self.copies.clear()


class PublicTransfer(Transfer):
    """Connects to hosts of the public internet only: not to this machine, nor to a private, shared or reserved network.

    A name is looked up once, all its addresses are checked, and the connection goes to one of those: a name server cannot
    answer otherwise the second time.
    """

    def connect(self, address: Address, timeout: float | None = None, source: Address | None = None) -> socket.socket:
        host, port = address
        found = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        if refused := [each for each in found if not is_public(each)]:
            raise OSError(f"{host} is {refused[0]}, which is not an address of the public internet")
        for each in found[:-1]:
            with suppress(OSError):
                return super().connect((each, port), timeout, source)
        return super().connect((found[-1], port), timeout, source)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet. One of IPv6 that stands for one of IPv4 is judged as that."""
    import ipaddress

    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and int(ip) >> 32 in (0, NAT64_PREFIX):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


NAT64_PREFIX = 0x0064FF9B << 64  # 64:ff9b::/96, whose last 32 bits are an address of IPv4


def within(seconds: float, work: Callable[[Transfer], T], transfer: Transfer | None = None) -> T:
    """`work`'s result. Raises TimeoutError after so many seconds, or what `work` raises.

    A read's own timeout starts anew with each byte, so a server could send headers, a certificate or an answer for ever. Hence
    another thread reads, and loses its connections when the time is over.
    """
    transfer, answers = transfer or Transfer(), queue.Queue[tuple[list[T], Exception | None]](1)

    def run() -> None:
        try:
            answers.put(([work(transfer)], None))
        except Exception as error:
            answers.put(([], error))

    threading.Thread(target=run, name="mobilenet-download", daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"took over {seconds:g} s") from None
    finally:
        transfer.end()
    if error is not None:
        raise error
    return result[0]


class _Http(request.HTTPHandler):
    def __init__(self, transfer: Transfer) -> None:
        super().__init__()
        self.transfer = transfer

    def http_open(self, req: request.Request) -> Any:
        return self.do_open(self.transfer.plain, req)


class _Https(request.HTTPSHandler):
    def __init__(self, transfer: Transfer, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self.transfer, self.options = transfer, {} if context is None else {"context": context}

    def https_open(self, req: request.Request) -> Any:
        return self.do_open(self.transfer.secure, req, **self.options)


class _Redirects(request.HTTPRedirectHandler):
    """Python's own reads the body that comes with a redirect, however long it is."""

    def __init__(self, max_redirects: int) -> None:
        vars(self).update(max_redirections=max_redirects, max_repeats=max_redirects)

    def http_error_302(self, req: request.Request, fp: Any, code: int, msg: str, headers: Any) -> Any:
        vars(fp)["read"] = lambda *_: b""
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302
