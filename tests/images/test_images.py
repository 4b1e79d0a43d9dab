"""Images: every mode and many damaged files in, files found and written."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.images import noise, photo

from mobilenet import limits
from mobilenet.images import open as images
from mobilenet.images.find import find_inputs
from mobilenet.images.open import ImageError, decode_image, open_image
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.images.write import write_image
from mobilenet.limits import Limits


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width, height, depth, color, data, key=b""):
    """A PNG by hand: what the header claims, unfiltered rows, a color key."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)) + (key and chunk(b"tRNS", key))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def pixels(source):
    opened = open_image(source)
    assert opened.mode == "RGB"
    assert type(opened) is Image.Image
    assert not opened.info
    return np.asarray(opened)


def refusal(source):
    with pytest.raises(ImageError) as caught:
        open_image(source)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert "; " in message, message  # what is wrong; what to do
    return message


# What an image may be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBX", "L", "P", "1", "CMYK", "YCbCr", "HSV", "RGBA", "LA", "PA", "RGBa"])
def test_opaque_modes_are_pillows_own_conversion(mode):
    steps = {"PA": ["P", "PA"], "RGBa": ["RGBA", "RGBa"]}.get(mode, [mode])
    image = photo()
    for step in steps:
        image = image.convert(step)
    expected = image.convert("RGBA").convert("RGB") if mode == "RGBa" else image.convert("RGB")
    np.testing.assert_array_equal(pixels(image), np.asarray(expected))


def test_one_bit_is_black_and_white():
    np.testing.assert_array_equal(pixels(Image.fromarray(np.array([[True, False]])))[0], [[255] * 3, [0] * 3])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_over_white(mode):
    image = Image.fromarray(noise(40, 30, 4)).convert(mode)
    rgba = np.asarray(image.convert("RGBA")).astype(float)
    color, alpha = rgba[..., :3], rgba[..., 3:] / 255
    assert np.abs(pixels(image) - (color * alpha + 255 * (1 - alpha))).max() <= 1
    assert (pixels(Image.new("RGBA", (2, 2), (9, 9, 9, 0))) == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_transparent_palette_entries_are_white(tmp_path, kind):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 10, 10, 10, 10, 200])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 1
    path = tmp_path / "x"
    path.write_bytes(encoded(image, kind, **({"lossless": True} if kind == "WEBP" else {"transparency": 1})))
    np.testing.assert_array_equal(pixels(path)[0], [[200, 10, 10], [255] * 3])


def test_transparent_color_keys_are_white(tmp_path):
    for file, first in (
        (png(2, 1, 8, 2, bytes([0, 1, 2, 3, 4, 5, 6]), key=bytes([0, 4, 0, 5, 0, 6])), [1, 2, 3]),
        (png(2, 1, 8, 0, bytes([0, 2, 5]), key=bytes([0, 5])), [2, 2, 2]),
        (png(2, 1, 16, 0, bytes([0, 1, 2, 1, 3]), key=bytes([1, 3])), [1, 1, 1]),
    ):
        (tmp_path / "key.png").write_bytes(file)
        np.testing.assert_array_equal(pixels(tmp_path / "key.png")[0], [first, [255] * 3])


def test_16_bit_gray_keeps_its_high_byte(tmp_path):
    values = np.arange(0, 65536, 97, np.uint16).reshape(26, 26)
    expected = np.repeat((values // 256).astype(np.uint8)[..., None], 3, axis=2)
    big_endian = values.astype(">u2")
    (tmp_path / "x.png").write_bytes(png(26, 26, 16, 0, b"".join(b"\0" + row.tobytes() for row in big_endian)))
    (tmp_path / "x.pgm").write_bytes(b"P5 26 26 65535\n" + big_endian.tobytes())
    Image.fromarray(values).save(tmp_path / "x.tif")
    for name in ("x.png", "x.pgm", "x.tif"):
        np.testing.assert_array_equal(pixels(tmp_path / name), expected, err_msg=name)
    np.testing.assert_array_equal(pixels(Image.frombytes("I;16B", values.shape, big_endian.tobytes())), expected)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_modes_without_a_range_are_refused(mode, tmp_path):
    Image.new(mode, (3, 2), 7).save(tmp_path / "x.tif")
    assert f"mode {mode}" in refusal(tmp_path / "x.tif")
    assert "8 bits" in refusal(Image.new(mode, (3, 2)))


def test_a_mode_pillow_cannot_convert_is_refused():
    assert "La" in refusal(photo().convert("LA").convert("La"))


def test_adobe_cmyk_is_not_inverted(tmp_path):
    cmyk = np.uint8([[[0, 255, 255, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]]]).repeat(16, 0).repeat(16, 1)
    Image.frombytes("CMYK", (64, 16), cmyk.tobytes()).save(tmp_path / "x.jpg", quality=100)
    assert b"Adobe" in (tmp_path / "x.jpg").read_bytes()[:64]
    centers = pixels(tmp_path / "x.jpg")[8, 8::16].astype(int)
    assert np.abs(centers - [[255, 0, 0], [0, 255, 255], [0, 0, 0], [255, 255, 255]]).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame(tmp_path, kind):
    frames = [Image.new("RGB", (9, 7), color) for color in ("red", "lime", "blue")]
    (tmp_path / "x").write_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    with Image.open(tmp_path / "x") as reference:
        assert reference.n_frames == 3
    assert np.abs(pixels(tmp_path / "x").astype(int) - [255, 0, 0]).max() <= 2  # WebP is lossy


TURNED = {  # EXIF 2.3, tag 0x0112: where row 0 and column 0 of the stored pixels stand on the upright image
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = photo(24, 16)
    plain, path = tmp_path / "plain", tmp_path / "turned"
    options = {"lossless": True} if kind == "WEBP" else {}
    plain.write_bytes(encoded(stored, kind, **options))
    path.write_bytes(encoded(stored, kind, exif=exif, **options))
    expected = TURNED[orientation](pixels(plain))
    np.testing.assert_array_equal(pixels(path), expected)
    np.testing.assert_array_equal(pixels(open_image(path)), expected)
    with Image.open(path) as lazy:
        np.testing.assert_array_equal(pixels(lazy), expected)


def test_broken_exif_does_not_spoil_the_pixels(tmp_path):
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x01x"):
        (tmp_path / "x.png").write_bytes(encoded(photo(), "PNG", exif=exif))
        np.testing.assert_array_equal(pixels(tmp_path / "x.png"), np.asarray(photo()))


def test_a_pillow_image_stays_its_owners(tmp_path):
    image = photo()
    before = image.tobytes()
    open_image(image).putpixel((0, 0), (1, 2, 3))
    assert image.tobytes() == before
    assert "no pixels" in refusal(Image.new("RGB", (0, 4)))


@pytest.mark.parametrize("source", [None, 3, b"x.png", ["x.png"], object()])
def test_things_that_are_no_image(source):
    assert "not an image" in refusal(source)


def test_pixels_are_copied_only_if_asked_for():
    image = photo()
    shared = open_image(image, copy=False)
    image.putpixel((0, 0), (1, 2, 3))
    assert shared.getpixel((0, 0)) == (1, 2, 3)
    image.info["icc_profile"] = b"kept"
    assert not open_image(image, copy=False).info
    assert image.info == {"icc_profile": b"kept"}


def test_bytes_open_as_files_do(tmp_path):
    for kind in ("PNG", "JPEG", "GIF", "TIFF"):
        content = encoded(photo(), kind)
        (tmp_path / "x").write_bytes(content)
        np.testing.assert_array_equal(np.asarray(decode_image(content, "a.tar/x")), pixels(tmp_path / "x"))
    for content, reason in (
        (b"", "no image format"),
        (b"text", "no image format"),
        (encoded(photo(), "EPS"), "no image format"),  # else Ghostscript would run it
        (encoded(photo(), "PNG")[:100], "damaged"),
        (png(60000, 60000, 1, 0, b""), "60000x60000"),
    ):
        with pytest.raises(ImageError, match=f"'a.tar/x'.*{reason}"):
            decode_image(content, "a.tar/x")


# Files that must not open --------------------------------------------------------------------------------------------


def test_missing_files_name_the_nearest(tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "Beach.jpg").write_bytes(b"")
    assert repr(str(tmp_path / "holiday" / "Beach.jpg")) in refusal(tmp_path / "holiday" / "baech.jpg")
    assert repr(str(tmp_path / "holiday")) in refusal(tmp_path / "holidy" / "beach.jpg")
    assert "no such file" in refusal(tmp_path / "zzzzzzzz")
    assert "did you mean" not in refusal(tmp_path / "zzzzzzzz")
    for odd in ("", "a\0b", "x" * 5000, "a\nb", "\udcff"):
        assert "no such file" in refusal(odd)


def test_files_that_hold_no_image(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("<html>404</html>\n" * 9)
    (tmp_path / "program.eps").write_bytes(encoded(photo(), "EPS"))
    assert "empty" in refusal(tmp_path / "empty.png")
    assert "folder" in refusal(tmp_path)
    assert "no image format" in refusal(tmp_path / "text.jpg")
    assert "no image format" in refusal(tmp_path / "program.eps")  # else Ghostscript would run it
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        assert "not a regular file" in refusal(tmp_path / "pipe.png")


def test_unreadable_files(tmp_path, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.png").write_bytes(encoded(photo(), "PNG"))
    monkeypatch.setattr(images, "open", forbidden, raising=False)
    assert "permission" in refusal(tmp_path / "x.png")


def test_every_file_is_closed(tmp_path, monkeypatch):
    opened, plain_open = [], open

    def recording_open(*arguments):
        opened.append(plain_open(*arguments))
        return opened[-1]

    monkeypatch.setattr(images, "open", recording_open, raising=False)
    for kind in ("PNG", "GIF", "TIFF", "JPEG", "WEBP", "BMP"):
        data = encoded(photo(), kind)
        (tmp_path / "x").write_bytes(data)
        (tmp_path / "half").write_bytes(data[: len(data) // 2])
        open_image(tmp_path / "x")
        refusal(tmp_path / "half")
    assert len(opened) == 12
    assert all(file.closed for file in opened)


FILES = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
    "ppm": ("PPM", {}),
    "tga": ("TGA", {}),
}


@pytest.mark.parametrize("name", FILES)
def test_cut_files_open_whole_or_not_at_all(tmp_path, name):
    kind, options = FILES[name]
    data, path = encoded(photo(40, 30), kind, **options), tmp_path / "cut"
    path.write_bytes(data)
    whole = pixels(path)
    cuts = {*range(1, 40), *range(40, len(data), max(len(data) // 60, 1)), *range(len(data) - 25, len(data))}
    refused = 0
    for cut in sorted(cuts):
        path.write_bytes(data[:cut])
        try:
            np.testing.assert_array_equal(pixels(path), whole)  # only what stands after the pixels is missing
        except ImageError:
            refused += 1
    assert refused > len(cuts) * 0.7


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_open_or_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(limits, "_in_force", [Limits(max_image_pixels=10**6)])  # a damaged header may ask for much
    kind, options = FILES[name]
    data, path, dice = encoded(photo(40, 30), kind, **options), tmp_path / "damaged", random.Random(name)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(dice.choice([1, 1, 2, 8])):
            damaged[dice.randrange(dice.choice([64, len(damaged)]))] = dice.randrange(256)
        path.write_bytes(damaged)
        with suppress(ImageError):
            pixels(path)


def test_bombs_are_refused_from_the_header(tmp_path):
    for width, height in ((60000, 60000), (2**31 - 1, 2**31 - 1), (1, 65_000_001)):
        (tmp_path / "bomb.png").write_bytes(png(width, height, 1, 0, bytes(10**6)))
        message = refusal(tmp_path / "bomb.png")
        assert f"{width}x{height}" in message
        assert "limit max_image_pixels of 65000000" in message
        assert "bomb.png" in message


def test_large_photos_open_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow warns past this and refuses past its double
    monkeypatch.setattr(limits, "_in_force", [Limits(max_image_pixels=2000)])
    for kind in ("PNG", "TIFF", "GIF", "JPEG", "WEBP"):
        (tmp_path / "x").write_bytes(encoded(photo(44, 44), kind))
        opened = open_image(tmp_path / "x")
        for fit in ({"fit": "central_fraction", "fraction": 1}, {"fit": "center_crop", "resize": 44}, {"fit": "squash"}):
            assert Preprocessing(size=(40, 40), **fit)(opened).shape == (3, 40, 40)
        (tmp_path / "x").write_bytes(encoded(photo(45, 45), kind))
        assert "of 2000" in refusal(tmp_path / "x") or kind == "WEBP"  # its decoder has Pillow's own limit first
    assert Image.MAX_IMAGE_PIXELS == 1000


# Preprocessing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        *("b.jpg", "a.PNG", "notes.txt", "clip.mpg", "data.h5", "paper.eps", ".hidden.jpg", "c[1].webp", "c1.webp"),
        *("sub/z.gif", "sub/deep/y.tif", "sub/deep/x.jpeg", ".cache/q.jpg", "text/readme.txt"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["b.jpg", "a.PNG"], ["b.jpg", "a.PNG"]),
        (["notes.txt", ".hidden.jpg"], ["notes.txt", ".hidden.jpg"]),
        (["."], ["a.PNG", "b.jpg", "c1.webp", "c[1].webp", "sub/deep/x.jpeg", "sub/deep/y.tif", "sub/z.gif"]),
        (["sub", "b.jpg", "sub/z.gif"], ["sub/deep/x.jpeg", "sub/deep/y.tif", "sub/z.gif", "b.jpg"]),
        (["sub/z.gif", "sub"], ["sub/z.gif", "sub/deep/x.jpeg", "sub/deep/y.tif"]),
        (["*.jpg"], ["b.jpg"]),
        (["**/*.gif"], ["sub/z.gif"]),
        (["**/[xyz].*"], ["sub/deep/x.jpeg", "sub/deep/y.tif", "sub/z.gif"]),
        (["su?"], ["sub/deep/x.jpeg", "sub/deep/y.tif", "sub/z.gif"]),
        (["c[1].webp"], ["c[1].webp"]),  # a file of that name comes before the pattern
        (["c[12].webp"], ["c1.webp"]),
        (["./b.jpg", "sub/../b.jpg", "b.jpg"], ["b.jpg"]),
        ("b.jpg", ["b.jpg"]),
        (Path("sub"), ["sub/deep/x.jpeg", "sub/deep/y.tif", "sub/z.gif"]),
        ([], []),
    ],
)
def test_find_inputs(tree, inputs, expected):
    assert [os.path.normpath(path) for path in find_inputs(inputs)] == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("bb.jpg", "did you mean 'b.jpg'?"),
        ("sbu/z.gif", "did you mean 'sub'?"),
        ("B.JPG", "did you mean 'b.jpg'?"),
        ("qqqqqqqq", "check the path"),
        ("text", "no image there"),
        ("*.txt", "no image there"),
        ("*.bmp", "no image there"),
        ("", "no such file"),
        ("a\0", "no such file"),
    ],
)
def test_inputs_that_stand_for_nothing(tree, given, words):
    with pytest.raises(ImageError) as caught:
        find_inputs(["b.jpg", given])
    assert repr(given) in str(caught.value)
    assert words in str(caught.value)


def test_a_bad_input_is_reported_and_the_others_are_found(tree):
    errors: list[ImageError] = []
    assert find_inputs(["bb.jpg", "b.jpg", "text", "b.jpg"], errors.append) == ["b.jpg"]
    assert [str(error).split(":")[0] for error in errors] == ["'bb.jpg'", "'text'"]


def test_dangling_links_are_missing_files(tree):
    (tree / "gone.jpg").symlink_to(tree / "nowhere.jpg")
    (tree / "sub" / "loop").symlink_to(tree / "sub")
    with pytest.raises(ImageError, match=r"'gone\.jpg': a link to '.*nowhere\.jpg', which is not there; remove the link"):
        find_inputs(["gone.jpg"])
    assert len(find_inputs(["sub"])) == 3


def test_links_that_lead_back_to_themselves(tree):
    """They hide no other image of their folder."""
    (tree / "sub" / "0").symlink_to("0")
    (tree / "round.jpg").symlink_to("back.jpg")
    (tree / "back.jpg").symlink_to("round.jpg")
    assert len(find_inputs(["sub"])) == 3
    with pytest.raises(ImageError, match=r"'round\.jpg': a link to 'back\.jpg', which leads back to it; remove the link"):
        find_inputs(["round.jpg"])


def test_images_are_written_in_the_format_of_the_suffix(tmp_path):
    image = photo(64, 48)
    for name, kind in (("x.png", "PNG"), ("x", "PNG"), ("x.xyz", "PNG"), ("x.psd", "PNG"), ("x.JPG", "JPEG"), ("x.gif", "GIF")):
        write_image(image, tmp_path / name)
        with Image.open(tmp_path / name) as written:
            assert written.format == kind
            assert written.size == (64, 48)
    assert (tmp_path / "x.JPG").read_bytes() == encoded(image, "JPEG", quality=92)
    np.testing.assert_array_equal(pixels(tmp_path / "x.png"), np.asarray(image))
    mask = image.convert("P")
    write_image(mask, str(tmp_path / "mask.png"))
    with Image.open(tmp_path / "mask.png") as written:
        assert written.tobytes() == mask.tobytes()
        assert written.getpalette() == mask.getpalette()
    (tmp_path / "plain").touch()
    assert (tmp_path / "x.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"before")
    (tmp_path / "folder.png").mkdir()
    for image, name in (
        (photo().convert("RGBA"), "x.jpg"),
        (photo(), "folder.png"),
        (photo(), "none/x.png"),
        (photo(), "x.jpg/y.png"),
        (photo(), "a\0.png"),
        (photo(), "x.hdf"),
        (Image.new("RGB", (70000, 1)), "x.jpg"),
    ):
        with pytest.raises(ImageError, match="choose another") as caught:
            write_image(image, tmp_path / name)
        assert repr(str(tmp_path / name)) in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    assert (tmp_path / "x.jpg").read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["folder.png", "x.jpg"]
