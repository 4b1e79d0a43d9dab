"""Images behind an address: http, https and file."""

from __future__ import annotations

from http.client import HTTPException
from urllib import request
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ..errors import short_repr
from ..limits import check_limit, limits, over_limit
from ..transfer import PublicTransfer, Transfer, within
from .open import ImageError

CHUNK = 2**16


def download(url: str) -> bytes:
    """The content of an http or https address, at most `max_image_bytes` long and within `max_url_seconds`.

    At most `max_url_redirects` redirects are followed, to http and https only. The proxies of the environment are used. Any
    host is asked, also one of the local network: a service checks the addresses that strangers give it.

    Raises:
        ImageError: no answer, an error status, or one of the limits is passed.
    """
    return _downloaded(url, Transfer(), request.ProxyHandler(), None)


def download_public(url: str, max_bytes: int) -> bytes:
    """As `download`, for an address that a stranger gave: at most `max_bytes`, and only from hosts of the public internet.

    Every connection, also after a redirect, goes to an address that was checked (see `transfer.PublicTransfer`). No proxy is
    used, since it would connect in this function's place.

    Raises:
        ImageError: as `download`; the scheme is not http or https; a host has an address that is not public.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ImageError(f"{short_repr(url)}: only http and https addresses are fetched")
    return _downloaded(url, PublicTransfer(), request.ProxyHandler({}), max_bytes)


def _downloaded(url: str, transfer: Transfer, proxy: request.ProxyHandler, max_bytes: int | None) -> bytes:
    name, max_seconds = short_repr(url), limits().max_url_seconds

    def read(transfer: Transfer) -> bytes:
        content = bytearray()
        with opener(transfer, limits().max_url_redirects, proxy).open(url, timeout=max_seconds) as response:
            while block := response.read1(CHUNK):
                content += block
                check_limit("max_image_bytes", len(content), f"{name}, bytes", ImageError)
                if max_bytes is not None and len(content) > max_bytes:
                    raise ImageError(f"{name}: over {max_bytes} bytes, which is the most that is fetched here")
        return bytes(content)

    try:
        content = within(max_seconds, read, transfer)
    except HTTPError as error:
        error.close()
        raise ImageError(f"{name}: {reason(error)}; check the address") from error
    except TimeoutError as error:
        raise ImageError(f"{name}, seconds: {over_limit('max_url_seconds', f'over {max_seconds}')}") from error
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{name}: cannot be downloaded ({reason(error)}); check the address") from error
    if not content:
        raise ImageError(f"{name}: the answer is empty; check the address")
    return content


def reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"status {error.code} {error.reason}".split("\n", 1)[0].strip()
    return " ".join(str(getattr(error, "reason", "") or error).split())[:200] or type(error).__name__


def opener(transfer: Transfer, max_redirects: int, proxy: request.ProxyHandler | None = None) -> request.OpenerDirector:
    """What opens http and https, and no other scheme that a redirect may name."""
    director = request.OpenerDirector()
    for handler in (
        proxy or request.ProxyHandler(),
        *transfer.handlers(max_redirects=max_redirects),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        request.UnknownHandler(),
    ):
        director.add_handler(handler)
    director.addheaders = [("User-Agent", "mobilenet"), ("Accept", "image/*")]
    return director


def local_file(url: str) -> str:
    """The path of a file URL. Raises ImageError if it names another host."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ImageError(f"{short_repr(url)}: names the host {parts.netloc!r}; a file of this machine is file:///path/to/it")
    return request.url2pathname(parts.path)
