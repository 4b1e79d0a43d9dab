"""Frames of cameras and streams: a thread decodes all of them, and the newest is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Condition, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import VideoFrame

    from .read import Reading

POLL_SECONDS = 0.1


def newest(decoded: Callable[[], Iterator[VideoFrame]], reading: Reading) -> Iterator[tuple[int, VideoFrame]]:
    """(number, frame), always of the newest frame. The video counts the frames that came and those that were dropped.

    An exception of `decoded` is raised after the last frame. When the iterator is closed, the thread ends with the next frame.
    """
    changed, video = Condition(), reading.video
    waiting: list[tuple[int, VideoFrame]] = []  # one at most
    errors: list[BaseException] = []
    state = {"ended": False, "closed": False}

    def decode() -> None:
        try:
            for frame in decoded():
                with changed:
                    if state["closed"]:
                        return
                    number = video.num_frames
                    video.num_frames += 1
                    if waiting and not number % video.every:
                        waiting.clear()
                        video.num_dropped += 1
                    if not number % video.every:
                        waiting.append((number, frame))
                    changed.notify_all()
        except BaseException as error:
            errors.append(error)
        finally:
            with changed:
                state["ended"] = True
                changed.notify_all()

    thread = Thread(target=decode, name="mobilenet-live", daemon=True)
    thread.start()
    try:
        while True:
            with changed:
                while not waiting and not state["ended"] and not reading.stopped:
                    changed.wait(POLL_SECONDS)
                if not waiting:
                    break
                item = waiting.pop()
            yield item
        if errors:
            raise errors[0]
    finally:
        with changed:
            state["closed"] = True
        thread.join(timeout=5)  # a source that stalls ends by its own timeout
