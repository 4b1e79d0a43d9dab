"""Results as images and as HTML: on request, and in notebooks."""

from __future__ import annotations

import base64
import html as markup
import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..errors import UsageError
from ..images.open import ImageError
from ..images.sources import open_source

if TYPE_CHECKING:
    from ..images.sources import Source
    from .results import Answer

NOTEBOOK_SIDE = 640  # pixels of the longer side in a notebook
MAX_ROWS = 10


def plot(result: Answer, image: Source | None = None) -> Image.Image:
    """A copy of the image with what the result shows drawn on it; see `results.Answer.plot`."""
    source = result.path if image is None and result.image is None else result.image if image is None else image
    if source is None:
        raise ImageError("this result does not know its image: it was pickled, or made by hand; plot(image) draws on any")
    canvas: Any = open_source(source).image  # not reduced, unless that is asked for
    if result.size is not None and canvas.size != result.size:
        (width, height), (w, h) = result.size, canvas.size
        raise ImageError(f"image of {w}x{h} for a result of {width}x{height}: must be the image that was predicted")
    return result.drawn_on(canvas, result.shown)


def png(result: Answer) -> bytes | None:
    """The plot as PNG in a notebook's size, or None if the image is not there anymore."""
    try:
        drawn = plot(result)
    except (ImageError, UsageError):
        return None
    drawn.thumbnail((NOTEBOOK_SIDE, NOTEBOOK_SIDE))
    content = io.BytesIO()
    drawn.save(content, "PNG")
    return content.getvalue()


def html(result: Answer) -> str:
    """A table of what the result shows, and the plot beside it if the image is there."""
    rows = "".join(
        f"<tr><td style='text-align:left'>{markup.escape(p.label)}</td><td>{p.score * 100:.1f} %</td></tr>"
        for p in result.shown[:MAX_ROWS]
    )
    more = len(result.shown) - MAX_ROWS
    rows += f"<tr><td>and {more} more</td><td></td></tr>" if more > 0 else ""
    table = f"<table>{rows or f'<tr><td>{result.nothing}</td></tr>'}</table>"
    if (content := png(result)) is None:
        return table
    text = base64.b64encode(content).decode()
    plotted = f"<img alt='{markup.escape(str(result), quote=True)}' src='data:image/png;base64,{text}'>"
    return f"<div style='display:flex;gap:1em;align-items:flex-start'>{plotted}{table}</div>"
