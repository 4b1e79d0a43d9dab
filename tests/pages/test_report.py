"""The page of an evaluation: for each task, safe against what labels hold, whole in itself; and the file of answers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.models import detector, segmenter, toy

from mobilenet import modelfile
from mobilenet.analysis.tallies import ClassificationTally
from mobilenet.cli.main import main
from mobilenet.data import ListedRecords
from mobilenet.errors import UsageError
from mobilenet.files import WriteError
from mobilenet.pages.plots import MAX_POINTS, Axis, Line, chart, span, thinned, ticks
from mobilenet.pages.report import Report, settle, write_report
from mobilenet.pages.training import training_section
from mobilenet.predict.evaluate import evaluate

EVIL = "<script>alert('a')</script> & \"b\""


class Page(HTMLParser):
    """Checks while it reads: every tag is closed, nothing is fetched, every image has a text."""

    VOID = ("meta", "img", "br")

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open, self.tags, self.words = list[str](), Counter[str](), list[str]()
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags[tag] += 1
        assert tag not in ("script", "link", "iframe")
        assert not [name for name in values if name.startswith("on")]
        if tag == "img":
            assert values["src"].startswith("data:image/jpeg;base64,")
            assert len(values["alt"]) > 3
            self.words.append(values["alt"])
        if tag == "svg":
            assert len(values["aria-label"]) > 3
        assert "href" not in values
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags[tag] += 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        assert "url(" not in data
        self.words.append(data)


def read(folder) -> tuple[Page, dict]:
    content = (folder / "index.html").read_text("utf-8")
    return Page(content), json.loads((folder / "report.json").read_text("utf-8"))


def run(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in ("evaluate", *arguments)])
    return result.exit_code, result.output


@pytest.fixture
def photos(tmp_path):
    """Two classes with images, one without, and an image that is none."""
    for folder, color in (("0", (255, 0, 0)), ("1", (0, 255, 0))):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (20 + number, 30), color).save(tmp_path / "data" / folder / f"{number}.png")
    (tmp_path / "data" / "1" / "cut.png").write_bytes(b"\x89PNG")
    model = replace(toy(), labels=(EVIL, "b", "c"))
    modelfile.write(model, tmp_path / "toy.safetensors")
    return tmp_path


def test_a_classifiers_page_and_answers(photos):
    model, data, report, answers = (photos / name for name in ("toy.safetensors", "data", "report", "answers.jsonl"))
    arguments = ("--model", model, "--data", data, "--report", report, "--answers", answers)
    status, output = run(*arguments, "--per-class", "--json")
    assert status == 1, "an image cannot be read"
    page, content = read(report)
    printed = json.loads(output[: output.index("\n}") + 2])
    for key in ("metrics", "classes", "confused", "curve", "calibration", "best_threshold"):
        assert printed[key] == content[key]
    assert [each["images"] for each in content["classes"]] == [3, 3, 0]
    assert content["classes"][2]["recall"] is None
    assert sum(count for *_, count in content["confusion"]) == 6
    assert "cut.png" in content["failed"][0]
    assert EVIL in "".join(page.words), "as text"
    assert page.tags["svg"] == 3
    assert page.tags["img"] == len(content["worst"]) + 6
    lines = [json.loads(line) for line in answers.read_text("utf-8").splitlines()]
    assert [line["input"] for line in lines] == sorted(str(path) for path in data.rglob("*.png"))
    assert sum("error" in line for line in lines) == 1
    right = [line["right"] for line in lines if "error" not in line]
    assert sum(right) / 6 == content["metrics"]["top1"]
    assert lines[0]["truth"] == {"label": EVIL, "index": 0}
    assert right[0] == (lines[0]["predictions"][0]["index"] == 0)
    status, output = run(*arguments)
    assert (status, "answers.jsonl: is there already; give another name" in output) == (2, True)
    status, output = run(*arguments[:4], "--report", answers / "report")
    assert (status, "answers.jsonl is no folder that can be written" in output) == (1, True)
    (report / "index.html").write_text("my own page")
    status, output = run(*arguments[:-2])
    assert (status, "is no page of mobilenet; give another folder" in output) == (2, True)
    assert (report / "index.html").read_text() == "my own page"


def test_a_page_is_only_made_when_asked_for(photos):
    status, output = run("--model", photos / "toy.safetensors", "--data", photos / "data", "--json")
    assert status == 1
    assert json.loads(output[: output.index("\n}") + 2]).keys() == {"task", "images", "metrics", "failed", "backend"}
    status, output = run("--model", photos / "toy.safetensors", "--data", photos / "data", "--per-class")
    assert "precision" in output
    assert EVIL in output


def test_a_full_disk_leaves_whole_answers(photos):
    resource = pytest.importorskip("resource")
    model, answers = str(photos / "toy.safetensors"), photos / "answers.jsonl"
    evaluate(model, photos / "data", answers=photos / "all.jsonl")
    lines = (photos / "all.jsonl").read_bytes().splitlines(keepends=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(lines[0]) + len(lines[1]) // 2, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"answers\.jsonl: .*; make room, or give --answers a name elsewhere"):
            evaluate(model, photos / "data", answers=answers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert answers.read_bytes() == lines[0]


def test_from_python(photos):
    score = evaluate(str(photos / "toy.safetensors"), photos / "data", details=True)
    score.write_report(photos / "page", EVIL)
    page, content = read(photos / "page")
    assert content["metrics"] == score.metrics
    assert page.words.count(EVIL) >= 2
    plain = evaluate(str(photos / "toy.safetensors"), photos / "data")
    with pytest.raises(UsageError, match="details=True"):
        plain.write_report(photos / "page")


def test_a_detectors_page(tmp_path):
    pytest.importorskip("faster_coco_eval")
    coco = tmp_path / "coco"
    (coco / "annotations").mkdir(parents=True)
    (coco / "val2017").mkdir()
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 60, "height": 50} for number in range(3)]
    for image in images:
        Image.new("RGB", (60, 50), (9, 99, 200)).save(coco / "val2017" / image["file_name"])
    objects = [
        {"id": 1, "image_id": 0, "category_id": 1, "bbox": [5, 5, 30, 20], "area": 600, "iscrowd": 0},
        {"id": 2, "image_id": 0, "category_id": 2, "bbox": [5, 5, 20, 40], "area": 800, "iscrowd": 1},
        {"id": 3, "image_id": 1, "category_id": 2, "bbox": [0, 0, 60, 50], "area": 3000, "iscrowd": 0},
    ]
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(("a", "b"))]
    content = {"images": images, "categories": categories, "annotations": objects}
    (coco / "annotations" / "instances_val2017.json").write_text(json.dumps(content))
    modelfile.write(detector(), tmp_path / "boxes.safetensors")
    report, answers = tmp_path / "report", tmp_path / "answers.jsonl"
    status, output = run("--model", tmp_path / "boxes.safetensors", "--data", coco, "--report", report, "--answers", answers)
    assert status == 0, output
    page, found = read(report)
    assert [each["objects"] for each in found["classes"]] == [1, 1, 0], "a crowd is no object"
    assert {"AP", "AP50"} <= found["classes"][0].keys()
    assert page.tags["img"] == 2 * (len(found["worst"]) + 3)
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert lines[0]["truth"][1] == {"label": "b", "index": 1, "box": [5, 5, 25, 45], "crowd": True}
    assert all(line["missed"] + line["found"] == count for line, count in zip(lines, (1, 1, 0), strict=True))


def test_a_segmenters_page(tmp_path):
    voc = tmp_path / "voc"
    for name in ("JPEGImages", "SegmentationClass"):
        (voc / name).mkdir(parents=True)
    mask = np.zeros((50, 60), np.uint8)
    mask[:, 20:], mask[:, 40:] = 2, 255
    for name in ("p", "q"):
        Image.new("RGB", (60, 50), (9, 200, 9)).save(voc / "JPEGImages" / f"{name}.jpg")
        Image.fromarray(mask if name == "p" else np.full_like(mask, 255)).save(voc / "SegmentationClass" / f"{name}.png")
    modelfile.write(segmenter(), tmp_path / "masks.safetensors")
    report, answers = tmp_path / "report", tmp_path / "answers.jsonl"
    status, output = run("--model", tmp_path / "masks.safetensors", "--data", voc, "--report", report, "--answers", answers)
    assert status == 0, output
    page, found = read(report)
    assert [each["pixels"] for each in found["classes"]] == [1000, 0, 1000, 0], "void is left out"
    assert page.tags["img"] == 2 * (1 + 2)
    line = json.loads(answers.read_text().splitlines()[0])
    assert line["truth"] == [
        {"label": "background", "index": 0, "share": 1 / 3},
        {"label": "green", "index": 2, "share": 1 / 3},
    ]
    assert line["mIoU"] == pytest.approx(found["metrics"]["mIoU"])


def test_of_a_thousand_classes_only_the_most_confused_pairs_are_shown(tmp_path):
    labels = tuple(f"class {number}" for number in range(1000))
    tally = ClassificationTally(labels)
    for number in range(1000):
        tally.pairs[number, (number * 7) % 1000] += 1
    records = ListedRecords("classification", labels, ["a.jpg"], ["a.jpg"], [0])
    write_report(tmp_path / "one" / "two", Report(records, tally.analysis(), {"top1": 0.1, "top5": None}, 1000), "m", "d")
    page, content = read(tmp_path / "one" / "two")
    assert "matrix" not in (tmp_path / "one" / "two" / "index.html").read_text().partition("</style>")[2]
    assert len(content["confused"]) == 25
    assert len(content["confusion"]) == 1000
    assert page.tags["tr"] == 1 + 30 + 1 + 970 + 1 + 25
    assert page.tags["img"] == 0


def test_one_class(tmp_path):
    tally = ClassificationTally(("only",))
    tally.pairs[0, 0] += 5
    records = ListedRecords("classification", ("only",), ["a.jpg"], ["a.jpg"], [0])
    write_report(tmp_path, Report(records, tally.analysis(), {"top1": 1.0, "top5": 1.0}, 5), "m", "d")
    assert "Nothing was confused." in "".join(read(tmp_path)[0].words)


def test_a_page_that_is_loaded_again_settles(tmp_path):
    tally = ClassificationTally((EVIL,))
    tally.pairs[0, 0] += 1
    records = ListedRecords("classification", (EVIL,), ["a.jpg"], ["a.jpg"], [0])
    losses = {"loss": [(1.0, 2.5)], EVIL: [(1.0, float("nan"))]}
    charts = training_section(losses, [(1.0, 0.1)], {"top1": [(1.0, 1.0)]}, {"name": EVIL})
    assert charts.count("<svg") == charts.count("<circle") == 3, "one point is seen"
    scored = Report(records, tally.analysis(), {"top1": 1.0, "top5": 1.0}, 1)
    write_report(tmp_path, scored, EVIL, EVIL, [charts], refresh=20)
    assert "http-equiv='refresh' content='20'" in (tmp_path / "index.html").read_text()
    settle(tmp_path)
    assert "http-equiv" not in (tmp_path / "index.html").read_text()
    page, _ = read(tmp_path)
    assert EVIL in page.words
    settle(tmp_path / "nowhere")


# Charts --------------------------------------------------------------------------------------------------------------


def test_a_chart_of_one_point_shows_it():
    low, high = span([0.7])
    drawn = chart("validation", Axis("epoch", *span([1.0])), Axis("top1", low, high), [Line("top1", [(1.0, 0.7)])])
    assert drawn.count("<circle") == 1
    assert low < 0.7 < high
    assert Page(drawn).tags["circle"] == 1
    assert (span([0.0]), span([0.0], 0.0), span([2.0], 0.0)) == ((-1, 1), (0, 1), (0, 2.12))
    assert "<circle" not in chart("empty", Axis("x", 0, 1), Axis("y", 0, 1), [Line("none", [(0.5, float("nan"))])])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 3, [0, 1, 2, 3]),
        (0.87, 0.93, [0.88, 0.9, 0.92]),
        (0, 1e-4, [0, 2e-5, 4e-5, 6e-5, 8e-5, 1e-4]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_long_lines_are_thinned_and_keep_their_ends():
    points = [(float(number), float(number % 2)) for number in range(5000)]
    few = thinned(points)
    assert len(few) == MAX_POINTS
    assert (few[0], few[-1]) == (points[0], points[-1])
    assert all(abs(y - 0.5) < 0.1 for _, y in few[1:-1])
