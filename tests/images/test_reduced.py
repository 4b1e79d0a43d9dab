"""JPEG files decoded at a reduced scale: where that happens, and that coordinates stay those of the file."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from support.models import detector, segmenter

from mobilenet.images.open import UPRIGHT, ImageError, open_image
from mobilenet.images.preprocessing import IMAGENET_TORCHVISION, Preprocessing
from mobilenet.images.reduced import Reduced, open_reduced
from mobilenet.images.sources import open_source
from mobilenet.predict.predictor import Predictor

POLICIES = [
    IMAGENET_TORCHVISION,
    Preprocessing((90, 120), "squash"),
    Preprocessing((90, 90), "pad", fill=0),
    Preprocessing((90, 90), "central_fraction", fraction=0.8),
]


def smooth(width, height):
    """A photo-like image, without detail finer than a reduced copy shows."""
    small = np.random.default_rng(0).integers(40, 216, (9, 12, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def saved(tmp_path, image, **options):
    image.save(tmp_path / "x.jpg", quality=95, **options)
    return tmp_path / "x.jpg"


@pytest.mark.parametrize(
    ("size", "copy"),
    [
        ((511, 700), (511, 700)),
        ((512, 700), (256, 350)),
        ((1023, 1400), (512, 700)),
        ((1201, 1602), (301, 401)),
        ((4000, 2048), (500, 256)),
    ],
)
def test_a_copy_is_never_smaller_than_what_the_network_needs(tmp_path, size, copy):
    opened = open_reduced(saved(tmp_path, smooth(*size)), IMAGENET_TORCHVISION.needed)
    pixels = opened.pixels if isinstance(opened, Reduced) else opened
    assert pixels.size == copy
    assert opened.size == size
    assert min(pixels.size) >= 256 or copy == size


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_input_is_nearly_that_of_the_whole_image(tmp_path, orientation, policy):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, smooth(1021, 767), exif=exif)  # odd: the copy's last pixels are past the image's edges
    whole, opened = open_image(path), open_reduced(path, policy.needed)
    assert opened.size == whole.size == ((767, 1021) if orientation in (5, 6, 7, 8) else (1021, 767))
    if not isinstance(opened, Reduced):
        assert policy is IMAGENET_TORCHVISION
        opened = open_reduced(path, lambda size: (size[0] // 2, size[1] // 2))
    difference = np.abs(policy(whole) - policy(opened)) * 255 * np.reshape(policy.std, (3, 1, 1))
    assert difference.mean() < 1.0, "less than a level: no shift, no mirror image"
    assert np.percentile(difference, 99) < 4


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
def test_gray_cmyk_and_progressive_files(tmp_path, mode, progressive):
    path = saved(tmp_path, smooth(800, 600).convert(mode), progressive=progressive)
    opened = open_reduced(path, lambda size: (100, 75))
    assert isinstance(opened, Reduced)
    assert (opened.pixels.size, opened.pixels.mode) == ((100, 75), "RGB")
    whole = np.asarray(open_image(path).resize((100, 75), Image.Resampling.BOX), float)
    assert np.abs(whole - np.asarray(opened.pixels, float)).mean() < 2


def test_what_is_opened_as_a_whole(tmp_path):
    smooth(800, 600).save(tmp_path / "x.png")
    assert not isinstance(open_reduced(tmp_path / "x.png", lambda size: (10, 10)), Reduced)
    path = saved(tmp_path, smooth(800, 600))
    assert not isinstance(open_reduced(path, None), Reduced)
    assert not isinstance(open_reduced(path, Preprocessing((9, 9), "squash", interpolation="nearest").needed), Reduced)
    assert isinstance(open_source(path.read_bytes(), lambda size: (10, 10)).image, Reduced)
    assert not isinstance(open_source(path.read_bytes()).image, Reduced)
    path.write_bytes(path.read_bytes()[:3000])
    for broken in (path, tmp_path / "none.jpg"):
        with pytest.raises(ImageError):
            open_reduced(broken, lambda size: (10, 10))


def marked(tmp_path):
    """Gray, with a red rectangle in its lower right corner."""
    image = Image.new("RGB", (1001, 751), (127, 127, 127))
    ImageDraw.Draw(image).rectangle((600, 400, 1000, 750), fill=(250, 10, 10))
    return saved(tmp_path, image)


def test_boxes_and_masks_are_in_the_files_own_pixels(tmp_path):
    path = marked(tmp_path)
    seen = []

    def watch(images):
        seen.append(np.asarray(images))
        x = seen[-1]
        return {"upsample": np.concatenate([np.zeros_like(x[:, :1]), 9 * (x[:, :1] - x[:, 1:2]), x[:, :2] - 99], axis=1)}

    model = segmenter()
    for fast in (True, False):
        mask = Predictor(model, watch, fast_decoding=fast)(path).mask
        assert mask.shape == (751, 1001)
        wrong = mask != np.logical_and.outer(np.arange(751) >= 400, np.arange(1001) >= 600)
        # Resizing spreads an edge by one of the 33 columns of the input, blending by another: 2 of 30 pixels on both edges.
        assert wrong.mean() < 2 * 30.4 * (401 + 351) / mask.size
    assert not np.array_equal(seen[0], seen[1]), "a reduced copy was used"
    model = detector()
    predictor = Predictor(model, lambda images: (_ for _ in ()).throw(AssertionError))
    assert predictor.open(path).size == (1001, 751)


def test_upright_knows_every_orientation():
    assert set(UPRIGHT) == set(range(2, 9))
