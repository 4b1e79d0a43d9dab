"""Many images: answers as they come, formats, files that survive a kill, folders that are never written over."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image
from support.cli import run
from support.models import detector, segmenter, toy

from mobilenet import modelfile
from mobilenet.cli.answers import Times
from mobilenet.images.find import MAX_SORTED, Search
from mobilenet.predict.drawn import DrawnFolder
from mobilenet.predict.held import Held, LineFile
from mobilenet.predict.ordered import WINDOW, Ordered
from mobilenet.predict.work import Entry

COMMAND = [sys.executable, "-W", "error", "-c", "from mobilenet.__main__ import run; run()"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "toy.safetensors"
    modelfile.write(toy(), path)
    return str(path)


def write_images(folder, count, corrupt=0):
    """`count` small images, the last `corrupt` of them cut short."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for index in range(count):
        path = folder / f"{index:05}.png"
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
        if index >= count - corrupt:
            path.write_bytes(path.read_bytes()[:60])
    return folder


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images", 12, corrupt=2)


def inputs_of(path):
    """The inputs that an output file holds, image by image, in its order."""
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            return list(dict.fromkeys(row["input"] for row in csv.DictReader(file)))
    text = path.read_text()
    entries = json.loads(text) if path.suffix == ".json" else map(json.loads, text.splitlines())
    return [entry["input"] for entry in entries]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_formats_say_the_same(model, images, tmp_path, workers):
    """Every format has every input once, in the order of the inputs, failures with their reason."""
    common = ("predict", images, "--model", model, "--top", 2, "--workers", workers)
    names = [str(images / f"{index:05}.png") for index in range(12)]
    entries = [json.loads(line) for line in run(*common, "--format", "jsonl", status=1)[0].splitlines()]
    assert [entry["input"] for entry in entries] == names
    assert ["error" in entry for entry in entries] == [False] * 10 + [True] * 2
    assert all(entry["input"] in entry["error"] for entry in entries[10:])
    assert json.loads(run(*common, "--format", "json", status=1)[0]) == entries
    assert json.loads(run(*common, "--json", status=1)[0]) == entries[:10]
    rows = list(csv.DictReader(run(*common, "--format", "csv", status=1)[0].splitlines()))
    assert [row["input"] for row in rows] == [name for name in names[:10] for _ in range(2)] + names[10:]
    for row, prediction in zip(rows, [p for entry in entries[:10] for p in entry["predictions"]], strict=False):
        assert (row["label"], int(row["index"]), float(row["score"])) == tuple(
            prediction[key] for key in ("label", "index", "score")
        )
    for kind in ("json", "jsonl", "csv"):
        out, err = run(*common, "--output", tmp_path / f"x.{kind}", status=1)
        assert out == ""
        assert "10 of 12 images, 2 failed; median" in err
        assert inputs_of(tmp_path / f"x.{kind}") == names
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("make", [detector, segmenter])
def test_boxes_and_shares_in_every_format(tmp_path, make):
    modelfile.write(make(), tmp_path / "m.safetensors")
    folder = write_images(tmp_path / "images", 3)
    common = ("predict", folder, "--model", tmp_path / "m.safetensors", "--threshold", 0.01, "--top", 3)
    entries = json.loads(run(*common, "--format", "json")[0])
    rows = list(csv.DictReader(run(*common, "--format", "csv")[0].splitlines()))
    predictions = [prediction for entry in entries for prediction in entry["predictions"]]
    assert predictions
    assert len(rows) == len(predictions) + sum(not entry["predictions"] for entry in entries)
    for row, prediction in zip([row for row in rows if row["label"]], predictions, strict=True):
        if "box" in prediction:
            assert [float(row[side]) for side in ("x0", "y0", "x1", "y1")] == prediction["box"]
        else:
            assert float(row["share"]) == prediction["share"]
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    run(*common, "--output", tmp_path / "x.parquet")
    import pyarrow.parquet as parquet

    table = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert pyarrow.__version__
    for row, entry in zip(table, entries, strict=True):
        assert row["input"] == entry["input"]
        assert [{k: v for k, v in p.items() if v is not None} for p in row["predictions"]] == entry["predictions"]


def test_parquet_grows_by_resuming(model, images, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    common = ("predict", "--model", model, "--output", tmp_path / "x.parquet")
    run(*common, images / "00003.png")
    run(*common, images, "--resume", status=1)
    rows = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert [row["input"] for row in rows] == [str(images / f"{i:05}.png") for i in (3, 0, 1, 2, *range(4, 12))]
    assert [row["error"] is None for row in rows] == [True] * 10 + [False] * 2


def test_an_output_has_answers_of_one_kind(model, images, tmp_path):
    """--resume with other settings is refused, with the same goes on. A backend is no setting; without a record all goes."""
    path, record = tmp_path / "x.csv", tmp_path / "x.csv.settings"
    common = ("predict", images / "00000.png", images / "00001.png", "--output", path, "--model")
    run(*common, model, "--top", "2")
    before = path.read_bytes()
    other = tmp_path / "other.safetensors"
    shutil.copy(model, other)
    for given, words in (
        ((model,), f"{path}: its answers were made with --top 2, not without --top"),
        ((model, "--top", "2", "--views", "flip"), "made without --views, not with --views flip"),
        ((model, "--top", "2", "--no-fast-decoding"), "made without --no-fast-decoding, not with --no-fast-decoding"),
        ((other, "--top", "2"), f"made with --model {os.path.realpath(model)}, not with --model {other}"),
    ):
        assert words in run(*common, *given, "--resume", status=2)[1]
    assert path.read_bytes() == before
    same = os.path.join(os.path.dirname(model), ".", os.path.basename(model))
    assert "2 held already" in run(*common, same, "--top", "2", "--resume", "--backend", "reference")[1]
    record.write_text("[")
    assert f"{record}: no settings" in run(*common, model, "--top", "2", "--resume", status=1)[1]
    record.unlink()
    assert "2 held already" in run(*common, model, "--resume")[1]
    assert not record.exists()  # nobody knows what the answers before were made with


def test_parquet_without_pyarrow(model, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    _, err = run("predict", images, "--model", model, "--output", tmp_path / "x.parquet", status=2)
    assert "pip install 'mobilenet[parquet]'" in err
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "json"])
def test_killed_three_times(model, tmp_path, kind):
    """kill -9 while it writes, three times, and --resume: every input once, the corrupt ones too."""
    folder, output = write_images(tmp_path / "images", 300, corrupt=5), tmp_path / f"x.{kind}"
    arguments = ["predict", str(folder), "--model", model, "--output", str(output), "--resume", "--workers", "2"]
    growing = tmp_path / "x.json.part" if kind == "json" else output
    chance = random.Random(kind)
    for target in (20, 80, 150):
        process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while process.poll() is None and (not growing.exists() or growing.read_bytes().count(b"\n") < target):
            time.sleep(0.002)
        process.kill()
        process.communicate()
        with open(growing, "ab") as file:  # as if it had been killed within a write
            file.truncate(growing.stat().st_size - chance.randrange(1, 40))
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "held already" in done.stderr
    names = [str(folder / f"{index:05}.png") for index in range(300)]
    assert inputs_of(output) == names
    if kind == "csv":
        with open(output, newline="") as file:
            rows = list(csv.DictReader(file))
        assert all(int(row["predictions"]) == (3 if row["label"] else 0) for row in rows)
        assert len(rows) == 3 * 295 + 5
    before = output.read_bytes()
    _, err = run(*arguments)
    assert "0 of 0 images, 300 held already" in err
    assert output.read_bytes() == before


def test_an_output_is_not_replaced(model, images, tmp_path):
    """Without --resume; what is no output of ours is refused with it too; two runs do not write to one file."""
    path = tmp_path / "x.jsonl"
    common = ("predict", images, "--model", model, "--output", path)
    path.write_text("mine\nmine too\n")
    assert "is there already" in run(*common, status=2)[1]
    assert "line 1: no answer" in run(*common, "--resume", status=1)[1]
    assert path.read_text() == "mine\nmine too\n"
    path.write_text("")
    run(*common, status=1)
    fcntl = pytest.importorskip("fcntl")
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another run writes to it" in run(*common, "--resume", status=2)[1]


def test_a_full_disk(model, images):
    """/dev/full accepts no byte; it is refused before, as it is no file. A file limit ends the run with whole lines."""
    assert (
        "is there already" in run("predict", images, "--model", model, "--output", "/dev/full", "--format", "csv", status=2)[1]
    )
    output = images.parent / "x.jsonl"
    arguments = ["predict", str(images), "--model", model, "--output", str(output)]

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 1
    assert "make room, then go on with --resume" in done.stderr
    num_done = len(inputs_of(output))
    assert f"stopped: {num_done} images are done and written to {output}" in done.stderr
    run(*arguments, "--resume", status=1)
    assert len(inputs_of(output)) == 12


@pytest.mark.parametrize("workers", ["1", "3"])
def test_ctrl_c_keeps_what_is_done(model, tmp_path, workers):
    """Names come from a pipe that stays open, so the run cannot end by itself."""
    folder, output = write_images(tmp_path / "images", 40), tmp_path / "x.jsonl"
    arguments = ["predict", "--files-from", "-", "--model", model, "--output", str(output), "--workers", workers]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*COMMAND, *arguments], text=True, **pipes) as process:
        process.stdin.write("".join(f"{path}\n" for path in sorted(folder.iterdir())))
        process.stdin.flush()
        while not (output.exists() and output.read_bytes().count(b"\n") > 5):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        words = process.stderr.read()
        process.wait(60)
    num_done = len(inputs_of(output))
    assert num_done > 5
    assert f"stopped: {num_done} images are done and written to {output}; go on with --resume" in words
    assert "Traceback" not in words


@pytest.mark.parametrize("whole", [True, False])
def test_an_answer_whose_write_a_signal_ends_counts_if_it_is_whole(tmp_path, monkeypatch, whole):
    file, write = LineFile(str(tmp_path / "x.jsonl"), "jsonl", Held()), os.write
    file.write(Entry("a.png", "image", error="broken"))

    def end(handle, content):
        write(handle, content if whole else content[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", end)
    with pytest.raises(KeyboardInterrupt):
        file.write(Entry("b.png", "image", error="broken"))
    file.close()
    assert file.num_written == 1 + whole


def test_each_answer_comes_at_once(model, images):
    """Names that come one by one from a pipe are answered one by one, with several workers too."""
    arguments = ["predict", "--files-from", "-", "--model", model, "--format", "jsonl", "--workers", "2"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*COMMAND, *arguments], text=True, bufsize=1, **pipes)
    for index in (3, 1, 2):
        print(images / f"{index:05}.png", file=process.stdin, flush=True)
        assert json.loads(process.stdout.readline())["input"].endswith(f"{index:05}.png")
    _, words = process.communicate()
    assert process.returncode == 0
    assert words.startswith("3 of 3 images")


def test_names_in_lists_and_an_image_on_stdin(model, images, tmp_path):
    listed = [images / "00002.png", "", images / "gone.png", images / "00001.png", images / "00002.png"]
    (tmp_path / "list.txt").write_text("\n".join(map(str, listed)))
    for arguments in (["@" + str(tmp_path / "list.txt")], ["--files-from", tmp_path / "list.txt"]):
        out, err = run("predict", *arguments, "--model", model, "--format", "jsonl", status=1)
        entries = [json.loads(line) for line in out.splitlines()]
        assert [os.path.basename(entry["input"]) for entry in entries] == ["00002.png", "gone.png", "00001.png"]
        assert "no such file" in entries[1]["error"]
        assert "2 of 3 images, 1 failed" in err
    large = tmp_path / "large.jpg"  # decoded at a reduced scale, from a file as from stdin
    Image.effect_noise((480, 480), 90).convert("RGB").save(large)
    command = [*COMMAND, "predict", "-", "--model", model, "--format", "jsonl"]
    done = subprocess.run(command, input=large.read_bytes(), capture_output=True, check=True)
    alone = json.loads(done.stdout)
    assert alone["input"] == "-"
    reduced, full = (
        json.loads(run("predict", large, "--model", model, "--format", "jsonl", *how)[0])["predictions"]
        for how in ((), ("--no-fast-decoding",))
    )
    assert alone["predictions"] == reduced != full
    assert "cannot be read" in run("predict", "@nowhere.txt", "--model", model, status=2)[1]
    assert "read only once" in run("predict", "-", "--files-from", "-", "--model", model, status=2)[1]


def test_no_recursive_and_what_is_skipped(model, tmp_path):
    write_images(tmp_path / "a" / "below", 2)
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "top.png")
    for name in ("x.txt", "y.txt", "drawing.xcf", "README"):
        (tmp_path / "a" / name).write_text("")
    out, err = run("predict", tmp_path / "a", "--model", model, "--no-recursive")
    assert out.count(".png") == 1
    assert "1 of 1 images, skipped 2 .txt, 1 without suffix, 1 .xcf" in err
    assert run("predict", tmp_path / "a", "--model", model)[0].count(".png") == 3


def test_save_never_touches_an_input(model, images, tmp_path, monkeypatch):
    """USERS.md A1 of the issue: `--save .` in a folder of photos replaced the originals."""
    before = {path.name: path.read_bytes() for path in images.iterdir()}
    monkeypatch.chdir(images)
    for inputs in (["."], ["00001.png"], ["*.png"], [str(images)], ["../images"]):
        assert "inputs are never replaced" in run("predict", *inputs, "--model", model, "--save", ".", status=2)[1]
    for number in ("", "2", "3"):
        _, err = run("predict", ".", "--model", model, "--save", "drawn", "--workers", 2, status=1)
        assert f"drawn in drawn{number}\n" in err
        assert len(os.listdir(images / f"drawn{number}")) == 10  # and not those of the run before
    assert {path.name: path.read_bytes() for path in images.iterdir() if path.is_file()} == before
    _, err = run("predict", "00001.png", "--model", model, "--save", "drawn", "--output", tmp_path / "x.csv", "--resume")
    assert "drawn in drawn3\n" in err
    assert len(os.listdir(images / "drawn3")) == 11


def test_names_of_copies(tmp_path):
    folder = DrawnFolder(str(tmp_path / "d"), [])
    folder.make()
    names = [folder.claim(name) for name in ("a/x.jpg", "b/x.jpg", "X.JPG", "http://h/x.jpg?size=3", "-", ".jpg")]
    assert names == ["x.jpg", "x-2.jpg", "X-3.JPG", "x-4.jpg", "-", ".jpg"]
    (tmp_path / "d" / "y.png").write_text("")
    assert folder.claim("y.png") == "y-2.png"


def test_ordered_is_bounded_and_keeps_the_order():
    """No worker runs far ahead of a slow reader; results come in order however long each takes."""
    listed = []

    def items():
        for index in range(5000):
            listed.append(index)
            yield index

    def work(index):
        time.sleep(0.0001 * (index % 7))
        return index

    results = iter(Ordered(work, items(), 3))
    for expected in range(300):
        assert next(results) == expected
        assert len(listed) <= expected + 3 * WINDOW + 4
    results.close()
    assert len(listed) < 600
    assert list(Ordered(work, iter(range(50)), 8)) == list(range(50))
    assert list(Ordered(work, iter(()), 2)) == []


@pytest.mark.parametrize("where", ["work", "items"])
def test_ordered_raises_in_its_place(where):
    def items():
        yield from range(20)
        if where == "items":
            raise ZeroDivisionError
        yield 20

    def work(index):
        if where == "work" and index == 20:
            raise ZeroDivisionError
        return index

    reader = iter(Ordered(work, items(), 4))
    assert [next(reader) for _ in range(20)] == list(range(20))
    with pytest.raises(ZeroDivisionError):
        next(reader)
    assert threading.active_count() < 50


def test_a_large_folder_comes_in_sorted_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("mobilenet.images.find.MAX_SORTED", 10)
    for index in range(35):
        (tmp_path / f"{index:03}.png").touch()
    found = [os.path.basename(path) for path in Search().found([str(tmp_path)])]
    assert len(found) == 35
    assert sorted(found) == [f"{index:03}.png" for index in range(35)]
    assert all(found[start : start + 10] == sorted(found[start : start + 10]) for start in (0, 10, 20, 30))
    assert MAX_SORTED == 10_000


def test_memory_does_not_grow_with_the_folder(model, tmp_path):
    """Peak of whole processes; a thousand images more may take a few hundred KB of lists in Python's allocator."""
    peaks = []
    for count in (100, 1500):
        folder = write_images(tmp_path / str(count), count)
        arguments = ["predict", str(folder), "--model", model, "--format", "jsonl", "--workers", "2"]
        code = (
            "import resource, sys; from mobilenet.cli.main import main\n"
            f"main({arguments!r}, standalone_mode=False)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert done.stdout.count("\n") == count
        peaks.append(int(done.stderr.split()[-1]))
    assert peaks[1] - peaks[0] < 3000


def test_times_stay_few():
    times = Times()
    for index in range(20_000):
        times.add(index / 1000)
    assert len(times.values) <= 4096
    assert times.count == 20_000
    assert times.median_ms() == pytest.approx(10_000, rel=0.01)
    few = Times()
    for seconds in (9.0, 9.0, 0.001, 0.003):
        few.add(seconds)
    assert [few.median_ms(num_cold) for num_cold in (0, 2, 4)] == pytest.approx([4501.5, 2, 4501.5])
