"""Names that are made to control a terminal, to hide, or to mean something to what prints them: in everything that is printed.

They are file names, folder names, labels, and a model's provenance; all commands run in this process.
"""

from __future__ import annotations

import json
import os
import warnings

import pytest
from PIL import Image
from support.cli import run
from support.models import detector, toy

import mobilenet
from mobilenet import modelfile
from mobilenet.values import replace

NASTY = {
    "terminal's title": "\x1b]0;owned\x07",
    "cleared screen": "\x1b[2J\x1b[H",
    "two lines": "a\nmobilenet: all is well",
    "carriage return": "a\r100.0 %  cat",
    "tab and backspace": "a\tb\x08\x08",
    "C1 control": "\x9b31m red",
    "right to left": "cat\u202egpj.exe",
    "isolate": "\u2066cat\u2069",
    "nothing to see": "c\u200bat\ufeff",
    "line separator": "a\u2028b\u2029c\x85d",
    "tags": "cat\U000e0041\U000e0042",
    "formula": "=cmd|' 'C calc'!A0",
    "placeholders": "%s %(x)s {0.__class__} $x $\\x$ \\n",
    "markup": "<img src=x onerror=alert(1)>&amp;",
    "option": "--rf",
    "half a character": "\udcff",
}
LABELS = tuple(name for name in NASTY.values() if name != "\udcff")
"""Those that a model file can hold."""


def assert_safe(*texts: str) -> None:
    for text in texts:
        for line in text.split("\n"):
            assert line.isprintable(), ascii(line)
            assert line != "mobilenet: all is well"
            assert len(line) < 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An image of each name, a broken one of each, and a model of each task whose labels are the names."""
    place = tmp_path_factory.mktemp("names")
    for name in NASTY.values():
        for kind in ("sound", "broken"):
            path = place / kind / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (9, 9), "red").save(path)
            if kind == "broken":
                path.write_bytes(b"\x89PNG")
    source = {"name": NASTY["two lines"], "title": NASTY["cleared screen"], "licence": NASTY["right to left"],
              "official": list(LABELS), **{name: name for name in LABELS}}  # fmt: skip
    count = len(LABELS)
    for name, model in (("toy", toy(count)), ("boxes", detector(count))):
        modelfile.write(replace(model, labels=LABELS, provenance=source), place / f"{name}.safetensors")
    return place


def test_predict(folder, tmp_path):
    toy_file = folder / "toy.safetensors"
    for images, status in ((folder / "sound", 0), (folder / "broken", 1)):
        for options in ((), ("--json",), ("--format", "jsonl"), ("--format", "csv"), ("--format", "json")):
            out, err = run("predict", images, "--model", toy_file, "--top", len(LABELS), *options, status=status)
            assert_safe(out, err)
            if options == ("--json",) and not status:
                answers = json.loads(out)
                assert {answer["input"] for answer in answers} == set(map(str, images.iterdir()))
                assert {each["label"] for each in answers[0]["predictions"]} == set(LABELS), "JSON holds the names themselves"
    for name in NASTY.values():
        hidden = folder / f"{name}{name}"
        assert_safe(*run("predict", folder / "sound" / f"{name}.png", "--model", toy_file, "--save", tmp_path / f"{name} out"))
        assert_safe(*run("predict", hidden, "--model", toy_file, status=1))
        assert_safe(*run("predict", folder / "sound" / "--rf.png", "--model", hidden, status=1))
    output = tmp_path / f"{NASTY['two lines']}.csv"
    assert_safe(*run("predict", folder / "sound", "--model", toy_file, "--output", output))
    assert_safe(output.read_text())
    assert_safe(*run("predict", folder / "sound", "--model", toy_file, "--output", output, status=2))
    assert (
        f"{len(NASTY)} held already" in run("predict", folder / "sound", "--model", toy_file, "--output", output, "--resume")[1]
    )


def test_what_a_model_is(folder):
    for options in ((), ("--json",)):
        assert_safe(*run("info", folder / "toy.safetensors", *options))
        assert_safe(*run("cost", folder / "toy.safetensors", *options))
    for name in NASTY.values():
        for command in ("info", "fetch", "cost"):
            assert_safe(*run(command, "--", name, status=2))
    predictor = mobilenet.load(folder / "toy.safetensors")
    result = predictor(Image.new("RGB", (9, 9)))
    assert_safe(str(result), str(mobilenet.info(folder / "toy.safetensors")))
    assert "<img src" not in result._repr_html_()


def test_evaluate_convert_and_quantize(folder, tmp_path):
    data = tmp_path / "data"
    for name in NASTY.values():
        (data / name).mkdir(parents=True)
        os.link(folder / "broken" / f"{name}.png", data / name / f"{name}.png")
    out, err = run("evaluate", "--model", folder / "toy.safetensors", "--data", data, status=2)
    assert_safe(out, err)
    known = tmp_path / "known"
    for name in LABELS:
        (known / name).mkdir(parents=True)
        os.link(folder / "broken" / f"{name}.png", known / name / f"{name}.png")
    os.link(folder / "sound" / "--rf.png", known / "--rf" / "sound.png")
    assert_safe(*run("evaluate", "--model", folder / "toy.safetensors", "--data", known, status=1))
    assert_safe(*run("evaluate", "--model", folder / "toy.safetensors", "--data", known, "--json", status=1))
    weights = tmp_path / f"{NASTY['cleared screen']}.pth"
    weights.write_bytes(b"no weights")
    assert_safe(*run("convert", weights, "--out", tmp_path / f"{NASTY['two lines']}.safetensors", status=1))
    for name in NASTY.values():
        os.link(folder / "sound" / f"{name}.png", folder / "broken" / f"{name}.sound.png")
    result = tmp_path / f"{NASTY['right to left']}.safetensors"
    for options in ((), ("--json",)):
        quantize = ("quantize", folder / "toy.safetensors", "--calibration", folder / "broken", "--out", result, *options)
        out, err = run(*quantize, status=1)
        assert_safe(out, err)
        assert sum(line.startswith("mobilenet: ") for line in err.splitlines()) == len(NASTY)
    assert_safe(*run("info", result))


def test_labels_are_drawn(folder):
    """Without an error, whatever a font makes of them."""
    result = mobilenet.load(folder / "boxes.safetensors", threads=1).predict(Image.new("RGB", (120, 90), "gray"), threshold=0.0)
    for name in LABELS:
        assert mobilenet.draw(Image.new("RGB", (120, 90)), result, [replace(result[0], label=name)]).size == (120, 90)


def test_training_prints_and_charts_labels(tmp_path, capsys):
    """Two dollar signs are no formula, which would end the run when it is done."""
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    from mobilenet.analysis.tallies import ClassificationTally
    from mobilenet.training.run.log import Progress
    from mobilenet.training.run.report import draw_confusion

    progress = Progress(quiet=False)
    for name in NASTY.values():
        progress.print(f"{name}: done")
    assert_safe(capsys.readouterr().err)
    names = (*LABELS, r"$\frac{$", "$5 and $6")
    tally = ClassificationTally(names)
    tally.pairs.update((index, index) for index in range(len(names)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion(tmp_path, tally.analysis())
    assert (tmp_path / "confusion.png").stat().st_size > 1000
