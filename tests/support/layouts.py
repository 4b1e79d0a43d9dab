"""One tiny data set, written in every layout that can hold it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

CLASSES = ("Bär", "dog house")
SIZE = (40, 30)  # width, height


class Entry(NamedTuple):
    """An image: its name, its part, and rectangles (class, x0, y0, x1, y1) in whole pixels, the smaller ones last."""

    name: str
    part: str
    boxes: tuple[tuple[int, int, int, int, int], ...]


ENTRIES = (
    Entry("a b", "train", ((0, 2, 3, 32, 27), (1, 8, 9, 16, 13))),
    Entry("zoë.2", "train", ((1, 0, 0, 40, 30),)),
    Entry("none", "train", ()),
    Entry("d", "val", ((1, 5, 5, 15, 20), (1, 20, 2, 30, 10))),
    Entry("e", "val", ((0, 1, 1, 21, 11),)),
)
"""Names with a blank, an umlaut and a second dot; an image without objects."""


def image_of(entry: Entry) -> Image.Image:
    """Each image has a color of its own, by which it is known again."""
    return Image.new("RGB", SIZE, (10 + 40 * ENTRIES.index(entry), 80, 120))


def mask_of(entry: Entry) -> np.ndarray:
    """0 the background, then the classes."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    for label, x0, y0, x1, y1 in entry.boxes:
        mask[y0:y1, x0:x1] = label + 1
    return mask


def label_of(entry: Entry) -> str:
    """The class of an image in classification: that of its first object."""
    return CLASSES[entry.boxes[0][0] if entry.boxes else 0]


def save(path: Path, entry: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image_of(entry).save(path)


def write(path: Path, text: str, newline: str = "\n", bom: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.replace("\n", newline).encode())


# Classification ---------------------------------------------------------------------------------------------------------


def class_folders(root: Path, train: str = "train", val: str = "valid") -> None:
    for entry in ENTRIES:
        save(root / {"train": train, "val": val}[entry.part] / label_of(entry) / f"{entry.name}.PNG", entry)


def csv_list(root: Path) -> None:
    for entry in ENTRIES:
        save(root / "pics" / f"{entry.name}.png", entry)
    lines = [f"pics\\{entry.name};{label_of(entry)};{entry.part}" for entry in ENTRIES]
    write(root / "labels.csv", "\n".join(["Image;Class Name;Set", *lines]), "\r\n", bom=True)


def cvat_tags(root: Path) -> None:
    cvat(root, lambda entry: f'<tag label="{escape(label_of(entry))}" source="manual"></tag>')


# Boxes ------------------------------------------------------------------------------------------------------------------


def yolo_line(box: tuple[int, ...], outline: bool) -> str:
    label, x0, y0, x1, y1 = box
    width, height = SIZE
    if outline:
        return f"{label} " + " ".join(
            f"{x / width} {y / height}" for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
        )
    return f"{label} {(x0 + x1) / 2 / width} {(y0 + y1) / 2 / height} {(x1 - x0) / width} {(y1 - y0) / height}"


def yolo(root: Path, outline: bool = False) -> None:
    for entry in ENTRIES:
        save(root / "images" / entry.part / f"{entry.name}.png", entry)
        write(
            root / "labels" / entry.part / f"{entry.name}.txt",
            "\n".join(yolo_line(box, outline) for box in entry.boxes),
            "\r\n",
        )
    names = "\n".join(f"  {number}: {name}" for number, name in enumerate(CLASSES))
    write(
        root / "data.yaml", f"path: C:\\data\\{root.name}\ntrain: images/train  # here\nval:\n  - images/val\nnames:\n{names}\n"
    )


def yolo_outlines(root: Path) -> None:
    yolo(root, outline=True)


def yolo_roboflow(root: Path) -> None:
    for entry in ENTRIES:
        part = {"train": "train", "val": "valid"}[entry.part]
        save(root / part / "images" / f"{entry.name}.png", entry)
        write(root / part / "labels" / f"{entry.name}.txt", "\n".join(yolo_line(box, False) for box in entry.boxes))
    write(
        root / "data.yaml",
        f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: {list(CLASSES)}\n",
    )


def darknet(root: Path) -> None:
    for entry in ENTRIES:
        save(root / "obj_train_data" / f"{entry.name}.png", entry)
        write(root / "obj_train_data" / f"{entry.name}.txt", "\n".join(yolo_line(box, False) for box in entry.boxes))
    for part, file in (("train", "train"), ("val", "valid")):
        lines = [f"/home/me/obj_train_data/{entry.name}.png" for entry in ENTRIES if entry.part == part]
        write(root / f"{file}.txt", "\n".join(lines))
    write(root / "obj.names", "\n".join(CLASSES))


def coco(root: Path, roboflow: bool = False) -> None:
    categories = [{"id": number + 1, "name": name, "supercategory": "things"} for number, name in enumerate(CLASSES)]
    if roboflow:
        project = "shapes"  # a key of LabelMe's files, and here a text
        categories = [
            {"id": 0, "name": project, "supercategory": "none"},
            *({**each, "supercategory": project} for each in categories),
        ]
    for part, folder in (("train", "train"), ("val", "valid" if roboflow else "val2017")):
        entries = [entry for entry in ENTRIES if entry.part == part]
        images, annotations = [], []
        for number, entry in enumerate(entries):
            save(root / folder / f"{entry.name}.png", entry)
            images.append({"id": number, "file_name": f"{entry.name}.png", "width": SIZE[0], "height": SIZE[1]})
            for label, x0, y0, x1, y1 in entry.boxes:
                annotations.append({
                    "id": len(annotations), "image_id": number, "category_id": label + 1, "iscrowd": 0,
                    "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0),
                    "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
                })  # fmt: skip
        file = f"{folder}/_annotations.coco.json" if roboflow else f"annotations/instances_{folder}.json"
        write(root / file, json.dumps({"images": images, "categories": categories, "annotations": annotations}))


def coco_roboflow(root: Path) -> None:
    coco(root, roboflow=True)


def voc_xml(entry: Entry) -> str:
    objects = "".join(
        f"<object><name>{escape(CLASSES[label])}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for label, x0, y0, x1, y1 in entry.boxes
    )
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{entry.name}.png</filename><!-- by hand -->{size}{objects}</annotation>"


def voc(root: Path) -> None:
    for entry in ENTRIES:
        save(root / "JPEGImages" / f"{entry.name}.png", entry)
        write(root / "Annotations" / f"{entry.name}.xml", voc_xml(entry))
    for part in ("train", "val"):
        write(root / f"ImageSets/Main/{part}.txt", "\n".join(entry.name for entry in ENTRIES if entry.part == part), "\r\n")


def voc_beside(root: Path) -> None:
    for entry in ENTRIES:
        part = {"train": "train", "val": "validation"}[entry.part]
        save(root / part / f"{entry.name}.png", entry)
        write(root / part / f"{entry.name}.xml", voc_xml(entry))


def labelme(root: Path, outline: bool = True) -> None:
    for entry in ENTRIES:
        save(root / entry.part / f"{entry.name}.png", entry)
        shapes = []
        for label, x0, y0, x1, y1 in entry.boxes:
            points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]] if outline else [[x1, y1], [x0, y0]]
            shapes.append({"label": CLASSES[label], "points": points, "shape_type": "polygon" if outline else "rectangle"})
        content = {"version": "5.0", "shapes": shapes, "imagePath": f"..\\pics\\{entry.name}.png", "imageData": None,
                   "imageHeight": SIZE[1], "imageWidth": SIZE[0]}  # fmt: skip
        write(root / entry.part / f"{entry.name}.json", json.dumps(content))


def labelme_rectangles(root: Path) -> None:
    labelme(root, outline=False)


def cvat(root: Path, content=None) -> None:
    def boxes(entry: Entry) -> str:
        return "".join(
            f'<box label="{escape(CLASSES[label])}" occluded="0" xtl="{x0}.00" ytl="{y0}.00" xbr="{x1}.00" ybr="{y1}.00"/>'
            for label, x0, y0, x1, y1 in entry.boxes
        )

    images = []
    for number, entry in enumerate(ENTRIES):
        save(root / "images" / f"{entry.name}.png", entry)
        subset = {"train": "Train", "val": "Validation"}[entry.part]
        images.append(f'<image id="{number}" name="{escape(entry.name)}.png" subset="{subset}" width="{SIZE[0]}" '
                      f'height="{SIZE[1]}">{(content or boxes)(entry)}</image>')  # fmt: skip
    names = "".join(f"<label><name>{escape(name)}</name></label>" for name in CLASSES)
    meta = f"<version>1.1</version><meta><task><labels>{names}</labels></task></meta>"
    write(
        root / "annotations.xml", f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{meta}{"".join(images)}</annotations>'
    )


def cvat_masks(root: Path) -> None:
    def masks(entry: Entry) -> str:
        rows = []
        for label, x0, y0, x1, y1 in entry.boxes:
            rows.append(f'<mask label="{escape(CLASSES[label])}" rle="0, {(x1 - x0) * (y1 - y0)}" left="{x0}" top="{y0}" '
                        f'width="{x1 - x0}" height="{y1 - y0}"/>')  # fmt: skip
        return "".join(rows)

    cvat(root, masks)


def csv_boxes(root: Path) -> None:
    for entry in ENTRIES:
        save(root / "images" / f"{entry.name}.png", entry)
    root.mkdir(exist_ok=True)
    for part in ("train", "val"):
        with (root / f"{part}_labels.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"])
            for entry in ENTRIES:
                boxes = [(CLASSES[label], *corners) for label, *corners in entry.boxes] or [("", "", "", "", "")]
                if entry.part == part:
                    writer.writerows([f"{entry.name}.png", *SIZE, *box] for box in boxes)


# Masks ------------------------------------------------------------------------------------------------------------------

COLORS = ((0, 0, 0), (200, 10, 10), (10, 200, 10))


def save_mask(path: Path, entry: Entry, colors: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = mask_of(entry)
    Image.fromarray(np.array(COLORS, np.uint8)[mask] if colors else mask).save(path)


def mask_folders(root: Path) -> None:
    for entry in ENTRIES:
        save(root / entry.part / "images" / f"{entry.name}.jpg", entry)
        save_mask(root / entry.part / "masks" / f"{entry.name}_mask.png", entry)
    write(root / "classes.txt", "\n".join(("background", *CLASSES)), "\r\n", bom=True)


def mask_colors(root: Path) -> None:
    for entry in ENTRIES:
        save(root / entry.part / f"{entry.name}.png", entry)
        save_mask(root / f"{entry.part}_labels" / f"{entry.name}_L.png", entry, colors=True)
    rows = [f"{name},{','.join(map(str, color))}" for name, color in zip(("background", *CLASSES), COLORS, strict=True)]
    write(root / "class_dict.csv", "\n".join(["name,r,g,b", *rows]))


def mask_voc(root: Path) -> None:
    for entry in ENTRIES:
        save(root / "JPEGImages" / f"{entry.name}.jpg", entry)
        save_mask(root / "SegmentationClass" / f"{entry.name}.png", entry, colors=True)
    for part in ("train", "val"):
        write(root / f"ImageSets/Segmentation/{part}.txt", "\n".join(entry.name for entry in ENTRIES if entry.part == part))
    rows = [f"{name}:{','.join(map(str, color))}::" for name, color in zip(("background", *CLASSES), COLORS, strict=True)]
    write(root / "labelmap.txt", "\n".join(["# label:color_rgb:parts:actions", *rows]))


def mask_beside(root: Path) -> None:
    for entry in ENTRIES:
        part = {"train": "train", "val": "valid"}[entry.part]
        save(root / part / f"{entry.name}.jpg", entry)
        save_mask(root / part / f"{entry.name}_mask.png", entry)
        rows = [f"{value}, {name}" for value, name in enumerate(("background", *CLASSES))]
        write(root / part / "_classes.csv", "\n".join(["Pixel Value, Class", *rows]))


LAYOUTS = {
    "classification": (class_folders, csv_list, cvat_tags),
    "detection": (
        yolo, yolo_roboflow, yolo_outlines, darknet, coco, coco_roboflow, voc, voc_beside, labelme, labelme_rectangles, cvat,
        csv_boxes,
    ),
    "segmentation": (mask_folders, mask_colors, mask_voc, mask_beside, yolo_outlines, coco, coco_roboflow, labelme, cvat_masks),
}  # fmt: skip
"""Functions that write the set to a folder, by task."""
