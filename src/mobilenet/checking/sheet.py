"""A contact sheet: some images of each part with their labels drawn, so that a person can see whether they are right."""

from __future__ import annotations

import math
import os

import numpy as np
from PIL import Image

from ..data import Objects, Records, Truth
from ..drawing.boxes import draw_detections
from ..drawing.labels import draw_classification
from ..drawing.masks import draw_segmentation
from ..images.open import ImageError
from ..images.write import write_image
from ..tasks.detection import Detection
from ..tasks.segmentation import Segmentation

SIDE, COLUMNS, GAP = 256, 6, 4
MAX_IMAGES = 24  # of each part


def write_sheet(parts: dict[str, Records[Truth]], path: str | os.PathLike[str]) -> None:
    """Writes the sheet: the parts below one another, up to `MAX_IMAGES` evenly spread images of each. An image that cannot be
    read says so in its place. Raises ImageError if it cannot be written."""
    tiles = list[Image.Image]()
    for name, records in parts.items():
        count = min(MAX_IMAGES, len(records))
        tiles += [_tile(records, number * len(records) // count, f"{name}: ") for number in range(count)]
        tiles += [Image.new("RGB", (SIDE, SIDE), "white")] * (-count % COLUMNS)
    rows = math.ceil(len(tiles) / COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP), "white")
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        x, y = ((SIDE - side) // 2 for side in tile.size)
        sheet.paste(tile, (column * (SIDE + GAP) + x, row * (SIDE + GAP) + y))
    write_image(sheet, path)


def _tile(records: Records[Truth], index: int, prefix: str) -> Image.Image:
    record = records.record(index)
    try:
        image = record.open()
        scale = SIDE / max(image.size)
        small = image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))
        return drawn(small, record.truth, records, scale, image.size, prefix)
    except ImageError as error:
        return draw_classification(Image.new("RGB", (SIDE, SIDE), "gray"), [f"{prefix}{error}"])


def drawn(
    image: Image.Image, truth: Truth, records: Records[Truth], scale: float, size: tuple[int, int], prefix: str = ""
) -> Image.Image:
    """An image with its labels drawn. It had `size` before it was scaled by `scale`."""
    labels = records.labels
    match truth:
        case int():
            return draw_classification(image, [f"{prefix}{labels[truth]}"])
        case Objects():
            boxes = (truth.boxes * scale).tolist()
            found = [
                Detection(labels[label] + (" (crowd)" if crowd else ""), label, math.nan, box=(x0, y0, x1, y1))
                for (x0, y0, x1, y1), label, crowd in zip(boxes, truth.labels.tolist(), truth.crowd.tolist(), strict=True)
            ]
            return draw_detections(image, found) if found else draw_classification(image, [f"{prefix}no objects"])
        case _:
            mask = truth.read()
            if mask.shape[::-1] != size:
                raise ImageError(f"mask {truth.name!r} of {mask.shape[1]}x{mask.shape[0]} for an image of {size[0]}x{size[1]}")
            mask = np.array(Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST))
            background = 0 if labels and labels[0] == "background" else None
            result = Segmentation(mask, np.ones(len(labels), np.float32), labels, background)
            return draw_segmentation(image, result, result.top(8))
