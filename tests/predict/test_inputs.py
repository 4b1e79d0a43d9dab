"""Whatever people have as an image, as they have it: each row is a kind of input that was refused once, and its answer now."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from support.images import photo
from support.models import toy

import mobilenet
from mobilenet.images import address
from mobilenet.images.open import ImageError

PHOTO = photo(40, 30, seed=1)
RGB = np.asarray(PHOTO)
GRAY = np.asarray(PHOTO.convert("L"))
URL = "https://example.org/cat.png"

SAME = {  # the answer is that of the image itself
    "bytes": lambda folder: (folder / "a.png").read_bytes(),
    "bytearray": lambda folder: bytearray((folder / "a.png").read_bytes()),
    "BytesIO": lambda folder: io.BytesIO((folder / "a.png").read_bytes()),
    "open file": lambda folder: io.BufferedReader(io.BytesIO((folder / "a.png").read_bytes())),
    "URL": lambda folder: URL,
    "file:// URL": lambda folder: (folder / "a.png").as_uri(),
    "path": lambda folder: folder / "a.png",
    "Pillow image of bytes": lambda folder: Image.open(io.BytesIO((folder / "a.png").read_bytes())),
    "(H, W, 3) uint8": lambda folder: RGB,
    "(3, H, W) uint8": lambda folder: RGB.transpose(2, 0, 1),
    "float from 0 to 1": lambda folder: RGB / 255,
    "float32 from 0 to 1": lambda folder: (RGB / 255).astype(np.float32),
    "float from 0 to 255": lambda folder: RGB.astype(float),
    "int64": lambda folder: RGB.astype(np.int64),
    "uint16 to 65535": lambda folder: RGB.astype(np.uint16) * 257,
    "torch tensor": lambda folder: pytest.importorskip("torch").from_numpy(RGB.transpose(2, 0, 1).copy()),
    "torch float tensor": lambda folder: pytest.importorskip("torch").from_numpy(RGB.transpose(2, 0, 1) / 255),
}
GRAYS = {
    "(H, W)": GRAY,
    "(H, W, 1)": GRAY[:, :, None],
    "(1, H, W)": GRAY[None],
}
MANY = {  # three images, so an iterator of three answers
    "list": lambda folder: [folder / "a.png"] * 3,
    "tuple": lambda folder: (folder / "a.png",) * 3,
    "generator": lambda folder: (RGB for _ in range(3)),
    "glob": lambda folder: f"{folder}/*.png",
    "folder": lambda folder: folder,
    "(N, H, W, 3)": lambda folder: np.stack([RGB] * 3),
    "(N, 3, H, W)": lambda folder: np.stack([RGB.transpose(2, 0, 1)] * 3),
    "list of mixed kinds": lambda folder: [URL, RGB, (folder / "a.png").read_bytes()],
}


@pytest.fixture(scope="module")
def predict():
    return mobilenet.load(toy(), threads=1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in "abc":
        PHOTO.save(tmp_path / f"{name}.png")
    content = (tmp_path / "a.png").read_bytes()
    monkeypatch.setattr(address, "download", {URL: content}.__getitem__)
    return tmp_path


@pytest.mark.parametrize("kind", SAME)
def test_one_image(kind, predict, folder):
    assert predict(SAME[kind](folder)) == predict(PHOTO)


@pytest.mark.parametrize("kind", GRAYS)
def test_gray(kind, predict):
    assert predict(GRAYS[kind]) == predict(PHOTO.convert("L"))


def test_bool(predict):
    assert predict(GRAY > 100) == predict(Image.fromarray(GRAY > 100))


@pytest.mark.parametrize("kind", MANY)
def test_several_images(kind, predict, folder):
    results = predict(MANY[kind](folder))
    assert isinstance(results, Iterator)
    assert list(results) == [predict(PHOTO)] * 3


def test_a_generator_without_end(predict):
    assert len(list(itertools.islice(predict(itertools.repeat(RGB)), 4))) == 4


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (RGB / 255 * 2 - 1, "(x * std + mean).clip(0, 1)"),
        (RGB.astype(np.int64) * 300, '(x >> 8).astype("uint8")'),
        (np.zeros((6, 6, 5), np.uint8), "x[:, :, :3]"),
        ({"image": RGB}, "row['image']"),
        (None, "give a path, a URL, bytes, an open file, a Pillow image or an array"),
        (b"", "seek(0)"),
        ("no-such-file.jpg", "no such file"),
    ],
)
def test_what_is_still_refused_says_what_to_write(wrong, remedy, predict):
    with pytest.raises(ImageError) as error:
        predict(wrong)
    assert remedy in str(error.value)
    assert "\n" not in str(error.value)
