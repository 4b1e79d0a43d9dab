"""Tables that the commands print."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import printable

if TYPE_CHECKING:
    from ..analysis.analysis import Analysis
    from ..bench.integers import IntegerTime
    from ..bench.measure import EngineTime
    from ..bench.roofline import LayerTime
    from ..bench.whole import WholeTime
    from ..checking.report import Report as DataReport
    from ..network.cost import Cost
    from ..quantizing.report import Report
    from ..training.recipes.listing import Entry
    from ..zoo.published import Published

MAX_CLASSES = 100  # that a table lists
MAX_CONFUSED = 10  # pairs of classes


MIN_COLUMN = 12
"""Letters of a column that is wrapped, at least."""


def ledger_table(ledger: Cost) -> str:
    size = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}[ledger.precision] / 1024
    rows = [
        (
            ly.name,
            ly.operation,
            f"{ly.output.channels} x {ly.output.height} x {ly.output.width}",
            f"{ly.params:,}",
            f"{ly.madds:,}",
            f"{ly.output.elements * size:,.1f}",
            f"{ly.live * size:,.1f}",
        )
        for ly in ledger.layers
    ]
    header = ("layer", "operation", "output", "params", "MAdds", "out KiB", "alive KiB")
    kib = 1 / 1024
    height, width = ledger.resolution
    summary = [
        ("parameters (trainable)", f"{ledger.params:,}"),
        ("weights alone", f"{ledger.weights:,}"),
        (f"bytes of weights and biases, {ledger.precision}", f"{ledger.weight_bytes:,}"),
        ("running statistics", f"{ledger.statistics:,}"),
        (f"MAdds at {height} x {width}", f"{ledger.madds:,}"),
        (f"peak activations, {ledger.precision}, layer by layer", f"{ledger.layerwise_bytes * kib:,.1f} KiB"),
        ("  every block split 2 ways", f"{ledger.split_bytes(2) * kib:,.1f} KiB"),
        ("  every block split 4 ways", f"{ledger.split_bytes(4) * kib:,.1f} KiB"),
        ("  every block as one operation", f"{ledger.blockwise_bytes * kib:,.1f} KiB"),
    ]
    if ledger.planned_bytes is not None:
        summary.append(("  as the engine plans it, 1 thread", f"{ledger.planned_bytes * kib:,.1f} KiB"))
    right = ("left", "left", "right", "right", "right", "right", "right")
    return f"{table(rows, header, right)}\n\n{table(summary, (), ('left', 'right'))}"


def bench_table(rows: Sequence[EngineTime]) -> str:
    def growth(row: EngineTime) -> str:
        return "" if row.peak_rss_delta_bytes is None else f"{row.peak_rss_delta_bytes / 2**20:.1f}"

    lines = [
        (row.engine, row.precision, f"{row.median_ms:.2f}", f"{row.min_ms:.2f}", f"{row.p90_ms:.2f}", growth(row),
         f"{row.max_abs_error:.1e}")
        for row in rows
    ]  # fmt: skip
    header = ("engine", "precision", "median ms", "least ms", "90 % ms", "growth MiB", "largest error")
    return table(lines, header, ("left", "left", *["right"] * 5))


def integer_table(rows: Sequence[IntegerTime]) -> str:
    def mebibytes(size: int | None) -> str:
        return "" if size is None else f"{size / 2**20:.2f}"

    lines = [
        (row.engine, row.file, f"{row.median_ms:.2f}", f"{row.min_ms:.2f}", f"{row.p90_ms:.2f}",
         mebibytes(row.peak_rss_delta_bytes), mebibytes(row.planned_bytes),
         "" if row.max_abs_error is None else f"{row.max_abs_error:.2g}",
         "" if row.agreement is None else f"{row.agreement:.1%}")
        for row in rows
    ]  # fmt: skip
    header = ("engine", "file", "median ms", "least ms", "90 % ms", "growth MiB", "planned MiB", "from floats", "same answers")
    compared = f"compared on {rows[0].images} images that did not calibrate" if rows[0].images else "compared on noise"
    return f"{table(lines, header, ('left', 'left', *['right'] * 7))}\n\n{compared}"


def whole_table(rows: Sequence[WholeTime]) -> str:
    def growth(row: WholeTime) -> str:
        return "" if row.peak_rss_delta_bytes is None else f"{row.peak_rss_delta_bytes / 2**20:.1f}"

    lines = [
        (
            f"{row.megapixels:g}",
            row.engine,
            f"{row.median_ms:.2f}",
            f"{row.min_ms:.2f}",
            f"{row.p90_ms:.2f}",
            growth(row),
            f"{row.agreement:.1%}",
        )
        for row in rows
    ]
    header = ("megapixels", "file to answer", "median ms", "least ms", "90 % ms", "growth MiB", "agreement")
    return table(lines, header, ("right", "left", *["right"] * 5))


def layer_table(rows: Sequence[LayerTime]) -> str:
    lines = [
        (row.name, f"{row.milliseconds:.3f}", f"{row.madds:,}", f"{row.bytes / 1024:,.0f}", row.bound, f"{row.peak:.0%}")
        for row in rows
    ]
    least = sum(row.milliseconds * row.peak for row in rows)
    ms, madds, size = (sum(getattr(row, name) for row in rows) for name in ("milliseconds", "madds", "bytes"))
    lines.append(("all", f"{ms:.3f}", f"{madds:,}", f"{size / 1024:,.0f}", "", f"{least / ms:.0%}"))
    header = ("step", "ms", "MAdds", "KiB", "bound by", "of the best rate")
    return table(lines, header, ("left", "right", "right", "right", "left", "right"))


def noise_table(report: Report) -> str:
    """Every layer of a quantized model, then what the whole lost and gained."""
    lines = [
        (
            layer.name,
            layer.operation,
            f"{layer.snr_db:.1f}",
            ", ".join(f"{c}: {snr:.1f}" for c, snr in layer.worst),
            f"{layer.saturated:.3%}",
            "" if layer.affine is None else f"{layer.affine.scale:.3g}",
            "" if layer.affine is None else str(layer.affine.zero_point),
        )
        for layer in report.layers
    ]
    header = ("layer", "operation", "SNR dB", "worst channels, dB", "saturated", "scale", "zero point")
    before, after = report.weight_bytes
    summary = [("calibrated with", f"{report.images} images"), ("weights", f"{before:,} bytes before, {after:,} after")]
    for name, value in report.before.items():
        if value is not None:
            summary.append((name, f"{value:.4f} before, {report.after[name]:.4f} after"))
    align = ("left", "left", "right", "left", "right", "right", "right")
    return f"{table(lines, header, align)}\n\n{table(summary, (), ('left', 'left'))}"


def models_table(models: Sequence[tuple[Published, bool]]) -> str:
    """The known models, each with whether it is in the cache. Titles and whole addresses would not fit a line."""
    rows = [
        (
            m.name,
            m.task,
            ", ".join(f"{k} {v:.3f}" for k, v in m.accuracy.items()),
            m.licence,
            "cached" if cached else "",
            m.files[0].url.split("/")[2],
        )
        for m, cached in models
    ]
    return table(rows, ("name", "task", "published", "license", "here", "from"), ("left",) * 6)


def recipes_table(recipes: Sequence[Entry]) -> str:
    """The training recipes, with the mean of what their measured runs reached."""
    rows = []
    for each in recipes:
        runs, reached = each.reached, ""
        if runs:
            seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
            minutes = sum(run.seconds for run in runs) / len(runs) / 60
            mean = sum(run.value for run in runs) / len(runs)
            reached = f"{runs[0].metric} {mean:.3f} in {minutes:.0f} min{seeds}"
        rows.append((each.name, each.task, each.needs, each.start or "random weights", each.epochs, each.resolution, reached))
    header = ("recipe", "task", "needs", "starts from", "epochs", "pixels", "reached")
    lines = [table(rows, header, ("left",) * len(header))]
    if machines := {run.machine for each in recipes for run in each.reached}:
        lines += ["", f"Measured on: {'; '.join(sorted(machines))}, partly beside other work (--json says more)."]
    return "\n".join(lines)


def class_table(analysis: Analysis) -> str:
    """The figures of each class that occurs, the weakest first, and the pairs that are confused most."""
    detection, shown = analysis.task == "detection", analysis.occurring()
    names = ("class", analysis.unit, "precision", "recall", "F1", analysis.quality, *(("AP50",) if detection else ()))
    rows = list[tuple[str, ...]]()
    for each in shown[:MAX_CLASSES]:
        values = (each.precision, each.recall, each.f1, each.quality, *((each.quality50,) if detection else ()))
        rows.append((each.label, f"{each.total:,}", *map(fraction, values)))
    lines = [table(rows, names, ("left", *("right",) * (len(names) - 1)))]
    if len(shown) > MAX_CLASSES:
        lines.append(f"and {len(shown) - MAX_CLASSES} more classes; --json lists all")
    if confused := analysis.confused(MAX_CONFUSED):
        pairs = [(analysis.name(pair.truth, True), analysis.name(pair.answer, False), f"{pair.count:,}") for pair in confused]
        lines += ["", table(pairs, ("truth", "taken for", analysis.unit), ("left", "left", "right"))]
    return "\n".join(lines)


def fraction(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def table(rows: Sequence[Sequence[str]], header: Sequence[str], align: Sequence[str]) -> str:
    """The rows as text, a column's cells wrapped where the terminal is narrower than they are."""
    from tabulate import tabulate

    rows = [[printable(cell) for cell in row] for row in rows]
    text: str = tabulate(
        rows, header, "simple" if header else "plain", colalign=align, disable_numparse=True, maxcolwidths=widths(rows, header),
        preserve_whitespace=True,
    )  # fmt: skip
    return text


def widths(rows: Sequence[Sequence[str]], header: Sequence[str]) -> list[int] | None:
    """The width of each column. If the terminal is narrower than the table, the widest column is narrowed; None if no column
    must be."""
    if not (rows and sys.stdout.isatty()):
        return None
    heads = [len(name) + 2 for name in header] or [0] * len(rows[0])  # tabulate keeps 2 beside a name
    needed = [max(head, *map(len, column)) for head, column in zip(heads, zip(*rows, strict=True), strict=True)]
    excess = sum(needed) + 2 * (len(needed) - 1) - shutil.get_terminal_size().columns
    if excess <= 0:
        return None
    widest = needed.index(max(needed))
    needed[widest] = max(needed[widest] - excess, MIN_COLUMN)
    return needed


def data_table(report: DataReport) -> str:
    """The parts of a data set side by side: images, objects, sizes, and how many there are of each class."""
    parts = report.parts
    rows = [("images", *(f"{part.images:,}" for part in parts.values()))]
    if report.task == "detection":
        rows.append(("objects", *(f"{part.objects or 0:,}" for part in parts.values())))
        rows.append(("images without objects", *(f"{part.without_objects or 0:,}" for part in parts.values())))
    for name in ("smallest", "median", "largest"):
        if any(part.sizes for part in parts.values()):
            sizes = (part.sizes.get(name, (0, 0)) for part in parts.values())
            rows.append((f"{name} image", *(f"{width} x {height}" for width, height in sizes)))
    for label in report.classes[:MAX_CLASSES] if any(part.classes for part in parts.values()) else ():
        rows.append((f"  {label}", *(f"{part.classes.get(label, 0):,}" for part in parts.values())))
    if len(report.classes) > MAX_CLASSES:
        rows.append((f"  ... and {len(report.classes) - MAX_CLASSES} more classes", *("" for _ in parts)))
    return table(rows, ("", *parts), ("left", *["right"] * len(parts)))
