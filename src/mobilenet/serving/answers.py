"""From an image's bytes to the body of an answer: JSON, an annotated image, a mask. Runs in the pool's threads."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, cast, get_args

from ..errors import MobilenetError, short_repr, unknown_name
from ..images.open import ImageError, decode_image
from ..images.reduced import Reduced
from ..predict.work import Entry
from ..tasks.results import OutputError, shown
from .bodies import Given
from .models import Served
from .settings import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images.preprocessing import Decoded
    from ..tasks.results import Prediction, Result
    from ..tasks.segmentation import Segmentation

Output = Literal["json", "jpeg", "png", "mask"]
OUTPUTS: tuple[Output, ...] = get_args(Output)
MEDIA_TYPES: dict[Output, str] = {"json": "application/json", "jpeg": "image/jpeg", "png": "image/png", "mask": "image/png"}
MAX_TOP = 1000
QUERY = ("threshold", "top", "output", "mask")


class Wishes(NamedTuple):
    """What a request asks for.

    Attributes:
        output: "json", "jpeg" or "png" (the image with its answer drawn on it), or "mask" (class indices with a palette).
        threshold, top: as for `Predictor`; None for what the command ``predict`` takes.
        runs: whether JSON of a segmentation holds the mask, in runs of equal classes.
    """

    output: Output = "json"
    threshold: float | None = None
    top: int | None = None
    runs: bool = False


def wishes_of(query: Mapping[str, str], accept: str) -> Wishes:
    """A request's wishes: those of its query, and the output by the header Accept if the query names none.

    Raises:
        RequestError: 400 for a query that cannot be understood, 406 for types that are not made here.
    """
    for name in query:
        if name not in QUERY:
            raise RequestError(400, unknown_name("query parameter", name, QUERY))
    if query.get("mask", "runs") != "runs":
        raise RequestError(400, f"mask {short_repr(query['mask'])}: must be runs, or be left out")
    return Wishes(
        output_of(query.get("output"), accept), number(query, "threshold"), whole_number(query, "top"), "mask" in query
    )


def number(query: Mapping[str, str], name: str) -> float | None:
    if name not in query:
        return None
    try:
        value = float(query[name])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise RequestError(400, f"{name} {short_repr(query[name])}: must be a number from 0 to 1, for example 0.5")
    return value


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    if name not in query:
        return None
    text = query[name]
    value = int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else 0
    if not 1 <= value <= MAX_TOP:
        raise RequestError(400, f"{name} {short_repr(text)}: must be an integer from 1 to {MAX_TOP}")
    return value


def output_of(named: str | None, accept: str) -> Output:
    if named is not None:
        if named not in OUTPUTS:
            raise RequestError(400, f"output {short_repr(named)}: must be {', '.join(OUTPUTS[:-1])} or {OUTPUTS[-1]}")
        return named
    ranges = [part.strip() for part in accept.lower().split(",")] if accept else ["*/*"]
    weighed = sorted(ranges, key=weight, reverse=True)  # stable: of equal weights, the first
    for each in weighed:
        kind = each.partition(";")[0].strip()
        if weight(each) <= 0:
            continue
        if kind in ("*/*", "application/*", "application/json"):
            return "json"
        if kind in ("image/*", "image/jpeg"):
            return "jpeg"
        if kind == "image/png":
            return "png"
    raise RequestError(406, f"Accept {short_repr(accept)}: there is application/json, image/jpeg and image/png")


def weight(range_: str) -> float:
    """The ``q`` of a media range, 0 to 1."""
    for parameter in range_.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


class Answer(NamedTuple):
    """The body of an answer, its media type, the seconds in the network of each image that was answered, and all seconds."""

    content: bytes
    media_type: str
    network_seconds: tuple[float, ...]
    seconds: float


def answer(served: Served, given: Sequence[Given], several: bool, wishes: Wishes, submitted: float) -> Answer:
    """The answer to a request.

    Args:
        several: whether the request's kind may hold several images: its answer is a list then, also of one image.
        submitted: `time.perf_counter()` when the request entered the queue.

    Raises:
        RequestError: 400 for an image as answer to several; 422 if the only image cannot be answered.
    """
    begin = time.perf_counter()
    queue_seconds = begin - submitted
    if wishes.output != "json":
        if len(given) > 1:
            raise RequestError(400, f"{len(given)} images: output {wishes.output} is for one; leave it out for JSON")
        file, network_seconds = drawn(served, given[0], wishes)
        return Answer(file, MEDIA_TYPES[wishes.output], (network_seconds,), time.perf_counter() - begin)
    entries, seconds = list[dict[str, object]](), list[float]()
    for each in given:
        try:
            entry, result = found(served, each, wishes)
        except MobilenetError as error:
            if len(given) == 1:
                raise refusal(error) from None
            entries.append({**Entry(each.name, served.predictor.task, error=str(error)).to_json(), "model": served.name})
            continue
        seconds.append(entry.network)
        times = {"queue": queue_seconds, "network": entry.network, "whole": entry.whole}
        described = {**entry.to_json(), "model": served.name, "size": list(result.size or ())}
        if wishes.runs and served.predictor.task == "segmentation":
            described["mask"] = runs_of(cast("Segmentation", result))
        entries.append({**described, "milliseconds": {name: round(1e3 * value, 3) for name, value in times.items()}})
    text = json.dumps(entries if several else entries[0], ensure_ascii=False, separators=(",", ":"))
    content = text.encode("utf-8", "backslashreplace")
    return Answer(content, MEDIA_TYPES["json"], tuple(seconds), time.perf_counter() - begin)


def refusal(error: MobilenetError) -> RequestError:
    """422 for an image that cannot be used; 500 for a model that fails on it."""
    return RequestError(500 if isinstance(error, OutputError) else 422, str(error))


def found(served: Served, given: Given, wishes: Wishes) -> tuple[Entry, Result]:
    """What the model says of an image, as the command ``predict`` says it. Raises ImageError or OutputError."""
    start, before = time.perf_counter(), served.runtime.spent()
    if given.error is not None:
        raise given.error
    image = served.predictor.open_bytes(given.content, given.name)
    result, predictions = predicted(served, image, wishes)
    seconds = served.runtime.spent() - before, time.perf_counter() - start
    task, backend = served.predictor.task, served.runtime.name
    return Entry(given.name, task, predictions, None, None, *seconds, None, None, backend), result


def predicted(served: Served, image: Decoded, wishes: Wishes) -> tuple[Result, Sequence[Prediction]]:
    predictor = served.predictor
    top, threshold = shown(predictor.task, wishes.top, wishes.threshold)
    result = predictor.predict(image, threshold=threshold, top=top)
    return result, result.top(top, threshold)


def drawn(served: Served, given: Given, wishes: Wishes) -> tuple[bytes, float]:
    """The image with its answer drawn on it, or the mask, as a file's bytes; and the seconds in the network."""
    from ..drawing.draw import draw
    from ..images.masks import mask_image
    from ..images.write import encoded

    before = served.runtime.spent()
    if wishes.output == "mask" and served.predictor.task != "segmentation":
        raise RequestError(400, f"output mask: {served.name} does {served.predictor.task}; ask a model for segmentation")
    try:
        if given.error is not None:
            raise given.error
        image = served.predictor.open_bytes(given.content, given.name)
        result, predictions = predicted(served, image, wishes)
        if wishes.output == "mask":
            mask = cast("Segmentation", result)
            content = encoded(mask_image(mask.mask, mask.background), "PNG")
        else:
            whole = decode_image(given.content, given.name) if isinstance(image, Reduced) else image
            content = encoded(draw(whole, result, predictions), wishes.output.upper())
    except (ImageError, OutputError) as error:
        raise refusal(error) from None
    return content, served.runtime.spent() - before


def runs_of(result: Segmentation) -> dict[str, object]:
    """A mask in runs of equal classes along its rows: ``classes[i]`` fills the next ``lengths[i]`` pixels."""
    import numpy as np

    flat = result.mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    height, width = result.mask.shape
    return {"height": height, "width": width, "classes": flat[starts].tolist(), "lengths": lengths.tolist()}
