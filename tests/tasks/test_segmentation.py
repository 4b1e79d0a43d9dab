"""Segmenters from logits to masks: transformers' own network, views that are averaged, masks in the image's pixels."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from support.models import LABELS, PAD, by_color, halves, segmenter
from support.weights import random_tensors, tolerance

import mobilenet
from mobilenet import modelfile
from mobilenet.engine.reference import Reference
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile, ModelFileError
from mobilenet.network.heads import deeplabv3_mobilenet_v2
from mobilenet.predict.predictor import Predictor
from mobilenet.tasks import segmentation
from mobilenet.tasks.segmentation import Segmentation, probabilities, segment
from mobilenet.tasks.views import Views, scaled
from mobilenet.tensors import built

pytestmark = pytest.mark.usefixtures("one_thread")


def test_transformers_segmenter():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    for width, stride, size in ((0.35, 16, (33, 33)), (0.5, 8, (25, 41))):
        network = deeplabv3_mobilenet_v2(width, size, classes=5, output_stride=stride, padding="tensorflow", epsilon=1e-3)
        config = transformers.MobileNetV2Config(depth_multiplier=width, output_stride=stride, num_labels=5)
        model = transformers.MobileNetV2ForSemanticSegmentation(config).eval()
        tensors = random_tensors(network)
        order = [name for name in model.state_dict() if not name.endswith("num_batches_tracked") and ".conv_1x1." not in name]
        assert [tuple(model.state_dict()[name].shape) for name in order] == [value.shape for value in tensors.values()]
        state = {name: torch.from_numpy(value) for name, value in zip(order, tensors.values(), strict=True)}
        model.load_state_dict(state, strict=False)
        images = np.random.default_rng(1).standard_normal((2, 3, *size)).astype(np.float32)
        with torch.inference_mode():
            theirs = model.double()(torch.from_numpy(images).double()).logits
            upsampled = torch.nn.functional.interpolate(theirs, size, mode="bilinear", align_corners=True).numpy()
        ours = Reference(network.until("logits", "upsample"), tensors)(images)
        scale = np.abs(theirs.numpy()).max()
        assert scale > 0.1
        np.testing.assert_allclose(ours["logits"], theirs.numpy(), rtol=0, atol=tolerance(network, scale))
        np.testing.assert_allclose(ours["upsample"], upsampled, rtol=0, atol=tolerance(network, scale))


# Masks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (33, 33), (330, 200), (6, 9), (2, 1)])
@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_masks_have_the_images_own_pixels(size, fit):
    preprocessing = replace(PAD, fit=fit, fill=127 if fit == "pad" else None, interpolation="nearest")
    result = Predictor(segmenter(preprocessing), by_color)(halves(*size))
    assert isinstance(result, Segmentation)
    assert result.mask.shape == (size[1], size[0])
    assert result.mask.dtype == np.uint8
    wrong = (result.mask != np.where(np.arange(size[0]) < size[0] // 2, 1, 2)[None]).mean()
    assert wrong <= 1.5 / min(size[0], 33), "at most a column of the input at the border between the halves"
    assert result.confidence[1] > 0.99
    assert result.confidence[3] == 0


@pytest.mark.parametrize("core", [True, False])
def test_every_pixel_is_counted_once(core, monkeypatch):
    monkeypatch.setattr(segmentation, "built", lambda: core and built())
    dice = np.random.default_rng(0)
    for shape in ((1, 1), (7, 9), (64, 3), (129, 333)):
        mask = dice.integers(0, 256, shape, np.uint8)
        mask[: shape[0] // 2] = 9
        found = Segmentation(mask, np.ones(256, np.float32), tuple(map(str, range(256))), None).shares()
        assert found.tolist() == [np.count_nonzero(mask == i) / mask.size for i in range(256)]
        assert Segmentation(mask.T[::-1], np.ones(3, np.float32), ("a", "b", "c")).shares().tolist() == found[:3].tolist()


def test_shares_and_the_best():
    image = halves(64, 64)
    image.paste((127, 127, 127), (0, 0, 64, 16))
    result = Predictor(segmenter(replace(PAD, size=(64, 64), interpolation="nearest")), by_color)(image)
    assert result.shares().tolist() == [0.25, 0.375, 0.375, 0]
    assert [(p.label, p.share) for p in result.top()] == [("red", 0.375), ("green", 0.375)], "without the background"
    assert [p.label for p in result.top(1)] == ["red"]
    assert replace(result, confidence=result.confidence / 2).top(threshold=0.6) == []
    assert result.to_dict()["predictions"][0].keys() == {"label", "index", "score", "share"}
    assert json.loads(result.to_json()) == json.loads(json.dumps(result.to_dict()))
    assert str(result) == "red 38 %, green 38 %"
    nothing = Predictor(segmenter(), by_color)(Image.new("RGB", (9, 9), (127, 127, 127)))
    assert (nothing.top(), str(nothing)) == ([], "background only")
    everything = replace(result, background=None)
    assert {p.label for p in everything.top()} == {"background", "red", "green"}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([None, 0.5, 1.0, 3.0]))
def test_padding_keeps_proportions(width, height, enlarge):
    preprocessing = replace(PAD, size=(40, 50), enlarge=enlarge)
    columns, rows = preprocessing.content((width, height))
    assert 1 <= columns <= 50
    assert 1 <= rows <= 40
    scale = min(50 / width, 40 / height, enlarge or np.inf)
    assert abs(columns - width * scale) <= 0.5 or columns == 1
    assert abs(rows - height * scale) <= 0.5 or rows == 1
    image = preprocessing.resize_and_crop(Image.new("RGB", (width, height), "white"))
    pixels = np.asarray(image)
    assert (pixels[:rows, :columns] == 255).all()
    assert (pixels[rows:] == 127).all()
    assert (pixels[:, columns:] == 127).all()
    x0, y0, x1, y1 = preprocessing.window((width, height))
    assert (x0, y0) == (0, 0)
    assert x1 * columns == pytest.approx(50 * width)
    assert y1 * rows == pytest.approx(40 * height)


def test_padding_that_is_none():
    for wrong in ({"fill": None}, {"fill": 256}, {"fill": True}, {"enlarge": 0}, {"fit": "squash"},
                  {"fit": "squash", "fill": None, "enlarge": 1.0}):  # fmt: skip
        with pytest.raises(ValueError, match=r"preprocessing\.(fill|enlarge) "):
            replace(PAD, **wrong)
    for good in (PAD, replace(PAD, enlarge=1.0)):
        assert Preprocessing.from_json(json.loads(json.dumps(good.to_json()))) == good


# Views ---------------------------------------------------------------------------------------------------------------


def test_views_are_averaged():
    model = segmenter(replace(PAD, enlarge=1.0))
    sizes = []

    def watching(images):
        sizes.append(images.shape[2:])
        return by_color(images)

    views = Views((0.5, 1.0, 1.75), flip=True)
    image = halves(30, 20)
    result = Predictor(model, watching, views)(image)
    assert sizes == [(17, 17)] * 2 + [(33, 33)] * 2 + [(57, 57)] * 2, "int((33 - 1) * scale + 1), each twice"
    assert scaled(model.preprocessing, 1.75).content((30, 20)) == (52, 35), "the image grows with the frame"
    plain = Predictor(model, by_color)(image)
    assert (result.mask != plain.mask).mean() < 0.1


def test_mirror_images_make_the_answer_symmetric():
    model = segmenter(replace(PAD, interpolation="nearest"))
    weights = np.random.default_rng(0).normal(0, 1, (4, 33)).astype(np.float32)

    def lopsided(images):  # what it says depends on the column
        return {"upsample": by_color(images)["upsample"] * 0.1 + weights[None, :, None]}

    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (33, 21, 3), np.uint8))
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    one, other = (Predictor(model, lopsided)(each).mask for each in (image, mirrored))
    assert (one != other[:, ::-1]).any()
    one, other = (Predictor(model, lopsided, Views(flip=True))(each).mask for each in (image, mirrored))
    np.testing.assert_array_equal(one, other[:, ::-1])


def test_averages_of_views_are_probabilities():
    logits = np.random.default_rng(0).normal(0, 50, (4, 33, 33)).astype(np.float32)
    for mirrored in (False, True):
        found = probabilities(logits, (20, 31), mirrored, (10, 41))
        assert found.shape == (4, 10, 41)
        np.testing.assert_allclose(found.sum(axis=0), 1, rtol=0, atol=1e-6)
    whole = probabilities(logits, (33, 33), False, (33, 33))
    np.testing.assert_array_equal(whole.argmax(axis=0), logits.argmax(axis=0))


def test_equal_classes_go_to_the_lower_index():
    assert not segment(np.full((4, 3, 3), 0.25, np.float32), False, (5, 2), LABELS, 0).mask.any()


@pytest.mark.parametrize("scales", [(), (0,), (1.0, 9), ("1",)])
def test_views_that_are_none(scales):
    with pytest.raises(ValueError, match="scales"):
        Views(scales)


# Model files ---------------------------------------------------------------------------------------------------------


def test_a_segmenter_round_trips(tmp_path):
    model = segmenter()
    modelfile.write(model, tmp_path / "s.safetensors")
    again = modelfile.read(tmp_path / "s.safetensors")
    assert (again.network, again.decoding, again.background, again.preprocessing) == (model.network, None, 0, PAD)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    one, other = mobilenet.load(again)(image), mobilenet.load(model)(image)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.confidence, other.confidence)


def test_what_does_not_fit_together():
    from mobilenet.tasks.detection import TENSORFLOW

    model = segmenter()
    with pytest.raises(ModelFileError, match="a decoding for segmentation"):
        replace(model, decoding=TENSORFLOW)
    with pytest.raises(ModelFileError, match="the network must see the whole image"):
        replace(model, preprocessing=Preprocessing(size=(33, 33), fit="center_crop", resize=33))
    network = deeplabv3_mobilenet_v2(0.35, 33, classes=256)
    with pytest.raises(ModelFileError, match="256 classes for a mask of 8 bits"):
        ModelFile(network, random_tensors(network), tuple(map(str, range(256))), PAD)


# Memory --------------------------------------------------------------------------------------------------------------

LARGE = """
import resource, sys
sys.path[:0] = [{tests!r}]
from PIL import Image
from support.models import PAD, by_color, segmenter
from mobilenet.drawing.draw import draw
from mobilenet.predict.predictor import Predictor
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
predict = Predictor(segmenter(), by_color)
predict(Image.new("RGB", (64, 64), "red"))
start = peak()
image = Image.new("RGB", (6000, 4000), "red")
result = predict(image)
assert result.mask.shape == (4000, 6000)
middle = peak()
draw(image, result, result.top())
print(middle - start, peak() - start)
"""


def test_a_large_photo_is_held_only_a_few_times():
    """An image of 6000 x 4000 takes Pillow 92 MiB (four bytes a pixel), its mask 23 MiB."""
    from support.paths import ROOT

    code = LARGE.format(tests=str(ROOT / "tests"))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    predicted, drawn = map(float, done.stdout.split())
    assert predicted < 3.5 * 92, "the image, open_image's copy, the mask"
    assert drawn < 4.5 * 92, "and the drawing"
