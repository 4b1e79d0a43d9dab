"""Inputs of the command line to image files, one by one: the first is there before the last is listed, and none is kept.

pathlib is imported for folders and patterns only: one photo does not need it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise

from PIL import Image

from .open import REFUSED_FORMATS, ImageError, missing

MAX_SORTED = 10_000
"""Entries of one folder that are sorted. A larger folder comes in sorted runs of that many, so that it is never held whole."""

FOLDER_SUFFIXES = frozenset({
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
    ".webm", ".wmv",
})  # fmt: skip
"""Of videos in a folder."""
VIDEO_SUFFIXES = FOLDER_SUFFIXES | {".m3u8", ".ts"}
"""Of videos that are named. In a folder, .ts is mostly TypeScript, and .m3u8 a list of files."""
STREAM_SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "rtmps://", "rtp://", "udp://", "tcp://", "srt://", "unix://")
CAMERA = "camera:"


class Lost:
    """An input that names no image, and why."""

    def __init__(self, name: str, error: ImageError) -> None:
        self.name, self.error = name, error


class Search:
    """How inputs are found, and what was passed over.

    Attributes:
        recursive: whether a folder stands for the images below it too.
        leave_out: whether a folder, found in another one, is left out.
        videos: whether videos are taken too, if PyAV is installed to read them.
        skipped: how many files of the folders are no images by suffix, for each suffix.
    """

    def __init__(
        self, recursive: bool = True, leave_out: Callable[[str], bool] = lambda folder: False, videos: bool = False
    ) -> None:
        self.recursive, self.leave_out, self.videos = recursive, leave_out, videos
        self.skipped: dict[str, int] = {}

    def found(self, items: Sequence[str], listed: Iterable[str] = ()) -> Iterator[str | Lost]:
        """The paths of the images that files, folders and patterns name, in the order given, each once.

        A file is taken whatever its suffix. A folder stands for the images in it and below, by suffix, sorted, without
        hidden ones; a pattern (``*``, ``?``, ``[]``, ``**`` for any depth) for the files and folders it matches, as in a
        shell, again only those with an image's suffix. `listed` are names of files and folders only, no patterns; a file
        among them is not looked for before it is opened. "-" and addresses stand for themselves.
        """
        once = _each_once if may_repeat(items) or listed else iter
        return once(self._all(items, listed))

    def _all(self, items: Iterable[str], listed: Iterable[str]) -> Iterator[str | Lost]:
        for item in items:
            num_images = 0
            for image in self._expanded(item):
                num_images += 1
                yield image
            if not num_images:
                yield Lost(item, ImageError(f"{item!r}: no image there by suffix; check it, or name the files themselves"))
        for item in listed:
            if os.path.isdir(item):
                yield from self._below(item)
            else:
                yield item

    def _expanded(self, item: str) -> Iterator[str | Lost]:
        if (
            item == "-" or "://" in item or item.startswith(CAMERA) or os.path.isfile(item)
        ):  # before patterns: 'cat[1].jpg' may be a file
            yield item
        elif os.path.isdir(item):
            from pathlib import Path

            yield from self._below(str(Path(item)))  # without "./" and doubled separators
        elif os.path.exists(item):
            yield item  # a device or a pipe, which is refused when it is opened
        elif any(sign in item for sign in "*?["):
            yield from self._matching(item)
        else:
            yield Lost(item, ImageError(missing(item, "no such file or folder")))

    def _below(self, folder: str) -> Iterator[str | Lost]:
        try:
            with os.scandir(folder) as entries:
                while run := sorted(islice(entries, MAX_SORTED), key=lambda entry: entry.name):
                    for entry in run:
                        path = entry.name if folder == os.curdir else os.path.join(folder, entry.name)
                        if entry.name.startswith("."):
                            continue
                        if _is_folder(entry):
                            if self.recursive and not entry.is_symlink() and not self.leave_out(path):
                                yield from self._below(path)
                        elif self._is_wanted(entry.name):
                            yield path
                        else:
                            suffix = os.path.splitext(entry.name)[1].lower()
                            self.skipped[suffix] = self.skipped.get(suffix, 0) + 1
        except OSError as error:
            reason = f"{folder!r}: the folder cannot be read ({error.strerror}); change its mode"
            yield Lost(folder, ImageError(reason))

    def _matching(self, pattern: str) -> Iterator[str | Lost]:
        from glob import iglob
        from pathlib import Path

        matches = iglob(pattern, recursive=True)
        while run := sorted(map(Path, islice(matches, MAX_SORTED))):
            for match in run:
                if self.leave_out(str(match if match.is_dir() else match.parent)):
                    continue
                if match.is_dir():
                    yield from self._below(str(match))
                elif self._is_wanted(match.name):
                    yield str(match)

    def _is_wanted(self, name: str) -> bool:
        """By suffix."""
        if self.videos and is_folder_video(name):
            self.videos = can_read_videos()
            return self.videos
        return is_image(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself; the others of its folder are found
        return False


def find_inputs(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], report: Callable[[ImageError], None] | None = None
) -> list[str]:
    """All images of the inputs, see `Search.found`.

    Args:
        report: is called with the error of each input that names no image, and the other inputs are still found.

    Raises:
        ImageError: an input names no image, and there is no `report`; names the nearest existing name.
    """
    items = [os.fsdecode(item) for item in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]
    images = list[str]()
    for image in Search().found(items):
        if isinstance(image, str):
            images.append(image)
        elif report is None:
            raise image.error
        else:
            report(image.error)
    return images


def may_repeat(items: Sequence[str]) -> bool:
    """Whether two of the inputs, or one pattern by itself, can name the same file."""
    if any("**" in item for item in items):
        return True
    roots = sorted(os.path.join(os.path.abspath(_fixed_part(item)), "") for item in items)
    return any(after.startswith(before) for before, after in pairwise(roots))


def _fixed_part(item: str) -> str:
    """The folder that a pattern starts from; of another input, the input itself."""
    signs = [item.index(sign) for sign in "*?[" if sign in item]
    return item if not signs or os.path.exists(item) else os.path.dirname(item[: min(signs)])


def _each_once(images: Iterator[str | Lost]) -> Iterator[str | Lost]:
    seen = set[str]()
    for image in images:
        if isinstance(image, str):
            path = os.path.abspath(image)
            if path in seen:
                continue
            seen.add(path)
        yield image


def is_image(name: str) -> bool:
    """Whether a file of a folder is an image by its suffix."""
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("."):
        return False
    if suffix in (".heic", ".heif"):  # if they cannot be read, the error says what is missing; nobody's photos are skipped
        return True
    kind = Image.registered_extensions().get(suffix)
    return kind in Image.OPEN and kind not in REFUSED_FORMATS


def is_video(name: str) -> bool:
    """Whether a name means a video file, a camera or a stream."""
    return is_camera(name) or name.lower().startswith(STREAM_SCHEMES) or suffix_of(name) in VIDEO_SUFFIXES


def is_folder_video(name: str) -> bool:
    """Whether a file that was found in a folder is a video, by its suffix."""
    return os.path.splitext(name)[1].lower() in FOLDER_SUFFIXES and not name.startswith(".")


def is_camera(name: str) -> bool:
    return name.startswith((CAMERA, "/dev/video"))


def suffix_of(name: str) -> str:
    """The suffix of a path, or of an address without what follows a question mark."""
    return os.path.splitext(name.partition("?")[0] if "://" in name else name)[1].lower()


def can_read_videos() -> bool:
    """Whether PyAV is installed."""
    from importlib.util import find_spec

    return find_spec("av") is not None
