"""An annotated video: frames in, at the times and with the sound of the video they came from."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING

from .open import BT601, BT709, HD_LINES, VideoError, import_av, reason_of

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream
    from PIL import Image

    from .read import Reading

CODECS = ("libx264", "libopenh264", "h264_videotoolbox", "mpeg4")
"""The first of these that PyAV has is used. H.264 plays everywhere; MPEG-4 Part 2 is for builds without it."""
QUALITY = {"libx264": {"crf": "20", "preset": "veryfast", "bf": "0"}}
"""Frames that wait for later ones (bf) would shift the image against the sound in files without edit lists."""
MPEG4_BIT_RATE = 0.2  # bits for each pixel, of codecs without a setting for quality
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
"""Containers that are written; a video of another kind becomes .mp4."""


MOVFLAGS = "+hybrid_fragmented+frag_keyframe+empty_moov"
COPIED = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "libopus", "flac"})
"""Codecs of sound that MP4 and MOV take everywhere; Matroska takes all."""


class VideoWriter:
    """Writes frames to a file. If the process is killed, all but the last second or two can be played.

    Args:
        path: of the file; its suffix is one of `SUFFIXES`.
        from_middle: whether the file's time starts with the first frame written, not with the source's first frame.
        like: the video that the frames come from. Times, rate, shape of pixels, and sound are its own: the sound is copied, or
            encoded as AAC where the container does not take it.
    """

    def __init__(self, path: str, like: Reading, from_middle: bool = False) -> None:
        self.path, self.like, self.from_middle = path, like, from_middle
        self.first = 0  # the time of the first frame that is written, in units of the source
        self.container: OutputContainer | None = None
        self.stream: VideoStream
        self.sound: AudioStream | None = None
        self.copied = True
        self.last: int | None = None

    def write(self, image: Image.Image, pts: int, sound: list[Packet]) -> None:
        """Adds a frame at the time `pts`, and the sound that came until then. Raises VideoError if that fails."""
        av = import_av()
        try:
            if self.container is None:
                self._open(image.size)
                self.first = pts if self.from_middle else int(self.like.start or 0)
            assert self.container is not None
            self._write_sound(sound)
            if self.last is not None and pts <= self.last:
                return  # the source repeats a time
            self.last = pts
            frame = av.VideoFrame.from_image(even(image))
            frame.pts, frame.time_base = pts - self.first, self.like.stream.time_base
            colors = BT709 if self.stream.height > HD_LINES else BT601
            self.container.mux(self.stream.encode(frame.reformat(format="yuv420p", dst_colorspace=colors)))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._error(error) from error

    def close(self, sound: list[Packet]) -> None:
        """Adds the rest of the sound and ends the file. Raises VideoError if that fails."""
        if self.container is None:
            return
        av = import_av()
        container, self.container = self.container, None
        try:
            self.container = container
            self._write_sound(sound)
            container.mux(self.stream.encode(None))
            if self.sound is not None and not self.copied:
                container.mux(self.sound.encode(None))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._error(error) from error
        finally:
            self.container = None
            with suppress(av.error.FFmpegError, OSError, ValueError):
                container.close()

    def _open(self, size: tuple[int, int]) -> None:
        av = import_av()
        # A file that is cut off can be played; one that is ended is a usual one, with its index.
        is_matroska = self.path.endswith(".mkv")
        options = {"avoid_negative_ts": "disabled"} if is_matroska else {"movflags": MOVFLAGS, "use_editlist": "1"}
        options["flush_packets"] = "1"
        self.container = container = av.open(self.path, "w", container_options=options)
        codec = next((name for name in CODECS if name in av.codecs_available), None)
        if codec is None:
            raise VideoError(f"{self.path!r}: this PyAV has no encoder of {', '.join(CODECS)}; pip install 'mobilenet[video]'")
        rate = Fraction(self.like.rate).limit_denominator(60_000)
        self.stream = stream = container.add_stream(codec, rate=rate, options=QUALITY.get(codec, {}))
        width, height = (side + side % 2 for side in size)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base, context.gop_size = self.like.stream.time_base, max(int(2 * rate), 1)
        if codec not in QUALITY:
            context.bit_rate = int(MPEG4_BIT_RATE * width * height * float(rate))
        shape = self.like.stream.sample_aspect_ratio
        if shape:
            turned = (self.like.stream.width > self.like.stream.height) != (size[0] > size[1])
            context.sample_aspect_ratio = 1 / shape if turned else shape
        context.colorspace = context.color_primaries = context.color_trc = BT709 if height > HD_LINES else BT601
        if self.like.sound is not None:
            self.copied = is_matroska or self.like.sound.codec_context.name in COPIED
            if self.copied:
                self.sound = container.add_stream_from_template(self.like.sound)
            else:
                self.sound = container.add_stream("aac", rate=self.like.sound.rate)

    def _write_sound(self, packets: list[Packet]) -> None:
        source, target = self.like.sound, self.sound
        if source is None or target is None:
            return
        assert self.container is not None
        video_base = self.like.stream.time_base or Fraction(0)
        for packet in packets:
            if packet.dts is None or packet.pts is None:
                continue
            shift = 0 if source.time_base is None else round(self.first * video_base / source.time_base)
            if self.from_middle and packet.pts < shift:
                continue
            if self.copied:
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = target
                self.container.mux(packet)
            else:
                for frame in packet.decode():
                    frame.pts = None if frame.pts is None else frame.pts - shift
                    self.container.mux(target.encode(frame))

    def _error(self, error: Exception) -> VideoError:
        return VideoError(f"{self.path!r}: cannot be written ({reason_of(error)}); make room, or choose another folder")


def even(image: Image.Image) -> Image.Image:
    """The image with sides that are even, as video codecs ask for: the last column or row twice."""
    from PIL import Image as images

    width, height = image.size
    if not (width % 2 or height % 2):
        return image
    wider = images.new("RGB", (width + width % 2, height + height % 2))
    for corner in ((width % 2, height % 2), (width % 2, 0), (0, height % 2), (0, 0)):  # the last stands on the others
        wider.paste(image, corner)
    return wider
