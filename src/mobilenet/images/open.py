"""Pictures in and out: find, open, write. A picture is a Pillow image in mode RGB, upright."""

from __future__ import annotations

import os
import reprlib
import struct
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Source = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]

LARGEST_PICTURE = 178_956_970  # pixels, 0.7 GB decoded: where Pillow turns from a warning to an error

NOT_READ = frozenset({"BUFR", "GRIB", "HDF5", "MPEG", "WMF", "EPS"})
"""Pillow names the first four but cannot decode them, WMF only on Windows, and an EPS is a program for Ghostscript to run."""

UPRIGHT = {  # EXIF orientation -> what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """A picture cannot be found, read, used or written; one line names the file, the rule and the remedy."""


def open_image(source: Source) -> Image.Image:
    """The picture as an RGB image of its own, fully decoded and upright; no file stays open, no metadata is kept.

    `source` is a file, a Pillow image, or a uint8 array H x W (grey), H x W x 3 (RGB) or H x W x 4 (RGB and alpha).
    Of an animation it is the first frame, of a Pillow image the current one. EXIF orientation is applied, colour profiles
    are not. Transparency is laid over white, the page such pictures are mostly made for; dropping alpha, as
    ``convert("RGB")`` does, shows colours nobody was meant to see. Opaque pictures are the same either way. 16-bit grey
    keeps its high byte, as 16-bit colour does.

    Raises ImageError for anything else: no file, no picture, a damaged one, one past `LARGEST_PICTURE` pixels, a mode
    without a fixed range (32-bit integers, floats), an array of another shape or type.
    """
    if sys.modules.get("numpy"):  # else nobody can have made an array
        import numpy as np

        if isinstance(source, np.ndarray):
            source = _from_array(source)
    if isinstance(source, Image.Image):
        name = repr(getattr(source, "filename", "") or f"{source.mode} image {source.width}x{source.height}")
        with _refusing(name):
            return _upright_rgb(source, name)
    if not isinstance(source, (str, os.PathLike)):
        raise ImageError(f"{reprlib.repr(source)}: not a picture; give a path, a Pillow image or a uint8 array")
    path = os.fsdecode(source)
    name = repr(path)
    _check_file(path)
    with _refusing(name), open(path, "rb") as file:
        image = _read_header(file, name)
        if image.width * image.height > LARGEST_PICTURE:
            raise ImageError(
                f"{name}: {image.width}x{image.height} is past the limit of {LARGEST_PICTURE:,} pixels; scale it down first"
            )
        return _upright_rgb(image, name)


def _from_array(pixels: NDArray[np.uint8]) -> Image.Image:
    if pixels.dtype != "uint8" or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,), (4,)) or not pixels.size:
        raise ImageError(
            f"array of shape {pixels.shape} and type {pixels.dtype}: must be uint8, H x W, H x W x 3 or H x W x 4, "
            "and not empty; transpose or scale it first"
        )
    return Image.fromarray(pixels)


def _check_file(path: str) -> None:
    if not os.path.exists(path):
        raise ImageError(f"{path!r}: no such file; {_nearest(path)}")
    if os.path.isdir(path):
        raise ImageError(f"{path!r}: a folder, not a picture; name a file in it")
    if not os.path.isfile(path):  # a pipe would be waited for, and a decoder must seek
        raise ImageError(f"{path!r}: not a regular file; save the picture to one first")
    if os.path.getsize(path) == 0:
        raise ImageError(f"{path!r}: the file is empty; get it again")


def _read_header(file: IO[bytes], name: str) -> Image.Image:
    """Pillow's `Image.open` less three things: its warning of bombs (our limit is higher than where it starts), its
    memory maps (the file may change under the picture), and the formats in `NOT_READ`."""
    prefix = file.read(16)
    tried = set(NOT_READ)
    for register in (_jpeg if prefix.startswith(b"\xff\xd8\xff") else Image.preinit, Image.preinit, Image.init):
        register()
        for kind in [kind for kind in Image.ID if kind not in tried]:
            tried.add(kind)
            factory, accept = Image.OPEN[kind]
            try:
                verdict = accept is None or accept(prefix)
                if verdict and not isinstance(verdict, str):  # a str says why this build of Pillow cannot
                    file.seek(0)
                    return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # what Pillow's own loop takes for "not mine"
                continue
    raise ImageError(f"{name}: in no picture format that is read here, or its header is damaged; save it as PNG or JPEG")


def _jpeg() -> None:
    """Makes Pillow know JPEG; `preinit` adds four common formats, `init` all others, which takes longer each time."""
    from PIL import JpegImagePlugin  # noqa: F401


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes an ImageError: decoders answer hostile bytes with almost any exception."""
    try:
        yield
    except ImageError:
        raise
    except PermissionError as error:
        raise ImageError(f"{name}: no permission to read it; change its mode or its owner") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(f"{name}: damaged, truncated or unsupported ({reason}); get it again or save it as PNG") from error


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    if 0 in image.size:
        raise ImageError(f"{name}: {image.width}x{image.height} has no pixels; give a picture of at least 1x1")
    _load(image)
    orientation = _orientation(image)  # after loading: TIFF applies its own there, PNG's may stand behind the pixels
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = _high_byte(image)  # Pillow's own conversion clips at 255
    if image.mode in ("I", "F"):
        raise ImageError(f"{name}: mode {image.mode} has no fixed range of values; scale it to 8 bits first")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(layer, mask=layer)
    else:
        rgb = image.convert("RGB")  # a copy where the mode is RGB already
    if orientation in UPRIGHT:
        rgb = rgb.transpose(UPRIGHT[orientation])
    rgb.info = {}  # an orientation left here would be applied again
    return rgb


def _load(image: Image.Image) -> None:
    if image.width * image.height * 2 <= LARGEST_PICTURE:
        image.load()
        return
    with warnings.catch_warnings():  # not thread-safe, so only where some decoders warn of a bomb already measured
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image.load()


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # broken metadata does not spoil good pixels
        return int(image.getexif().get(0x0112, 1))
    return 1


def _high_byte(image: Image.Image) -> Image.Image:
    import numpy as np

    pixels = np.asarray(image)
    grey = Image.fromarray((pixels >> 8).astype(np.uint8))
    key = image.info.get("transparency")
    if key is not None:
        grey.putalpha(Image.fromarray(np.where(pixels == key, 0, 255).astype(np.uint8)))
    return grey


def check_rgb(image: Image.Image) -> None:
    if not isinstance(image, Image.Image) or image.mode != "RGB" or 0 in image.size:
        raise ImageError(f"{reprlib.repr(image)}: must be an RGB picture of at least 1x1; bring it through open_image")


def _nearest(path: str) -> str:
    """What to try instead of a path that does not exist: the nearest name where the path first goes wrong."""
    from pathlib import Path

    missing = Path(path)
    while not os.path.isdir(missing.parent) and missing != missing.parent:
        missing = missing.parent
    names: dict[str, str] = {}
    with suppress(OSError, ValueError):
        names = {name.casefold(): name for name in sorted(os.listdir(missing.parent)) if name != missing.name}
    from difflib import get_close_matches

    match = get_close_matches(missing.name.casefold(), names, n=1)
    return f"did you mean {str(missing.parent / names[match[0]])!r}?" if match else "check the path"


def write_image(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write a picture or a mask in the format of the suffix, PNG where there is none or it is unknown, JPEG at quality 92.

    The file appears whole or not at all: it is written beside `path` and then renamed. ImageError where it cannot be.
    """
    from pathlib import Path
    from secrets import token_hex

    target = Path(path)
    kind = Image.registered_extensions().get(target.suffix.lower(), "PNG")
    kind = kind if kind in Image.SAVE else "PNG"
    part = target.parent / f".{token_hex(8)}.part"
    try:
        with open(part, "xb") as file:
            image.save(file, kind, **({"quality": 92} if kind == "JPEG" else {}))
        os.replace(part, target)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ImageError(f"{str(target)!r}: no {kind} written ({reason}); choose another folder or suffix") from error
    finally:
        with suppress(OSError, ValueError):
            part.unlink()


def read_mask(path: Path) -> NDArray[np.uint8]:
    """(H, W) class indices from a PNG with a palette, or of grey values. ImageError for anything else."""
    import numpy as np

    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L"):
                raise ImageError(f"{str(path)!r}: mode {image.mode} is no mask; save class indices with a palette or as grey")
            return np.array(image)
    except ImageError:
        raise
    except Exception as error:  # decoders answer damaged bytes with almost any exception
        raise ImageError(f"{str(path)!r}: no mask can be read from it ({error}); get it again") from error
