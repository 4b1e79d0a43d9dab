"""Charts of one style, saved whole or not at all. They need matplotlib, the extra ``[plot]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
STYLE: Any = {  # its type differs between versions of matplotlib
    "savefig.dpi": 120,
    "text.parse_math": False,  # a label with two $ in it is no formula
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "grid.alpha": 0.3,
    "legend.fontsize": 9,
}
RED, GREEN, YELLOW, BLUE, BROWN = "#c0392b", "#2c6e49", "#e09f3e", "#9db8d9", "#540b0e"


def check_chart(path: Path) -> None:
    """UsageError if no chart can be written to `path` as `chart` says: for commands that work for minutes before they draw."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(f"{path}: drawing needs matplotlib; pip install 'mobilenet[plot]'")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: cannot be drawn; give a path that ends in {', '.join(SUFFIXES)}")


@contextmanager
def chart(path: Path, width: float, height: float) -> Iterator[Figure]:
    """An empty figure of `width` x `height` inches to draw on; it is written to `path` at the end of the ``with`` block.

    Raises:
        UsageError: matplotlib is missing, or the suffix of `path` is none of `SUFFIXES`; before anything is drawn.
        WriteError: the file cannot be written.
    """
    check_chart(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        content = BytesIO()
        figure.savefig(content, format=path.suffix[1:].lower())
    write_atomically(path, content.getvalue())


def rendered(
    draw: Callable[[Figure], None], width: float, height: float, formats: Sequence[str], style: Mapping[str, object]
) -> dict[str, bytes]:
    """What `draw` draws on an empty figure of `width` x `height` inches, in each of the formats, for example svg and png.

    Args:
        style: settings of matplotlib beside those of all charts. With a ``svg.hashsalt`` the same drawing has the same bytes.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    settings, contents = dict(STYLE), {}
    settings.update(style)
    with rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        for name in formats:
            content = BytesIO()
            figure.savefig(content, format=name, metadata={"Date": None} if name == "svg" else None)
            contents[name] = content.getvalue()
    return contents
