"""``mobilenet check``: what it counts, what it finds, and its exit status."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageEnhance
from support.layouts import CLASSES, coco, mask_folders, write, yolo

from mobilenet.checking.check import check
from mobilenet.checking.fingerprints import MAX_DISTANCE, fingerprint, near_pairs
from mobilenet.checking.look import looks
from mobilenet.cli.main import main
from mobilenet.data import Shapes, open_records


def run(*arguments):
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def kinds(report):
    return {finding.kind: (finding.level, finding.count) for finding in report.findings}


def save_shape(path, index, **changes):
    path.parent.mkdir(parents=True, exist_ok=True)
    Shapes("classification", count=100, size=64)[index].open().save(path, **changes)


@pytest.fixture
def pets(tmp_path):
    for number, place in enumerate(("train/a", "train/b", "val/a", "val/b")):
        for i in range(12):
            save_shape(tmp_path / place / f"{i}.png", number * 12 + i)
    return tmp_path


def test_clean_data_is_clean(pets):
    report = check(pets)
    assert (report.layout, report.task, report.classes, report.held_out) == ("folders", "classification", ("a", "b"), None)
    assert report.findings == []
    assert report.parts["train"].classes == {"a": 12, "b": 12}
    assert report.parts["val"].sizes == dict.fromkeys(("smallest", "median", "largest"), (64, 64))
    result = run(pets, "--strict", "--workers", 1)
    assert result.exit_code == 0
    assert "class folders, for classification: 2 classes" in result.output
    assert "nothing is wrong with it" in result.output


def test_broken_files_copies_and_near_copies(pets):
    (pets / "train" / "a" / "0.png").write_bytes(b"no image")
    shutil.copy(pets / "train" / "b" / "1.png", pets / "val" / "b" / "leak.png")
    shutil.copy(pets / "train" / "b" / "2.png", pets / "train" / "a" / "wrong.png")
    with Image.open(pets / "train" / "b" / "3.png") as image:
        ImageEnhance.Brightness(image).enhance(1.05).save(pets / "val" / "b" / "near.jpg", quality=90)
    found = kinds(check(pets))
    assert found["image_broken"] == ("loss", 1)
    assert found["copies_across"] == ("warning", 1)
    assert found["copies_contrary"] == ("warning", 1)
    assert found["copies"] == ("note", 1)
    assert found["near_across"] == ("warning", 1)
    assert run(pets, "--quick").exit_code == 0
    result = run(pets, "--json", "--strict")
    assert result.exit_code == 1
    report = json.loads(result.output)
    assert report.keys() == {"data", "layout", "title", "task", "classes", "held_out", "parts", "findings"}
    assert report["findings"][0]["level"] == "loss"
    assert "0.png" in report["findings"][0]["examples"][0]


def test_boxes(tmp_path):
    yolo(tmp_path)
    write(tmp_path / "labels/train/a b.txt", "0 0.9 0.5 0.4 0.5\n1 0.5 0.5 0.01 0.5\n1 0.5 0.5 0.01 0.5\n9 0.5 0.5 0.1 0.1")
    report = check(tmp_path)
    found = kinds(report)
    assert found["box_outside"] == ("warning", 1)
    assert found["box_tiny"] == ("note", 2)
    assert found["box_repeated"] == ("warning", 1)
    assert found["class_unknown"] == ("loss", 1)
    assert found["class_small"] == ("warning", 2)
    assert report.parts["train"].objects == 4
    assert report.parts["train"].without_objects == 1
    assert report.parts["val"].classes == dict(zip(CLASSES, (1, 2), strict=True))
    result = run(tmp_path, "--sheet", tmp_path / "sheet.png")
    assert result.exit_code == 0
    assert "Bär" in result.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
    for file in tmp_path.rglob("labels/train/*.txt"):
        file.write_text("")
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "error: 3 training images, and no object on any of them" in result.output


def test_masks(tmp_path):
    mask_folders(tmp_path)
    report = check(tmp_path)
    assert report.parts["train"].classes == dict(zip(("background", *CLASSES), (2, 1, 2), strict=True))
    Image.new("L", (5, 5)).save(tmp_path / "train" / "masks" / "a b_mask.png")
    Image.new("L", (40, 30), 7).save(tmp_path / "train" / "masks" / "none_mask.png")
    report = check(tmp_path)
    assert kinds(report)["mask_broken"] == ("loss", 2)
    assert kinds(report)["unreadable"] == ("error", 2)
    assert report.status() == 1


def test_undivided_data_and_data_that_cannot_be_opened(pets, tmp_path_factory):
    report = check(pets / "train")
    assert report.held_out == 0.2
    assert (report.parts["train"].images, report.parts["val"].images) == (20, 4)
    other = tmp_path_factory.mktemp("other")
    coco(other)
    (other / "annotations" / "instances_train.json").write_text("{")
    result = run(other)
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "is no JSON" in result.output
    assert run(other / "nothing").exit_code == 2


def test_processes_see_what_one_sees(pets):
    for i in range(300):
        save_shape(pets / "train" / "c" / f"{i}.png", i % 100)
    records = open_records(pets, "classification", "train")
    assert list(looks(records, 2)) == list(looks(records, 1))


def test_near_pairs_are_those_that_a_plain_loop_finds():
    random = np.random.default_rng(0)
    prints = [int.from_bytes(random.bytes(16), "big") for _ in range(40)]
    prints += [bits ^ (1 << int(random.integers(128))) ^ (1 << int(random.integers(128))) for bits in prints]
    prints += [bits ^ int(random.integers(1 << 12)) << int(random.integers(116)) for bits in prints[:40]]
    expected = {
        (i, j)
        for j in range(len(prints))
        for i in range(j)
        if (prints[i] ^ prints[j]).bit_count() <= MAX_DISTANCE and i // 40 != j // 40
    }
    assert len(expected) > 60
    parts = [str(i // 40) for i in range(len(prints) + 2)]
    assert set(near_pairs([*prints, None, None], parts)) == expected
    assert fingerprint(Image.new("RGB", (20, 20), "red")) is None
