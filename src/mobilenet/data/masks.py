"""Masks: an image for each image, whose pixels are class indices or colors that stand for classes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..images.masks import read_mask
from ..images.open import ImageError
from ..network.layers import Task
from ..tasks.results import VOID
from .class_lists import ClassList, find_class_list
from .classes import Classes
from .finder import folded, list_images, stem_of
from .findings import Findings
from .layout import SPLITS, DatasetLayout, Split
from .records import CodedMask, ListedRecords, Mask, MaskFile, Truth, file_records

IMAGES = ("images", "image", "img", "imgs")
MASKS = ("masks", "mask", "labels", "label", "annotations", "annotation", "ann", "gt")
ENDINGS = re.compile(r"(_mask|_masks|_label|_labels|_labelids|_seg|_gt|_p|_l|-mask|\.mask)$")
BESIDE = re.compile(r"(_mask|_masks|-mask|\.mask)$")
MAX_CLASSES = 255  # in a mask of 8 bits, beside `VOID`


class Masks(DatasetLayout):
    """Images in ``images``, masks of the same names in ``masks`` (or ``labels``, ``annotations``), where a mask's name may end
    in ``_mask``, ``_label`` and the like; or masks that are called so beside their images. The parts are folders:
    ``train/images``, ``images/train``, or ``train`` and ``train_masks``.

    Masks are PNGs with indices or colors. The classes are those of a class list in the data's folder (see `class_lists`);
    colors need one. Without a list all masks are read once for the indices that occur, which are then the names; 255 is void,
    unless there is
    nothing but 0 and 255: background and foreground.
    """

    name, title = "masks", "masks"
    needs: ClassVar[Mapping[Task, str]] = {"segmentation": "a folder with images and masks of the same names"}

    @classmethod
    def tasks(cls, path: Path) -> tuple[Task, ...]:
        return ("segmentation",) if path.is_dir() and _places(path) else ()

    def __init__(self, path: Path, task: Task) -> None:
        self.path, self.places = path, _places(path)
        self.splits = tuple(split for split in SPLITS if split in self.places) or None

    def read(self, split: Split | None, classes: Classes | None) -> ListedRecords[Truth]:
        findings = Findings()
        pairs = _pairs(*self.places[split], findings)
        folders = {folder for places in self.places.values() for folder in places}
        listed = find_class_list(self.path, *sorted(folders), self.path / "masks", self.path / "labels")
        known = (
            pairs if listed is not None else [pair for places in self.places.values() for pair in _pairs(*places, Findings())]
        )
        return mask_records(pairs, listed, classes, self.path, known, findings)


def mask_records(
    pairs: Sequence[tuple[str, str]],
    listed: ClassList | None,
    classes: Classes | None,
    source: Path,
    known: Sequence[tuple[str, str]],
    findings: Findings,
) -> ListedRecords[Mask]:
    """Records of (image, mask) paths.

    Args:
        listed: the classes that the data lists; None to look for them in the masks of the pairs `known`.
        classes: those that a caller gives. The data's are found among them by name, if it lists some.

    Raises UsageError for more classes than a mask can hold, or a class that is none of `classes`.
    """
    codes = np.arange(256, dtype=np.uint8)
    labels: Sequence[str]
    if listed is None:
        labels, codes = _occurring(known)
        labels = labels if classes is None else classes.labels
    else:
        labels = [label or str(index) for index, label in enumerate(listed.labels)]
        if classes is not None and tuple(labels) != classes.labels:
            numbers = classes.numbers(labels, source)
            codes[: len(labels)] = [numbers[label] for label in labels]
            labels = classes.labels
    if len(labels) > MAX_CLASSES:
        raise UsageError(f"{len(labels)} classes: a mask of 8 bits has room for {MAX_CLASSES} and void; give fewer")
    masks: list[Mask] = []
    plain = np.array_equal(codes, np.arange(256)) and not (listed and listed.colors)
    for _, mask in pairs:
        path = Path(mask)
        masks.append(MaskFile(path) if plain else CodedMask(path, codes, () if listed is None else listed.colors))
    return file_records("segmentation", labels, [image for image, _ in pairs], masks, (), findings)


def _occurring(pairs: Iterable[tuple[str, str]]) -> tuple[list[str], NDArray[np.uint8]]:
    """The names of the indices that occur in masks, and what each index stands for. Masks that cannot be read are passed
    over."""
    seen = np.zeros(256, bool)
    for _, mask in pairs:
        try:
            seen[np.unique(read_mask(mask))] = True
        except ImageError:
            continue
    codes = np.arange(256, dtype=np.uint8)
    if seen[VOID] and not seen[1:VOID].any():
        codes[VOID] = 1
        return ["background", "foreground"], codes
    return [str(index) for index in range(int(np.flatnonzero(seen[:VOID]).max(initial=0)) + 1)], codes


def _places(path: Path) -> dict[Split | None, tuple[Path, Path]]:
    """The folder of images and that of masks of each part, or of the whole as None; {} if there are none."""
    if not path.is_dir():
        return {}
    names = {folder.name.lower(): folder for folder in sorted(path.iterdir()) if folder.is_dir()}
    parts: dict[Split | None, tuple[Path, Path]] = {}
    for split, words in SPLITS.items():
        for word in words:
            if word not in names or split in parts:
                continue
            masks = next((names[name] for ending in MASKS for name in (f"{word}_{ending}", f"{word}{ending}", f"{word}annot")
                          if name in names), None)  # fmt: skip
            pair = (names[word], masks) if masks is not None else _inner(names[word])
            if pair is not None and _holds_pairs(*pair):
                parts[split] = pair
    whole = _inner(path)
    if parts or whole is None:
        return parts
    for split, words in SPLITS.items():
        for word in words:
            inner = [next((each for each in sorted(folder.iterdir()) if each.is_dir() and each.name.lower() == word), None)
                     for folder in whole]  # fmt: skip
            if inner[0] is not None and inner[1] is not None and split not in parts and _holds_pairs(inner[0], inner[1]):
                parts[split] = (inner[0], inner[1])
    return parts or ({None: whole} if _holds_pairs(*whole) else {})


def _inner(path: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks in a folder, or twice the folder itself, for masks beside their images."""
    names = {folder.name.lower(): folder for folder in sorted(path.iterdir()) if folder.is_dir()}
    images = next((names[name] for name in IMAGES if name in names), None)
    masks = next((names[name] for name in MASKS if name in names), None)
    if images is not None and masks is not None:
        return images, masks
    return (path, path) if any(BESIDE.search(stem_of(file.name).lower()) for file in path.glob("*.png")) else None


def _holds_pairs(images: Path, masks: Path) -> bool:
    """Whether some of the first masks belong to images."""
    if next(masks.rglob("*.png"), None) is None:
        return False
    pairs = _pairs(images, masks, Findings())
    return bool(pairs)


def _pairs(images: Path, masks: Path, findings: Findings) -> list[tuple[str, str]]:
    """(image, mask) of every image that has a mask, in the order of names; counts the others."""
    found: dict[str, str] = {}
    for path in list_images(masks):
        if path.lower().endswith((".png", ".bmp", ".gif", ".tif", ".tiff")):
            stem = folded(os.path.join(os.path.relpath(os.path.dirname(path), masks), stem_of(path)))
            found.setdefault(ENDINGS.sub("", stem) if images != masks else stem, path)
            found.setdefault(stem, path)
    pairs = []
    for path in list_images(images):
        stem = folded(os.path.join(os.path.relpath(os.path.dirname(path), images), stem_of(path)))
        if images == masks:
            if BESIDE.search(stem):
                continue
            mask = next(
                (found[stem + ending] for ending in ("_mask", "_masks", "-mask", ".mask") if stem + ending in found), None
            )
        else:
            mask = found.get(stem, found.get(ENDINGS.sub("", stem)))
        if mask is None:
            findings.add("mask_missing", path)
        else:
            pairs.append((path, mask))
    return pairs
