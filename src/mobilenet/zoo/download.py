"""Downloads with bounds on size and time; everything that can go wrong becomes one short error."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors import MobilenetError
from ..files import CHUNK
from ..transfer import Transfer, within

PAUSE_TIMEOUT = 15  # seconds without a byte
TOTAL_TIMEOUT = 300  # seconds from the request to the last byte; the largest file of the family, 30 MB, then needs 100 kB/s


class DownloadError(MobilenetError):
    """An address did not answer as it must; the message holds the reason in a few words, without the address."""


@dataclass(frozen=True)
class Connection:
    """How to reach a server: a file or folder of certificates to trust, a proxy, hosts whose certificates are not checked."""

    certificates: str = ""
    proxy: str = ""
    trusted_hosts: tuple[str, ...] = ()

    def opener(self, transfer: Transfer, host: str) -> urllib.request.OpenerDirector:
        context = ssl.create_default_context()
        if self.certificates:
            context.load_verify_locations(self.certificates)
        if host in self.trusted_hosts:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        handlers = [*transfer.handlers(context)]
        if self.proxy:
            handlers.append(urllib.request.ProxyHandler({"http": self.proxy, "https": self.proxy}))
        return urllib.request.build_opener(*handlers)


class Answer(NamedTuple):
    """What an address answered: its bytes, the address after redirections, the content's type."""

    content: bytes
    url: str
    content_type: str


def download(
    url: str,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
    connection: Connection | None = None,
    secret: str = "",
) -> Answer:
    """The content at `url` within `TOTAL_TIMEOUT` seconds; user and password in the address are sent as basic authorization.

    Args:
        secret: the header Authorization, which is sent to this address and not to where it redirects.

    Raises:
        DownloadError: no answer, an error, too late or over `max_bytes`.
    """
    try:
        return within(
            TOTAL_TIMEOUT, lambda transfer: read(url, max_bytes, headers or {}, connection or Connection(), transfer, secret)
        )
    except TimeoutError as error:
        raise DownloadError(str(error)) from error


def read(
    url: str, max_bytes: int, headers: Mapping[str, str], connection: Connection, transfer: Transfer, secret: str = ""
) -> Answer:
    try:
        parts = urlsplit(url)
        address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        request = urllib.request.Request(address, headers=dict(headers))
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        if secret:
            request.add_unredirected_header("Authorization", secret)
        with connection.opener(transfer, parts.hostname or "").open(request, timeout=PAUSE_TIMEOUT) as answer:
            content = bytearray()
            while block := answer.read1(CHUNK):
                content += block
                if len(content) > max_bytes:
                    raise DownloadError(f"is larger than {max_bytes} bytes")
            length = answer.headers.get("Content-Length", "")
            if length.isdecimal() and int(length) != len(content):
                raise DownloadError(f"ended after {len(content)} of {length} bytes")
            return Answer(bytes(content), answer.geturl(), answer.headers.get_content_type())
    except DownloadError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadError(f"answered {error.code}") from error
    except (
        http.client.HTTPException,
        OSError,
        ValueError,
    ) as error:  # nonsense; no network, no such name, a timeout; a bad URL
        reason = getattr(error, "reason", None) or f"{type(error).__name__}: {error}"
        raise DownloadError(f"unreachable ({' '.join(str(reason).split()):.150})") from error
