"""Figure 8: masks at output stride 16 and 8, of one view and of many."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ...bench import history
from ...images.palette import class_color
from ..studies.grid import append
from .colors import INK
from .section import Figure, Material, Outcome, Prose, Row, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import NDArray

TITLE = "Masks at two output strides"
SOURCE = "MobileNetV2, section 6.3, Figure 8"
CLAIM = "At output stride 8 and with many views, scaled and mirrored, masks have finer borders than at stride 16 with one view."
ROWS, MODEL = "paper_masks", "voc-small"
SCORES = "views"
"""The file of rows with scores by views, which tools/measure_views.py writes."""
PHOTOS = ("cat.jpg", "coffee.jpg")
STRIDES = (16, 8)
VIEWS = {"one view": "1", "many views": "0.5,0.75,1,1.25,1.5,1.75,flip"}
SIDE = 180  # pixels of the longer side that is recorded
TINT = 0.55


def record(material: Material) -> None:
    """Segments the repository's photos, once. The model comes from the cache, or is downloaded."""
    folder = photos(material)
    if material.rows(ROWS):
        return
    if not folder.is_dir():
        material.say(f"{folder}: no photos to segment; run it at the top of a checkout")
        return
    from ...engine.native import Native
    from ...predict.predictor import Predictor
    from ...tasks.segmentation import Segmentation
    from ...values import replace
    from ...zoo.load import load_model

    model, origin = load_model(MODEL, material.say), history.origin(material.results.parent)
    for stride in STRIDES:
        network = model.network.settings.changed(output_stride=stride).build()
        runtime = Native(network, model.tensors)
        for name, views in VIEWS.items():
            predict = Predictor(replace(model, network=network), runtime, views)
            for photo in PHOTOS:
                result = predict(folder / photo)
                assert isinstance(result, Segmentation)
                found = {result.labels[each]: round(float((result.mask == each).mean()), 5) for each in np.unique(result.mask)}
                place: Row = {"model": MODEL, "image": photo, "output_stride": stride, "views": name}
                append(material.results, {**origin, **place, "classes": found, "mask": packed(result.mask)}, ROWS)


def photos(material: Material) -> Path:
    return material.results.parent / "photos"


def packed(mask: NDArray[np.uint8]) -> str:
    """A mask of classes as a small PNG in base64."""
    image, buffer = Image.fromarray(mask), BytesIO()
    image.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    image.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def unpacked(row: Row) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(base64.b64decode(str(row["mask"])))))


def make(material: Material) -> Section:
    rows = {(str(row["image"]), int(str(row["output_stride"])), str(row["views"])): row for row in material.rows(ROWS)}
    folder = photos(material)
    if len(rows) < len(PHOTOS) * len(STRIDES) * len(VIEWS):
        words = "No masks are recorded yet; `mobilenet paper figure-8 --out out/paper` makes them at the top of a checkout."
        return Section("figure-8", TITLE, SOURCE, CLAIM, (Prose(words),), Verdict("open", words))
    columns = [(stride, views) for stride in STRIDES for views in VIEWS]

    def draw(canvas: Canvas) -> None:
        shared = canvas.subplots(len(PHOTOS), len(columns))
        for line, photo in zip(shared, PHOTOS, strict=True):
            for axes, (stride, views) in zip(line, columns, strict=True):
                axes.imshow(tinted(folder / photo, unpacked(rows[photo, stride, views])), interpolation="none")
                axes.set_axis_off()
                if photo == PHOTOS[0]:
                    axes.set_title(f"output stride {stride}\n{views}", fontsize=8, color=INK)

    table = Table(
        "What was found",
        (
            "photo",
            "output stride",
            "views",
            "classes, % of the pixels",
            "pixels that differ from the first row of the photo, %",
        ),
        tuple(
            (photo, str(stride), views, found(rows[photo, stride, views]), f"{100 * differing(rows, photo, stride, views):.1f}")
            for photo in PHOTOS
            for stride, views in columns
        ),
    )
    words = "Each photo four times with the classes tinted: at output stride 16 and 8, of one view and of many."
    return Section(
        "figure-8",
        TITLE,
        SOURCE,
        CLAIM,
        (
            Prose(
                f"The model is `{MODEL}` (DeepLabv3 on MobileNetV2 0.5, 257 pixels), trained by its publisher at output "
                "stride 8. The same weights run at both strides, as the atrous rule allows: a stride less, and a dilation "
                f"more behind it. Many views are the scales {VIEWS['many views'].removesuffix(',flip')}, each mirrored too, "
                "as in the paper."
            ),
            Figure("figure-8", "Masks", words, draw, width=7.0, height=2.7),
            table,
            *scored(material.rows(SCORES)),
        ),
        verdict(material.rows(SCORES)),
        (f"results/{ROWS}.jsonl, rows 1 to {len(rows)}",),
    )


def scores_of_model(rows: Sequence[Row]) -> dict[tuple[int, str], float]:
    """(output stride, views) -> the newest recorded mean IoU of the model."""
    found = {}
    for row in rows:
        if row["model"] == MODEL:
            metrics = row["metrics"]
            assert isinstance(metrics, dict)
            found[int(str(row["output_stride"])), str(row["views"])] = float(metrics["mIoU"])
    return found


def scored(rows: Sequence[Row]) -> list[Table]:
    """Recorded scores on labeled images, by output stride and views."""
    scores = scores_of_model(rows)
    strides = [stride for stride in STRIDES if any(stride == each for each, _ in scores)]
    lines = tuple(
        (views, *(f"{scores[stride, views]:.3f}" if (stride, views) in scores else "" for stride in strides))
        for views in dict.fromkeys(views for _, views in scores)
    )
    images = next((row["images"] for row in rows if row["model"] == MODEL), 0)
    words = f"Mean IoU of `{MODEL}` on {images} validation images of VOC."
    heads = ("views", *(f"output stride {stride}" for stride in strides))
    return [Table("Scores by stride and views", heads, lines, words)] if lines else []


def verdict(rows: Sequence[Row]) -> Verdict:
    scores = scores_of_model(rows)
    one, many = (16, "1"), max((key for key in scores if key[1] != "1"), key=scores.__getitem__, default=None)
    if many is None or not {one, (8, "1")} <= scores.keys():
        return Verdict("open", "No scores on labeled images are recorded at both strides; the figure shows what changes.")
    words = (
        f"On labeled images one view reaches a mean IoU of {scores[one]:.3f} at stride 16 and {scores[8, '1']:.3f} at stride "
        f"8; the views {many[1]} at stride {many[0]} reach {scores[many]:.3f}. The weights were trained at stride 8, which is "
        "in its favor. Not every set of views helps: the table has them all."
    )
    finer = all(scores[8, views] > score for (stride, views), score in scores.items() if stride == 16 and (8, views) in scores)
    helped = scores[many] > scores[many[0], "1"]
    outcomes: dict[int, Outcome] = {2: "holds", 1: "holds in part", 0: "does not hold"}
    return Verdict(outcomes[finer + helped], words)


def found(row: Row) -> str:
    classes = row["classes"]
    assert isinstance(classes, dict)
    return ", ".join(f"{name} {100 * share:.1f}" for name, share in classes.items() if name != "background") or "none"


def differing(rows: dict[tuple[str, int, str], Row], photo: str, stride: int, views: str) -> float:
    """The share of pixels whose class is another one than at stride 16 with one view."""
    first = rows[photo, STRIDES[0], next(iter(VIEWS))]
    return float((unpacked(rows[photo, stride, views]) != unpacked(first)).mean())


def tinted(photo: Path, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): the photo, or white if it is missing, with the mask's classes in their colors."""
    size = (mask.shape[1], mask.shape[0])
    image = Image.open(photo).convert("RGB").resize(size) if photo.exists() else Image.new("RGB", size, "white")
    colors = np.array([class_color(each) for each in range(256)], np.float64)
    pixels = np.asarray(image, np.float64)
    mixed = np.where((mask > 0)[..., None], (1 - TINT) * pixels + TINT * colors[mask], pixels)
    return mixed.round().astype(np.uint8)
