"""Results in other libraries' forms: data frames, COCO's results, YOLO's label lines, supervision.

None of these libraries is needed for anything else, so each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

if TYPE_CHECKING:
    from .detection import Detections
    from .results import Answer
    from .segmentation import Segmentation

COLUMNS: dict[str, tuple[str, ...]] = {
    "classification": (),
    "detection": ("x0", "y0", "x1", "y1"),
    "segmentation": ("share",),
}
"""Of a data frame, beside input, label, index, id and score."""


def to_df(results: Iterable[Answer], library: Literal["pandas", "polars"] | None = None) -> Any:
    """The predictions of results of one task as a data frame, a row for each; see `results.Answer.to_df`."""
    results = list(results)
    names = ("input", "label", "index", "id", "score", *(COLUMNS[results[0].task] if results else ()))
    if any(result.frame is not None for result in results):
        names = (names[0], "frame", "time", *names[1:])
    table: dict[str, list[object]] = {name: [] for name in names}
    for result in results:
        for prediction in result:
            found = prediction.to_dict()
            entry: dict[str, object] = {"input": result.path, "frame": result.frame, "time": result.time, "id": None, **found}
            entry.update(zip(COLUMNS["detection"], found.get("box", ()), strict=False))
            for name, column in table.items():
                column.append(entry[name])
    return _data_frames(library).DataFrame(table)


def _data_frames(library: str | None) -> Any:
    choices = ("pandas", "polars") if library is None else (library,)
    for name in choices:
        if name not in ("pandas", "polars"):
            raise UsageError(f"no data frames of {name!r}; there is pandas, polars")
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise UsageError(f"to_df needs {' or '.join(choices)}; pip install {choices[0]}, or take to_dict()")


def category_id(result: Answer, index: int, otherwise: int) -> int:
    """COCO's id of a class: the label's id if it is a number."""
    label_id = result.id_of(index)
    return int(label_id) if label_id is not None and label_id.isdecimal() else otherwise


def detections_to_coco(result: Detections, image_id: int) -> list[dict[str, object]]:
    """See `Detections.to_coco`."""
    entries = []
    for found in result.top():
        x0, y0, x1, y1 = found.box
        number, box = category_id(result, found.index, found.index + 1), [x0, y0, x1 - x0, y1 - y0]
        entries.append({"image_id": image_id, "category_id": number, "bbox": box, "score": found.score})
    return entries


def segmentation_to_coco(result: Segmentation, image_id: int) -> list[dict[str, object]]:
    """See `Segmentation.to_coco`."""
    entries = []
    for region in result:
        pixels = result.mask == region.index
        x0, y0, x1, y1 = bounding_box(pixels)
        entry = {
            "image_id": image_id,
            "category_id": category_id(result, region.index, region.index),
            "segmentation": {"size": list(pixels.shape), "counts": run_lengths(pixels)},
            "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
            "score": region.score,
        }
        entries.append(entry)
    return entries


def run_lengths(pixels: NDArray[np.bool_]) -> list[int]:
    """COCO's uncompressed run lengths: column by column, how many pixels are out, then in, then out, and so on."""
    flat = pixels.ravel(order="F")
    ends = np.concatenate([np.flatnonzero(np.diff(flat)) + 1, [flat.size]])
    runs: list[int] = np.diff(ends, prepend=0).tolist()
    return [0, *runs] if flat[0] else runs


def bounding_box(pixels: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the pixels that are set, of which there is one at least."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def to_yolo(result: Detections, with_scores: bool) -> str:
    """See `Detections.to_yolo`."""
    if result.size is None:
        raise UsageError("to_yolo needs the image's size, which this result does not know; predict with a Predictor")
    width, height = result.size
    lines = []
    for found in result.top():
        x0, y0, x1, y1 = found.box
        shares = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
        numbers = [*shares, found.score] if with_scores else shares
        lines.append(f"{found.index} " + " ".join(f"{number:.6f}" for number in numbers) + "\n")
    return "".join(lines)


def to_supervision(result: Answer) -> Any:
    """See `results.Answer.to_supervision`."""
    try:
        supervision: Any = importlib.import_module("supervision")
    except ImportError as error:
        raise UsageError(f"to_supervision needs supervision ({error}); pip install supervision") from error
    match result.task:
        case "classification":
            return _classifications(supervision, result)
        case "detection":
            found = cast("Detections", result)
            labels = np.array([found.labels[index] for index in found.classes], dtype=str)
            return supervision.Detections(found.boxes, None, found.scores, found.classes, data={"class_name": labels})
        case _:
            return _masks(supervision, cast("Segmentation", result))


def _classifications(supervision: Any, result: Answer) -> Any:
    best = result.top(None)
    return supervision.Classifications(np.array([p.index for p in best]), np.array([p.score for p in best], np.float32))


def _masks(supervision: Any, result: Segmentation) -> Any:
    regions = list(result)
    if not regions:
        return supervision.Detections.empty()
    masks = np.stack([result.mask == region.index for region in regions])
    return supervision.Detections(
        xyxy=np.array([bounding_box(mask) for mask in masks], np.float32),
        mask=masks,
        confidence=np.array([region.score for region in regions], np.float32),
        class_id=np.array([region.index for region in regions]),
        data={"class_name": np.array([region.label for region in regions])},
    )
