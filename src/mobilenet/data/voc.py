"""VOC's layout: ``JPEGImages``, lists in ``ImageSets``, masks in ``SegmentationClass``, objects in ``Annotations``."""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from torchvision import tv_tensors

from ..errors import unknown_name
from ..images.masks import read_mask
from ..tasks.labels import VOC, normalize_label
from .dataset import ObjectRecord, Pictures, mask_target, object_target

NAMES = tuple(VOC.split())


def masks(path: Path, split: str | None, classes: Sequence[str] | None) -> Pictures:
    """Segmentation: PNG masks with a class's number at each pixel, `results.VOID` where none is meant.

    The masks do not name their classes, so these are VOC's 21 unless `classes` says otherwise, background among them.
    """
    names = _listed(path, "Segmentation", "SegmentationClass", ".png", split)
    labels = tuple(classes) if classes is not None else NAMES
    if len(labels) > 255:
        raise ValueError(f"{len(labels)} classes: a mask of 8 bits has room for 255 and void; give fewer")
    files = [path / "SegmentationClass" / f"{name}.png" for name in names]
    return Pictures("segmentation", labels, _pictures(path, names), files, functools.partial(_read_mask, classes=len(labels)))


def _read_mask(path: Path, size: tuple[int, int], classes: int) -> tv_tensors.Mask:
    return mask_target(read_mask(path), size, classes, path.name)


def objects(path: Path, split: str | None, classes: Sequence[str] | None) -> Pictures:
    """Detection: boxes of the XML files. VOC counts pixels from 1 and includes the last, so 1 is taken from the first two
    numbers. Objects marked difficult are `crowd`: VOC neither trains on them nor scores them.

    Labels are VOC's 20 unless `classes` says otherwise. Raises ValueError at a name that is none of them.
    """
    names = _listed(path, "Main", "Annotations", ".xml", split)
    labels = tuple(classes) if classes is not None else NAMES[1:]
    numbers = {normalize_label(label): number for number, label in enumerate(labels)}
    records = [_read_objects(path / "Annotations" / f"{name}.xml", numbers, labels) for name in names]
    return Pictures("detection", labels, _pictures(path, names), records, object_target)


def _read_objects(path: Path, numbers: dict[str, int], labels: Sequence[str]) -> ObjectRecord:
    boxes, found, difficult = list[list[float]](), list[int](), list[bool]()
    try:
        text = path.read_text("utf-8")
        if "<!" in text:  # entities could expand without end; VOC's files have none
            raise ValueError("holds a document type or a comment")
        for entry in ElementTree.fromstring(text).iter("object"):
            name = str(entry.findtext("name")).strip()
            frame = entry.find("bndbox")
            if frame is None:
                raise ValueError(f"{name} has no bndbox")
            x0, y0, x1, y1 = (float(str(frame.findtext(key))) for key in ("xmin", "ymin", "xmax", "ymax"))
            if normalize_label(name) not in numbers:
                raise ValueError(unknown_name("class", name, labels))
            boxes.append([x0 - 1, y0 - 1, x1, y1])
            found.append(numbers[normalize_label(name)])
            difficult.append(str(entry.findtext("difficult", "0")).strip() == "1")
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise ValueError(f"{path}: no objects can be read from it ({error}); correct it, or give the classes") from error
    return ObjectRecord.of(boxes, found, difficult)


def _listed(path: Path, kind: str, folder: str, suffix: str, split: str | None) -> list[str]:
    """Names of the split's list, or without lists of all that have labels."""
    lists = path / "ImageSets" / kind
    if not lists.is_dir():
        if split not in (None, "train"):
            raise ValueError(f"{lists}: there is none to say which pictures are for {split}; write {lists / f'{split}.txt'}")
        names = sorted(file.stem for file in (path / folder).glob(f"*{suffix}"))
    else:
        file = lists / f"{split or 'trainval'}.txt"
        if not file.is_file():
            raise ValueError(f"{file}: is no file; there are {', '.join(sorted(each.name for each in lists.glob('*.txt')))}")
        names = [line.split()[0] for line in file.read_text("utf-8").splitlines() if line.strip()]
    if not names:
        raise ValueError(f"{path}: lists no pictures for {split or 'trainval'}; give data that has some")
    return names


def _pictures(path: Path, names: Sequence[str]) -> list[Path]:
    """JPEG as VOC has it, or PNG for data made in its image."""
    folder = path / "JPEGImages"
    png = not (folder / f"{names[0]}.jpg").is_file() and (folder / f"{names[0]}.png").is_file()
    return [folder / f"{name}{'.png' if png else '.jpg'}" for name in names]
