"""Images opened ahead of their use, so that decoding and running a network overlap."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeGuard

from ..images.find import is_video
from ..images.open import ImageError
from ..images.sources import Opened, as_many, is_file_like, open_source

if TYPE_CHECKING:
    from ..images.reduced import Size
    from ..images.sources import Source
    from ..video.read import Video

AHEAD = 2
"""Images that are open beside the one in use: two of 12 megapixels are 72 MB."""


class Pending(Protocol):
    def result(self) -> Opened:
        """The opened image. Raises ImageError if it cannot be opened."""
        ...


class Later:
    """A source that is opened when its turn comes, one that is open, or an error that is raised then."""

    def __init__(self, source: Source | Opened | ImageError) -> None:
        self.source = source

    def result(self) -> Opened:
        if isinstance(self.source, ImageError):
            raise self.source
        if isinstance(self.source, Opened):
            return self.source
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


def expanded(sources: Iterable[Source]) -> Iterator[Source | Opened | ImageError]:
    """The sources one by one. A folder, a pattern or a batch among them is replaced by its images, or by the error if it has
    none; a video by its frames."""
    for source in sources:
        if is_video_source(source):
            yield from frames_of(source)
            continue
        try:
            many = None if isinstance(source, (list, tuple)) else as_many(source)
        except ImageError as error:
            yield error
            continue
        if many is None:
            yield source
        else:
            yield from many


def is_video_source(source: object) -> TypeGuard[Video | str | os.PathLike[str]]:
    """Whether it is a `Video`, or a name that means one."""
    if isinstance(source, (str, os.PathLike)):
        return is_video(os.fsdecode(source))
    videos = sys.modules.get("mobilenet.video.read")  # a caller that has a Video has imported its module
    return videos is not None and isinstance(source, videos.Video)


def frames_of(source: Video | str | os.PathLike[str]) -> Iterator[Opened | ImageError]:
    """The frames of a video, and at last the error if it cannot be opened or read to its end."""
    from ..video.read import Video

    video = source if isinstance(source, Video) else Video(os.fsdecode(source))
    try:
        for frame in video:
            yield Opened(frame.image, video.source, frame.image, frame.number, frame.time)
    except ImageError as error:
        yield error
