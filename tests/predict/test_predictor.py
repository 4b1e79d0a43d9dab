"""From a name or file to answers, and the reference runtime's own rules."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cli import run
from support.models import IMAGE, detector, segmenter, toy
from support.weights import random_tensors

import mobilenet
from mobilenet import modelfile
from mobilenet.engine.fold import fold
from mobilenet.engine.reference import Reference
from mobilenet.errors import UsageError
from mobilenet.images.open import ImageError, open_image
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFileError
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.predict.evaluate import evaluate
from mobilenet.tasks.classification import Classification
from mobilenet.tasks.results import OutputError
from mobilenet.zoo import load as zoo_load


def test_every_kind_of_image(tmp_path):
    IMAGE.save(tmp_path / "p.png")
    predict = mobilenet.load(toy())
    answers = [predict(source) for source in (tmp_path / "p.png", str(tmp_path / "p.png"), IMAGE, np.asarray(IMAGE))]
    for answer in answers:
        np.testing.assert_array_equal(answer.scores, answers[0].scores)
        assert answer.scores.dtype == np.float32
        assert answer.scores.sum() == pytest.approx(1, abs=1e-6)
    best = answers[0].top(2)
    assert [p.score for p in best] == sorted(answers[0].scores.tolist(), reverse=True)[:2]
    assert best[0].label == "abc"[best[0].index]
    assert str(answers[0]).startswith(f"{best[0].label} ")
    with pytest.raises(ImageError, match="no such file"):
        predict(tmp_path / "q.png")


def test_ties_go_to_the_lower_index():
    scores = np.array([0.2, 0.3, 0.3, 0.2], np.float32)
    assert [p.index for p in Classification(scores, tuple("wxyz")).top(9)] == [1, 2, 0, 3]


def test_what_is_no_number_comes_last():
    scores = np.array([np.nan, 0.3, 0.7], np.float32)
    assert [p.index for p in Classification(scores, tuple("xyz")).top(9)] == [2, 1]
    assert [p.index for p in Classification(scores, tuple("xyz")).top(9, threshold=0.7)] == [2]


def test_files_and_names(tmp_path):
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    loaded = mobilenet.load(tmp_path / "toy.safetensors")
    np.testing.assert_array_equal(loaded(IMAGE).scores, mobilenet.load(toy())(IMAGE).scores)
    with pytest.raises(ModelFileError, match="No such file"):
        mobilenet.load(tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match="no model is called 'imagenett'; nearest: imagenet"):
        mobilenet.load("imagenett")
    with pytest.raises(ValueError, match="no backend is called 'numba'; there is native, reference"):
        mobilenet.load(toy(), backend="numba")
    with pytest.raises(ModelFileError, match="without a classifier"):
        mobilenet.load(toy(classes=None))


@pytest.fixture
def shadowed(tmp_path, monkeypatch):
    """A working folder with folders and files called like known models; the known models themselves are toys."""
    for name in ("coco", "imagenet", "timm"):
        (tmp_path / name).mkdir()
    (tmp_path / "voc").write_bytes(b"no model")
    modelfile.write(toy(), tmp_path / "timm" / "mobilenetv2_050.lamb_in1k")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(zoo_load, "convert_published", lambda entry, report: replace(toy(), provenance={"name": entry.name}))


@pytest.mark.parametrize("name", ["imagenet", "coco", "voc", "timm/mobilenetv2_050.lamb_in1k"])
def test_a_name_means_the_known_model_whatever_the_working_folder_holds(name, shadowed):
    assert mobilenet.load(name).model.provenance["name"] == name
    assert zoo_load.load_model(name).provenance["name"] == name


def test_what_looks_like_a_path_is_a_file(shadowed, tmp_path):
    for target in ("imagenet.safetensors", "imagenet/model"):
        modelfile.write(toy(), target)
    for source in ("imagenet.safetensors", "./imagenet.safetensors", "imagenet/model", str(tmp_path / "imagenet" / "model")):
        assert "name" not in mobilenet.load(source).model.provenance
    for source in ("./imagenet", Path("imagenet")):
        with pytest.raises(ModelFileError, match=r"imagenet: cannot be read \(Is a directory\)"):
            mobilenet.load(source)


@pytest.mark.parametrize("name", ["imagnet", "model", "timm/mobilenetv2_51.lamb_in1k", "runs/model"])
def test_an_unknown_name_names_the_nearest_and_how_to_give_a_file(name, shadowed):
    (Path(name).parent / "model").write_bytes(b"x") if name == "model" else None
    with pytest.raises(
        UsageError, match=r"no model is called .*(nearest|known): .*a file is given as \./FILE or FILE\.saf"
    ) as error:
        mobilenet.load(name)
    assert "\n" not in str(error.value)


def test_torch_modules_load_by_name_too(shadowed):
    nn = pytest.importorskip("mobilenet.nn", reason="torch is not installed")
    assert nn.load("coco").network == toy().network
    with pytest.raises(UsageError, match="no model is called 'cocoo'; nearest: coco"):
        nn.load("cocoo")


@pytest.mark.parametrize("command", [["predict", "p.png"], ["bench", "--layers"], ["evaluate", "--data", "data"]])
def test_every_command_means_the_known_model(command, shadowed):
    IMAGE.save("p.png")
    for label in "abc":
        Path("data", label).mkdir(parents=True)
        IMAGE.save(f"data/{label}/p.png")
    run(*command)
    run(*command, "--model", "coco")


def test_a_damaged_cached_conversion_is_made_again(imagenet, monkeypatch, tmp_path):
    from mobilenet.zoo import carriers, published

    entry = published.find("imagenet")
    source = carriers.raw_folder(entry) / entry.files[0].name
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path))
    carriers.raw_folder(entry).mkdir(parents=True)
    (carriers.raw_folder(entry) / entry.files[0].name).symlink_to(source)
    first = zoo_load.load_model("imagenet")
    (cached,) = (tmp_path / "models").iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(whole[:1000])
    said: list[str] = []
    again = zoo_load.load_model("imagenet", said.append)
    assert "damaged" in said[0]
    assert cached.read_bytes() == whole, "equal content must give equal bytes"
    assert again.network == first.network == imagenet.network
    views = [view for model in (first, again, zoo_load.load_model("imagenet")) for view in model.tensors.views.values()]
    assert all(isinstance(view, memoryview) for view in views), "one type of tensors, converted now or before"
    assert again.provenance["licence"] == "BSD-3-Clause"


def test_a_flipped_bit_in_the_cache_is_noticed(shadowed, tmp_path):
    """One line says so, and the file is made again; an answer from the damaged weights was given without a word."""
    zoo_load.load_model("imagenet")
    (cached,) = (tmp_path / "cache" / "models").iterdir()
    whole = cached.read_bytes()
    damaged = bytearray(whole)
    damaged[-len(damaged) // 3] ^= 16
    cached.write_bytes(damaged)
    said: list[str] = []
    again = zoo_load.load_model("imagenet", said.append)
    assert len(said) == 1
    assert re.search("imagenet: the cached model file is damaged .*checksum.*; making it again", said[0])
    assert cached.read_bytes() == whole
    np.testing.assert_array_equal(again.tensors["classifier.weight"], toy().tensors["classifier.weight"])


def test_the_reference_refuses_what_is_no_input():
    model = toy()
    run = Reference(model.network, model.tensors)
    for wrong in (np.zeros((3, 32, 32), np.float32), np.zeros((1, 1, 32, 32), np.float32), np.zeros((1, 3, 32, 32)),
                  np.zeros((0, 3, 32, 32), np.float32)):  # fmt: skip
        with pytest.raises(ValueError, match=r"must be float32 \(N, 3, H, W\)"):
            run(wrong)


def test_batches_and_single_images_agree():
    network = mobilenet_v2(0.35, (33, 20), classes=4, padding="tensorflow")
    run = Reference(network, random_tensors(network))
    images = np.random.default_rng(0).standard_normal((3, 3, 33, 20)).astype(np.float32)
    whole = run(images)["classifier"]
    singles = np.concatenate([run(image[None])["classifier"] for image in images])
    np.testing.assert_allclose(whole, singles, rtol=0, atol=1e-5 * np.abs(whole).max())


def test_several_taps_at_once():
    network = mobilenet_v2(0.35, 64).until("layer_15.expand", "layer_18", "layer_5")
    outputs = Reference(network, random_tensors(network))(np.ones((1, 3, 64, 64), np.float32))
    assert {name: value.shape for name, value in outputs.items()} == {
        "layer_15.expand": (1, 192, 4, 4),
        "layer_18": (1, 112, 2, 2),
        "layer_5": (1, 16, 8, 8),
    }


def test_folding_is_the_formula():
    network = mobilenet_v1(0.25, 32, classes=2, epsilon=1e-3)
    tensors = random_tensors(network)
    weight, bias = fold(network, tensors)["layer_3.depthwise"]
    g, b, m, v = (
        tensors[f"layer_3.depthwise.norm.{k}"].astype("f8") for k in ("weight", "bias", "running_mean", "running_var")
    )
    scale = g / np.sqrt(v + 1e-3)
    np.testing.assert_array_equal(bias, (b - m * scale).astype("f4"))
    raw = tensors["layer_3.depthwise.conv.weight"]
    np.testing.assert_array_equal(weight, (raw * scale[:, None, None, None]).astype("f4"))


def test_inputs_are_not_written_to():
    model = toy(convolution="full")
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)
    before = image.copy()
    Reference(model.network, model.tensors)(image)
    np.testing.assert_array_equal(image, before)


def test_real_photos_are_named_as_torchvision_names_them(shared, imagenet):
    """The same order of the five likeliest on every one of the 100 images, and the oracle's score."""
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision").models
    from mobilenet.predict.evaluate import records_for
    from mobilenet.zoo import carriers, published

    entry = published.find("imagenet")
    peer = models.mobilenet_v2()
    peer.load_state_dict(torch.load(carriers.fetch(entry).folder / entry.files[0].name, weights_only=True))
    peer.eval()
    transform = models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    predict = mobilenet.load(imagenet)
    images = [(record.name, record.truth) for record in records_for(imagenet, shared / "data" / "imagenet100")]
    assert len(images) == 100
    right = right5 = 0
    for path, index in images:
        with Image.open(path) as opened, torch.inference_mode():
            theirs = peer(transform(opened.convert("RGB"))[None])[0].numpy()
        ours = predict.runtime(imagenet.preprocessing(open_image(path))[None])["classifier"][0]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)
        order = np.argsort(-ours, kind="stable")[:5]
        assert order[0] == np.argmax(theirs)
        assert set(order) == set(np.argsort(-theirs)[:5])
        right, right5 = right + (order[0] == index), right5 + (index in order)
    assert (right, right5) == (89, 99)


def test_preprocessing_of_a_model_is_its_own():
    a, b = toy(), replace(toy(), preprocessing=Preprocessing(size=(32, 32), fit="squash", mean=(0.5,) * 3, std=(0.5,) * 3))
    assert not np.array_equal(mobilenet.load(a)(IMAGE).scores, mobilenet.load(b)(IMAGE).scores)


def overflowing(model):
    """The same model with finite weights whose products are not."""
    layer = model.network.heads.classes[0]
    tensors = {name: np.array(value) for name, value in model.tensors.items()}
    for name, value in tensors.items():
        if name.startswith(f"{layer}.") and name.endswith("weight"):
            value.fill(3e38)
    return replace(model, tensors=tensors)


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
@pytest.mark.parametrize("backend", ["native", "reference", "torch"])
def test_answers_that_are_no_numbers_are_errors(task, backend, tmp_path):
    model = overflowing({"classification": toy, "detection": detector, "segmentation": segmenter}[task]())
    modelfile.write(model, tmp_path / "m.safetensors")  # the weights themselves are finite
    if backend == "torch":
        backend = pytest.importorskip("mobilenet.nn", reason="torch is not installed").executor
    with np.errstate(all="ignore"):
        predict = mobilenet.load(tmp_path / "m.safetensors", backend)
        with pytest.raises(
            OutputError, match=r"^output '\w+(\.\w+)?' holds NaN or infinity: the weights overflow on this image"
        ):
            predict(IMAGE)
        IMAGE.save(tmp_path / "p.png")
        with pytest.raises(OutputError, match=r"p\.png: output "):
            predict(tmp_path / "p.png")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_one_value_that_is_no_number_is_enough(value, kind):
    answer = np.zeros((1, 3), kind)
    answer[0, 1] = value
    with pytest.raises(OutputError, match="output 'classifier' holds NaN or infinity"):
        mobilenet.load(toy(), lambda model: lambda images: {"classifier": answer})(IMAGE)


def test_the_other_images_are_done(tmp_path, monkeypatch):
    """One image of a folder overflows: it is named, and the others are answered and scored."""
    from mobilenet.cli import predict as command

    def run_network(images):
        return {"classifier": np.full((1, 3), np.nan if images.mean() > 0 else 1.0, np.float32)}

    for label, color in (("a", "black"), ("b", "white"), ("c", "black")):
        (tmp_path / label).mkdir()
        Image.new("RGB", (40, 40), color).save(tmp_path / label / f"{label}.png")
    loaded = mobilenet.load(toy(), lambda model: run_network)
    score = evaluate(loaded, tmp_path)
    assert (score.images, len(score.failed)) == (2, 1)
    assert "b.png: output 'classifier' holds NaN" in score.failed[0]
    monkeypatch.setattr(command, "load_predictor", lambda *arguments, **settings: loaded)
    out, err = run("predict", tmp_path, "--json", status=1)
    assert [Path(answer["input"]).name for answer in json.loads(out)] == ["a.png", "c.png"]
    assert err.count("\n") == 1
    assert "b.png: output 'classifier' holds NaN or infinity" in err
