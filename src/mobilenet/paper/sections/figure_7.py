"""Figure 7: the share of positive channels behind each expansion, before and after training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...bench import history
from ...network.layers import Conv, Network
from ...network.mobilenet import mobilenet_v2
from ..studies.grid import BASE_VARIANT, Run, append, recorded, rows_of, validation_images
from ..studies.positive import Positive, batch_of, positive, positive_at_start
from .colors import BLUE, INK, ORANGE
from .section import Figure, Material, Prose, Row, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

TITLE = "How many channels are positive"
SOURCE = "MobileNetV2, section 6.4 and Figure 7"
CLAIM = (
    "Before training about half of the channels behind an expansion are positive everywhere. After training the mean is the "
    "same and the spread much larger, and all but two layers stay above one sixth, which Lemma 2 asks for at t = 6."
)
ROWS = "paper_positive"
PUBLISHED, SEED = "imagenet", 0
NUM_EXCEPTIONS = 2
"""Layers below the threshold, by the paper."""


def record(material: Material) -> None:
    """Counts on the published weights and on fresh ones, on some validation images; once."""
    if material.rows(ROWS):
        return
    if material.data is None:
        material.say("the positive channels of Figure 7 have no row yet; give --data IMAGENETTE to count them")
        return
    from ...zoo.load import load_model

    images = validation_images(material.data)
    model = load_model(PUBLISHED, material.say)
    batch = batch_of(model.preprocessing, images)
    small = small_network()
    small_batch = batch_of(model.preprocessing.at(small.resolution), images)
    counts = {
        (PUBLISHED, "trained"): positive(model.network, model.tensors, batch),
        (PUBLISHED, "start"): positive_at_start(model.network, batch, SEED),
        (BASE_VARIANT.name, "start"): positive_at_start(small, small_batch, SEED),
    }
    for (network, weights), found in counts.items():
        origin = history.origin(material.results.parent)
        row = {**origin, "network": network, "weights": weights, "images": len(images), "seed": SEED}
        append(material.results, {**row, "positive": [list(each) for each in found]}, ROWS)


def small_network() -> Network:
    """The network of the grid's base."""
    settings = BASE_VARIANT.settings
    return mobilenet_v2(float(settings["network.settings.width"]), int(settings["resolution"]), 10)


def expansions(network: Network, row: Row | None) -> list[Positive]:
    """The counts of a row behind expansions; none without the row."""
    if row is None:
        return []
    values = row["positive"]
    assert isinstance(values, list)
    names = {layer.name for layer in network.layers if layer.name.endswith(".expand")}
    return [Positive(*each) for each in values if each[0] in names]


def make(material: Material) -> Section:
    rows = {(row["network"], row["weights"]): row for row in material.rows(ROWS)}
    network, small = mobilenet_v2(), small_network()
    trained = expansions(network, rows.get((PUBLISHED, "trained")))
    start = expansions(network, rows.get((PUBLISHED, "start")))
    if not trained or not start:
        words = "No counts are recorded yet; `mobilenet paper figure-7 --data IMAGENETTE --out out/paper` makes them."
        return Section("figure-7", TITLE, SOURCE, CLAIM, (Prose(words),), Verdict("open", words))
    parts: list[Prose | Table | Figure] = [
        Prose(
            f"Counted by the numpy reference at every pixel of {rows[PUBLISHED, 'trained']['images']} validation images of "
            "Imagenette: the share of the channels of each expansion that is above 0 after the ReLU6. Before training, "
            "weights are normal and batch normalization takes the statistics of these images. A pixel whose share is below "
            "1/t cannot be undone by Lemma 2: fewer channels are positive than the block's input has."
        ),
        figure("figure-7", "The published MobileNetV2 at 224 pixels", start, trained, network),
        table("MobileNetV2, published weights", start, trained),
    ]
    ours = expansions(small, recorded(rows_of(material.results), Run(BASE_VARIANT, 0)))
    begun = expansions(small, rows.get((BASE_VARIANT.name, "start")))
    if ours and begun:
        parts.append(figure("figure-7-ours", "MobileNetV2 0.5 at 64 pixels, trained here for 5 epochs", begun, ours, small))
        parts.append(table("MobileNetV2 0.5, trained here", begun, ours))
    return Section(
        "figure-7", TITLE, SOURCE, CLAIM, tuple(parts), verdict(start, trained, network),
        (f"results/{ROWS}.jsonl, rows 1 to {len(rows)}",),
    )  # fmt: skip


def threshold(network: Network) -> float:
    """The least share that Lemma 2 asks for: 1 / t of the largest expansion."""
    layers = [layer for layer in network.layers if isinstance(layer, Conv) and layer.name.endswith(".expand")]
    return min(layer.in_channels / layer.out_channels for layer in layers)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def verdict(start: Sequence[Positive], trained: Sequence[Positive], network: Network) -> Verdict:
    limit = threshold(network)
    before, after = mean([each.mean for each in start]), mean([each.mean for each in trained])
    spread, grown = mean([each.deviation for each in start]), mean([each.deviation for each in trained])
    below = [each.layer for each in trained if each.mean < limit]
    low = [each.layer for each in trained if each.least < limit]
    words = (
        f"Over the layers the mean share is {before:.2f} before and {after:.2f} after training; the standard deviation over "
        f"pixels goes from {spread:.3f} to {grown:.3f}. The mean of {len(below)} of {len(trained)} layers is below "
        f"{limit:.3f}{listed(below)}; in {len(low)} at least one pixel in a hundred is below it{listed(low)}."
    )
    half, wider = abs(before - 0.5) < 0.05, grown > 1.5 * spread
    unchanged, above = abs(after - before) < 0.1, len(below) <= NUM_EXCEPTIONS
    if half and wider and unchanged and above:
        return Verdict("holds", words)
    words += "" if unchanged else " That the mean stays the same does not hold here."
    return Verdict("holds in part" if wider or above else "does not hold", words)


def table(title: str, start: Sequence[Positive], trained: Sequence[Positive]) -> Table:
    return Table(
        f"Shares of positive channels, {title}",
        ("layer", "channels", "start: mean", "deviation", "least", "trained: mean", "deviation after", "least after"),
        tuple(
            (a.layer, a.channels, *(f"{value:.3f}" for each in (a, b) for value in (each.mean, each.deviation, each.least)))
            for a, b in zip(start, trained, strict=True)
        ),
        "Mean and standard deviation over all pixels; the least is what all but one pixel in a hundred reach.",
    )


def figure(name: str, title: str, start: Sequence[Positive], trained: Sequence[Positive], network: Network) -> Figure:
    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        places = range(len(start))
        draw_shares(axes, [place - 0.16 for place in places], start, BLUE, "before training")
        draw_shares(axes, [place + 0.16 for place in places], trained, ORANGE, "after training")
        limit = threshold(network)
        axes.axhline(limit, color=INK, linewidth=1, linestyle="--")
        axes.text(-0.6, limit + 0.01, f"1/{1 / limit:.0f}", va="bottom", color=INK, fontsize=9)
        axes.set_xlim(-0.7, len(start) - 0.4)
        axes.set_xticks(list(places), [each.layer.removeprefix("layer_").removesuffix(".expand") for each in start])
        axes.set_ylim(0, 1)
        axes.set_xlabel("block (layer_N.expand)")
        axes.set_ylabel("share of positive channels")
        axes.legend(loc="upper right", ncols=2)

    words = (
        "For each expansion two dots, the mean share of positive channels before and after training, with thick bars of a "
        "standard deviation and thin ones down to what all but one pixel in a hundred reach; a dashed line at the share that "
        "Lemma 2 needs."
    )
    return Figure(name, title, words, draw, width=7.0, height=3.8)


def draw_shares(axes: Axes, places: Sequence[float], found: Sequence[Positive], color: str, label: str) -> None:
    axes.vlines(places, [each.least for each in found], [each.mean for each in found], color=color, linewidth=1)
    low, high = [each.mean - each.deviation for each in found], [each.mean + each.deviation for each in found]
    axes.vlines(places, low, high, color=color, linewidth=3.5, alpha=0.5)
    axes.plot(places, [each.mean for each in found], "o", color=color, markersize=4, label=label)
