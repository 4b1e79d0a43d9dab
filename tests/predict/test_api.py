"""A predictor as users handle it: many images, thresholds, other processes, embeddings, its card."""

from __future__ import annotations

import copy
import io
import itertools
import json
import multiprocessing
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from support.cli import run
from support.images import photo
from support.models import IMAGE, detector, segmenter, toy
from support.weights import random_tensors

import mobilenet
from mobilenet import modelfile
from mobilenet.errors import MobilenetError, UsageError
from mobilenet.images.open import ImageError
from mobilenet.modelfile import ModelFile, ModelFileError
from mobilenet.network.heads import ssdlite_mobilenet_v2
from mobilenet.predict.predictor import Predictor
from mobilenet.tasks.detection import TENSORFLOW, Detections
from mobilenet.tasks.labels import coco

MODELS = {"classification": toy, "detection": detector, "segmentation": segmenter}


@pytest.fixture(params=MODELS)
def predict(request):
    return mobilenet.load(MODELS[request.param](), threads=1)


@pytest.fixture
def photos(tmp_path):
    """Three images in a folder, and a file between them that is none."""
    for number, name in enumerate(["a.png", "b.png", "d.png"]):
        photo(40, 30, seed=number).save(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"no image")
    return tmp_path


# Many images ---------------------------------------------------------------------------------------------------------


def test_many_images_are_answered_one_by_one(predict, photos):
    files = [photos / name for name in ("a.png", "b.png", "d.png")]
    expected = [predict(path) for path in files]
    batch = np.stack([np.asarray(photo(40, 30, seed=number)) for number in range(3)])
    in_memory = [photo(40, 30, seed=number) for number in range(3)]
    contents = [path.read_bytes() for path in files]
    for many in (files, tuple(map(str, files)), iter(files), batch, list(batch), [batch], in_memory, contents,
                 map(io.BytesIO, contents), f"{photos}/[abd].png"):  # fmt: skip
        results = predict(many)
        assert iter(results) is results, "made when they are asked for"
        assert list(results) == expected
    assert list(predict([])) == []


def test_an_endless_iterable_is_read_a_few_images_ahead(photos):
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield photos / "a.png"

    results = mobilenet.load(toy(), threads=1)(endless())
    assert taken == []
    for count in range(1, 5):
        next(results)
        assert len(taken) <= count + 2
    results.close()


def test_an_array_that_is_used_again_is_answered_in_time():
    """A camera's loop fills one buffer again and again."""
    frame = np.zeros((30, 40, 3), np.uint8)

    def frames():
        for number in range(3):
            frame[:] = np.asarray(photo(40, 30, seed=number))
            yield frame

    predict = mobilenet.load(toy(), threads=1)
    expected = [predict(photo(40, 30, seed=number)) for number in range(3)]
    assert list(predict(frames())) == expected


def test_errors_of_a_stream(photos):
    predict = mobilenet.load(toy(), threads=1)
    results = predict(photos)
    assert [next(results).path, next(results).path] == [str(photos / "a.png"), str(photos / "b.png")]
    with pytest.raises(ImageError, match=r"c\.png"):
        next(results)
    said: list[MobilenetError] = []
    results = list(predict.stream([photos, photos / "none*.png", {"image": 1}, "nowhere.png"], report=said.append))
    assert [result.path for result in results] == [str(photos / name) for name in ("a.png", "b.png", "d.png")]
    assert [str(error).split(":")[0] for error in said] == [
        f"'{photos}/c.png'", f"'{photos}/none*.png'", "{'image'", "'nowhere.png'"
    ]  # fmt: skip


def test_an_exception_of_the_iterable_comes_after_the_images_before_it(photos):
    def broken():
        yield photos / "a.png"
        yield photos / "b.png"
        raise RuntimeError("no more")

    results, paths = mobilenet.load(toy(), threads=1)(broken()), []
    with pytest.raises(RuntimeError, match="no more"):
        paths.extend(result.path for result in results)
    results = mobilenet.load(toy(), threads=1)(broken())
    assert len([next(results), next(results)]) == 2


# One image -----------------------------------------------------------------------------------------------------------


def test_results_know_their_image(predict, tmp_path):
    IMAGE.save(tmp_path / "p.png")
    result = predict(tmp_path / "p.png")
    assert (result.path, result.size, result.image) == (str(tmp_path / "p.png"), IMAGE.size, None)
    assert result.plot().size == IMAGE.size
    content = (tmp_path / "p.png").read_bytes()
    for source in (IMAGE, np.asarray(IMAGE), content, io.BytesIO(content)):
        other = predict(source)
        assert other == result
        np.testing.assert_array_equal(np.asarray(other.plot()), np.asarray(result.plot()))


def test_threshold_and_top():
    predict = mobilenet.load(detector(), threads=1)
    every = predict(IMAGE)
    middle = float(np.median(every.scores))
    assert 0 < len(every[every.scores >= middle]) < len(every)
    assert predict(IMAGE, threshold=middle) == every[every.scores >= middle]
    assert predict(IMAGE, threshold=middle).threshold == middle
    assert predict(IMAGE, top=3) == every[:3]
    named = mobilenet.load(toy(), threads=1)(IMAGE, top=2)
    assert len(named) == 2
    assert named == mobilenet.load(toy(), threads=1)(IMAGE)
    least = named[1].score
    assert [p.score >= least for p in mobilenet.load(toy(), threads=1)(IMAGE, threshold=least)] == [True, True]
    assert [result.max_shown for result in mobilenet.load(toy(), threads=1)([IMAGE], top=1)] == [1]


@pytest.mark.parametrize(("name", "value"), [("threshold", -0.1), ("threshold", 1.5), ("top", 0), ("top", 1.0)])
def test_settings_out_of_range(name, value, predict):
    for images in (IMAGE, [IMAGE]):
        with pytest.raises(UsageError, match=name):
            predict(images, **{name: value})


def test_labels_are_those_that_users_know(tmp_path):
    """COCO's 80 by number, with the category ids beside them; ids without a class never show."""
    labels, ids = coco(90)
    network = ssdlite_mobilenet_v2(0.25, 33, classes=90)
    model = ModelFile(network, random_tensors(network), labels, detector().preprocessing, label_ids=ids, decoding=TENSORFLOW)
    predict = mobilenet.load(model, threads=1)
    assert (len(predict.labels), predict.names[41], predict.label_ids[41], predict.task) == (80, "cup", "47", "detection")
    result = predict(IMAGE)
    before = Predictor(replace(model, label_ids=()), predict.runtime)(IMAGE)
    kept = [p for p in before if not p.label.startswith("unused")]
    assert [(p.label, p.score, p.box) for p in result] == [(p.label, p.score, p.box) for p in kept]
    assert len(kept) < len(before)
    assert {p.id for p in result} <= set(coco(80)[1])


# Loading -------------------------------------------------------------------------------------------------------------


def test_what_load_refuses(tmp_path):
    with pytest.raises(UsageError, match="threads 0: must be an integer of at least 1"):
        mobilenet.load(toy(), threads=0)
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    with pytest.raises(UsageError, match=r"memory_budget 1000: .* needs at least"):
        mobilenet.load(toy(), memory_budget=1000)
    with pytest.raises(UsageError, match="task 'detection': this model does classification"):
        mobilenet.load(toy(), task="detection")
    assert isinstance(mobilenet.load(detector(), task="detection")(IMAGE), Detections)
    (tmp_path / "w.pth").write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"mobilenet convert .*w\.pth --out .*w\.safetensors"):
        mobilenet.load(tmp_path / "w.pth")


def test_reprs(predict):
    assert re.fullmatch(r"<Predictor: \w+ of \d classes by \w+ at \d+x\d+, \w+ on 1 thread>", repr(predict))


# Other processes -----------------------------------------------------------------------------------------------------


def test_copies(predict):
    expected = predict(IMAGE)
    for other in (copy.copy(predict), copy.deepcopy(predict), pickle.loads(pickle.dumps(predict))):
        assert other is not predict
        assert other(IMAGE) == expected


def test_a_model_file_crosses_by_its_path(tmp_path):
    path = tmp_path / "m.safetensors"
    modelfile.write(toy(), path)
    predict = mobilenet.load(path, threads=1)
    content = pickle.dumps(predict)
    assert len(content) < 500
    again = pickle.loads(content)
    assert (again.runtime.threads, again(IMAGE)) == (1, predict(IMAGE))
    modelfile.write(toy(classes=4), path)
    with pytest.raises(ModelFileError, match="not the model file that the predictor was pickled with"):
        pickle.loads(content)
    whole = pickle.dumps(predict)
    assert len(whole) > 100_000, "the file has changed, so the weights themselves cross"
    assert pickle.loads(whole)(IMAGE) == predict(IMAGE)
    path.unlink()
    assert pickle.loads(pickle.dumps(predict))(IMAGE) == predict(IMAGE)


def test_a_known_model_crosses_by_its_name(imagenet):
    content = pickle.dumps(mobilenet.load("imagenet", threads=1))
    assert len(content) < 500
    assert pickle.loads(content).model.network == imagenet.network


def test_a_predictor_made_by_hand(tmp_path):
    with pytest.raises(UsageError, match=r"make it with mobilenet\.load"):
        pickle.dumps(Predictor(toy(), mobilenet.load(toy(), threads=1).runtime))
    again = pickle.loads(pickle.dumps(Predictor(toy(), mobilenet.load(toy(), "reference").runtime)))
    assert again(IMAGE).labels == ("a", "b", "c")


def test_pools_of_processes(tmp_path):
    modelfile.write(toy(), tmp_path / "m.safetensors")
    predict = mobilenet.load(tmp_path / "m.safetensors", threads=1)
    images = [photo(40, 30, seed=number) for number in range(3)]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(predict, images)) == [predict(image) for image in images]


# Embeddings ----------------------------------------------------------------------------------------------------------


def test_an_embedding_is_what_the_classifier_reads(tmp_path):
    model = toy()
    predict = mobilenet.load(model, threads=1)
    vector = predict.embed(IMAGE)
    assert (vector.shape, vector.dtype) == ((256,), np.float32)
    logits = model.tensors["classifier.weight"] @ vector + model.tensors["classifier.bias"]
    powers = np.exp(logits - logits.max())
    np.testing.assert_allclose(powers / powers.sum(), predict(IMAGE).scores, atol=1e-5)
    IMAGE.save(tmp_path / "p.png")
    for other in (*predict.embed([IMAGE, tmp_path / "p.png"]), predict.embed(tmp_path / "p.png")):
        np.testing.assert_array_equal(other, vector)


def test_embeddings_of_detectors_and_segmenters_are_means_of_the_backbone():
    from mobilenet.engine.reference import Reference

    for model, tap in ((detector(), "layer_13.pointwise"), (segmenter(), "layer_18.project")):
        vector = mobilenet.load(model, threads=1).embed(IMAGE)
        part = model.network.until(tap)
        (maps,) = Reference(part, model.tensors)(model.preprocessing(IMAGE)[None])[tap]
        np.testing.assert_allclose(vector, maps.mean((1, 2)), atol=1e-4 * np.abs(maps).max())


# The card ------------------------------------------------------------------------------------------------------------


def test_the_card_of_a_model(tmp_path, predict):
    modelfile.write(predict.model, tmp_path / "m.safetensors")
    card = predict.info()
    assert card == mobilenet.info(tmp_path / "m.safetensors")
    assert card.params == sum(int(np.prod(shape)) for shape in predict.model.network.parameters().values())
    assert card.labels == predict.labels
    out, _ = run("info", tmp_path / "m.safetensors")
    assert f"{card.params:,}" in out
    assert f"{card.madds:,}" in out
    out, _ = run("info", tmp_path / "m.safetensors", "--json")
    assert json.loads(out) == json.loads(json.dumps(card.to_dict()))


def test_the_card_of_a_known_model(imagenet):
    text = str(mobilenet.info("imagenet"))
    for words in ("300,774,272", "3,504,872", "BSD-3-Clause", "top1 0.7188", "b03531047ffacf1e", "n01440764", "resize 256"):
        assert words in text


def test_costs_of_known_models(imagenet):
    assert json.loads(run("cost", "imagenet", "--json")[0])["madds"] == 300_774_272


# The front door ------------------------------------------------------------------------------------------------------


def test_the_front_door(imagenet, tmp_path):
    assert mobilenet.models()["coco"].task == "detection"
    assert modelfile.read(mobilenet.fetch("imagenet")).network == imagenet.network
    assert mobilenet.cost(mobilenet.mobilenet_v2()).madds == 300_774_272
    for label in "ab":
        (tmp_path / label).mkdir()
        IMAGE.save(tmp_path / label / "p.png")
    modelfile.write(toy(), tmp_path / "m.safetensors")
    assert mobilenet.evaluate(tmp_path / "m.safetensors", str(tmp_path)).images == 2
    result = mobilenet.load(toy(), threads=1)(IMAGE)
    np.testing.assert_array_equal(np.asarray(mobilenet.draw(IMAGE, result)), np.asarray(result.plot()))
    with pytest.raises(MobilenetError):
        mobilenet.convert_weights(tmp_path / "a" / "p.png", tmp_path / "n.safetensors")


def test_the_torch_module_by_its_name(imagenet):
    pytest.importorskip("torch")
    assert mobilenet.nn.load("imagenet").network == imagenet.network


# Other rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", [True, False])
def test_a_detector_with_other_rules(core, monkeypatch):
    """Each rule against plain numpy on all boxes that the model may find."""
    from mobilenet.tasks import boxes as box_math, detection

    predict = mobilenet.load(detector(classes=4), "reference")
    if not core:
        monkeypatch.setattr(detection, "built", lambda: False)
        monkeypatch.setattr(box_math, "built", lambda: False)
    every = predict.adjusted(iou=1.0, max_detections=10_000)(IMAGE)
    assert len(every) > 200

    def best(found, classes, iou, number):
        return found[box_math.nms_by_class(found.boxes, found.scores, classes(found), iou, number)]

    assert predict.adjusted(iou=0.2)(IMAGE) == best(every, lambda found: found.classes, 0.2, 100)
    assert predict.adjusted(max_detections=200)(IMAGE) == best(every, lambda found: found.classes, 0.6, 200)
    two = every[np.isin(every.classes, (1, 3))]
    for classes in (["b", "d"], (1, "d"), iter([3, 1])):
        assert predict.adjusted(classes=classes)(IMAGE) == best(two, lambda found: found.classes, 0.6, 100)
    agnostic = predict.adjusted(agnostic=True, iou=0.3, max_detections=50)(IMAGE)
    assert agnostic == best(every, lambda found: np.zeros(len(found), int), 0.3, 50)
    assert len(predict.adjusted(classes="b")(IMAGE, top=3, threshold=0.3)) == 3
    assert predict.adjusted()(IMAGE) == predict(IMAGE)


def test_a_letterbox():
    model, wide = detector(), photo(66, 22)
    predict = mobilenet.load(model, threads=1)
    padded = replace(model.preprocessing, fit="pad", fill=127)
    found = predict.adjusted(fit="pad")(wide)
    assert found == mobilenet.load(replace(model, preprocessing=padded), threads=1)(wide) != predict(wide)
    assert found.boxes[:, 3].max() <= 22
    assert mobilenet.load(toy(), threads=1).adjusted(fit="pad").model.preprocessing.fill == 127
    assert predict.adjusted(fit="pad").adjusted()(wide) == predict(wide), "adjusting starts from what was loaded"


def test_adjusted_predictors_cross_to_processes(tmp_path):
    modelfile.write(detector(), tmp_path / "d.safetensors")
    for predict in (mobilenet.load(tmp_path / "d.safetensors"), mobilenet.load(detector(), "reference")):
        adjusted = predict.adjusted(classes=["a"], iou=0.3, fit="pad")
        again = pickle.loads(pickle.dumps(adjusted))
        assert again(IMAGE) == adjusted(IMAGE) != predict(IMAGE)
        assert again.adjusted()(IMAGE) == predict(IMAGE)
        assert copy.copy(adjusted)(IMAGE) == adjusted(IMAGE)


@pytest.mark.parametrize(
    ("make", "rules", "words"),
    [
        (detector, {"classes": ["cat"]}, "label"),
        (detector, {"classes": [7]}, "class 7: must be a label, or an index from 0 to 2"),
        (detector, {"iou": 1.5}, "iou"),
        (detector, {"max_detections": 0}, "max_detections"),
        (detector, {"fit": "center_crop"}, "fit 'center_crop': must be squash or pad"),
        (toy, {"iou": 0.5}, "rules for boxes, and this model does classification"),
        (segmenter, {"classes": ["red"]}, "rules for boxes, and this model does segmentation"),
    ],
)
def test_rules_that_are_refused(make, rules, words):
    with pytest.raises(UsageError, match=words):
        mobilenet.load(make(), threads=1).adjusted(**rules)
