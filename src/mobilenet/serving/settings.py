"""What a server allows, and the errors that it answers with."""

from __future__ import annotations

import math

from ..errors import MobilenetError, UsageError, short_repr
from ..values import Value


class Allowance(Value):
    """What one server spends on its clients. Sizes of images inside a body are those of `limits.Limits`.

    Attributes:
        max_body_bytes: of one request. max_held_bytes: of all requests that are being read or wait.
        max_images: of one request.
        queue: requests that may wait for a worker. One more is refused with status 429.
        connections: that may be open. One more is refused with status 503.
        header_seconds: for a request's head, from its first byte; for its body, `body_seconds`.
        request_seconds: from the head of a request to the last byte of its answer.
        drain_seconds: for requests that are at work when the server is asked to end.
        watch_seconds: between two looks at the model files; 0 for none.
        fetch_urls: whether clients may name images by their address. Addresses of private networks are refused even then.
    """

    max_body_bytes: int = 20 * 2**20
    max_held_bytes: int = 256 * 2**20
    max_images: int = 16
    queue: int = 32
    connections: int = 512
    header_seconds: float = 10.0
    body_seconds: float = 20.0
    request_seconds: float = 60.0
    drain_seconds: float = 30.0
    watch_seconds: float = 2.0
    fetch_urls: bool = False

    def __post_init__(self) -> None:
        for name in self.field_options:
            value = getattr(self, name)
            least = 0 if name in ("queue", "watch_seconds", "drain_seconds") else 1 if isinstance(value, int) else 0.01
            if not isinstance(value, bool) and not (value >= least and math.isfinite(value)):
                raise UsageError(f"{name} {short_repr(value)}: must be at least {least}")
        if self.max_held_bytes < self.max_body_bytes:
            raise UsageError(
                f"max_held_bytes {self.max_held_bytes}: must be at least max_body_bytes, {self.max_body_bytes}, "
                "or no request of that size is ever read"
            )


class RequestError(MobilenetError):
    """A request that gets no answer, and why.

    Attributes:
        http_status: of the response.
        retry_seconds: after which the client may ask again, or None.
        closes: whether the connection ends with the response, because the request's body is not read to its end.
    """

    def __init__(self, http_status: int, message: str, retry_seconds: int | None = None, closes: bool = False) -> None:
        super().__init__(message)
        self.http_status, self.retry_seconds, self.closes = http_status, retry_seconds, closes
