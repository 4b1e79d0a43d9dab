"""Training with integers: torch computes what the reference computes, and a run's score is the engine's, image by image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.grid import gridded
from support.integer_networks import NETWORKS
from support.weights import random_tensors

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import tiny, tiny_detector, tiny_segmenter  # noqa: E402

import mobilenet  # noqa: E402
from mobilenet import modelfile, nn  # noqa: E402
from mobilenet.data import Shapes  # noqa: E402
from mobilenet.engine.reference_grid import GridReference  # noqa: E402
from mobilenet.errors import UsageError  # noqa: E402
from mobilenet.modelfile import ModelFile  # noqa: E402
from mobilenet.network.grid import MAX_SUM, ONE  # noqa: E402
from mobilenet.network.quantization import weighted  # noqa: E402
from mobilenet.predict.evaluate import score_of, scored_truth  # noqa: E402
from mobilenet.training.recipes.recipe import NetworkSpec, Quantize, Recipe  # noqa: E402
from mobilenet.training.run import loop, report  # noqa: E402


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_integers_as_the_reference(name):
    network = NETWORKS[name]
    tensors, quantization = gridded(network)
    net = nn.IntegerNetwork.of(network, quantization.dequantized(network, tensors), quantization, 0.0)
    x = np.random.default_rng(5).standard_normal((2, 3, *network.resolution)).astype(np.float32)
    expected = GridReference(network, net.arrays(), quantization)(x)
    with torch.inference_mode():
        found = net.eval().taps(*network.outputs)(torch.from_numpy(x))
    assert list(found) == list(expected)
    for output, value in found.items():
        np.testing.assert_array_equal(value.numpy(), expected[output], err_msg=output)


def test_gradients_are_those_without_roundings():
    """Few layers, in which roundings hardly matter: gradients are nearly those of the float network."""
    network = NETWORKS["v2"].until("layer_3.expand")
    tensors, quantization = gridded(network)
    weights = quantization.dequantized(network, tensors)
    net, floats = nn.IntegerNetwork.of(network, weights, quantization, 0.0), nn.module(network, 0.0)
    floats.load_arrays(weights)
    pixels = np.random.default_rng(5).integers(0, 256, (4, 3, *network.resolution))
    x = torch.from_numpy(((pixels - 124) / 58).astype(np.float32))
    with torch.inference_mode():
        net(x)  # leaves nothing behind that training cannot use
    gradients = []
    for each in (net, floats):
        outputs = each(x)
        (outputs * torch.linspace(-1, 1, outputs[0].numel()).reshape(outputs[0].shape)).mean().backward()
        gradients.append({name: value.grad for name, value in each.named_parameters()})
    for name, expected in gradients[1].items():
        found = gradients[0][name]
        assert torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.98, name
        assert 0.9 < found.norm() / expected.norm() < 1.1, name


def test_weights_that_grow_stay_within_bounds():
    network = NETWORKS["v2"]
    tensors, quantization = gridded(network)
    net = nn.IntegerNetwork.of(network, quantization.dequantized(network, tensors), quantization, 0.0)
    (layer, _), *_ = [(layer, stem) for layer, stem in weighted(network) if layer.name == "layer_15.project"]
    with torch.no_grad():
        net.get_submodule("layer_15.project.conv").bias += 1.5 * MAX_SUM * float(net.steps(layer).max())
    assert net.reach(layer).max() > MAX_SUM or net.integers(layer)[1].abs().max() == MAX_SUM
    net.keep_bounds()
    net.quantization.check(network, net.arrays())
    with torch.no_grad():
        net.get_submodule("layer_15.project.conv").weight *= ONE
        net.get_submodule("layer_15.project.conv").bias *= ONE
    with pytest.raises(UsageError, match=r"layer 'layer_15\.project': its weights have grown too large.*smaller lr"):
        net.keep_bounds()


@pytest.fixture(autouse=True)
def quick(monkeypatch, one_thread):
    monkeypatch.setattr(report, "draw_run", lambda *_: None)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Model files in floats to start from, by recipe."""
    folder, found = tmp_path_factory.mktemp("floats"), {}
    for make in (tiny, tiny_detector, tiny_segmenter):
        recipe, path = make(), folder / f"{make.__name__}.safetensors"
        labels = Shapes(recipe.task, "val", 1, 32).labels
        network = recipe.network.network(recipe.resolution, len(labels))
        decoding = recipe.loss.decoding if recipe.task == "detection" else None
        modelfile.write(ModelFile(network, random_tensors(network), labels, recipe.preprocessing, decoding=decoding), path)
        found[make] = path
    return found


def integers(make, start: dict, **changes) -> Recipe:
    recipe = make()
    spec = {**vars(recipe.network), "start": str(start[make])}
    return make(network=NetworkSpec(**spec), quantize=Quantize(images=8), lr=0.002, **changes)


@pytest.mark.parametrize("make", [tiny, tiny_detector, tiny_segmenter])
def test_what_is_scored_is_what_the_engine_scores(make, start, tmp_path):
    recipe = integers(make, start, epochs=1)
    scored = []
    evaluate = loop.evaluate_network

    def spy(fabric, net, objective, *arguments):
        scored.append(net.eval().taps(*net.network.outputs))
        return evaluate(fabric, net, objective, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "evaluate_network", spy)
        path = loop.train(recipe, None, tmp_path / "run", accelerator="cpu")
    model = modelfile.read(path)
    assert model.quantization is not None
    predictor = mobilenet.load(model)
    assert predictor.runtime.precision == "int8"
    records = Shapes(recipe.task, "val", recipe.shapes.val, recipe.shapes.size)
    score = score_of(records)
    for index, record in enumerate(records):
        x = np.asarray(model.preprocessing.batch(record.open()))
        with torch.inference_mode():
            expected = scored[-1](torch.from_numpy(x))
        for name, value in predictor.runtime(x).items():
            np.testing.assert_array_equal(value, expected[name].numpy())
        score.add(predictor.predict(record.open()), scored_truth(record.truth, index))
    assert score.metrics() == model.metrics
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["metrics"] == model.metrics


def test_learning_changes_the_integers(start, tmp_path):
    recipe = integers(tiny, start, epochs=2)
    model = modelfile.read(loop.train(recipe, None, tmp_path / "run", accelerator="cpu"))
    first = modelfile.read(loop.train(integers(tiny, start, epochs=1), None, tmp_path / "first", accelerator="cpu"))
    assert any((model.tensors[name] != first.tensors[name]).any() for name in model.tensors)


def test_an_interrupted_run_ends_equal(start, tmp_path, monkeypatch):
    recipe = integers(tiny, start)
    whole = loop.train(recipe, None, tmp_path / "whole", accelerator="cpu").read_bytes()
    step = loop.train_step

    def stop_at_seven(run, *arguments):
        if run.step == 7:
            raise OSError("the disk is gone")
        return step(run, *arguments)

    monkeypatch.setattr(loop, "train_step", stop_at_seven)
    with pytest.raises(loop.TrainingError, match="the disk is gone"):
        loop.train(recipe, None, tmp_path / "run", accelerator="cpu")
    monkeypatch.setattr(loop, "train_step", step)
    assert loop.train(recipe, None, tmp_path / "run", True, "cpu").read_bytes() == whole


def test_floats_that_are_scored_in_integers(tmp_path):
    recipe = tiny(quantize=Quantize(qat=False, images=8), epochs=1)
    model = modelfile.read(loop.train(recipe, None, tmp_path / "run", accelerator="cpu"))
    assert model.quantization is not None
    floats = modelfile.read(loop.train(tiny(epochs=1), None, tmp_path / "floats", accelerator="cpu"))
    assert floats.quantization is None
    x = np.asarray(model.preprocessing.batch(next(iter(Shapes("classification", "val", 1, 32))).open()))
    found, expected = (mobilenet.load(each).runtime(x)["classifier"] for each in (model, floats))
    assert ((found - expected) ** 2).mean() < 0.02 * (expected**2).mean()


def test_settings_that_contradict():
    for changes, rule in (
        ({}, "without network.start: random weights have no ranges yet"),
        ({"precision": "bf16-mixed", "network": NetworkSpec(start="imagenet")}, "'32-true' with quantize.qat"),
        ({"compile": True, "network": NetworkSpec(start="imagenet")}, "false with quantize.qat"),
        ({"sync_norm": True, "network": NetworkSpec(start="imagenet")}, "false with quantize.qat"),
    ):
        with pytest.raises(UsageError, match=rule):
            tiny(quantize=Quantize(), **changes)
    with pytest.raises(UsageError, match="images 0: must be at least 1"):
        Quantize(images=0)
