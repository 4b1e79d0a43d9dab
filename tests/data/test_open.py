"""One place recognizes every layout, chooses the part and refuses what does not fit; records hold plain values only."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from mobilenet.data import Classes, DatasetLayout, Objects, Shapes, Subset, file_records, open, open_records, recognize
from mobilenet.errors import UsageError


def write_image(path, color=(200, 30, 60), size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def write_shard(path, count):
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            buffer = io.BytesIO()
            Image.new("RGB", (6, 5), (number, 0, 0)).save(buffer, "PNG")
            for suffix, content in (("png", buffer.getvalue()), ("cls", b"1")):
                info = tarfile.TarInfo(f"{number}.{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def write_coco(root, parts):
    for name, count in parts.items():
        images = [{"id": i, "file_name": f"{i}.png"} for i in range(count)]
        for entry in images:
            write_image(root / name / entry["file_name"])
        (root / "annotations").mkdir(exist_ok=True)
        content = {"images": images, "categories": [{"id": 4, "name": "cat"}], "annotations": []}
        (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))
    return root


def write_voc(root, lists, count=3):
    for number in range(count):
        write_image(root / "JPEGImages" / f"{number}.jpg")
        (root / "SegmentationClass").mkdir(exist_ok=True)
        Image.new("L", (12, 10), 1).save(root / "SegmentationClass" / f"{number}.png")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name, names in lists.items():
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text(names)
    return root


def write_folders(root, parts, classes=("cat", "dog")):
    for part in parts:
        for name in classes:
            write_image(root / part / name / "0.png")
    return root


def write_csv(root, text):
    root.mkdir()
    (root / "list.csv").write_text(text)
    return root / "list.csv"


def write_shards(root, parts):
    root.mkdir()
    for name, count in parts.items():
        write_shard(root / f"{name}.tar", count)
    return root


LAYOUTS = {
    "class folders": (write_folders, ("train", "val"), "classification", ("train", "val")),
    "undivided class folders": (write_folders, ("",), "classification", None),
    "CSV list": (write_csv, "path,label,split\na.png,x,valid\nb.png,x,train\n", "classification", ("train", "val")),
    "undivided CSV list": (write_csv, "path,label\na.png,x\n", "classification", None),
    "COCO": (write_coco, {"train2017": 1, "val2017": 2}, "detection", ("train", "val")),
    "undivided COCO": (write_coco, {"all": 2}, "detection", None),
    "VOC": (write_voc, {"train": "0\n", "val": "1\n2\n", "trainval": "0\n1\n2\n"}, "segmentation", ("train", "val")),
    "undivided VOC": (write_voc, {}, "segmentation", None),
    "WebDataset shards": (write_shards, {"train-0": 2, "train-1": 1, "val-0": 1}, "classification", ("train", "val")),
    "undivided WebDataset shards": (write_shards, {"0": 2, "1": 1}, "classification", None),
}


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_every_layout_is_recognized_with_its_task_and_parts(name, tmp_path):
    write, content, task, parts = LAYOUTS[name]
    path = write(tmp_path / "data", content)
    layout, first_task = recognize(path)
    assert layout.title == name.removeprefix("undivided ")
    assert first_task == task
    assert layout(path, task).splits == parts
    if parts is None:
        assert len(open_records(path, task, "train")) == len(open_records(path, task, None)) >= 1
        with pytest.raises(UsageError, match="has no val images apart from the others; divide it into train and val"):
            open_records(path, task, "val")
    else:
        with pytest.raises(UsageError, match="has no test images; it has train, val"):
            open_records(path, task, "test")
        train, val = (open_records(path, task, part) for part in parts)
        assert not {record.name for record in train} & {record.name for record in val}
        assert train.labels == val.labels


@pytest.mark.parametrize("name", [name for name, (*_, parts) in LAYOUTS.items() if parts])
def test_none_is_the_part_to_score_on(name, tmp_path):
    write, content, task, _ = LAYOUTS[name]
    path = write(tmp_path / "data", content)
    chosen, val = open_records(path, task, None), open_records(path, task, "val")
    assert [record.name for record in chosen] == [record.name for record in val]


def test_a_part_of_class_folders_may_be_named_itself(tmp_path):
    write_folders(tmp_path, ("train", "val"))
    assert len(open_records(tmp_path / "val", "classification", None)) == 2


def test_a_class_may_be_called_train(tmp_path):
    records = open_records(write_folders(tmp_path, ("",), ("bus", "train")), "classification", "train")
    assert records.labels == ("bus", "train")
    assert len(records) == 2


def test_the_only_part_is_scored_and_test_if_there_is_no_val(tmp_path):
    assert len(open_records(write_coco(tmp_path / "one", {"train2017": 2}), "detection", None)) == 2
    assert len(open_records(write_coco(tmp_path / "two", {"train2017": 2, "test": 1}), "detection", None)) == 1


def test_a_name_that_only_contains_the_part_stands_in_for_it(tmp_path):
    write_coco(tmp_path, {"train2014": 3, "minival2014": 1})
    assert len(open_records(tmp_path, "detection", "val")) == 1
    write_coco(tmp_path, {"val2014": 2})
    assert len(open_records(tmp_path, "detection", "val")) == 2


def test_a_file_says_by_its_name_which_part_it_is(tmp_path):
    write_coco(tmp_path, {"val2017": 2})
    write_shard(tmp_path / "val-003.tar", 1)
    for file, task in (("annotations/instances_val2017.json", "detection"), ("val-003.tar", "classification")):
        assert len(open_records(tmp_path / file, task, "val"))
        with pytest.raises(UsageError, match="has no test images apart"):
            open_records(tmp_path / file, task, "test")


def test_an_archive_beside_class_folders_is_no_shard(tmp_path):
    """The download that the folders were unpacked from may still be there."""
    write_folders(tmp_path, ("train", "val"))
    write_shard(tmp_path / "pets.tar", 1)
    assert recognize(tmp_path)[0].title == "class folders"


def test_data_with_labels_for_two_tasks_serves_both(tmp_path):
    write_voc(tmp_path, {"val": "0\n"})
    write_coco(tmp_path, {"val2017": 2})
    assert open_records(tmp_path, "segmentation", "val")[0].truth.read().max() == 1
    assert isinstance(open_records(tmp_path, "detection", "val")[0].truth, Objects)


def test_classes_are_found_by_id_label_wordnet_id_and_index():
    classes = Classes(("English springer", "Tench", "17"), ("a", "b", "c"), indices=True)
    names = {"a": 0, "english_springer": 0, "TENCH": 1, "n01440764": 1, "17": 2, "1": 1}
    assert classes.numbers(names, "data") == names
    for name in ("3", "springer", "n02979186"):
        with pytest.raises(UsageError, match=f"data: no class is called '{name}'"):
            classes.numbers([name], "data")
    assert classes.number("1") is None


def test_records_are_a_sequence_and_a_subset_spreads_over_it(tmp_path):
    records = open_records(write_folders(tmp_path, ("",), tuple("abcdef")), "classification", None)
    assert [record.truth for record in records] == list(range(6))
    assert [record.truth for record in records[::3]] == [0, 3]
    assert [record.truth for record in Subset(records, 3)] == [0, 2, 4]
    assert len(Subset(records, 9)) == 6
    assert records[5].open().getpixel((0, 0)) == (200, 30, 60)
    with pytest.raises(IndexError, match="from 0 to 5"):
        records[6]


def test_shapes_are_painted_alike_each_time():
    record = Shapes("segmentation", count=3, size=40)[2]
    assert record.open().tobytes() == record.open().tobytes() == Shapes("detection", count=3, size=40)[2].open().tobytes()
    assert np.array_equal(record.truth.read(), Shapes("segmentation", count=3, size=40).truth(2).read())


def test_a_layout_is_one_class_and_one_entry(tmp_path, monkeypatch):
    class Named(DatasetLayout):
        """``7_anything.png`` shows class 7."""

        name, title, needs = "named", "named", {"classification": "a folder of images named 7_x.png"}

        @classmethod
        def tasks(cls, path):
            return ("classification",) if any(path.glob("[0-9]_*.png")) else ()

        def __init__(self, path, task):
            self.files = sorted(path.glob("[0-9]_*.png"))

        def read(self, split, classes):
            return file_records("classification", "0123456789", self.files, [int(file.name[0]) for file in self.files])

    monkeypatch.setattr(open, "LAYOUTS", (Named, *open.LAYOUTS))
    for name in ("7_a", "3_b"):
        write_image(tmp_path / f"{name}.png")
    assert [record.truth for record in open_records(tmp_path, "classification", "train")] == [3, 7]
    with pytest.raises(UsageError, match=r"labels for classification, not for detection; give"):
        open_records(tmp_path, "detection", "train")
    with pytest.raises(UsageError, match=r"is no folder and no file; give .*images named 7_x\.png"):
        recognize(tmp_path / "none")
