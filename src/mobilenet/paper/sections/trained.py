"""What the sections of trainings share: the missing runs are trained, samples are drawn, a paired test becomes a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..studies.comparison import LEVEL, Comparison, Sample, paired_test, sample
from ..studies.grid import ROWS, Run, Variant, missing, recorded, rows_of, runs, train_missing
from .colors import SERIES
from .section import Figure, Material, Outcome, Prose, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

UNEVEN = 1.5
"""Runs of one network whose seconds differ by more than this factor had other work beside them."""
WORK = ("out", "paper_runs")
"""Where runs in progress are, beside the folder of results; git ignores it in a checkout."""


def record_runs(material: Material, *groups: Sequence[Variant]) -> None:
    """Trains what has no row yet. Without a data set it says so and trains nothing."""
    wanted = runs(*groups)
    left = missing(rows_of(material.results), wanted)
    if left and material.data is None:
        material.say(f"{len(left)} of {len(wanted)} trainings have no row yet; give --data IMAGENETTE to run them")
    elif material.data is not None:
        train_missing(wanted, material.data, material.results, material.results.parent.joinpath(*WORK), material.say)


def samples(material: Material, variants: Sequence[Variant]) -> list[Sample]:
    """What is recorded of the variants, without those that have no run yet."""
    rows = rows_of(material.results)
    return [found for variant in variants if (found := sample(rows, variant)) is not None]


def row_names(material: Material, variants: Sequence[Variant]) -> tuple[str, ...]:
    """Which rows of the file are those of the variants, counted from 1; in one line."""
    rows = rows_of(material.results)
    wanted = [recorded(rows, run) for run in runs(variants)]
    numbers = [number for number, row in enumerate(rows, start=1) if any(row is each for each in wanted)]
    return (f"results/{ROWS}.jsonl, rows {', '.join(map(str, numbers))}",) if numbers else ()


def setting(found: Sequence[Sample], material: Material) -> str:
    """On what the runs were trained, from their rows."""
    known, wanted = rows_of(material.results), [Run(each.variant, seed) for each in found for seed in each.scores]
    rows = [row for run in wanted if (row := recorded(known, run)) is not None]
    machines = sorted({f"{row['processor']} ({row['machine']})" for row in rows})
    seconds = [float(str(row["seconds"])) for row in rows]
    epochs = " or ".join(sorted({each.variant.settings["epochs"] for each in found}))
    by_network: dict[object, list[float]] = {}
    for row, each in zip(rows, seconds, strict=True):
        by_network.setdefault(row["madds"], []).append(each)
    uneven = any(max(each) > UNEVEN * min(each) for each in by_network.values())
    return (
        f"Trained here from random weights for {epochs} epochs on Imagenette (10 classes of ImageNet, 9,469 training images), "
        f"scored on its 3,925 validation images: {len(rows)} runs of {min(seconds):.0f} to {max(seconds):.0f} seconds of "
        f"training, on {' and '.join(machines)}."
        + (" Other work ran beside some of them, so their seconds say little about speed." if uneven else "")
    )


def table_of(title: str, found: Sequence[Sample], names: Mapping[str, str]) -> Table:
    """A row for each variant: cost, runs, mean, spread, and the score of every seed."""
    return Table(
        title,
        ("network", "MAdds, millions", "runs", "top-1, %", "standard deviation", "by seed"),
        tuple(
            (
                names[each.variant.name],
                f"{each.madds / 1e6:.1f}",
                len(each.scores),
                f"{each.mean:.2f}",
                f"{each.deviation:.2f}" if len(each.scores) > 1 else "",
                ", ".join(f"{score:.2f}" for score in each.scores.values()),
            )
            for each in found
        ),
        "Scores are of the last epoch. A seed decides the first weights, the order of the images and their changes; variants "
        "of one seed see the same images in the same order.",
    )


def draw_curves(found: Sequence[Sample], names: Mapping[str, str]) -> Callable[[Canvas], None]:
    """Draws the mean score after each epoch, with a band from the least to the largest over the seeds."""

    def draw(canvas: Canvas) -> None:
        from matplotlib.ticker import MultipleLocator

        axes = canvas.subplots()
        for each, color in zip(found, SERIES, strict=False):
            epochs = [epoch for epoch, _ in next(iter(each.curves.values()))]
            scores = list(zip(*([score for _, score in curve] for curve in each.curves.values()), strict=True))
            axes.fill_between(epochs, list(map(min, scores)), list(map(max, scores)), color=color, alpha=0.15, linewidth=0)
            mean = [sum(values) / len(values) for values in scores]
            axes.plot(
                epochs, mean, color=color, marker="o", markersize=3, label=f"{names[each.variant.name]} ({len(each.scores)})"
            )
        axes.xaxis.set_major_locator(MultipleLocator(1))
        axes.set_xlabel("epochs")
        axes.set_ylabel("top-1 on Imagenette, %")
        axes.legend(loc="lower right", title="runs in brackets")

    return draw


def log_scale(axes: Axes) -> None:
    """Makes the horizontal axis logarithmic, with plain numbers: 1, 2, 5, 10, 20, 50 and so on."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def compared(first: Sample, second: Sample) -> Comparison:
    return paired_test(first.scores, second.scores)


def outcome_of(tests: Sequence[Comparison]) -> Outcome:
    """Of a claim that every first is better than its second."""
    for_it = sum(test.shown and test.difference > 0 for test in tests)
    against = sum(test.shown and test.difference < 0 for test in tests)
    if for_it == len(tests):
        return "holds"
    if against:
        return "holds in part" if for_it else "does not hold"
    return "holds in part" if for_it else "open"


def words_of(test: Comparison, better: str, worse: str) -> str:
    """A paired test as a sentence, whichever way it went."""
    sign = f"{test.difference:+.2f} points of top-1 over {test.pairs} seeds"
    if test.p is None or test.detectable is None:
        return f"{better} against {worse}: {sign}; too few seeds for a test."
    p = f"p = {test.p:.3f}" if test.p >= 0.001 else "p < 0.001"
    if test.shown and test.difference > 0:
        return f"{better} is better than {worse}: {sign} ({p})."
    if test.shown:
        return f"Against the paper, {better[0].lower()}{better[1:]} is worse than {worse}: {sign} ({p})."
    return (
        f"{better} against {worse}: {sign} ({p}); these seeds cannot decide it, a difference below {test.detectable:.2f} "
        f"points would not be seen at p < {LEVEL}."
    )


def open_section(name: str, title: str, source: str, claim: str, material: Material, variants: Sequence[Variant]) -> Section:
    """The section as long as a variant has no run."""
    wanted, known = runs(variants), rows_of(material.results)
    trained = len(wanted) - len(missing(known, wanted))
    words = (
        f"{trained or 'None'} of {len(wanted)} runs {'is' if trained == 1 else 'are'} recorded yet; "
        f"`mobilenet paper {name} --data IMAGENETTE --out out/paper` trains the others."
    )
    return Section(name, title, source, claim, (Prose(words),), Verdict("open", words), row_names(material, variants))


def curves_figure(name: str, found: Sequence[Sample], names: Mapping[str, str], title: str) -> Figure:
    ends = ", ".join(f"{names[each.variant.name]} at {each.mean:.1f} %" for each in found)
    words = f"One curve for each variant over the epochs, with a band over its seeds; they end with {ends}."
    return Figure(name, title, words, draw_curves(found, names), width=6.0, height=3.8)
