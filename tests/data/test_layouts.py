"""Every layout on generated data: what is read, what is refused, and how damaged images are handled."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import sys
import tarfile
import types

import numpy as np
import pytest
import torch
from PIL import Image
from support.archives import GHOSTSCRIPT, eps_in_a_tar, sparse_in_a_tar
from support.datasets import open_dataset

from mobilenet.data import MaskFile, coco_truth
from mobilenet.errors import MobilenetError
from mobilenet.images.open import ImageError
from mobilenet.tasks.detection import Detections
from mobilenet.tasks.metrics import MeanAP
from mobilenet.tasks.results import VOID
from mobilenet.training.input import CorruptImage, ImagesLost, InMemory


def write_image(path, color=(200, 30, 60), size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def class_folders(root, splits=("train/", "val/"), classes=("cat", "dog"), count=2):
    for split in splits:
        for number, name in enumerate(classes):
            for i in range(count):
                write_image(root / split / name / f"{i}.png", (number * 100, i * 50, 0))
    return root


# Class folders and CSV -------------------------------------------------------------------------------------------------


def test_class_folders_with_parts_are_read_in_the_order_of_names(tmp_path):
    dataset = open_dataset(class_folders(tmp_path), "classification", "val")
    assert dataset.labels == ("cat", "dog")
    assert dataset.label_ids == ()
    assert dataset.targets.tolist() == [0, 0, 1, 1]
    sample = dataset[3]
    assert sample["image"].shape == (3, 10, 12)
    assert sample["image"].dtype == torch.uint8
    assert sample["image"][:, 0, 0].tolist() == [100, 50, 0]
    assert sample["target"].item() == 1
    assert (sample["index"], sample["failed"]) == (3, ())
    assert dataset.name(3) == str(tmp_path / "val" / "dog" / "1.png")


def test_class_folders_given_directly_serve_for_training_and_never_for_validation(tmp_path):
    class_folders(tmp_path, ("",))
    assert len(open_dataset(tmp_path, "classification", "train")) == 4
    assert len(open_dataset(tmp_path, "classification", None)) == 4
    with pytest.raises(ValueError, match="no val images apart"):
        open_dataset(tmp_path, "classification", "val")


def test_a_part_may_be_named_itself(tmp_path):
    assert len(open_dataset(class_folders(tmp_path) / "val", "classification", "val")) == 4


def test_wordnet_ids_get_their_labels(tmp_path):
    dataset = open_dataset(class_folders(tmp_path, classes=("n02102040", "n01440764")), "classification")
    assert dataset.labels == ("tench", "English springer")
    assert dataset.label_ids == ("n01440764", "n02102040")


def test_given_classes_set_the_indices_and_may_lack_images(tmp_path):
    class_folders(tmp_path, classes=("n02102040", "n01440764"))
    dataset = open_dataset(tmp_path, "classification", classes=("english springer", "church", "n01440764"))
    assert dataset.targets.tolist() == [2, 2, 0, 0]
    assert dataset.labels == ("english springer", "church", "n01440764")
    with pytest.raises(ValueError, match="no class is called 'n02102040'"):
        open_dataset(tmp_path, "classification", classes=("tench", "church"))


def test_parts_share_their_numbers_where_one_lacks_a_class(tmp_path):
    class_folders(tmp_path, ("train/",))
    write_image(tmp_path / "val" / "dog" / "0.png")
    assert open_dataset(tmp_path, "classification", "val").targets.tolist() == [1]


def test_csv_with_and_without_a_split(tmp_path):
    class_folders(tmp_path, ("",))
    lines = ["path,label,split,note", "cat/0.png,10,train,x", "cat/1.png,9,val,", "dog/0.png,9,train,"]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    train = open_dataset(tmp_path / "all.csv", "classification", "train")
    assert train.labels == ("9", "10")  # as numbers, not as text
    assert train.targets.tolist() == [1, 0]
    assert open_dataset(tmp_path / "all.csv", "classification", "val").targets.tolist() == [0]
    (tmp_path / "plain.csv").write_text('path,label\ncat/0.png,"b, or not"\ncat/1.png,a\n')
    assert open_dataset(tmp_path / "plain.csv", "classification").labels == ("a", "b, or not")
    with pytest.raises(ValueError, match="no val images apart"):
        open_dataset(tmp_path / "plain.csv", "classification", "val")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,lable\nx.png,a\n", "no column is called 'label'; nearest: lable"),
        ("path,label\n", "lists no images"),
        ("path,label\nx.png,\n", "entry 2: has no path or no label"),
        ("path,label,split\nx.png,a,dev\n", "has no train images; it has no part of a known name"),
    ],
)
def test_csv_refuses(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        open_dataset(tmp_path / "x.csv", "classification")


# COCO ------------------------------------------------------------------------------------------------------------------


def coco(root, annotations, folder="val2017", size=(20, 16)):
    images = [{"id": 7, "file_name": "b.png"}, {"id": 5, "file_name": "a.png"}, {"id": 9, "file_name": "none.png"}]
    for entry in images:
        write_image(root / folder / entry["file_name"], size=size)
    (root / "annotations").mkdir()
    truth = {
        "images": images,
        "categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}],
        "annotations": annotations,
    }
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(truth))
    return root


OBJECTS = [
    {"id": 1, "image_id": 5, "category_id": 3, "bbox": [2, 3, 4, 5], "area": 11.5, "iscrowd": 0},
    {"id": 2, "image_id": 5, "category_id": 1, "bbox": [15, 10, 50, 50], "iscrowd": 1},
    {"id": 3, "image_id": 7, "category_id": 1, "bbox": [2, 3, 0, 5]},
]


def test_coco_boxes_labels_crowds_and_images_without_objects(tmp_path):
    dataset = open_dataset(coco(tmp_path, OBJECTS), "detection", "val")
    assert (dataset.labels, dataset.label_ids) == (("person", "car"), ("1", "3"))
    target = dataset[0]["target"]
    assert target["boxes"].tolist() == [[2, 3, 6, 8], [15, 10, 20, 16]]  # cut at the edges
    assert target["boxes"].dtype == torch.float32
    assert target["labels"].tolist() == [1, 0]
    assert target["crowd"].tolist() == [False, True]
    for index in (1, 2):  # a box without area, and no object at all
        assert dataset[index]["target"]["boxes"].shape == (0, 4)
        assert dataset[index]["target"]["labels"].dtype == torch.int64
    assert dataset.targets is None


@pytest.mark.parametrize("folder", ["val2017", "images/val2017", "images", "."])
def test_coco_images_are_found_in_the_usual_folders(tmp_path, folder):
    assert len(open_dataset(coco(tmp_path, OBJECTS, folder), "detection", "val")) == 3
    assert len(open_dataset(tmp_path / "annotations" / "instances_val2017.json", "detection")) == 3


def test_coco_truth_is_what_the_score_takes(tmp_path):
    dataset = open_dataset(coco(tmp_path, OBJECTS), "detection", "val")
    truth = coco_truth(dataset.records)
    assert [entry["area"] for entry in truth["annotations"]] == [11.5, 2500]
    score = MeanAP(truth, range(2))
    score.add(Detections(np.array([[2, 3, 6, 8]], np.float32), np.ones(1, np.float32), np.array([1]), dataset.labels), 0)
    assert score.metrics()["mAP"] == pytest.approx(1)


def test_coco_refuses_what_it_cannot_understand(tmp_path):
    with pytest.raises(ValueError, match="has no train images; it has val"):
        open_dataset(coco(tmp_path, OBJECTS), "detection", "train")
    with pytest.raises(ValueError, match="has boxes and no outlines"):
        open_dataset(tmp_path, "segmentation", "val")
    with pytest.raises(ValueError, match="no class is called 'person'"):
        open_dataset(tmp_path, "detection", "val", classes=("car",))
    assert open_dataset(tmp_path, "detection", "val", classes=("Car", "bus", "1"))[0]["target"]["labels"].tolist() == [0, 2]
    file = tmp_path / "annotations" / "instances_val2017.json"
    good = json.loads(file.read_text())
    for key, value, message in (
        ("annotations", [{**OBJECTS[0], "image_id": 1}], "image 1, which it does not list"),
        ("annotations", [{**OBJECTS[0], "category_id": 2}], "category 2, which it does not list"),
        ("annotations", [{"image_id": 5}], "no COCO annotations"),
        ("images", [], "lists no images"),
        ("images", [{"id": 5, "file_name": "elsewhere.png"}], "none of its images"),
    ):
        file.write_text(json.dumps({**good, "annotations": [], key: value}))
        with pytest.raises(ValueError, match=message):
            open_dataset(tmp_path, "detection", "val")


# VOC -------------------------------------------------------------------------------------------------------------------

XML = """<annotation><object><name>dog</name><difficult>0</difficult><bndbox>
<xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>8</ymax></bndbox></object>
<object><name>tvmonitor</name><difficult>1</difficult><bndbox>
<xmin>3</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"""


def voc(root):
    mask = np.zeros((10, 12), np.uint8)
    mask[2:4, 3:9], mask[0] = 20, VOID
    for name in ("one", "two"):
        write_image(root / "JPEGImages" / f"{name}.jpg")
        (root / "SegmentationClass").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "SegmentationClass" / f"{name}.png")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{name}.xml").write_text(XML)
    for kind, names in (("Segmentation", "one\n"), ("Main", "two  1\none -1\n")):
        (root / "ImageSets" / kind).mkdir(parents=True)
        (root / "ImageSets" / kind / "val.txt").write_text(names)
    return mask


def test_voc_masks(tmp_path):
    mask = voc(tmp_path)
    dataset = open_dataset(tmp_path, "segmentation", "val")
    assert len(dataset) == 1
    assert len(dataset.labels) == 21
    assert np.array_equal(dataset[0]["target"].numpy(), mask)
    with pytest.raises(ImagesLost, match=r"mask one.png has class 20: must be 0 to 1, or 255 for void"):
        open_dataset(tmp_path, "segmentation", "val", classes=("background", "thing"))[0]
    with pytest.raises(ValueError, match="has no train images; it has val"):
        open_dataset(tmp_path, "segmentation", "train")


def test_voc_masks_of_another_size_or_missing_are_corrupt(tmp_path):
    voc(tmp_path)
    file = tmp_path / "SegmentationClass" / "one.png"
    Image.new("L", (3, 3)).save(file)
    with pytest.raises(CorruptImage, match=r"mask one\.png of 3x3: the image has 12x10"):
        open_dataset(tmp_path, "segmentation", "val").read(0)
    file.unlink()
    with pytest.raises(CorruptImage, match="no mask can be read"):
        open_dataset(tmp_path, "segmentation", "val").read(0)


def test_voc_boxes_count_from_one_and_difficult_ones_are_crowds(tmp_path):
    voc(tmp_path)
    dataset = open_dataset(tmp_path, "detection", "val")
    assert len(dataset) == 2
    target = dataset[0]["target"]
    assert target["boxes"].tolist() == [[0, 1, 5, 8], [2, 2, 9, 9]]
    assert [dataset.labels[label] for label in target["labels"]] == ["dog", "tvmonitor"]
    assert target["crowd"].tolist() == [False, True]
    with pytest.raises(ValueError, match="no class is called 'tvmonitor'"):
        open_dataset(tmp_path, "detection", "val", classes=("dog", "cat"))
    (tmp_path / "Annotations" / "one.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    records = open_dataset(tmp_path, "detection", "val").records
    assert (len(records), records.findings.counts["label_damaged"]) == (1, 1)
    assert "document type" in records.findings.lines()[0]
    (tmp_path / "Annotations" / "two.xml").write_text("<annotation>")
    with pytest.raises(ValueError, match=r"two\.xml: is no XML"):
        open_dataset(tmp_path, "detection", "val")


# Archives --------------------------------------------------------------------------------------------------------------


def shard(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def png(color):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 5), color).save(buffer, "PNG")
    return buffer.getvalue()


def test_shards_are_read_at_any_place(tmp_path):
    shard(tmp_path / "train-0.tar", [("a/0.png", png((9, 0, 0))), ("a/0.cls", b"2\n"), ("a/1.png", png((8, 0, 0)))])
    shard(tmp_path / "train-1.tar", [("2.json", b'{"label": 0}'), ("2.png", png((7, 0, 0)))])
    shard(tmp_path / "val-0.tar", [("3.cls", b"1"), ("3.png", b"no image")])
    dataset = open_dataset(tmp_path, "classification", "train")
    assert (len(dataset), dataset.labels, dataset.targets.tolist()) == (2, ("0", "1", "2"), [2, 0])
    assert [int(dataset[index]["image"][0, 0, 0]) for index in (1, 0)] == [7, 9]
    with pytest.raises(CorruptImage, match=r"3\.png"):
        open_dataset(tmp_path, "classification", "val").read(0)
    with pytest.raises(ValueError, match="no class is called 2"):
        open_dataset(tmp_path, "classification", classes=("cat", "dog"))
    (tmp_path / "train-1.tar").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no tar file"):
        open_dataset(tmp_path, "classification")


def test_no_image_in_an_archive_reaches_ghostscript(tmp_path, monkeypatch):
    """EPS is a program. It is refused by content, whatever the member is called."""
    called = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *arguments, **_: called.append(arguments))
    monkeypatch.setattr("PIL.EpsImagePlugin.has_ghostscript", lambda: True)
    eps_in_a_tar(tmp_path / "train.tar")
    with pytest.raises(CorruptImage, match=r"0\.jpg: in no image format that is read here"):
        open_dataset(tmp_path / "train.tar", "classification").read(0)
    mask = tmp_path / "mask.png"
    mask.write_bytes(GHOSTSCRIPT)
    with pytest.raises(ImageError, match="in no image format"):
        MaskFile(mask).read()
    assert not called


def test_a_sparse_member_is_refused_however_large_it_claims_to_be(tmp_path):
    sparse_in_a_tar(tmp_path / "train.tar")
    with tarfile.open(tmp_path / "train.tar") as archive:
        assert archive.next().size == 1 << 43
    with pytest.raises(ValueError, match=r"0\.jpg is sparse"):
        open_dataset(tmp_path / "train.tar", "classification")


def test_a_shard_that_was_cut_after_it_was_indexed(tmp_path):
    shard(tmp_path / "train.tar", [("0.png", png((9, 0, 0))), ("0.cls", b"0")])
    dataset = open_dataset(tmp_path / "train.tar", "classification")
    (tmp_path / "train.tar").write_bytes((tmp_path / "train.tar").read_bytes()[:520])
    with pytest.raises(CorruptImage, match=r"0\.png: \d+ bytes, but .*train.tar ends before"):
        dataset.read(0)
    (tmp_path / "train.tar").unlink()
    with pytest.raises(CorruptImage, match="No such file"):
        dataset.read(0)


def test_hugging_face_says_which_library_is_missing(tmp_path):
    if importlib.util.find_spec("datasets"):
        pytest.skip("datasets is installed")
    with pytest.raises(ValueError, match=r"pip install .mobilenet\[huggingface\]"):
        open_dataset("hf:beans", "classification")


class Table(list):
    """As much of a table of `datasets` as is used: rows by index, columns by name."""

    features = {"img": None, "label": None}  # noqa: RUF012

    def __getitem__(self, key):
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)

    def cast_column(self, name, kind):
        assert (name, kind) == ("img", {"decode": False})
        return self


def test_hugging_face_parts_and_classes_without_the_library(tmp_path, monkeypatch):
    """A stand-in for `datasets`, which the tests do not install."""
    (tmp_path / "cat.png").write_bytes(png((7, 0, 0)))
    rows = [
        {"img": {"bytes": png((9, 0, 0)), "path": None}, "label": 1},
        {"img": {"bytes": None, "path": str(tmp_path / "cat.png")}, "label": 0},
        {"img": {"bytes": GHOSTSCRIPT, "path": None}, "label": 1},
    ]
    parts = {"train": Table(rows), "validation": Table(rows[:1]), "extra": Table()}
    module = types.ModuleType("datasets")
    module.__version__ = "2.20.0"
    module.Image = dict
    module.load_dataset = {"user/pets": parts, "flat": Table(rows), "bare": Table([{"img": {}, "label": -1}])}.__getitem__
    monkeypatch.setitem(sys.modules, "datasets", module)
    train = open_dataset("hf:user/pets", "classification", "train")
    assert (train.labels, train.targets.tolist(), train.name(2)) == (("0", "1"), [1, 0, 1], "hf:user/pets[2]")
    assert [int(train[index]["image"][0, 0, 0]) for index in (0, 1)] == [9, 7]
    with pytest.raises(CorruptImage, match="in no image format"):
        train.read(2)
    assert (
        len(open_dataset("hf:user/pets", "classification", None))
        == len(open_dataset("hf:user/pets", "classification", "val"))
        == 1
    )
    assert open_dataset("hf:flat", "classification", classes=("1", "0")).targets.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="no test images; it has train, val"):
        open_dataset("hf:user/pets", "classification", "test")
    with pytest.raises(ValueError, match="no val images apart"):
        open_dataset("hf:flat", "classification", "val")
    with pytest.raises(ValueError, match=r"images without a label \(class -1\)"):
        open_dataset("hf:bare", "classification")
    with pytest.raises(MobilenetError, match=r"hf:none: cannot be loaded \(KeyError: 'none'\)"):
        open_dataset("hf:none", "classification")


@pytest.mark.parametrize("version", ["2.19.2", "2.9", "1.18.4"])
def test_a_library_that_runs_a_datasets_script_is_refused(version, monkeypatch):
    module = types.ModuleType("datasets")
    module.__version__ = version
    monkeypatch.setitem(sys.modules, "datasets", module)
    with pytest.raises(MobilenetError, match="runs a dataset's own code"):
        open_dataset("hf:user/pets", "classification")


def test_hugging_face_tables(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    features = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {"img": [{"bytes": png((9, 0, 0)), "path": None}] * 3, "label": [1, 0, 1]}
    table = importlib.import_module("pyarrow").table(rows, schema=features.arrow_schema)
    datasets.DatasetDict({"train": datasets.Dataset(table, fingerprint="rows")}).save_to_disk(str(tmp_path / "set"))
    dataset = open_dataset(tmp_path / "set", "classification")
    assert (dataset.labels, dataset.targets.tolist()) == (("cat", "dog"), [1, 0, 1])
    assert int(dataset[2]["image"][0, 0, 0]) == 9
    assert open_dataset(tmp_path / "set", "classification", classes=("dog", "cat")).targets.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="has no val images; it has train"):
        open_dataset(tmp_path / "set", "classification", "val")


@pytest.mark.filterwarnings("ignore")  # of dill
def test_parquet_files_of_hugging_face(tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    for name, labels in (("train", [1, 0, 1]), ("validation", [0])):
        rows = {"image": [{"bytes": png((9, 0, 0)), "path": None}] * len(labels), "label": labels}
        (tmp_path / "set" / "data").mkdir(parents=True, exist_ok=True)
        file = tmp_path / "set" / "data" / f"{name}-00000-of-00001.parquet"
        pq.write_table(importlib.import_module("pyarrow").table(rows, schema=features.arrow_schema), file)
    train, val = (open_dataset(tmp_path / "set", "classification", part) for part in ("train", "val"))
    assert (train.labels, train.targets.tolist(), val.targets.tolist()) == (("cat", "dog"), [1, 0, 1], [0])
    assert int(train[2]["image"][0, 0, 0]) == 9


# What is refused at the door -------------------------------------------------------------------------------------------


def test_open_dataset_names_value_rule_and_remedy(tmp_path):
    for arguments, message in (
        ((tmp_path / "none", "classification"), "is no folder and no file; give a folder with one subfolder"),
        ((tmp_path, "detect"), "no task with data is called 'detect'; nearest: detection"),
        ((tmp_path, "features"), "no task with data is called 'features'"),
        ((tmp_path, "classification", "vall"), "no split is called 'vall'; nearest: val"),
        ((tmp_path, "classification", "train", ("a", "a")), "must be different names"),
        ((tmp_path, "classification"), "holds no class folders"),
        ((tmp_path, "segmentation"), "has no known layout of labels for segmentation; give a folder with"),
    ):
        with pytest.raises(ValueError, match=message):
            open_dataset(*arguments)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ValueError, match="has no known layout of labeled images"):
        open_dataset(tmp_path / "x.txt", "classification")


# Damage ----------------------------------------------------------------------------------------------------------------


def damaged(tmp_path):
    dataset = open_dataset(class_folders(tmp_path, ("",), count=3), "classification")
    (tmp_path / "cat" / "1.png").write_bytes(b"no image")
    (tmp_path / "dog" / "2.png").unlink()
    return dataset


def test_a_damaged_image_is_named_and_replaced_by_the_next(tmp_path):
    dataset = damaged(tmp_path)
    sample = dataset[1]
    assert sample["index"] == 2
    assert sample["image"][:, 0, 0].tolist() == [0, 100, 0]
    assert [name for name, _ in sample["failed"]] == [str(tmp_path / "cat" / "1.png")]
    assert dataset[5]["index"] == 0  # round the end
    assert set(dataset.failed) == {str(tmp_path / "cat" / "1.png"), str(tmp_path / "dog" / "2.png")}
    assert "no such file" in dataset.failed[str(tmp_path / "dog" / "2.png")]
    with pytest.raises(IndexError, match="from 0 to 5"):
        dataset[6]


def test_missing_data_is_not_taken_for_damage(tmp_path):
    dataset = open_dataset(class_folders(tmp_path, ("",)), "classification")
    (tmp_path / "cat").rename(tmp_path / "gone")
    (tmp_path / "dog").rename(tmp_path / "lost")
    with pytest.raises(ImagesLost, match="4 images in a row cannot be read"):
        dataset[0]


def test_in_memory_is_the_same_dataset(tmp_path):
    dataset = damaged(tmp_path)
    kept = InMemory(dataset)
    (tmp_path / "cat" / "0.png").unlink()
    assert kept.bytes == 4 * 3 * 10 * 12
    assert [kept[i]["index"] for i in range(6)] == [0, 2, 2, 3, 4, 0]
    assert torch.equal(kept[3]["image"], dataset[3]["image"])
    assert kept.targets.tolist() == dataset.targets.tolist()
    assert kept.name(3) == dataset.name(3)
    with pytest.raises(ValueError, match=r"6 images in memory would take 0.0 GB: the limit"):
        InMemory(dataset, limit=100)


# The development data --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "task", "train", "val", "classes"),
    [
        ("imagenette160", "classification", 9469, 3925, 10),
        ("coco", "detection", 38, 103, 80),
        ("voc2012", "segmentation", 72, 72, 21),
    ],
)
def test_real_layouts(shared, folder, task, train, val, classes):
    for split, count in (("train", train), ("val", val)):
        dataset = open_dataset(shared / "data" / folder, task, split)
        assert len(dataset) == count
        assert len(dataset.labels) == classes
        assert dataset[count // 2]["failed"] == ()
