"""Two models, runtimes and exported files beside each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.models import detector, segmenter, toy

import mobilenet
from mobilenet import modelfile
from mobilenet.cli.main import main
from mobilenet.exports.bounds import Bound
from mobilenet.parity.agreement import Agreement
from mobilenet.parity.compare import Comparison, Difference, SideReport
from mobilenet.parity.gate import ParityError, check_whole
from mobilenet.tasks.classification import Classification
from mobilenet.tasks.detection import Detections
from mobilenet.values import replace


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A toy of each task as a file, and labeled images: a folder for each of the toy's classes."""
    path = tmp_path_factory.mktemp("desk")
    for name, model in (("toy", toy()), ("boxes", detector()), ("masks", segmenter())):
        modelfile.write(model, path / f"{name}.safetensors")
    generator = np.random.default_rng(0)
    for label in "abc":
        (path / "data" / label).mkdir(parents=True)
        Image.fromarray(generator.integers(0, 256, (40, 50, 3), np.uint8)).save(path / "data" / label / "1.png")
    return path


def run(*arguments: object):
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_a_model_and_a_backend_on_labeled_images(desk):
    result = run("compare", desk / "toy.safetensors", "reference", "--data", desk / "data", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["images"] == 3
    assert found["a"]["metrics"] == found["b"]["metrics"]
    assert found["agreement"]["share"] == 1
    assert found["agreement"]["largest_score_difference"] < 1e-6
    assert [each["name"] for each in found["outputs"]] == ["classifier"]
    assert found["outputs"][0]["relative"] < 1e-5


@pytest.mark.parametrize("name", ["boxes", "masks"])
def test_each_task_agrees_with_itself_and_not_with_other_weights(desk, name):
    pytest.importorskip("mobilenet._core")
    model = modelfile.read(desk / f"{name}.safetensors")
    same = mobilenet.compare(model, "reference", desk / "data")
    assert same.agreement.share == 1
    other = {key: tensor[..., ::-1].copy() if tensor.ndim == 4 else tensor for key, tensor in model.tensors.items()}
    wrong = mobilenet.compare(model, replace(model, tensors=other), desk / "data")
    assert wrong.agreement.share < 1
    assert wrong.largest is not None
    assert wrong.largest.relative > 0.01


def test_a_table_says_what_is_beside_what(desk):
    result = run("compare", "native", desk / "toy.safetensors", "--data", desk / "data")
    assert result.exit_code == 0, result.output
    assert "3 images" in result.stdout
    assert "first labels of both" in result.stdout
    assert "top1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("native", "reference"), "one of them must be a model"),
        (("toy.safetensors", "boxes.safetensors"), "give two models for one task"),
        (("toy.safetensors", "none.onnx"), "make it with 'mobilenet export MODEL --to onnx'"),
    ],
)
def test_what_cannot_be_compared_is_one_line(desk, monkeypatch, arguments, message):
    monkeypatch.chdir(desk)
    result = run("compare", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_boxes_agree_whatever_their_order_and_count_from_both_sides():
    labels = ("cat", "dog")
    boxes = np.array([[0, 0, 10, 10], [20, 20, 40, 40], [0, 0, 5, 5]], np.float32)
    a = Detections(boxes, np.array([0.9, 0.8, 0.1], np.float32), np.array([0, 1, 0]), labels)
    b = Detections(boxes[[1, 0]] + 0.1, np.array([0.85, 0.7], np.float32), np.array([1, 1]), labels)
    agreement = Agreement("boxes")
    agreement.add(a, b)
    assert (agreement.same, agreement.all) == (2, 4)  # the dog twice; the cat is another dog's box, the third is too weak
    assert agreement.largest_box == pytest.approx(0.1, abs=1e-5)
    assert agreement.largest_score == pytest.approx(0.05, abs=1e-5)


def test_export_refuses_wrong_places_and_settings_in_one_line(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("onnx")
    (tmp_path / "toy.onnx").write_text("mine")
    (tmp_path / "full-openvino").mkdir()
    (tmp_path / "full-openvino" / "notes.txt").write_text("mine")
    model = desk / "toy.safetensors"
    for arguments, message in (
        (("--to", "onnyx"), "no format is called 'onnyx'; nearest: onnx"),
        (("--to", "onnx"), "toy.onnx: stands here already; say --out toy.onnx to replace it"),
        (("--to", "onnx", "--out", "toy.tflite"), "a file of ONNX ends in .onnx"),
        (("--to", "onnx", "--precision", "int4"), "no precision is called 'int4'"),
        (("--to", "onnx", "--precision", "int8"), "quantize it first"),
        (("--to", "torch", "--precision", "fp16"), "torch.export has fp32 here"),
        (("--to", "torch", "--whole"), "torch.export holds the network alone here"),
        (("--to", "openvino", "--out", "full-openvino"), "holds notes.txt, which is no part of OpenVINO"),
        (("--to", "onnx", "--out", "a.onnx", "--data", "nowhere"), "nowhere"),
    ):
        result = run("export", model, *arguments)
        assert result.exit_code in (1, 2), arguments
        assert message in result.stderr, (arguments, result.stderr)
        assert result.stderr.count("\n") == 1, result.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["full-openvino", "toy.onnx"]
    assert (tmp_path / "toy.onnx").read_text() == "mine"


def test_the_command_export_prints_its_proof_and_replaces_what_it_is_told_to(desk, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    out = tmp_path / "toy.onnx"
    out.write_text("old")
    result = run("export", desk / "toy.safetensors", "--to", "onnx", "--out", out, "--data", desk / "data", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["verified"]
    assert found["bytes"] == out.stat().st_size
    assert found["comparison"]["a"]["metrics"] == found["comparison"]["b"]["metrics"]
    result = run("export", desk / "toy.safetensors", "--to", "onnx", "--out", out, "--data", desk / "data", "--whole")
    assert result.exit_code == 0, result.output
    assert "verified" in result.stdout


def test_without_the_runtime_the_file_is_not_verified(desk, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    from mobilenet.exports.formats import FORMATS

    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], runtime=("no_such_package",)))
    result = run("export", desk / "toy.safetensors", "--to", "onnx", "--out", tmp_path / "m.onnx")
    assert result.exit_code == 0, result.output
    assert "not verified here: no_such_package not installed" in result.stdout
    assert (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("num_different", "gap", "passes"),
    [(1, 0.3, True), (1, 0.35, False), (2, 0.3, False)],
    ids=["a near tie", "past the bound", "two of 21"],
)
def test_one_near_tie_among_few_images_passes_the_gate(num_different, gap, passes):
    """Two logits of an output of root mean square 1, each 22 % off, move by 0.316: here from one half of it to the other."""

    def answer(gap):
        odds = np.exp(np.float32(gap))
        return Classification(np.array([odds, 1], np.float32) / (1 + odds), ("a", "b"))

    agreement = Agreement("first labels")
    for number in range(21):
        agreement.add(answer(gap / 2), answer(-gap / 2 if number < num_different else gap / 2))
    report = SideReport("", 0, 0.0, None)
    network = Comparison(
        "classification", 21, "", report, report, (Difference("x", signal=42, count=42),), Agreement("first labels")
    )
    whole = Comparison("classification", 21, "", report, report, (), agreement)
    if passes:
        return check_whole(whole, network, Bound("noise", 0.05**0.5, ""), Path("m.onnx"))
    with pytest.raises(ParityError, match="of 21 first labels"):
        check_whole(whole, network, Bound("noise", 0.05**0.5, ""), Path("m.onnx"))
