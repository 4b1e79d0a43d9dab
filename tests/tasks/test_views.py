"""Views of an image: their answers against those of the same images given by themselves, and against what is in the image."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.cli import run
from support.models import HALF, IMAGE, detector, toy

import mobilenet
from mobilenet import Views, modelfile
from mobilenet.errors import UsageError
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.predict.predictor import Predictor
from mobilenet.tasks import boxes as box_math, detection
from mobilenet.tasks.detection import default_boxes
from mobilenet.tasks.views import scaled

PHOTO = IMAGE.resize((32, 32))


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_classifiers_views_are_averaged(backend):
    model = toy()
    sizes = [32, 47]  # int((32 - 1) * 1.5 + 1)
    single = [mobilenet.load(replace(model, preprocessing=model.preprocessing.at(size)), backend) for size in sizes]
    images = [PHOTO.resize((size, size), Image.Resampling.BILINEAR) for size in sizes]
    views = [predict(view).scores for predict, x in zip(single, images, strict=True) for view in (x, ImageOps.mirror(x))]
    found = mobilenet.load(model, backend, Views((1, 1.5), flip=True))(PHOTO)
    np.testing.assert_allclose(found.scores, np.mean(views, axis=0), rtol=0, atol=1e-6)
    assert np.ptp(views, axis=0).max() > 1e-3, "the views differ, so a forgotten one would show"


def test_crops_keep_their_proportion():
    policy = Preprocessing(size=(224, 224), fit="center_crop", resize=256)
    assert scaled(policy, 1) is policy
    view = scaled(policy, 1.25)
    assert (view.size, view.resize) == ((279, 279), 319)
    assert [scaled(Preprocessing(size=(300, 31), fit="squash"), scale, 64).size for scale in (0.05, 1.2, 2)] == [
        (44, 31), (364, 31), (620, 31),
    ]  # fmt: skip
    assert scaled(Preprocessing(size=(33, 33), fit="pad", fill=0, enlarge=2), 0.5).enlarge == 1


@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("fit", ["squash", "pad"])
def test_a_detector_finds_an_object_where_it_is_in_every_view(fit, core, monkeypatch):
    """The network is one that sees a white rectangle on black, and says for each default box how it is moved there."""
    if not core:
        monkeypatch.setattr(detection, "built", lambda: False)
        monkeypatch.setattr(box_math, "built", lambda: False)
    model = detector()
    fill = {"fill": 0} if fit == "pad" else {}
    model = replace(model, preprocessing=Preprocessing(size=(33, 33), fit=fit, mean=HALF, std=HALF, **fill))
    network, seen = model.network, []

    def seeing(x):
        rows, columns = np.nonzero(x[0, 0] > 0)
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
        seen.append((x.shape[2:], box))
        outputs, shapes, own = {}, network.shapes(x.shape[2:]), network.shapes()
        sides = default_boxes(network)[:, 2:] * 33
        for kinds, name in zip(network.heads.classes, network.heads.boxes, strict=True):
            height, width = shapes[name].height, shapes[name].width
            anchors = own[name].channels // 4
            first, sides = sides[:anchors], sides[own[name].height * own[name].width * anchors :]
            y, x0 = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
            codes = np.empty((anchors, 4, height, width), np.float32)
            for anchor, (w, h) in enumerate(first):
                center = np.stack([x0 * x.shape[3], y * x.shape[2], np.full_like(y, w), np.full_like(y, h)], axis=-1)
                codes[anchor] = box_math.encode(np.broadcast_to(box, center.shape), center).transpose(2, 0, 1)[[1, 0, 3, 2]]
            logits = np.full((anchors, 4, height, width), -9, np.float32)
            logits[:, 2] = 5 + 0.01 * seen_before(seen)
            outputs[name] = codes.reshape(1, -1, height, width)
            outputs[kinds] = logits.reshape(1, -1, height, width)
        return outputs

    def seen_before(seen):
        return len(seen) // 2  # the scales, one after the other: the last is the surest

    image = Image.new("RGB", (330, 165))
    truth = (33, 22, 154, 121)
    image.paste("white", truth)
    predict = Predictor(model, seeing, Views((1, 2, 5), flip=True))
    found = predict(image)
    assert [shape for shape, _ in seen] == [(33, 33)] * 2 + [(97, 97)] * 2 + [(161, 161)] * 2, "steps of 64"
    assert seen[0][1][0] != seen[1][1][0], "it was elsewhere in the mirror image"
    assert len(found) == 1, "the boxes of all views overlap, and one is kept"
    assert found.labels[found.classes[0]] == "b"
    np.testing.assert_allclose(found.boxes[0], truth, rtol=0, atol=330 / 161)
    for scale in (1, 2):
        (box,) = Predictor(model, seeing, Views((scale,), flip=True))(image).boxes
        np.testing.assert_allclose(box, truth, rtol=0, atol=330 / 33)


def test_a_detectors_mirror_image_gets_the_mirrored_answer():
    image = IMAGE.resize((33, 33))
    predict = mobilenet.load(detector(), "reference", Views((1, 2), flip=True))
    one, other = predict(image), predict(ImageOps.mirror(image))
    assert len(one) == len(other) > 0
    np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=1e-6)
    plain = mobilenet.load(detector(), "reference")
    assert abs(plain(image).scores[0] - plain(ImageOps.mirror(image)).scores[0]) > 1e-6
    few = predict(image, threshold=float(one.scores[3]), top=3)
    assert few == one[:3]


@pytest.mark.parametrize(
    ("text", "views"),
    [("flip", Views(flip=True)), ("0.75,1, 1.25", Views((0.75, 1, 1.25))), ("1,1.25,flip", Views((1, 1.25), True))],
)
def test_views_as_text(text, views):
    assert Views.parse(text) == views
    assert len(Views.parse(text)) == len(views.scales) * (2 if views.flip else 1)


@pytest.mark.parametrize("text", ["", "flop", "1;2", "9", "nan", "1,,2"])
def test_text_that_is_no_views(text):
    with pytest.raises(UsageError, match=r"views|scales"):
        Views.parse(text)


def test_views_go_to_other_processes(tmp_path):
    modelfile.write(toy(), tmp_path / "m.safetensors")
    predict = mobilenet.load(tmp_path / "m.safetensors", views="1,1.5,flip", threads=1)
    again = pickle.loads(pickle.dumps(predict))
    assert again.views == predict.views == Views((1, 1.5), flip=True)
    assert again(PHOTO) == predict(PHOTO) == predict.adjusted(fit="squash")(PHOTO)


def test_the_options_of_the_command(tmp_path):
    model, image = tmp_path / "m.safetensors", tmp_path / "p.png"
    modelfile.write(detector(), model)
    IMAGE.save(image)
    command = ["predict", str(image), "--model", str(model), "--format", "json", "--threshold", "0"]
    plain = mobilenet.load(model, threads=1, views=Views((1, 2), flip=True)).adjusted(
        classes=["a", "c"], iou=0.3, max_detections=7, agnostic=True
    )(IMAGE, threshold=0)
    options = ["--classes", "a,2", "--iou", "0.3", "--max-detections", "7", "--agnostic", "--views", "1,2,flip"]
    (entry,) = json.loads(run(*command, *options)[0])
    assert [tuple(each["box"]) for each in entry["predictions"]] == [box.box for box in plain.top()]
    assert {each["label"] for each in entry["predictions"]} <= {"a", "c"}
    for wrong, message in ((["--classes", "z"], "no label is called 'z'"), (["--views", "flop"], "views 'flop'"),
                           (["--max-detections", "0"], "max_detections"), (["--iou", "2"], "--iou")):  # fmt: skip
        _, failed = run(*command, *wrong, status=2)
        assert message in failed
