"""Bodies of requests: read within bounds of size, time and memory, and the images in them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from ..errors import MobilenetError, printable, short_repr
from ..images.open import ImageError
from ..limits import parse_json
from .settings import Allowance, RequestError

if TYPE_CHECKING:
    from starlette.requests import Request

RAW_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")
"""Bodies of these types are an image, as are those of image/*. The last is what curl --data-binary says of any file."""
MAX_NAME = 255
MAX_FIELDS = 16
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it wrote a line to stderr for every form that is none


class Given(NamedTuple):
    """An image of a request: what answers call it, and its bytes, or why there are none."""

    name: str
    content: bytes
    error: ImageError | None = None


class Held:
    """The bytes of all bodies in memory, which are bounded, whatever the number of clients."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0

    @contextmanager
    def account(self) -> Iterator[Account]:
        account = Account(self)
        try:
            yield account
        finally:
            self.num_bytes -= account.num_bytes


class Account:
    """What one request holds."""

    def __init__(self, held: Held) -> None:
        self.held, self.num_bytes = held, 0

    def add(self, num_bytes: int) -> None:
        """RequestError 429 if all requests together would hold too much."""
        if self.held.num_bytes + num_bytes > self.held.max_bytes:
            raise RequestError(
                429,
                f"requests of {self.held.num_bytes} bytes are here, and no more than {self.held.max_bytes} may be; ask again",
                retry_seconds=1,
                closes=True,
            )
        self.num_bytes += num_bytes
        self.held.num_bytes += num_bytes


def refuse_large(request: Request, allowance: Allowance) -> None:
    """RequestError 413 if the head says that the body is too large: then nothing of it is read."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > allowance.max_body_bytes):
        raise too_large(short_repr(int(length)) if len(length) < 19 else "such a number of", allowance)


def too_large(size: str, allowance: Allowance) -> RequestError:
    return RequestError(
        413, f"body of {size} bytes: at most {allowance.max_body_bytes} are read; send less, or raise --max-body", closes=True
    )


async def read_body(request: Request, allowance: Allowance, account: Account) -> bytes:
    """The whole body.

    Raises:
        RequestError: 413 too large, 408 too slow, 429 too many bodies at once.
    """
    refuse_large(request, allowance)
    try:
        return await asyncio.wait_for(_read(request, allowance, account), allowance.body_seconds)
    except asyncio.TimeoutError:
        raise RequestError(
            408, f"the body was not here after {allowance.body_seconds:g} s; send it faster, or send less", closes=True
        ) from None


async def _read(request: Request, allowance: Allowance, account: Account) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > allowance.max_body_bytes:
            raise too_large(f"over {allowance.max_body_bytes}", allowance)
        account.add(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def media_type(request: Request) -> str:
    """The content type in small letters, without parameters."""
    value: str = request.headers.get("content-type", "")
    return value.partition(";")[0].strip().lower()


async def images_of(request: Request, body: bytes, allowance: Allowance) -> tuple[list[Given], bool]:
    """The images of a body, and whether it is of a kind that may hold several.

    Raises:
        RequestError: 400 for a body that is not what its type says, 403 for addresses where they are switched off, 415 for
            another type.
    """
    kind = media_type(request)
    if kind == "multipart/form-data":
        return await from_multipart(request.headers, body, allowance), True
    if kind == "application/json":
        return await from_urls(body, allowance), True
    if kind in RAW_TYPES or kind.startswith("image/"):
        if not body:
            raise RequestError(400, "the body is empty; send the bytes of an image file")
        return [Given("-", body)], False
    raise RequestError(
        415, f"content type {short_repr(kind)}: send an image (image/jpeg, application/octet-stream) or multipart/form-data"
    )


class InMemory(MultiPartParser):  # type: ignore[misc]
    """Files of a form stay in memory, since bodies are bounded: the server writes nothing to a disk."""

    spool_max_size = 2**40


async def from_multipart(headers: Headers, body: bytes, allowance: Allowance) -> list[Given]:
    """Every file of a form, in order, whatever its field is called."""

    async def stream() -> AsyncIterator[bytes]:
        yield body

    try:
        parser = InMemory(headers, stream(), max_files=allowance.max_images, max_fields=MAX_FIELDS)
        form = await parser.parse()
    except MultiPartException as error:
        raise RequestError(400, f"the form cannot be read: {printable(error.message)}") from None
    except (ValueError, KeyError, AttributeError, LookupError) as error:  # of headers that are no headers
        raise RequestError(400, f"the form cannot be read: {short_repr(error)}") from None
    found = list[Given]()
    try:
        for _, value in form.multi_items():
            if hasattr(value, "filename"):
                name = printable(value.filename or "-")[:MAX_NAME]
                found.append(Given(name, await value.read()))
    finally:
        await form.close()
    if not found:
        raise RequestError(400, "the form holds no file; send one, for example curl -F image=@photo.jpg")
    return found


async def from_urls(body: bytes, allowance: Allowance) -> list[Given]:
    """``{"urls": [address, ...]}``: every image that answers, and an error for every other."""
    if not allowance.fetch_urls:
        raise RequestError(403, "this server fetches no addresses; send the image itself, or start it with --fetch-urls")
    try:
        value = parse_json(body)
    except (ValueError, MobilenetError) as error:
        raise RequestError(400, f"the body is no JSON that is read here: {error}") from None
    urls = value.get("urls") if isinstance(value, dict) else None
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise RequestError(400, 'the body must be {"urls": ["https://...", ...]}')
    if len(urls) > allowance.max_images:
        raise RequestError(400, f"{len(urls)} addresses: at most {allowance.max_images} in one request; send several")
    return list(await asyncio.gather(*(asyncio.to_thread(fetched, url, allowance.max_body_bytes) for url in urls)))


def fetched(url: str, max_bytes: int) -> Given:
    """The image at a public address."""
    from ..images.address import download_public

    try:
        return Given(url[:MAX_NAME], download_public(url, max_bytes))
    except ImageError as error:
        return Given(url[:MAX_NAME], b"", error)
