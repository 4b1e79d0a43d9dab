"""Everything that users give as an image: files, addresses, bytes, arrays, tensors; and many of them at once."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
from support.images import noise, photo

from mobilenet import limits
from mobilenet.images import address
from mobilenet.images.open import ImageError
from mobilenet.images.sources import as_many, open_source
from mobilenet.transfer import within

RGB = noise(5, 4)
GRAY = RGB[:, :, 0]


def pixels(source) -> np.ndarray:
    image = open_source(source).image
    assert image.mode == "RGB"
    return np.asarray(image)


def refusal(source) -> str:
    with pytest.raises(ImageError) as error:
        open_source(source)
    assert "\n" not in str(error.value)
    return str(error.value)


def png(image=None) -> bytes:
    file = io.BytesIO()
    (image or photo()).save(file, "PNG")
    return file.getvalue()


# Arrays --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        RGB,
        RGB.transpose(2, 0, 1),
        np.dstack([RGB, np.full((4, 5), 255, np.uint8)]),
        RGB / 255,
        (RGB / 255).astype(np.float32).transpose(2, 0, 1),
        (RGB / 255).astype(np.float16),
        RGB.astype(np.float32),
        RGB.astype(np.int64),
        RGB.astype(np.int16),
        RGB.astype(np.uint16) * 257,
        np.asfortranarray(RGB),
        RGB.astype(">i4"),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_arrays_of_every_usual_type_and_shape_are_the_same_image(array):
    np.testing.assert_array_equal(pixels(array), RGB)


@pytest.mark.parametrize("array", [GRAY, GRAY[:, :, None], GRAY[None], GRAY / 255, GRAY.astype(np.uint16) << 8])
def test_gray_arrays(array):
    np.testing.assert_array_equal(pixels(array), np.repeat(GRAY[:, :, None], 3, axis=2))


def test_bools_are_black_and_white():
    np.testing.assert_array_equal(pixels(np.array([[True, False]]))[0], [[255] * 3, [0] * 3])


def test_the_image_does_not_share_the_memory_of_the_array():
    array = RGB.copy()
    opened = open_source(array).image
    array[:] = 0
    assert np.asarray(opened).any()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (RGB * 2.0 / 255 - 1, r"undo that: (x * std + mean).clip(0, 1)"),
        (RGB.astype(np.int64) * 3, 'x.clip(0, 255).astype("uint8")'),
        (RGB.astype(np.uint16), 'x.astype("uint8")'),
        (RGB * 1000.0, '(x - x.min()) / (x.max() - x.min()) * 255).astype("uint8")'),
        (RGB / 200, "x.clip(0, 1)"),
        (np.full((4, 4), np.nan), "np.nan_to_num(x)"),
        (np.zeros((6, 6, 5), np.uint8), "x[:, :, :3]"),
        (np.zeros((6, 6, 2), np.uint8), "x[:, :, 0]"),
        (np.zeros((4, 4), complex), "must be numbers or bools"),
        (np.zeros((1, 1, 4, 4, 3), np.uint8), "x[0]"),
        (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
        (np.zeros(12, np.uint8), "x.reshape(height, width, 3)"),
        (np.frombuffer(png(), np.uint8), "x.tobytes()"),
        (np.zeros((), np.uint8), "x.reshape(height, width, 3)"),
    ],
)
def test_a_refused_array_comes_with_the_line_that_mends_it(array, words):
    message = refusal(array)
    assert words in message
    assert str(array.shape) in message
    assert str(array.dtype) in message


def test_the_lines_that_mend_an_array_mend_it():
    for array, line in (
        (RGB.astype(np.uint16), 'x.astype("uint8")'),
        (RGB.astype(np.int64) * 3, 'x.clip(0, 255).astype("uint8")'),
        (RGB * 1000.0, '((x - x.min()) / (x.max() - x.min()) * 255).astype("uint8")'),
        (RGB / 200, "x.clip(0, 1)"),
        (np.full((4, 4), np.nan), "np.nan_to_num(x)"),
        (np.zeros((6, 6, 5), np.uint8), "x[:, :, :3]"),
    ):
        assert line in refusal(array)
        assert pixels(eval(line, {"np": np, "x": array})).ndim == 3


def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(RGB.transpose(2, 0, 1).copy())
    np.testing.assert_array_equal(pixels(tensor), RGB)
    np.testing.assert_array_equal(pixels((tensor / 255).requires_grad_()), RGB)
    assert np.abs(pixels((tensor / 255).bfloat16()).astype(int) - RGB).max() <= 1
    assert len(list(as_many(torch.stack([tensor, tensor])))) == 2


# Files in memory -----------------------------------------------------------------------------------------------------


def test_bytes_and_open_files(tmp_path):
    content = png()
    expected = np.asarray(photo())
    (tmp_path / "p.png").write_bytes(content)
    for source in (content, bytearray(content), memoryview(content), io.BytesIO(content), tmp_path / "p.png"):
        np.testing.assert_array_equal(pixels(source), expected)
    with open(tmp_path / "p.png", "rb") as file:
        opened = open_source(file)
        assert opened.path == str(tmp_path / "p.png")
        assert "seek(0)" in refusal(file)
    with open(tmp_path / "p.png", encoding="latin-1") as file:
        assert "open(path, 'rb')" in refusal(file)
    assert "empty" in refusal(b"")
    assert "in no image format" in refusal(b"x" * 100)


def test_an_open_file_is_read_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(limits, "_in_force", [limits.Limits(max_image_bytes=100)])
    assert "max_image_bytes" in refusal(io.BytesIO(png()))


@pytest.mark.parametrize("source", [None, 3, object(), {"image": 1}, {1, 2}])
def test_what_is_no_image(source):
    assert "not an image" in refusal(source)


# Many ----------------------------------------------------------------------------------------------------------------


def test_what_holds_many_images(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(png())
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    assert list(as_many(tmp_path)) == list(as_many(str(tmp_path / "*.png"))) == [str(path) for path in files]
    assert list(as_many(files)) == list(as_many(path for path in files)) == files
    assert list(as_many(np.array([str(path) for path in files]))) == [str(path) for path in files]
    assert len(list(as_many(np.zeros((2, 4, 4, 3), np.uint8)))) == 2
    for one in (files[0], str(files[0]), "no such file", b"x", RGB, photo(), io.BytesIO(), {"a": 1}, "http://x/*.jpg", 3):
        assert as_many(one) is None
    assert as_many(RGB[0, 0]) is None, "numbers, not paths"
    with pytest.raises(ImageError, match="no image there"):
        as_many(str(tmp_path / "*.jpg"))
    (tmp_path / "c[1].png").write_bytes(png())
    assert as_many(tmp_path / "c[1].png") is None, "a file's own name is no pattern"


# Addresses -----------------------------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        with suppress(ConnectionError):  # nobody listens any more
            self.reply()

    def reply(self):
        match self.path.partition("?")[0]:
            case "/p.png":
                self.answer(200, png())
            case "/empty":
                self.answer(200, b"")
            case "/large":
                self.answer(200, bytes(2000))
            case "/hop":
                self.answer(302, b"", "/p.png")
            case "/round":
                self.answer(302, b"", f"/round?{len(self.path)}")
            case "/file":
                self.answer(302, b"", "file:///etc/hostname")
            case "/flood":
                self.send_response(302)
                self.send_header("Location", "/p.png")
                self.end_headers()
                while not Site.closing.is_set():  # until nobody listens
                    self.wfile.write(bytes(2**16))
                    self.flooded.append(2**16)
            case "/headers":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                while not Site.closing.wait(0.01):
                    self.wfile.write(b"x")
            case "/continue":
                while not Site.closing.wait(0.01):
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            case "/slow":
                self.send_response(200)
                self.end_headers()
                for _ in range(100):
                    if Site.closing.wait(0.2):
                        return
                    self.wfile.write(b"x")
            case _:
                self.answer(404, b"nothing")

    closing = threading.Event()
    flooded: ClassVar[list[int]] = []

    def answer(self, status, body, location=None):
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site():
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        Site.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_addresses(site, tmp_path):
    for url in (f"{site}/p.png", f"{site}/hop"):
        opened = open_source(url)
        np.testing.assert_array_equal(np.asarray(opened.image), np.asarray(photo()))
        assert (opened.path, opened.source) == (url, png()), "the bytes are kept, so that nothing is downloaded twice"
    (tmp_path / "a cat.png").write_bytes(png())
    opened = open_source((tmp_path / "a cat.png").as_uri())
    assert opened.path == str(tmp_path / "a cat.png")


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("none", "status 404 Not Found; check the address"),
        ("empty", "the answer is empty"),
        ("large", "in no image format"),
        ("round", "status 302"),
        ("file", "is not allowed"),
    ],
)
def test_addresses_without_an_image(page, words, site):
    assert words in refusal(f"{site}/{page}")


def test_a_download_is_bounded(site, monkeypatch):
    monkeypatch.setattr(limits, "_in_force", [limits.Limits(max_image_bytes=1000, max_url_seconds=1, max_url_redirects=1)])
    assert "max_image_bytes" in refusal(f"{site}/large")
    monkeypatch.setattr(address, "within", lambda seconds, work, transfer: within(0.2, work, transfer))
    for page in ("slow", "headers", "continue"):
        assert "seconds: over 1 is past the limit max_url_seconds of 1; if you trust" in refusal(f"{site}/{page}")
    for thread in threading.enumerate():
        if thread.name == "mobilenet-download":  # its connection is closed
            thread.join(5)
            assert not thread.is_alive()


def test_what_comes_with_a_redirect_is_not_read(site):
    """Python's own handler would read it to its end, which it does not have."""
    np.testing.assert_array_equal(np.asarray(open_source(f"{site}/flood").image), np.asarray(photo()))
    assert sum(Site.flooded) < 32 * 2**20, "the system's buffers"


def test_nobody_answers():
    assert "cannot be downloaded" in refusal("http://127.0.0.1:9/p.png")
    assert "names the host 'elsewhere'" in refusal("file://elsewhere/p.png")


# HEIC ----------------------------------------------------------------------------------------------------------------


def test_heic_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    assert "pip install 'mobilenet[heic]'" in refusal(b"\0\0\0\x18ftypheic" + bytes(50))


def test_heic_is_read():
    pillow_heif = pytest.importorskip("pillow_heif")
    file, image = io.BytesIO(), photo(64, 48)
    pillow_heif.from_pillow(image).save(file, quality=95)
    difference = np.abs(pixels(file.getvalue()).astype(int) - np.asarray(image))
    assert difference.shape == (48, 64, 3)
    assert difference.mean() < 8
