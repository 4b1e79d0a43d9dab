"""All that users give as an image, one or many: files, addresses, bytes, arrays, and collections of these."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, TypeGuard, cast

from PIL import Image

from ..errors import short_repr
from ..limits import limits
from .open import ImageError, open_image
from .reduced import decode_reduced, open_reduced

if TYPE_CHECKING:
    from .preprocessing import Decoded
    from .reduced import Size

    class Array(Protocol):
        """What becomes a numpy array: a numpy array, a torch tensor, an array of JAX or TensorFlow."""

        def __array__(self) -> object: ...

    Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | Array
    """One image; a text may also be a URL, a folder or a pattern."""

SCHEMES = ("http://", "https://", "file://")


class Opened(NamedTuple):
    """An opened image (RGB, upright), the path or URL it came from, and what to keep of the source to open it again; of a
    video, the frame's number and time."""

    image: Decoded
    path: str | None
    source: Source | None
    frame: int | None = None
    time: float | None = None


def open_source(source: Source, needed: Callable[[Size], Size] | None = None) -> Opened:
    """Opens one image. What comes from memory is kept as it was given, a download as its bytes, and a file as its path.

    Args:
        needed: from an image's (width, height) to the sides that it must keep at least, if JPEGs may be decoded at a reduced
            scale (see `reduced`).

    Raises:
        ImageError: it is no image, or cannot be read or downloaded; it is past a limit; an array has no usual shape or range.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        if path.lower().startswith(SCHEMES):
            from .address import download, local_file

            if path.lower().startswith("file:"):
                path = local_file(path)
            else:
                content = download(path)
                return Opened(decode_reduced(content, path, needed), path, content)
        return Opened(open_reduced(path, needed), path, None)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return from_bytes(bytes(source), f"{len(source)} bytes", None, needed)
    if isinstance(source, Image.Image):
        return Opened(open_image(source, copy=False), getattr(source, "filename", None) or None, source)
    if is_array(source):
        from .arrays import from_array

        return Opened(open_image(from_array(source), copy=False), None, source)
    if callable(getattr(source, "read", None)):
        return read_file(source, needed)  # type: ignore[arg-type]
    if isinstance(source, Mapping):
        raise ImageError(f"{short_repr(source)}: a mapping, not an image; give one of its values, for example row['image']")
    raise ImageError(f"{short_repr(source)}: not an image; give a path, a URL, bytes, an open file, a Pillow image or an array")


def from_bytes(content: bytes, name: str, path: str | None, needed: Callable[[Size], Size] | None) -> Opened:
    if not content:
        raise ImageError(f"{name}: empty; if it was read before, call seek(0) first")
    return Opened(decode_reduced(content, name, needed), path, content)


def read_file(file: IO[bytes], needed: Callable[[Size], Size] | None) -> Opened:
    """The image in an open file, read from where it stands to its end, or to the limit."""
    name = getattr(file, "name", None)
    path = name if isinstance(name, str) else None
    try:
        content: object = file.read(limits().max_image_bytes + 1)
    except Exception as error:  # of any kind of stream
        raise ImageError(f"{short_repr(file)}: cannot be read ({short_repr(error)}); open it again") from error
    if not isinstance(content, (bytes, bytearray)):
        raise ImageError(f"{path or short_repr(file)}: reads text; open it in binary mode, open(path, 'rb')")
    return from_bytes(bytes(content), path or short_repr(file), path, needed)


def is_array(source: object) -> bool:
    """Whether it is a numpy array, a tensor of torch or the like, and no numpy scalar or Pillow image."""
    return hasattr(source, "shape") and (hasattr(source, "__array__") or hasattr(source, "__dlpack__"))


def is_file_like(source: object) -> TypeGuard[str | os.PathLike[str] | bytes]:
    """Whether it names a file or an address, or is a file's bytes: nobody changes these while they wait to be opened."""
    return isinstance(source, (str, os.PathLike, bytes))


def as_many(source: object) -> Iterable[Source] | None:
    """The images of a source that holds many, or None if it is one image.

    Many are: a folder or a pattern (``photos/*.jpg``), as `find.find_inputs` finds them; an array or tensor of four axes, image
    by image, or a one-dimensional array of paths; any other iterable but a mapping, a file and bytes.

    Raises:
        ImageError: a folder or a pattern without images.
    """
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        if path.lower().startswith(SCHEMES):
            return None
        if os.path.isdir(path) or (any(sign in path for sign in "*?[") and not os.path.exists(path)):
            from .find import find_inputs

            return find_inputs(path)
        return None
    if isinstance(source, (bytes, bytearray, memoryview, Image.Image, Mapping)) or callable(getattr(source, "read", None)):
        return None
    if is_array(source):
        axes, kind = len(getattr(source, "shape", ())), getattr(getattr(source, "dtype", None), "kind", "")
        return cast("Iterable[Source]", source) if axes == 4 or (axes == 1 and kind in "OSU") else None
    return source if isinstance(source, Iterable) else None
