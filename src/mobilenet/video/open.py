"""Opens a video file, a camera or a stream with PyAV, within the limits, and turns its frames into images."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..errors import UsageError
from ..images.find import CAMERA, STREAM_SCHEMES, is_camera
from ..images.open import UPRIGHT, ImageError, nearest_path
from ..limits import check_limit, limits

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

FILE_FORMATS = ",".join([
    "3g2", "3gp", "asf", "av1", "avi", "dv", "flv", "gif", "h264", "hevc", "ivf", "m4a", "m4v", "matroska", "mj2", "mjpeg",
    "mov", "mp4", "mpeg", "mpegts", "mpegvideo", "mpjpeg", "mxf", "ogg", "webm",
])  # fmt: skip
"""The formats that are opened, whatever the suffix. Playlists and scripts are left out: they name other files and addresses."""
DECODER_BYTES = 16
"""Bytes of memory for each pixel of a frame: the image, and the frames from which a decoder predicts others."""
STALL_SECONDS = 15.0
"""A stream has ended if nothing comes for so long."""
UNSPECIFIED, BT709, BT601 = 2, 1, 5  # as in ISO/IEC 23091-2
HD_LINES = 576  # larger videos that do not say which use BT.709's colors, smaller ones BT.601's


class VideoError(ImageError):
    """A video cannot be opened, read or written; one line names it, the reason and the remedy."""


def import_av() -> Any:
    """PyAV. Raises UsageError with the extra that brings it."""
    try:
        import av
    except ImportError as error:
        raise UsageError(f"videos need PyAV ({error}); pip install 'mobilenet[video]'") from error
    return av


def open_video(name: str) -> tuple[InputContainer, VideoStream]:
    """An open container and its first video stream, whose frames are within the limits.

    Raises:
        VideoError: there is no such file, it cannot be read, has no video, or is past a limit.
        UsageError: PyAV is not installed.
    """
    av = import_av()
    try:
        container = _open(name)
    except av.error.FFmpegError as error:
        raise VideoError(f"{name!r}: {_fault(name, reason_of(error))}") from error
    try:
        stream = next((each for each in container.streams.video if "attached_pic" not in str(each.disposition)), None)
        if stream is None:
            raise VideoError(f"{name!r}: no video in it; name a file with one")
        context = stream.codec_context
        if context is None:
            raise VideoError(f"{name!r}: no decoder for its codec here; convert it to H.264")
        pixels = context.width * context.height
        check_limit("max_image_pixels", pixels, f"{name!r}, {context.width}x{context.height} pixels", VideoError)
        check_limit("max_decoder_bytes", DECODER_BYTES * pixels, f"{name!r}, bytes to decode", VideoError)
        context.options = {"max_pixels": str(limits().max_image_pixels)}  # the size may change on the way
        stream.thread_type = "AUTO"
    except BaseException:
        container.close()
        raise
    return container, stream


def _open(name: str) -> InputContainer:
    """Opens a plain file such that it cannot name other files or addresses."""
    av = import_av()
    if is_camera(name):
        number = name.removeprefix(CAMERA)
        if sys.platform.startswith("linux"):
            return av.open(f"/dev/video{number}" if number.isdecimal() else number, format="v4l2")
        kind = "avfoundation" if sys.platform == "darwin" else "dshow"
        return av.open(number if kind == "avfoundation" else f"video={number}", format=kind)
    if name.lower().startswith((*STREAM_SCHEMES, "http://", "https://")):
        options = {"rtsp_transport": "tcp"} if name.lower().startswith("rtsp") else {}
        return av.open(name, timeout=(STALL_SECONDS, STALL_SECONDS), container_options=options)
    if os.path.isdir(name) or not os.path.exists(name):
        found = "a folder, not a video; name a file in it" if os.path.isdir(name) else f"no such file; {nearest_path(name)}"
        raise VideoError(f"{name!r}: {found}")
    # "file:" before it: a name with a colon is no protocol
    return av.open(f"file:{name}", container_options={"format_whitelist": FILE_FORMATS, "protocol_whitelist": "file"})


def _fault(name: str, reason: str) -> str:
    """Why a source cannot be opened, and what helps."""
    if is_camera(name):
        return f"{reason}; check that it is plugged in, and that no other program has it"
    if "://" in name:
        return f"{reason}; check the address"
    with suppress(OSError), open(name, "rb") as file:
        start = file.read(8)
        if not start:
            return "empty; get it again"
        if start[4:] == b"ftyp":  # MP4's first box: the index is behind the frames, and comes last
            return f"cut short, never finished or damaged: its index cannot be read ({reason}); get it again"
    return f"no video that is known here, or damaged ({reason}); get it again, or convert it to MP4"


def reason_of(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200]


def as_image(frame: VideoFrame) -> Image.Image:
    """A frame as an upright RGB image; transparency is laid over white, as that of images."""
    source = int(frame.colorspace)
    if source == UNSPECIFIED:
        source = BT709 if frame.height > HD_LINES else BT601
    alpha = any(component.is_alpha for component in frame.format.components)
    pixels = frame.reformat(format="rgba" if alpha else "rgb24", src_colorspace=source).to_ndarray()
    image = Image.fromarray(pixels)
    if alpha:
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image)
        image = page
    turn = {90: 8, 180: 3, -180: 3, -90: 6, 270: 6}.get(round(frame.rotation / 90) * 90)  # counterclockwise -> EXIF
    return image if turn is None else image.transpose(UPRIGHT[turn])
