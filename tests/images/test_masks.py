"""Masks in files: class indices in, class indices out, VOC's palette."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mobilenet.images.masks import palette_color, read_mask, write_mask
from mobilenet.images.open import ImageError


def test_the_palette():
    assert [palette_color(i) for i in (0, 1, 2, 3, 15, 20, 255)] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (192, 128, 128), (0, 64, 128), (224, 224, 192)
    ], "VOC's own"  # fmt: skip
    assert len({palette_color(i) for i in range(256)}) == 256


def test_mask_files(tmp_path):
    mask = np.random.default_rng(0).integers(0, 3, (7, 5)).astype(np.uint8)
    write_mask(mask, tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), mask)
    with Image.open(tmp_path / "m.png") as image:
        assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]


def test_masks_in_files(tmp_path):
    palette = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8)).convert("P")
    palette.save(tmp_path / "p.png")
    assert read_mask(tmp_path / "p.png").tolist() == [[0, 1], [2, 255]]
    Image.new("RGB", (3, 3)).save(tmp_path / "rgb.png")
    with pytest.raises(ImageError, match="mode RGB is no mask"):
        read_mask(tmp_path / "rgb.png")
    with pytest.raises(ImageError, match="no mask can be read"):
        read_mask(tmp_path / "missing.png")


def test_a_mask_is_never_a_program(tmp_path):
    Image.new("L", (3, 3)).save(tmp_path / "m.png", "EPS")
    with pytest.raises(ImageError, match="no image format"):
        read_mask(tmp_path / "m.png")
