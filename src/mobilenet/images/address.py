"""Images behind an address: http, https and file."""

from __future__ import annotations

from http.client import HTTPException
from urllib import request
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ..errors import short_repr
from ..limits import check_limit, limits, over_limit
from ..transfer import Transfer, within
from .open import ImageError

CHUNK = 2**16


def download(url: str) -> bytes:
    """The content of an http or https address, at most `max_image_bytes` long and within `max_url_seconds`.

    At most `max_url_redirects` redirects are followed, to http and https only. The proxies of the environment are used. Any
    host is asked, also one of the local network: a service checks the addresses that strangers give it.

    Raises:
        ImageError: no answer, an error status, or one of the limits is passed.
    """
    name, max_seconds = short_repr(url), limits().max_url_seconds

    def read(transfer: Transfer) -> bytes:
        content = bytearray()
        with opener(transfer, limits().max_url_redirects).open(url, timeout=max_seconds) as response:
            while block := response.read1(CHUNK):
                content += block
                check_limit("max_image_bytes", len(content), f"{name}, bytes", ImageError)
        return bytes(content)

    try:
        content = within(max_seconds, read)
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


def opener(transfer: Transfer, max_redirects: int) -> request.OpenerDirector:
    """What opens http and https, and no other scheme that a redirect may name."""
    director = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
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
