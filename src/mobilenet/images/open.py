"""Opens images. An opened image is a Pillow image in mode RGB, upright."""

from __future__ import annotations

import errno
import io
import math
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import IO

from PIL import Image

from ..errors import MobilenetError, short_repr
from ..limits import check_limit, limits

REFUSED_FORMATS = frozenset({
    "BUFR", "GRIB", "HDF5", "MPEG", "WMF",  # Pillow recognizes the first four but cannot decode them, and WMF only on Windows
    "EPS",  # a program that Ghostscript runs
    "IPTC",  # a container of any format, EPS among them
    "BLP", "ICNS",  # containers of images that may be larger than they say
    "FITS",  # may be a gzip file that Pillow unpacks whole
})  # fmt: skip

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""What stands in a HEIC or HEIF file's first bytes. An AVIF file may say ``mif1`` too, and Pillow is asked first."""

DECODER_BYTES = {"WEBP": 20, "AVIF": 16, "HEIF": 20, "JPEG2000": 20, "TIFF": 8}
"""Bytes for each pixel that the decoder of a format takes beside the image itself; the others work line by line."""

UPRIGHT = {  # EXIF orientation -> the operation that undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange width and height."""


class ImageError(MobilenetError):
    """An image cannot be found, read, used or written; one line names the file, the rule and the remedy."""


def open_image(source: str | os.PathLike[str] | Image.Image, copy: bool = True) -> Image.Image:
    """The image as a decoded, upright RGB image. No file stays open and no metadata is kept. `sources.open_source` takes more
    than files and Pillow images.

    An animation yields its first frame, a Pillow image its current frame. EXIF orientation is applied, color profiles are
    not. Transparency is laid over white, the page for which most transparent images are made; dropping alpha, as
    ``convert("RGB")`` does, would show colors that nobody was meant to see. 16-bit gray keeps its high byte, as 16-bit
    color does.

    Args:
        source: a file or a Pillow image.
        copy: if false, the result may share the pixels of a Pillow image; then neither may be changed in place.

    Raises:
        ImageError: there is no file, or it holds no image or a damaged one; it is past a limit (see
            `limits.Limits`); the mode has no fixed range (32-bit integers, floats).
    """
    if isinstance(source, Image.Image):
        name = repr(getattr(source, "filename", "") or f"{source.mode} image {source.width}x{source.height}")
        with as_image_errors(name):
            return _upright_rgb(source, name, copy)
    if not isinstance(source, (str, os.PathLike)):
        raise ImageError(f"{short_repr(source)}: not an image; give a path or a Pillow image, or use open_source")
    path = os.fsdecode(source)
    name = repr(path)
    _check_file(path)
    with as_image_errors(name), open(path, "rb") as file:
        return _upright_rgb(open_header(file, name), name, copy=False)


def decode_image(content: bytes, name: str) -> Image.Image:
    """As `open_image`, of an image file's bytes, for example of a member of an archive; errors call it `name`."""
    with as_image_errors(repr(name)):
        return _upright_rgb(open_header(io.BytesIO(content), repr(name)), repr(name), copy=False)


def open_header(file: IO[bytes], name: str) -> Image.Image:
    """The image in a file before its pixels are decoded. Every image file is opened here.

    Unlike Pillow's `Image.open` it leaves out the formats in `REFUSED_FORMATS`; it refuses what is past the limits, where
    Pillow warns at most; and it maps no file into memory, since a file may change while the image is in use.

    Raises ImageError, or any other exception of a decoder for a damaged header.
    """
    check_limit("max_image_bytes", file.seek(0, 2), f"{name}, bytes", ImageError)
    file.seek(0)
    image = _identify(file, name)
    width, height = image.size
    check_limit("max_image_pixels", width * height, f"{name}, {width}x{height} pixels", ImageError)
    scans = 1
    if image.format in ("JPEG", "MPO") and not _is_one_scan(file):
        from .jpeg import count_scans

        scans = count_scans(file, limits().max_image_scans)
        check_limit("max_image_scans", scans, f"{name}, scans", ImageError)
    needed = width * height * _bytes_per_pixel(image, scans)
    check_limit("max_decoder_bytes", needed, f"{name}, bytes to decode {width}x{height}", ImageError)
    return image


def _is_one_scan(file: IO[bytes]) -> bool:
    """Whether a JPEG file is sequential with all components in its first scan: the decoder visits the pixels once then."""
    file.seek(2)
    kind = components = 0
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] not in (0xFF, 0, 0xD8, 0xD9):
        body = int.from_bytes(head[2:], "big") - 2
        if head[1] == 0xDA:
            return kind in (0xC0, 0xC1) and file.read(1) == bytes([components])
        if 0xC0 <= head[1] <= 0xCF and head[1] not in (0xC4, 0xC8, 0xCC):
            frame = file.read(max(body, 0))
            kind, components = head[1], frame[5] if len(frame) > 5 else 0
        else:
            file.seek(max(body, 0), 1)
    return False


def _check_icon(file: IO[bytes], name: str) -> None:
    """An icon's image may be larger than its table says, and Pillow decodes it at once."""
    from PIL import BmpImagePlugin, IcoImagePlugin, PngImagePlugin

    file.seek(0)
    icon = IcoImagePlugin.IcoFile(file)
    file.seek(icon.entry[icon.getentryindex(icon.entry[0].dim)].offset)
    is_png = file.read(8) == b"\x89PNG\r\n\x1a\n"
    file.seek(-8, 1)
    width, height = (PngImagePlugin.PngImageFile if is_png else BmpImagePlugin.DibImageFile)(file).size
    check_limit("max_image_pixels", width * height, f"{name}, {width}x{height} pixels", ImageError)


def _bytes_per_pixel(image: Image.Image, scans: int) -> int:
    """An upper bound for what decoding, converting to RGB and turning upright take at once."""
    own = 1 if image.mode in ("1", "L", "P") else 4
    coefficients = 2 * len(image.getbands()) if scans > 1 else 0  # of a JPEG in several scans, all are kept
    converted = 0 if image.mode == "RGB" else 4 if image.mode in ("1", "L") else 8  # 8: a layer with alpha, and white below it
    return own + max(DECODER_BYTES.get(str(image.format), 0), coefficients, converted)


def _identify(file: IO[bytes], name: str) -> Image.Image:
    prefix = file.read(16)
    tried = set(REFUSED_FORMATS)
    for register in (_register_jpeg if prefix.startswith(b"\xff\xd8\xff") else Image.preinit, Image.preinit, Image.init):
        register()
        for kind in [kind for kind in Image.ID if kind not in tried]:
            tried.add(kind)
            factory, accept = Image.OPEN[kind]
            try:
                verdict = accept is None or accept(prefix)
                if verdict and not isinstance(verdict, str):  # a str is the reason why this build of Pillow cannot read it
                    if kind == "ICO":
                        _check_icon(file, name)
                    file.seek(0)
                    return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # as in Pillow's own loop: not this format
                continue
    if prefix[4:8] == b"ftyp" and prefix[8:12] in HEIF_BRANDS:
        return _open_heif(file, name)
    raise ImageError(f"{name}: in no image format that is read here, or its header is damaged; save it as PNG or JPEG")


def _register_jpeg() -> None:
    """Makes Pillow know JPEG only. `preinit` adds four common formats and `init` all others, each of which takes longer."""
    from PIL import JpegImagePlugin  # noqa: F401


def _open_heif(file: IO[bytes], name: str) -> Image.Image:
    """Photos of iPhones, which Pillow cannot read by itself."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageError(f"{name}: HEIC needs pillow-heif; pip install 'mobilenet[heic]', or save it as JPEG") from None
    file.seek(0)
    image: Image.Image = HeifImageFile(file, "")
    return image


def _check_file(path: str) -> None:
    if not os.path.exists(path):
        raise ImageError(missing(path, "no such file"))
    if os.path.isdir(path):
        raise ImageError(f"{path!r}: a folder, not an image; name a file in it")
    if not os.path.isfile(path):  # reading a pipe would block, and decoders seek
        raise ImageError(f"{path!r}: not a regular file; save the image to one first")
    if os.path.getsize(path) == 0:
        raise ImageError(f"{path!r}: the file is empty; get it again")


@contextmanager
def as_image_errors(name: str) -> Iterator[None]:
    """Turns every exception inside into an ImageError: decoders raise almost any type on hostile bytes."""
    try:
        yield
    except ImageError:
        raise
    except PermissionError as error:
        raise ImageError(f"{name}: no permission to read it; change its mode or its owner") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(f"{name}: damaged, truncated or unsupported ({reason}); get it again or save it as PNG") from error


def _upright_rgb(image: Image.Image, name: str, copy: bool) -> Image.Image:
    """`image` as upright RGB; without `copy` the result may share its pixels."""
    if 0 in image.size:
        raise ImageError(f"{name}: {image.width}x{image.height} has no pixels; give an image of at least 1x1")
    _load(image)
    orientation = orientation_of(image)  # after loading: TIFF applies its own there, and PNG's may follow the pixels
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = _high_byte(image)  # Pillow's own conversion clips at 255
    if image.mode in ("I", "F"):
        raise ImageError(f"{name}: mode {image.mode} has no fixed range of values; scale it to 8 bits first")
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(layer, mask=layer)
    elif image.mode != "RGB":
        rgb = image.convert("RGB")
    else:
        rgb = image._new(image.im.copy() if copy else image.im)  # a plain image, without the file's class and metadata
    if orientation in UPRIGHT:
        rgb = rgb.transpose(UPRIGHT[orientation])
    rgb.info = {}  # an orientation left here would be applied again
    return rgb


def _load(image: Image.Image) -> None:
    if image.width * image.height <= (Image.MAX_IMAGE_PIXELS or math.inf):
        image.load()
        return
    with warnings.catch_warnings():  # not thread-safe, so only for sizes at which decoders warn of a bomb; its size was checked
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image.load()


def orientation_of(image: Image.Image | Image.Exif) -> int:
    """The EXIF orientation; 1, upright, if there is none that can be read."""
    with suppress(Exception):  # broken metadata does not spoil good pixels
        return int((image if isinstance(image, Image.Exif) else image.getexif()).get(0x0112, 1))
    return 1


def _high_byte(image: Image.Image) -> Image.Image:
    import numpy as np

    pixels = np.asarray(image)
    gray = Image.fromarray((pixels >> 8).astype(np.uint8))
    key = image.info.get("transparency")
    if key is not None:
        gray.putalpha(Image.fromarray(np.where(pixels == key, 0, 255).astype(np.uint8)))
    return gray


def check_rgb(image: Image.Image) -> None:
    """Raises ImageError if `image` is not an RGB image of at least 1x1."""
    if not isinstance(image, Image.Image) or image.mode != "RGB" or 0 in image.size:
        raise ImageError(f"{short_repr(image)}: must be an RGB image of at least 1x1; open it with open_image")


def missing(path: str, reason: str) -> str:
    """Why there is no file of that path, and what to do."""
    if os.path.islink(path):
        what = "leads back to it" if leads_back(path) else "is not there"
        return f"{path!r}: a link to {os.readlink(path)!r}, which {what}; remove the link, or mend it"
    return f"{path!r}: {reason}; {nearest_path(path)}"


def leads_back(link: str) -> bool:
    """Whether following a link comes back to it."""
    try:
        os.stat(link)
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def nearest_path(path: str) -> str:
    """The remedy for a path that does not exist: the existing name nearest to the first part of the path that is missing."""
    from difflib import get_close_matches
    from pathlib import Path

    missing = Path(path)
    while not os.path.isdir(missing.parent) and missing != missing.parent:
        missing = missing.parent
    names: dict[str, str] = {}
    with suppress(OSError, ValueError):
        names = names_in(str(missing.parent), os.stat(missing.parent).st_mtime_ns)
    folded = missing.name.casefold()
    match = next((name for name in get_close_matches(folded, names, n=2) if names[name] != missing.name), None)
    return f"did you mean {str(missing.parent / names[match])!r}?" if match else "check the path"


@lru_cache(4)
def names_in(folder: str, changed: int) -> dict[str, str]:
    """Lower-case name -> real name of each file in a folder. It is remembered until the folder changes (`changed`, the time of
    its last change), so that a long list of missing files reads each folder once."""
    return {name.casefold(): name for name in sorted(os.listdir(folder))}
