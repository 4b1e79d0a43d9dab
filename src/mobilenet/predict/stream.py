"""Images opened ahead of their use, so that decoding and running a network overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from ..images.open import ImageError
from ..images.sources import Opened, as_many, is_file_like, open_source

if TYPE_CHECKING:
    from ..images.reduced import Size
    from ..images.sources import Source

AHEAD = 2
"""Images that are open beside the one in use: two of 12 megapixels are 72 MB."""


class Pending(Protocol):
    def result(self) -> Opened:
        """The opened image. Raises ImageError if it cannot be opened."""
        ...


class Later:
    """A source that is opened when its turn comes, or an error that is raised then."""

    def __init__(self, source: Source | ImageError) -> None:
        self.source = source

    def result(self) -> Opened:
        if isinstance(self.source, ImageError):
            raise self.source
        return open_source(self.source)


def opened_ahead(sources: Iterable[Source], needed: Callable[[Size], Size] | None = None) -> Iterator[Pending]:
    """The images of `sources` in order, as `open_source` opens them.

    An exception of the iterable itself comes after the images before it.
    """
    waiting: deque[Pending] = deque()
    items = expanded(sources)
    with ThreadPoolExecutor(1, "mobilenet-open") as pool:
        while True:
            try:
                item = next(items)
            except StopIteration:
                yield from waiting
                return
            except Exception:
                yield from waiting
                raise
            if is_file_like(item):
                waiting.append(pool.submit(open_source, item, needed))
                if len(waiting) > AHEAD:
                    yield waiting.popleft()
            else:
                yield from waiting
                waiting.clear()
                yield Later(item)


def expanded(sources: Iterable[Source]) -> Iterator[Source | ImageError]:
    """The sources one by one. A folder, a pattern or a batch among them is replaced by its images, or by the error if it has
    none."""
    for source in sources:
        try:
            many = None if isinstance(source, (list, tuple)) else as_many(source)
        except ImageError as error:
            yield error
            continue
        if many is None:
            yield source
        else:
            yield from many
