"""The frames of a video, a camera or a stream, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError, short_repr
from ..images.find import is_camera
from .open import VideoError, as_image, import_av, open_video, reason_of

if TYPE_CHECKING:
    from fractions import Fraction

    from av import Packet, VideoFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from PIL import Image

RATE = 25  # frames per second, of a source that does not say


class Frame(NamedTuple):
    """One frame.

    Attributes:
        image: RGB, upright.
        number: in the video, from 0; skipped and dropped frames count.
        time: seconds since the video's beginning.
        pts: the same in units of the stream's time base, as the video stores it.
    """

    image: Image.Image
    number: int
    time: float
    pts: int


class Video:
    """A video file, a camera or a stream as an iterable of `Frame`. Memory holds one frame, whatever its length.

    Args:
        source: a path; an address (rtsp, rtmp, srt, udp, tcp, http); ``camera:0`` or ``/dev/video0``; ``unix://`` and a socket.
        every: take every n-th frame.
        fps: take at most so many frames of a second, by their times.
        live: whether frames that come while another one is processed are dropped, and counted. By default true for cameras and
            for streams without an end, and false for files: no frame of a file is ever dropped.

    Attributes:
        num_frames: how many frames have come.
        num_dropped: how many of them were dropped, because the next had come already.

    Raises:
        UsageError: `every` or `fps` is out of range, or both are given.
    """

    def __init__(self, source: str, every: int = 1, fps: float | None = None, live: bool | None = None) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError(f"every {short_repr(every)}: must be an integer of at least 1; 5 takes every fifth frame")
        if fps is not None and not 0 < fps < float("inf"):
            raise UsageError(f"fps {short_repr(fps)}: must be above 0, for example 2 for two frames of a second")
        if fps is not None and every != 1:
            raise UsageError(f"every {every} with fps {fps:g}: both choose frames; give one of them")
        self.source, self.every, self.fps, self.live = source, every, fps, live
        self.num_frames = self.num_dropped = 0

    def __iter__(self) -> Iterator[Frame]:
        """The chosen frames.

        Raises:
            VideoError: the video cannot be opened; after the frames before it, if it is damaged on the way.
            UsageError: PyAV is not installed.
        """
        with closing(Reading(self)) as reading:
            yield from reading


class Reading:
    """One pass over a `Video`.

    Attributes:
        stream: what is decoded.
        sound: the stream of sound that goes along, if the video is a file with one.
        packets: those of the sound that came since the list was last emptied; only if they are asked for.
        stopped: another thread sets it to end the wait for frames of a camera or a stream.
    """

    def __init__(self, video: Video, with_sound: bool = False) -> None:
        self.video = video
        self.container: InputContainer
        self.container, self.stream = open_video(video.source)
        endless = self.container.duration is None and "://" in video.source
        self.live = (is_camera(video.source) or endless) if video.live is None else video.live
        self.sound: AudioStream | None = None
        if with_sound and not self.live:
            self.sound = next(iter(self.container.streams.audio), None)
        self.packets: list[Packet] = []
        self.num_damaged, self.stopped = 0, False
        self.start: int | None = None  # the time of the first frame, in units of the stream
        self._next_time = 0.0

    @property
    def rate(self) -> Fraction | int:
        """Frames per second: what the video says, or a guess."""
        return self.stream.average_rate or self.stream.guessed_rate or RATE

    def __iter__(self) -> Iterator[Frame]:
        if self.live:
            from .live import newest

            frames = newest(self._decoded, self)
        else:
            frames = enumerate(self._counted())
        for index, frame in frames:
            chosen = self._chosen(index, frame)
            if chosen is not None:
                yield chosen
        self._check_end()

    def close(self) -> None:
        self.container.close()

    def _counted(self) -> Iterator[VideoFrame]:
        for frame in self._decoded():
            self.video.num_frames += 1
            yield frame

    def _decoded(self) -> Iterator[VideoFrame]:
        """All frames. A packet that cannot be decoded is counted and passed over."""
        av = import_av()
        stream: VideoStream = self.stream
        try:
            for packet in self.container.demux([each for each in (stream, self.sound) if each is not None]):
                if packet.stream is self.sound:
                    if packet.size:
                        self.packets.append(packet)
                    continue
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    self.num_damaged += 1
                    continue
                for frame in frames:
                    self.num_damaged += frame.is_corrupt
                    yield frame
        except av.error.FFmpegError as error:
            if self.live and isinstance(error, (av.error.EOFError, av.error.ExitError, TimeoutError)):
                return
            number = self.video.num_frames
            raise VideoError(f"{self.video.source!r}: cannot be read on after {number} frames ({reason_of(error)})") from error

    def _chosen(self, index: int, frame: VideoFrame) -> Frame | None:
        base = frame.time_base or self.stream.time_base
        pts = frame.pts
        if pts is None or base is None:
            base, pts = 1 / self.rate, index
        if self.start is None:
            self.start = min(pts, self.stream.start_time if self.stream.start_time is not None else pts)
        time = float((pts - self.start) * base)
        if self.video.fps is not None:
            if time + 1e-6 < self._next_time:
                return None
            self._next_time = (int((time + 1e-6) * self.video.fps) + 1) / self.video.fps
        elif index % self.video.every:
            return None
        return Frame(as_image(frame), index, time, pts)

    def _check_end(self) -> None:
        """VideoError if packets were damaged, or a file has fewer frames than it says."""
        name, number, told = self.video.source, self.video.num_frames, self.stream.frames
        short = not self.live and number < told
        count = f"{number} of its {told} frames" if short else f"{number} frames"
        if (short or self.num_damaged) and not number:
            raise VideoError(f"{name!r}: damaged: none of its frames can be decoded; get it again")
        if self.num_damaged:
            places = "one place" if self.num_damaged == 1 else f"{self.num_damaged} places"
            raise VideoError(f"{name!r}: damaged in {places}; {count} could be decoded and are answered; get it again")
        if short:
            raise VideoError(f"{name!r}: cut short; {count} are there and are answered; get it again")
