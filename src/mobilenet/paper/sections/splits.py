"""Section 5.1: memory and time when blocks run their inner channels in t parts, in torch and on the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...bench import history
from ...engine.plan.steps import Style
from ...network.cost import cost
from ...network.layers import Network
from ...network.mobilenet import mobilenet_v2
from ..studies.grid import append
from ..studies.splits import WHOLE, Moment, layerwise, planned, split_network
from .colors import BLUE, GREEN, ORANGE, PURPLE, QUIET
from .section import Figure, Material, Prose, Row, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

TITLE = "A block in parts: memory against time"
SOURCE = "MobileNetV2, section 5.1"
CLAIM = (
    "A block's inner channels can be computed in t parts whose projections are summed. The inner tensors then need a t-th of "
    "their memory, for the same MAdds. More than 2 to 5 parts are slow, because small products use the cache badly."
)
ROWS = "paper_splits"
PICTURED = 4
MIB = 2**20
BUSY = 1.5  # processes that ran at the same time, on average, from which on a machine counts as busy
RUNTIMES = {"torch": "torch", "engine": "engine without bands"}
COLORS = {"torch": ORANGE, "engine": BLUE, "bands": GREEN, "formula": PURPLE}


def network() -> Network:
    return mobilenet_v2(epsilon=None)


def record(material: Material) -> None:
    """Measures all splits, once. Without the extra ``[train]`` it says so."""
    if material.rows(ROWS):
        return
    try:
        import torch
    except ImportError:
        material.say("section 5.1 has no measurements yet; pip install 'mobilenet[train]' to make them")
        return
    from ..studies.splitting import measure

    origin = {**history.origin(material.results.parent), "model": "mobilenet_v2 1.0, 224 px", "torch": torch.__version__}
    for row in measure(network()):
        append(material.results, {**origin, **row}, ROWS)


def make(material: Material) -> Section:
    rows = material.rows(ROWS)
    ledger = cost(network())
    times = {(str(row["runtime"]), int(str(row["t"]))): row for row in rows}
    splits = sorted({t for runtime, t in times if runtime == "torch"})
    working_set = Figure(
        "splits-working-set",
        "The working set over one image",
        "Bytes of activations alive over the share of the work that is done: layer by layer, the same in parts, the engine "
        "without bands, and the engine with them; all are highest in the first tenth and low at the end.",
        draw_working_set,
        width=7.0,
        height=4.0,
    )
    bands = planned(network(), Style())[0].bytes
    explained = Prose(
        "The engine has no switch for parts: a block in t parts is a network of its own, t blocks that read the same tensor "
        "and add their projections to the sum so far, so every runtime can run it. Its bands do more for memory: they "
        "compute the output in a few rows at a time, and keep only the expanded rows that these need, whatever t is. They "
        f"also let rows stream from block to block, so the plan of the whole network takes {bands / MIB:.2f} MiB, and no "
        "result changes by a bit."
    )
    if not splits:
        words = "No measurements are recorded yet; `mobilenet paper splits --out out/paper` makes them, with torch installed."
        return Section("splits", TITLE, SOURCE, CLAIM, (explained, working_set), Verdict("open", words))
    table = Table(
        "Memory and time by the number of parts",
        ("parts t", "formula, MiB", "torch, MiB", "torch, ms", "engine without bands, MiB", "engine without bands, ms"),
        (
            *((str(t), mib(ledger.split_bytes(t)), *cells(times["torch", t]), *cells(times["engine", t])) for t in splits),
            ("engine with bands", "", "", "", *cells(times["bands", 1])),
        ),
        f"MobileNetV2 1.0 at 224 pixels in float32, one image on one thread; the least time of {rows[0]['rounds']} rounds in "
        f"turns, on {rows[0]['processor']}. The formula counts each block's input and output and a t-th of its inner tensors; "
        "torch's bytes are the most that it had allocated, the engine's what its plan allocates.",
    )
    busy = max(float(str(row["load"])) for row in rows) > BUSY
    note = Prose("The machine had other work while this was measured: small differences of time mean nothing." if busy else "")
    curves = Figure(
        "splits",
        "Memory and time by the number of parts",
        "Left: bytes fall with t, by the formula, in torch and on the engine without bands; the engine's bands lie below "
        "them all. Right: time relative to one part rises with t.",
        lambda canvas: draw_splits(canvas, splits, times, [ledger.split_bytes(t) for t in splits]),
        width=7.0,
        height=3.6,
    )
    return Section(
        "splits",
        TITLE,
        SOURCE,
        CLAIM,
        (explained, curves, table, *([note] if busy else []), working_set),
        verdict(splits, times),
        (f"results/{ROWS}.jsonl, rows 1 to {len(rows)}",),
    )


def mib(size: object) -> str:
    return f"{float(str(size)) / MIB:.2f}"


def cells(row: Row) -> tuple[str, str]:
    return mib(row["bytes"]), f"{milliseconds(row):.1f}"


def milliseconds(row: Row) -> float:
    return float(str(row["ms"]))


def verdict(splits: Sequence[int], times: Mapping[tuple[str, int], Row]) -> Verdict:
    most, sentences, smaller, slower = splits[-1], list[str](), True, True
    middle = [t for t in splits if 2 <= t <= 5]
    for key, name in RUNTIMES.items():
        first, last = times[key, 1], times[key, most]
        saved = float(str(first["bytes"])) / float(str(last["bytes"]))
        longer = milliseconds(last) / milliseconds(first)
        among = max(milliseconds(times[key, t]) for t in middle) / milliseconds(first)
        smaller, slower = smaller and saved > 1.05, slower and longer > 1.1
        sentences.append(
            f"{name[0].upper()}{name[1:]}: {most} parts need {saved:.1f} times less memory and {longer:.2f} times the time of "
            f"one; 2 to 5 parts up to {among:.2f} times."
        )
    bands, whole = times["bands", 1], times["engine", 1]
    ratio = float(str(whole["bytes"])) / float(str(bands["bytes"]))
    sentences.append(
        f"The engine's bands need {ratio:.1f} times less than its blocks at once, at "
        f"{milliseconds(bands) / milliseconds(whole):.2f} "
        "times their time."
    )
    return Verdict(
        "holds" if smaller and slower else "holds in part" if smaller or slower else "does not hold", " ".join(sentences)
    )


def draw_splits(canvas: Canvas, splits: Sequence[int], times: Mapping[tuple[str, int], Row], formula: Sequence[int]) -> None:
    memory, speed = canvas.subplots(1, 2)
    memory.plot(splits, [size / MIB for size in formula], color=COLORS["formula"], linestyle="--", label="formula")
    for key, name in RUNTIMES.items():
        line = [times[key, t] for t in splits]
        memory.plot(splits, [float(str(row["bytes"])) / MIB for row in line], "o-", color=COLORS[key], markersize=4, label=name)
        speed.plot(splits, [milliseconds(row) / milliseconds(line[0]) for row in line], "o-", color=COLORS[key], markersize=4)
    bands = times["bands", 1]
    memory.axhline(float(str(bands["bytes"])) / MIB, color=COLORS["bands"], label="engine with bands")
    speed.axhline(milliseconds(bands) / milliseconds(times["engine", 1]), color=COLORS["bands"])
    memory.set_ylim(0)
    memory.set_xlabel("parts t")
    memory.set_ylabel("activations, MiB")
    memory.legend()
    speed.set_ylim(0)
    speed.set_xlabel("parts t")
    speed.set_ylabel("time, relative to one part")


def draw_working_set(canvas: Canvas) -> None:
    axes = canvas.subplots()
    whole = network()
    draw_moments(axes, layerwise(whole), QUIET, "layer by layer")
    draw_moments(axes, layerwise(split_network(whole, PICTURED)), ORANGE, f"layer by layer, {PICTURED} parts")
    draw_moments(axes, planned(whole, WHOLE)[1], BLUE, "engine without bands")
    draw_moments(axes, planned(whole, Style())[1], GREEN, "engine with bands")
    axes.set_xlim(0, 1)
    axes.set_ylim(0)
    axes.set_xlabel("share of the MAdds that is done")
    axes.set_ylabel("activations alive, MiB")
    axes.legend()


def draw_moments(axes: Axes, moments: Sequence[Moment], color: str, label: str) -> None:
    edges = [moments[0].begin, *(moment.end for moment in moments)]
    axes.stairs([moment.bytes / MIB for moment in moments], edges, color=color, linewidth=1.5, label=label, baseline=None)
