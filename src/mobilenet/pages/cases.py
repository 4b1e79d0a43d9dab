"""Images with what is true of them and what the model says, side by side."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..analysis.matching import FALSE, matched
from ..analysis.study import Case
from ..analysis.tallies import SHOWN
from ..checking.sheet import drawn
from ..data import Objects, Records, Truth
from ..drawing.boxes import draw_detections
from ..drawing.labels import draw_classification
from ..drawing.masks import draw_segmentation
from ..images.open import ImageError
from ..tasks.classification import Classification
from ..tasks.detection import Detections
from ..tasks.results import VOID
from ..values import replace
from .markup import TIMES, number, path, share, text

if TYPE_CHECKING:
    from ..tasks.results import Result

SIDE = 360  # pixels of the longer side
QUALITY = 80  # of JPEG
TILE, COLUMNS = 256, 4  # of a sheet; even, so that a truth stands beside its answer
MAX_NAMED = 4  # objects in a caption


def gallery(cases: Iterable[Case], records: Records[Truth]) -> str:
    """The images of `cases` with captions; one that cannot be read any more is left out."""
    figures = "\n".join(figure for case in cases if (figure := shown(case, records)))
    width = "10rem" if records.task == "classification" else "22rem"
    return f"<div class='cases' style='--w:{width}'>\n{figures}\n</div>" if figures else ""


def shown(case: Case, records: Records[Truth]) -> str:
    record = records.record(case.index)
    try:
        images, words = views(case, records), caption(case, record.truth, records)
    except ImageError:
        return ""
    caption_text = f"<figcaption>{words}{path(record.name)}</figcaption>"
    if len(images) == 1:
        return f"<figure>{embedded(images['image'], plain(words))}{caption_text}</figure>"
    pieces = (f"<span>{embedded(each, f'{name}; {plain(words)}')}<small>{name}</small></span>" for name, each in images.items())
    return f"<figure><div class='pair'>{''.join(pieces)}</div>{caption_text}</figure>"


def views(case: Case, records: Records[Truth]) -> dict[str, Image.Image]:
    """The image of a classifier's answer as "image"; else "truth" and "answer", both drawn on the image. The longer side is
    `SIDE`. Raises ImageError."""
    record = records.record(case.index)
    image = record.open()
    scale = SIDE / max(image.size)
    small = image.resize((max(round(image.width * scale), 1), max(round(image.height * scale), 1)))
    if isinstance(case.result, Classification):
        return {"image": small}
    truth = drawn(small, record.truth, records, scale, image.size)
    return {"truth": truth, "answer": answer_drawn(small, case.result, scale)}


def sheet(cases: Iterable[Case], records: Records[Truth]) -> Image.Image:
    """The images of `cases` in one, each with its truth. One that cannot be read any more is left out."""
    tiles = list[Image.Image]()
    for case in cases:
        try:
            images = views(case, records)
        except ImageError:
            continue
        for name, each in images.items():
            each.thumbnail((TILE, TILE))
            tiles.append(draw_classification(each, titles(case, records) if name == "image" else [name]))
    canvas = Image.new("RGB", (COLUMNS * TILE, max(-(-len(tiles) // COLUMNS), 1) * TILE), "white")
    for place, tile in enumerate(tiles):
        row, column = divmod(place, COLUMNS)
        canvas.paste(tile, (column * TILE, row * TILE))
    return canvas


def titles(case: Case, records: Records[Truth]) -> list[str]:
    """A classifier's answer and the truth, as lines."""
    assert isinstance(case.result, Classification)
    truth, best = records.truth(case.index), case.result.top(1)[0]
    assert isinstance(truth, int)
    return [f"{best.label} {best.score * 100:.0f} %", f"truth: {records.labels[truth]}"]


def answer_drawn(image: Image.Image, result: Result, scale: float) -> Image.Image:
    """A detector's or segmenter's answer on its image, which was multiplied by `scale`."""
    if isinstance(result, Detections):
        boxes = result.boxes * np.float32(scale)
        return draw_detections(image, replace(result, boxes=boxes).top(threshold=SHOWN))
    assert not isinstance(result, Classification)
    mask = np.array(Image.fromarray(result.mask).resize(image.size, Image.Resampling.NEAREST))
    small = replace(result, mask=mask)
    return draw_segmentation(image, small, small.top(8))


def embedded(image: Image.Image, words: str) -> str:
    """The image inside the page, with `words` for those who cannot see it."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY)
    data = base64.b64encode(content.getvalue()).decode()
    size = f"width='{image.width}' height='{image.height}'"
    return f"<img {size} loading='lazy' alt='{words}' src='data:image/jpeg;base64,{data}'>"


def plain(words: str) -> str:
    """A caption without its tags, whose text is escaped already."""
    pieces = words.replace("<br>", "; ").split("<")
    return pieces[0] + "".join(piece.partition(">")[2] for piece in pieces[1:])


def caption(case: Case, truth: Truth, records: Records[Truth]) -> str:
    """What is true and what the model says, as HTML."""
    result, labels = case.result, records.labels
    if isinstance(result, Classification):
        assert isinstance(truth, int)
        best, kind = result.top(1)[0], "wrong" if case.badness else "right"
        known = "" if not case.badness else f" <small>({share(float(result.scores[truth]))})</small>"
        answer = f"answer <b class='{kind}'>{text(best.label)}</b> <small>({share(best.score)})</small>"
        return f"{answer}<br>truth <b>{text(labels[truth])}</b>{known}"
    if isinstance(result, Detections):
        assert isinstance(truth, Objects)
        return detection_caption(result, truth, labels)
    assert not isinstance(truth, (int, Objects))
    present = [index for index in np.unique(truth.read()).tolist() if index not in (VOID, result.background)]
    answered = [region.label for region in result.top()]
    iou = 1 - case.badness[0] if case.badness else 1.0
    return (
        f"mean IoU <b>{number(iou, 2)}</b><br>truth {named([labels[index] for index in present])}<br>answer {named(answered)}"
    )


def detection_caption(result: Detections, truth: Objects, labels: Sequence[str]) -> str:
    objects, visible = matched(result, truth), result.scores >= SHOWN
    found = objects[visible & (objects >= 0)]
    missed = [labels[truth.labels[index]] for index in np.setdiff1d(np.flatnonzero(~truth.crowd), found)]
    false = [labels[result.classes[index]] for index in np.flatnonzero(visible & (objects == FALSE))]
    words = (
        f"<b class='right'>{len(found)} found</b>" if len(found) else "none found" if len(truth.labels) else "nothing to find"
    )
    if missed:
        words += f"<br><b class='wrong'>{len(missed)} missed</b>: {named(missed)}"
    if false:
        words += f"<br><b class='wrong'>{len(false)} wrong</b>: {named(false)}"
    return words


def named(names: Sequence[str]) -> str:
    """The names, each once with its number, the most frequent first; the rest is counted."""
    counts = Counter(names).most_common()
    listed = [f"{text(name)} {TIMES} {count}" if count > 1 else text(name) for name, count in counts[:MAX_NAMED]]
    more = len(counts) - MAX_NAMED
    return (", ".join(listed) or "nothing") + (f" and {more} more" if more > 0 else "")
