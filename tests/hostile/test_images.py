"""Small images that take much time or memory to decode: each is refused in one line, from its header.

Every generator writes one file and says in its docstring what the file tries.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from support.hostile import assert_refused
from support.limits import bounded
from support.models import toy

from mobilenet import limits, modelfile
from mobilenet.images.open import ImageError, open_image
from mobilenet.limits import Limits


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG of 8-bit gray or of the bits that its pixels are given in; `pixels` are compressed already."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def webp_of_one_color(path: Path) -> None:
    """40 bytes say 10900 x 16383 pixels: a lossless image of one color needs no data, but 20 bytes of memory for each pixel."""
    bits = 0x2F | (10900 - 1) << 8 | (16383 - 1) << 22
    vp8l = bits.to_bytes(5, "little") + bytes([0x88, 0x88, 8]) + bytes(12)
    path.write_bytes(b"RIFF" + struct.pack("<I", 12 + len(vp8l)) + b"WEBPVP8L" + struct.pack("<I", len(vp8l)) + vp8l)


def gif_of_zeros(path: Path) -> None:
    """100 kB of LZW codes, of which each stands for thousands of equal pixels: 178 million in all."""
    content = io.BytesIO()
    Image.new("P", (1000, 1000)).save(content, "GIF")
    data = bytearray(content.getvalue())
    data[6:10] = struct.pack("<HH", 13300, 13300)
    path.write_bytes(data)


def png_of_zeros(path: Path) -> None:
    """178 million gray pixels of 0, packed a thousand times smaller."""
    path.write_bytes(png(13300, 13300, zlib.compress(bytes(13301) * 1000)))


def tiff_of_zeros(path: Path) -> None:
    """A bilevel TIFF of 178 million pixels in some kilobytes."""
    Image.new("1", (13300, 13300)).save(path, "TIFF", compression="group4")


def png_in_an_icon(path: Path) -> None:
    """An icon whose table says 16 x 16 pixels, and whose image is a PNG of 178 million."""
    image = png(13300, 13300, zlib.compress(bytes(1000)))
    table = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(image), 22)
    path.write_bytes(table + image)


def png_of_one_column(path: Path) -> None:
    """90 bytes, 1 x 2730 pixels: resizing the shorter side to 256 makes 256 x 698,880, of which 224 x 224 are used."""
    path.write_bytes(png(1, 2730, zlib.compress(bytes(2 * 2730))))


def jpeg_of_scans(path: Path, scans: int = 2000, side: int = 8000) -> None:
    """A progressive JPEG repeats its last scan 2,000 times: each visits all 64 million pixels again."""
    content = io.BytesIO()
    Image.new("L", (side, side)).save(content, "JPEG", progressive=True)
    data = content.getvalue()
    start = data.rindex(b"\xff\xda")
    path.write_bytes(data[:start] + data[start:-2] * scans + data[-2:])


def jpeg_of_hidden_scans(path: Path) -> None:
    """The same, behind a comment that holds the mark of the file's end."""
    jpeg_of_scans(path)
    data = path.read_bytes()
    start = data.index(b"\xff\xda")
    path.write_bytes(data[:start] + b"\xff\xfe\x00\x06\xff\xd9\xff\xd9" + data[start:])


def tiff_of_many_samples(path: Path) -> None:
    """A TIFF with 2,048 values for each pixel, of which Pillow logs a line of its own."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "TIFF")
    data = bytearray(content.getvalue())
    (start,) = struct.unpack_from("<L", data, 4)
    for at in range(start + 2, start + 2 + 12 * data[start], 12):
        if data[at : at + 2] == struct.pack("<H", 277):  # samples per pixel
            data[at + 8 : at + 12] = struct.pack("<L", 2048)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "toy.safetensors"
    modelfile.write(toy(), path)
    return path


IMAGES = (
    (webp_of_one_color, "past the limit max_image_pixels"),
    (gif_of_zeros, "past the limit max_image_pixels"),
    (png_of_zeros, "past the limit max_image_pixels"),
    (tiff_of_zeros, "past the limit max_image_pixels"),
    (png_in_an_icon, "past the limit max_image_pixels"),
    (jpeg_of_scans, "past the limit max_image_scans"),
    (jpeg_of_hidden_scans, "past the limit max_image_scans"),
    (tiff_of_many_samples, "in no image format that is read here"),
)


@pytest.mark.parametrize(("generator", "words"), IMAGES)
def test_images(tmp_path, model, generator, words):
    generator(tmp_path / "x")
    assert_refused(words, "predict", tmp_path / "x", "--model", model)


def test_images_sent_to_a_server(tmp_path, model):
    """Each as the body of a request, in one server that answers an ordinary image afterwards."""
    from support.serving import PNG, PREDICT, need_packages, state_of

    need_packages()
    from starlette.testclient import TestClient

    from mobilenet.serving.app import make_app

    with TestClient(make_app(state_of({"toy": str(model)}, max_body_bytes=2**20))) as client:
        for generator, words in IMAGES:
            generator(tmp_path / "x")
            with bounded(3, 64 * 2**20):
                answer = client.post(PREDICT, content=(tmp_path / "x").read_bytes())
            assert answer.status_code in (413, 422), answer.text
            error = answer.json()["error"]
            assert words in error
            assert len(error) < 500
        assert client.post(PREDICT, content=PNG).status_code == 200


def test_a_long_image(tmp_path):
    """The classifiers' usual preprocessing: the shorter side to 256, the center of 224 x 224."""
    from mobilenet.images.preprocessing import IMAGENET_TORCHVISION

    png_of_one_column(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size < 100
    with pytest.raises(ImageError, match="past the limit max_resized_pixels"):
        IMAGENET_TORCHVISION(open_image(tmp_path / "x.png"))


@pytest.mark.parametrize("kind", ["IPTC", "ICNS", "BLP", "FITS"])
def test_containers_of_other_formats_are_not_read(kind):
    """IPTC's plugin opens any format inside, EPS among them, which Ghostscript runs; the others hide sizes."""
    from mobilenet.images.open import REFUSED_FORMATS

    assert kind in REFUSED_FORMATS


def test_ordinary_progressive_photos_pass(tmp_path):
    noise = Image.effect_noise((300, 200), 50).convert("RGB")
    noise.save(tmp_path / "p.jpg", progressive=True)
    assert open_image(tmp_path / "p.jpg").size == (300, 200)


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("PNG", {}, "max_image_pixels"),
        ("PNG", {}, "max_image_bytes"),
        ("WEBP", {}, "max_decoder_bytes"),
        ("JPEG", {"progressive": True}, "max_image_scans"),
    ],
)
def test_a_lowered_limit_refuses_an_ordinary_image(tmp_path, monkeypatch, kind, options, name):
    Image.effect_noise((50, 40), 50).convert("RGB").save(tmp_path / "x", kind, **options)
    open_image(tmp_path / "x")
    monkeypatch.setattr(limits, "_in_force", [Limits(**{name: 5})])
    with pytest.raises(ImageError, match=f"past the limit {name} of 5; .*set_limits"):
        open_image(tmp_path / "x")
