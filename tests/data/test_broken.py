"""What people's data has wrong with it: each is mended and counted, or refused in one line."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image
from support.layouts import CLASSES, SIZE, coco, csv_list, labelme, mask_folders, voc, voc_beside, write, yolo, yolo_line

from mobilenet.data import DataError, open_records
from mobilenet.errors import UsageError


def rewrite(path, change):
    path.write_text(change(path.read_text("utf-8")), "utf-8")


def move_image(root):
    (root / "images" / "train" / "a b.png").unlink()


def lost_image(root):
    listed_elsewhere(root)
    move_image(root)


def outside(root):
    write(root / "labels/train/a b.txt", "0 0.9 0.5 0.4 0.5\n1 1.5 0.5 0.2 0.2\n1 0.5 0.5 0 0.2")


def strange_lines(root):
    write(root / "labels/train/a b.txt", "0 0.5 0.5 0.4\nhello\n0 0.5 0.5 nan 0.2\n7 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2 0.87")


def no_label_file(root):
    (root / "labels" / "train" / "a b.txt").unlink()


def listed_elsewhere(root):
    names = [
        "D:\\Users\\me\\set\\images\\train\\A B.PNG",
        "/home/me/zoë.2.png",
        unicodedata.normalize("NFD", "images/train/zoë.2.png"),
    ]
    write(root / "train.txt", "\n".join(names), "\r\n", bom=True)
    rewrite(root / "data.yaml", lambda text: text.replace("train: images/train", "train: train.txt"))


MOVED = {"image_moved": 1, "image_spelling": 1, "image_repeated": 1}
YOLO = {
    "a missing image": (lost_image, {**MOVED, "image_missing": 1}, 2),
    "boxes outside": (outside, {"box_outside": 1, "box_dropped": 2}, 3),
    "damaged lines, and a class that is not listed": (strange_lines, {"label_damaged": 3, "class_unknown": 1}, 3),
    "no file of labels": (no_label_file, {"label_missing": 1}, 3),
    "paths of other machines, accents in two parts, capital letters": (listed_elsewhere, {**MOVED, "image_spelling": 2}, 2),
    "files of labels in UTF-16": (
        lambda root: (root / "labels/train/a b.txt").write_bytes("1 0.5 0.5 0.2 0.2\r\n".encode("utf-16")), {}, 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(YOLO))
def test_yolo_is_mended_and_counted(name, tmp_path):
    breaking, counts, images = YOLO[name]
    yolo(tmp_path)
    breaking(tmp_path)
    records = open_records(tmp_path, "detection", "train")
    assert len(records) == images
    found = {kind: count for kind, count in records.findings.counts.items() if kind != "label_empty"}
    assert found == counts
    assert len(records.findings.lines()) == len(counts)
    assert sum(len(record.truth.boxes) for record in records) >= 1
    for record in records:
        assert (record.truth.boxes >= 0).all()
        assert (record.truth.boxes <= (*SIZE, *SIZE)).all()


PICKLED = "names: !!python/object:os.system [a]\ntrain: images/train"
REFUSED = {
    "a data.yaml that is none": (yolo, "data.yaml", "names: [a\ntrain: images/train", "is no YAML"),
    "names that are missing": (yolo, "data.yaml", "train: images/train\nnames:\n", "names: must be a list"),
    "a folder that is nowhere": (yolo, "data.yaml", "train: pictures\nnames: [a]", "train: 'pictures' is nowhere"),
    "a YAML file that would make objects": (
        yolo,
        "data.yaml",
        "names: !!python/object:os.system [a]\ntrain: images/train",
        "UNTAGGED",
    ),
    "annotations that are no JSON": (coco, "annotations/instances_train.json", "{", "is no JSON"),
    "annotations of no form": (
        coco,
        "annotations/instances_train.json",
        '{"images": [{}], "categories": []}',
        "no COCO annotations",
    ),
    "a CSV list in another encoding": (csv_list, "labels.csv", b"path,label\nB\xe4r.png,a\n", "save it as UTF-8"),
    "a CSV list without columns": (csv_list, "labels.csv", "path,what\na.png,b\n", "no column is called 'label'"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_one_line_refuses(name, tmp_path):
    make, file, content, message = REFUSED[name]
    make(tmp_path)
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    task = "classification" if make is csv_list else "detection"
    if message == "UNTAGGED":  # tags are read as the text that they stand before
        assert open_records(tmp_path, task, "train").labels == ("a",)
        return
    with pytest.raises((DataError, UsageError), match=message) as caught:
        open_records(tmp_path, task, "train")
    assert "\n" not in str(caught.value)


def test_entities_are_refused_and_one_damaged_file_of_many_is_left_out(tmp_path):
    voc_beside(tmp_path)
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><annotation>&d;</annotation>'
    write(tmp_path / "train" / "a b.xml", bomb)
    write(tmp_path / "train" / "none.xml", "<annotation><object>")
    records = open_records(tmp_path, "detection", "train")
    assert len(records) == 1
    assert records.findings.counts == {"label_damaged": 2}
    write(tmp_path / "train" / "zoë.2.xml", bomb)
    with pytest.raises(DataError, match="document type"):
        open_records(tmp_path, "detection", "train")


def test_a_labelme_image_inside_its_file_is_read_from_there(tmp_path):
    import base64

    labelme(tmp_path)
    image = tmp_path / "train" / "a b.png"
    content = json.loads((tmp_path / "train" / "a b.json").read_text())
    content["imageData"] = base64.b64encode(image.read_bytes()).decode()
    content["shapes"].append({"label": "__ignore__", "points": [[0, 0], [40, 0], [40, 3], [0, 3]], "shape_type": "polygon"})
    (tmp_path / "train" / "a b.json").write_text(json.dumps(content))
    image.unlink()
    record = open_records(tmp_path, "segmentation", "train")[0]
    assert record.open().size == SIZE
    mask = record.truth.read()
    assert (mask[1] == 255).all()
    assert mask[10, 10] == 2
    assert open_records(tmp_path, "detection", "train")[0].truth.crowd.tolist() == [False, False, True]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_on_images_that_exif_turns(tmp_path, orientation):
    """YOLO's are on the upright image. COCO's, VOC's and LabelMe's are on the one that has the stated size."""
    stored = Image.new("RGB", (40, 30))
    stored.paste((255, 0, 0), (4, 6, 14, 12))
    exif = Image.Exif()
    exif[274] = orientation
    for folder in ("coco/annotations", "coco/train", "yolo/images/train", "yolo/labels/train"):
        (tmp_path / folder).mkdir(parents=True)
    for path in ("coco/train/a.jpg", "yolo/images/train/a.jpg"):
        stored.save(tmp_path / path, quality=95, exif=exif.tobytes())
    content = {"images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}], "categories": [{"id": 1, "name": "red"}],
               "annotations": [{"image_id": 1, "category_id": 1, "bbox": [4, 6, 10, 6],
                                "segmentation": [[4, 6, 14, 6, 14, 12, 4, 12]]}]}  # fmt: skip
    (tmp_path / "coco/annotations/instances_train.json").write_text(json.dumps(content))
    if orientation in (1, 5, 6, 7, 8):  # 2, 3 and 4 keep the size: labels are taken to be upright
        record = open_records(tmp_path / "coco", "detection", "train")[0]
        assert red_box(record.open()) == record.truth.boxes.tolist()[0]
        mask = open_records(tmp_path / "coco", "segmentation", "train")[0].truth.read()
        assert red_box(record.open()) == red_box(Image.fromarray(mask * 255).convert("RGB"))
    upright = red_box(open_records(tmp_path / "coco", "detection", "train")[0].open())
    size = (30, 40) if orientation > 4 else (40, 30)
    x0, y0, x1, y1 = (side / size[i % 2] for i, side in enumerate(upright))
    write(tmp_path / "yolo/labels/train/a.txt", f"0 {(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}")
    record = open_records(tmp_path / "yolo", "detection", "train")[0]
    assert np.allclose(record.truth.boxes[0], upright)


def red_box(image):
    red = np.asarray(image)[..., 0] > 128
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_labels_of_an_image_that_was_resized_are_scaled(tmp_path):
    voc(tmp_path)
    Image.new("RGB", (80, 60)).save(tmp_path / "JPEGImages" / "d.png")
    record = open_records(tmp_path, "detection", "val")[0]
    assert record.truth.boxes.tolist() == [[10, 10, 30, 40], [40, 4, 60, 20]]
    assert record.truth.area.tolist() == [600, 320]


def test_data_that_can_be_read_in_two_ways_names_both(tmp_path):
    yolo(tmp_path)
    coco(tmp_path)
    with pytest.raises(UsageError, match=r"can be read as YOLO or COCO; choose with --layout yolo or --layout coco"):
        open_records(tmp_path, "detection", "val")
    by_layout = [open_records(tmp_path, "detection", "val", layout=layout) for layout in ("yolo", "coco")]
    assert [records.layout for records in by_layout] == ["YOLO", "COCO"]
    assert by_layout[0].labels == by_layout[1].labels == CLASSES
    with pytest.raises(UsageError, match="no layout is called 'yollo'; nearest: yolo"):
        open_records(tmp_path, "detection", "val", layout="yollo")
    with pytest.raises(UsageError, match="is not laid out as VOC"):
        open_records(tmp_path, "detection", "val", layout="voc")


def test_yolo_keypoints_turned_boxes_and_classes_without_names(tmp_path):
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    records = open_records(tmp_path, "detection", "train")
    assert records.labels == ("0", "1")
    write(tmp_path / "labels/val/d.txt", "2 0.5 0.25 1.0 0.5 0.75 1.0 0.25 0.75")  # four corners
    val = open_records(tmp_path, "detection", "val", ("0", "1", "2"))
    assert val[0].truth.boxes.tolist() == [[10, 7.5, 40, 30]]
    write(tmp_path / "data.yaml", "train: images/train\nval: images/val\nkpt_shape: [1, 2]\nnames: [a, b, c]\n")
    write(tmp_path / "labels/val/d.txt", "2 0.5 0.5 0.5 0.5 0.75 1.0")
    assert open_records(tmp_path, "detection", "val")[0].truth.boxes.tolist() == [[10, 7.5, 30, 22.5]]


def test_masks_without_a_class_list_are_read_for_their_indices(tmp_path):
    mask_folders(tmp_path)
    (tmp_path / "classes.txt").unlink()
    assert open_records(tmp_path, "segmentation", "val").labels == ("0", "1", "2")
    for path in tmp_path.rglob("*_mask.png"):
        Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8) * 255).save(path)
    records = open_records(tmp_path, "segmentation", "train")
    assert records.labels == ("background", "foreground")
    assert records[0].truth.read().max() == 1
    next((tmp_path / "train" / "masks").iterdir()).unlink()
    assert open_records(tmp_path, "segmentation", "train").findings.counts == {"mask_missing": 1}


def test_outlines_serve_a_model_without_a_background(tmp_path):
    """Pixels without an object are void then: nobody knows which of its classes they have."""
    yolo(tmp_path, outline=True)
    mask = open_records(tmp_path, "segmentation", "val", CLASSES[::-1])[0].truth.read()
    assert np.unique(mask).tolist() == [0, 255]
    assert yolo_line((0, 0, 0, 40, 30), False) == "0 0.5 0.5 1.0 1.0"
