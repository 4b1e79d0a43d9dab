"""Masks in files: class indices in, class indices out, in the colors of drawings."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mobilenet.images.masks import read_mask, write_mask
from mobilenet.images.open import ImageError
from mobilenet.images.palette import class_color


def test_mask_files(tmp_path):
    mask = np.random.default_rng(0).integers(0, 3, (7, 5)).astype(np.uint8)
    write_mask(mask, tmp_path / "m.png", 0)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), mask)
    with Image.open(tmp_path / "m.png") as image:
        assert image.getpalette()[:9] == [0, 0, 0, *class_color(1), *class_color(2)], "in the colors of drawings"
        assert image.getpalette()[-3:] == [224, 224, 192], "void, as in VOC's masks"
    write_mask(mask, tmp_path / "n.png")
    with Image.open(tmp_path / "n.png") as image:
        assert image.getpalette()[:3] == list(class_color(0)), "no class is the background"


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
