"""What `export` and `compare` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tables import table

if TYPE_CHECKING:
    from ..parity.compare import Comparison
    from ..parity.export import Export


def comparison_rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Rows for both sides."""
    a, b, agreement = comparison.a, comparison.b, comparison.agreement
    rows = [
        ("size, MB", f"{a.bytes / 1e6:.2f}", f"{b.bytes / 1e6:.2f}"),
        ("median of one image, ms", f"{a.milliseconds:.2f}", f"{b.milliseconds:.2f}"),
    ]
    for name, value in (a.metrics or {}).items():
        other = (b.metrics or {}).get(name)
        if value is not None and other is not None:
            rows.append((name, f"{value:.4f}", f"{other:.4f} ({other - value:+.4f})"))
    rows.append((f"{agreement.what} of both", "", f"{agreement.share:.2%} of {agreement.all:,}"))
    if agreement.what != "pixels":
        rows.append(("largest difference of a score", "", f"{agreement.largest_score:.2g}"))
    if agreement.what == "boxes":
        rows.append(("largest difference of an edge, pixels", "", f"{agreement.largest_box:.2g}"))
    if comparison.largest is not None and comparison.noisiest is not None:
        largest, noisiest = comparison.largest, comparison.noisiest
        rows.append(("largest difference of an output", "", f"{largest.largest:.2g} of {largest.magnitude:.3g}"))
        rows.append(("noise of an output", "", f"{noisiest.noise_ratio:.2g}"))
    return rows


def comparison_table(comparison: Comparison) -> str:
    images = f"{comparison.images} images: {comparison.source}"
    rows = comparison_rows(comparison)
    return table(rows, (images, comparison.a.title, comparison.b.title), ("left", "right", "right"))


def export_table(done: Export) -> str:
    assert done.comparison is not None
    largest = done.bound.kind == "largest"
    limit = f"{done.bound.limit:.2g} of the largest" if largest else f"noise of {done.bound.limit:.2g}"
    rows = [*comparison_rows(done.comparison), (f"allowed: {done.bound.why}", "", limit)]
    header = (f"{done.comparison.images} images: {done.comparison.source}", done.comparison.a.title, done.comparison.b.title)
    return table(rows, header, ("left", "right", "right"))
