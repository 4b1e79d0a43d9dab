"""Tables and charts of an analysis: classes, what is confused, curves, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..analysis.analysis import MAX_MATRIX, NOTHING, Analysis, ClassFigures
from ..analysis.claims import NUM_BINS, Curve
from . import words
from .markup import cell, folded, name_cell, number, scrolled, section, share, table, text
from .plots import UNIT, Axis, Bars, Line, chart

PointsOf = Callable[[Curve], list[tuple[float, float]]]
MAX_ROWS = 30  # classes that are seen at once


def classes_section(analysis: Analysis) -> str:
    """A row for each class that occurs, the weakest first."""
    rows = analysis.occurring()
    first = class_table(analysis, rows[:MAX_ROWS])
    rest = rows[MAX_ROWS:]
    more = folded(f"{len(rest)} more classes", class_table(analysis, rest)) if rest else ""
    absent = [each.label for each in analysis.classes if not each.total]
    note = f"<p class='quiet'>Without {analysis.unit} here: {text(listed(absent))}.</p>" if absent else ""
    return section("Classes", words.CLASSES[analysis.task], first, more, note)


def class_table(analysis: Analysis, rows: Sequence[ClassFigures]) -> str:
    detection = analysis.task == "detection"
    names = ["class", analysis.unit, analysis.quality, *(["AP50"] if detection else []), "F1", "precision", "recall"]
    return table(names, [class_row(each, detection) for each in rows], "Figures of each class")


def class_row(figures: ClassFigures, detection: bool) -> str:
    qualities = (figures.quality, figures.quality50) if detection else (figures.quality,)
    values = [cell(number(value), value) for value in qualities]
    values += [cell(number(value)) for value in (figures.f1, figures.precision, figures.recall)]
    return f"{name_cell(figures.label)}{cell(f'{figures.total:,}')}{''.join(values)}"


def confusion_section(analysis: Analysis) -> str:
    """The matrix if there are few classes, and the pairs that were confused most often."""
    rows, columns = analysis.axes()
    matrix = confusion_matrix(analysis, rows, columns) if 1 < max(len(rows), len(columns)) <= MAX_MATRIX + 1 else ""
    pairs = [
        name_cell(analysis.name(pair.truth, True))
        + name_cell(analysis.name(pair.answer, False))
        + cell(f"{pair.count:,}")
        + cell(share(pair.share), pair.share)
        for pair in analysis.confused()
    ]
    names = ("truth", "answer", analysis.unit, "share")
    most = table(names, pairs, "What was confused most often", 2) if pairs else "<p>Nothing was confused.</p>"
    sentence = "Rows are the truth, columns the answer; the more color, the larger the share of the row. " if matrix else ""
    sentence += "Numbers are percent of the row. " if matrix and analysis.task == "segmentation" else ""
    sentence += (
        f"The pairs that were confused most often are listed{' below' if matrix else ''}, with their share of the true class."
    )
    if analysis.task == "detection":
        sentence += " Detections count from a score of 0.5 on."
    return section("What is taken for what", sentence, matrix, folded_if(matrix, most))


def folded_if(matrix: str, most: str) -> str:
    return folded("The pairs that were confused most often", most) if matrix else most


def confusion_matrix(analysis: Analysis, rows: Sequence[int], columns: Sequence[int]) -> str:
    head = "".join(f"<th scope='col'>{text(analysis.name(column, False))}</th>" for column in columns)
    lines = list[str]()
    for row in rows:
        counts = [analysis.counts.get((row, column), 0) for column in columns]
        total = max(sum(counts), 1)
        cells = "".join(matrix_cell(analysis, row, column, count, total) for column, count in zip(columns, counts, strict=True))
        lines.append(f"<tr><th scope='row'>{text(analysis.name(row, True))}</th>{cells}</tr>")
    corner = "<td>truth ↓ answer →</td>"
    body = "\n".join(lines)
    return scrolled(
        f"<table class='matrix'><thead><tr>{corner}{head}</tr></thead>\n<tbody>{body}</tbody></table>", "Confusion matrix"
    )


def matrix_cell(analysis: Analysis, row: int, column: int, count: int, total: int) -> str:
    """The count, or of pixels their share of the row; a title with the names."""
    part = count / total
    value = (
        "" if not count else f"{count:,}" if analysis.task != "segmentation" else f"{part * 100:.0f}" if part >= 0.005 else "·"
    )
    title = f"{analysis.name(row, True)} → {analysis.name(column, False)}: {count:,}, {share(part)}"
    shade = f" style='--s:{part:.3f}'" if count and row != NOTHING else ""
    return f"<td title='{text(title)}'{shade}>{value}</td>"


def curves_section(analysis: Analysis) -> str:
    """Precision and recall, F1 by threshold, and calibration."""
    whole, charts = analysis.curve, list[str]()
    if whole is not None and (best := whole.best()) is not None:
        threshold, highest = float(whole.thresholds[best]), float(whole.f1[best])
        charts.append(
            chart(
                "Precision and recall",
                Axis("recall", *UNIT),
                Axis("precision", *UNIT),
                [*class_lines(analysis, recall_points), Line("all classes", recall_points(whole))],
                words=f"Precision by recall; the best F1 is {highest:.2f}",
            )
        )
        charts.append(
            chart(
                f"F1 by threshold: best {highest:.2f} at {threshold:.2f}",
                Axis("threshold", *UNIT),
                Axis("F1", *UNIT),
                [
                    *class_lines(analysis, f1_points),
                    Line("F1", f1_points(whole)),
                    Line("precision", points(whole.thresholds.tolist(), whole.precision.tolist()), 2),
                    Line("recall", points(whole.thresholds.tolist(), whole.recall.tolist()), 1),
                ],
            )
        )
    charts.append(calibration_chart(analysis))
    return section("Curves", words.CURVES[analysis.task], f"<div class='charts'>{''.join(charts)}</div>" if any(charts) else "")


def class_lines(analysis: Analysis, of: PointsOf) -> list[Line]:
    """A thin line for each class."""
    if len(analysis.class_curves) < 2:
        return []
    return [Line(analysis.labels[index], of(each), index, thin=True) for index, each in analysis.class_curves.items()]


def recall_points(curve: Curve) -> list[tuple[float, float]]:
    return points(curve.recall.tolist(), curve.precision.tolist())


def f1_points(curve: Curve) -> list[tuple[float, float]]:
    return points(curve.thresholds.tolist(), curve.f1.tolist())


def points(across: Sequence[float], up: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(across, up, strict=True))


def calibration_chart(analysis: Analysis) -> str:
    bins = analysis.calibration
    if bins.error is None:
        return ""
    content, titles = list[tuple[float, float, float]](), list[str]()
    for place, (size, score, right) in enumerate(zip(bins.sizes, bins.scores, bins.right, strict=True)):
        if size:
            content.append((place / NUM_BINS, (place + 1) / NUM_BINS, float(right)))
            titles.append(f"{size:,.0f} with a mean score of {score:.2f}: {share(float(right))} right")
    name = f"Calibration: expected error {bins.error:.3f}"
    axes = Axis("score", *UNIT), Axis("right", *UNIT)
    return chart(name, *axes, [Bars(f"right, of {bins.sizes.sum():,.0f}", content, titles)], diagonal=True)


def listed(names: Sequence[str], most: int = 20) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
