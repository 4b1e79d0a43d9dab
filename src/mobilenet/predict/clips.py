"""Videos among the inputs of the command line: frames become jobs, and drawn frames a video again.

Several threads may be at work on frames of one video. Each waits for its turn to hand over what it has drawn, so no more frames
are in memory than there are threads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from threading import Condition
from typing import TYPE_CHECKING

from ..errors import MobilenetError
from ..images.find import is_camera, is_folder_video, suffix_of
from ..values import Value
from ..video.open import VideoError, import_av
from ..video.read import Frame, Reading, Video
from ..video.write import SUFFIXES as WRITTEN_SUFFIXES, VideoWriter

if TYPE_CHECKING:
    from av import Packet
    from PIL import Image

    from ..video.window import Window


class Stepping(Value):
    """Which frames of videos are taken; see `video.read.Video`. And the window that shows them, if any."""

    every: int = 1
    fps: float | None = None
    window: Window | None = None


def check_steps(every: int, fps: float | None) -> None:
    """Raises UsageError for steps that no video can take, or without PyAV."""
    import_av()
    Video("", every, fps)


class Clip:
    """A video that is being answered.

    Args:
        target: of the annotated video, or None.
        after: the number of the last frame that is passed over, because its answer is held already; -1 for none.
    """

    def __init__(self, name: str, stepping: Stepping, target: str | None, after: int = -1) -> None:
        self.name, self.window, self.after, self.target = name, stepping.window, after, target
        self.video = Video(name, stepping.every, stepping.fps)
        self.reading = Reading(self.video, with_sound=target is not None)
        self.writer = None if target is None else VideoWriter(target, self.reading, from_middle=after >= 0)
        self.changed, self.turn, self.num_given = Condition(), 0, 0
        self.ended, self.is_open = False, True

    @property
    def is_drawn(self) -> bool:
        return self.writer is not None or self.window is not None

    def frames(self) -> Generator[tuple[Frame, int, list[Packet]], None, None]:
        """Each frame, its turn, and the sound since the frame before.

        The annotated video is closed when all frames are in it: here, or by the last one that is handed over.
        """
        try:
            for frame in self.reading:
                if frame.number > self.after:
                    sound, self.reading.packets = self.reading.packets, []
                    self.num_given += 1
                    yield frame, self.num_given - 1, sound
        finally:
            with self.changed:
                self.ended = True
                last = self.turn == self.num_given
            if last:
                self.finish()

    def hand_over(self, turn: int, image: Image.Image, pts: int, sound: list[Packet]) -> MobilenetError | None:
        """Waits for the frames before, and writes and shows this one. Must be called once for every frame, also for one that
        failed.
        If writing fails, the error is returned, and no more is written."""
        with self.changed:
            while self.turn < turn:
                self.changed.wait()
        error = last = None
        try:
            if self.window is not None:
                self.window.show(image)
            if self.writer is not None:
                self.writer.write(image, pts, sound)
        except VideoError as caught:
            self.writer, error = None, caught
        finally:
            with self.changed:
                self.turn += 1
                self.changed.notify_all()
                last = self.ended and self.turn == self.num_given
        return (self.finish() if last else None) or error

    def finish(self) -> MobilenetError | None:
        """Closes both videos. What is written can be played. Returns the error if the end cannot be written."""
        writer, self.writer = self.writer, None
        try:
            if writer is not None:
                writer.close(self.reading.packets)
        except VideoError as error:
            return error
        finally:
            self.reading.close()
            self.is_open = False
        return None


def target_name(source: str) -> str:
    """The name of the annotated video of a source."""
    suffix = suffix_of(source)
    if "://" in source or is_camera(source):
        place = source.partition("?")[0].rpartition("@")[2].rpartition("://")[2]  # without the scheme, and without a password
        name = re.sub(r"[^\w.-]+", "-", place.removesuffix(suffix) if is_folder_video(f"x{suffix}") else place).strip("-.")
        return (name or "stream") + ".mp4"
    stem = os.path.splitext(os.path.basename(source))[0]
    return stem + (suffix if suffix in WRITTEN_SUFFIXES else ".mp4")
