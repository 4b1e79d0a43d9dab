"""Every example runs: the notebooks cell by cell in this process, the scripts on small videos made here."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageChops
from support.paths import ROOT
from support.weights import published_model

import mobilenet
from mobilenet.cli.main import main

EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("notebooks/*.ipynb"))
NEEDS = {
    "classify": ("imagenet",),
    "detect": ("coco",),
    "segment": ("voc-small",),
    "finetune": ("imagenet", "torch", "matplotlib"),
    "quantize-and-export": ("imagenet", "onnx", "onnxruntime"),
    "paper": ("matplotlib",),
}
"""The models and packages of each notebook."""
MODELS = ("imagenet", "coco", "voc-small")


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def run_cell(source: str, names: dict[str, object]) -> None:
    """Does what Jupyter does with a cell: a command after ``!``, or statements, of which a last expression is shown."""
    if source.startswith("!"):
        program, *words = shlex.split(source[1:])
        assert program == "mobilenet"
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        return
    body = ast.parse(source).body
    shown = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)
    if shown is not None:
        value = eval(compile(shown, "cell", "eval"), names)
        for method in ("_repr_png_", "_repr_html_", "__repr__"):
            getattr(value, method, str)()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch, one_thread):
    for name in NEEDS[path.stem]:
        published_model(name) if name in MODELS else pytest.importorskip(name)
    folder = tmp_path / "examples" / "notebooks"
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "photos", tmp_path / "photos")
    os.symlink(ROOT / "results", tmp_path / "results")
    monkeypatch.chdir(folder)
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "code":
            run_cell("".join(cell["source"]), names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    book = read(path)
    assert path.read_text("utf-8") == json.dumps(book, indent=1, ensure_ascii=False) + "\n"
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in book["cells"] if cell["cell_type"] == "code")
    assert book["cells"][0]["source"][0].startswith("# ")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A cup that slides from the left to the right over the middle of a small video."""
    av = pytest.importorskip("av", reason="PyAV is not installed; it is the extra [video]")
    path = tmp_path_factory.mktemp("video") / "cup.mp4"
    photo = Image.open(ROOT / "photos" / "coffee.jpg").convert("RGB").resize((300, 200), Image.Resampling.BILINEAR)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        (video.width, video.height), video.pix_fmt = (320, 240), "yuv420p"
        for offset in range(-64, 88, 8):
            frame = Image.new("RGB", (320, 240), (128, 128, 128))
            frame.paste(photo, (offset, 20))
            container.mux(video.encode(av.VideoFrame.from_image(frame).reformat(format="yuv420p")))
        container.mux(video.encode(None))
    return path


def run_script(monkeypatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    runpy.run_path(str(words[0]), run_name="__main__")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:OpenCV:UserWarning")
def test_a_cup_that_crosses_the_line_is_counted_once(clip, coco, tmp_path, monkeypatch, capsys):
    pytest.importorskip("supervision")
    pytest.importorskip("trackers")
    out = tmp_path / "counted.mp4"
    run_script(monkeypatch, EXAMPLES / "counting" / "count.py", clip, "--classes", "cup", "--line", "0.5,1,0.5,0", "--out", out)
    assert capsys.readouterr().out.splitlines() == ["19 frames, 0 in, 1 out", "cup: 0 in, 1 out"]
    assert out.stat().st_size > 1000


def test_the_watch_says_what_it_sees(clip, coco, tmp_path, monkeypatch, capsys):
    words = (clip, "--classes", "cup", "--fps", "12", "--keep", tmp_path / "kept")
    run_script(monkeypatch, EXAMPLES / "raspberry-pi" / "watch.py", *words)
    first, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" +0\.\d s  cup", first)
    assert re.fullmatch(r"9 frames, \d+ ms of processor time each, \d+ MiB", last)
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_frames_of_a_pipe_are_drawn_on(coco, monkeypatch, capsys):
    photo = Image.open(ROOT / "photos" / "coffee.jpg").convert("RGB").resize((301, 200))
    frame = b"P6\n301 200\n255\n" + photo.tobytes()
    given, taken = io.BytesIO(frame + frame + frame[:1000]), io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
    out = io.TextIOWrapper(taken)
    with monkeypatch.context() as during:
        during.setattr(sys, "stdout", out)
        run_script(during, EXAMPLES / "ffmpeg" / "annotate.py", "coco", "--threshold", "0.5")
    assert capsys.readouterr().err == "2 frames\n"
    drawn = taken.getvalue()
    assert len(drawn) == 2 * len(frame)
    with Image.open(io.BytesIO(drawn)) as first:
        assert first.size == photo.size
        assert np.asarray(ImageChops.difference(first, photo)).max() > 50


def test_ffmpeg_passes_a_video_through_the_pipe(clip, coco, tmp_path):
    if (ffmpeg := shutil.which("ffmpeg")) is None:
        pytest.skip("ffmpeg is not installed")
    out = tmp_path / "drawn.mp4"
    reader = f"{ffmpeg} -loglevel error -i {clip} -f image2pipe -c:v ppm -"
    writer = f"{ffmpeg} -loglevel error -f image2pipe -c:v ppm -framerate 25 -i - -pix_fmt yuv420p {out}"
    command = f"{reader} | {sys.executable} {EXAMPLES}/ffmpeg/annotate.py coco | {writer}"
    assert subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stderr == "19 frames\n"
    assert out.stat().st_size > 1000


def test_the_phone_gets_the_file_that_its_class_expects(imagenet, tmp_path):
    """The same steps as `examples/android/ImageClassifier.java`, on the file of its README's command."""
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    source = (EXAMPLES / "android" / "ImageClassifier.java").read_text("utf-8")
    path = tmp_path / "mobilenet.tflite"
    mobilenet.export(imagenet, "litert", path, precision="fp16", whole=True, data=ROOT / "photos")
    shorter, side = (int(re.search(rf"int {name} = (\d+);", source)[1]) for name in ("SHORTER_SIDE", "SIDE"))
    interpreter = interpreters.Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["dtype"], tuple(given["shape"])) == (np.uint8, (1, side, side, 3))
    assert (found["dtype"], tuple(found["shape"])) == (np.float32, (1, 1000))
    photo = Image.open(ROOT / "photos" / "cat.jpg").convert("RGB")
    width, height = (shorter * each // min(photo.size) for each in photo.size)
    x, y = (width - side) // 2, (height - side) // 2
    middle = photo.resize((width, height), Image.Resampling.BILINEAR).crop((x, y, x + side, y + side))
    interpreter.set_tensor(given["index"], np.asarray(middle)[None])
    interpreter.invoke()
    scores = interpreter.get_tensor(found["index"])[0]
    labels = zipfile.ZipFile(path).read("labels.txt").decode().splitlines()
    assert labels[scores.argmax()] == "Egyptian cat"
    assert scores.max() == pytest.approx(mobilenet.load(imagenet)(photo)[0].score, abs=0.02)
