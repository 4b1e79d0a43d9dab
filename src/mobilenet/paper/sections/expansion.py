"""Section 4's remark on the expansion factor: 5 to 10 are alike, small networks favor a smaller one. Trained here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..studies.comparison import Sample, fitted
from ..studies.grid import EXPANDED, EXPANSION_WIDTHS, EXPANSIONS
from .colors import BLUE, ORANGE, QUIET
from .section import Figure, Material, Prose, Section, Verdict
from .trained import compared, log_scale, open_section, record_runs, row_names, samples, setting, table_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

TITLE = "How far a block expands"
SOURCE = "MobileNetV2, section 4"
CLAIM = (
    "Expansion factors from 5 to 10 give nearly the same curve of accuracy against cost; smaller networks do better with "
    "slightly smaller factors, larger ones with larger factors."
)
ALIKE = ("5", "6", "8", "10")
VARIANTS = tuple({variant.name: variant for variant in EXPANDED.values()}.values())
NAMES = {variant.name: f"width {width}, t = {t}" for (width, t), variant in EXPANDED.items()}
COLORS = dict(zip(EXPANSION_WIDTHS, (BLUE, ORANGE), strict=True))

Found = Mapping[tuple[str, str], Sample]


def record(material: Material) -> None:
    record_runs(material, VARIANTS)


def make(material: Material) -> Section:
    by_name = {each.variant.name: each for each in samples(material, VARIANTS)}
    found: Found = {key: by_name[variant.name] for key, variant in EXPANDED.items() if variant.name in by_name}
    if len(found) < len(EXPANDED):
        return open_section("expansion", TITLE, SOURCE, CLAIM, material, VARIANTS)

    def draw(canvas: Canvas) -> None:
        left, right = canvas.subplots(1, 2, sharey=True)
        for width in EXPANSION_WIDTHS:
            line = [found[width, t] for t in EXPANSIONS]
            means, spreads = [each.mean for each in line], [each.deviation for each in line]
            style = {"color": COLORS[width], "marker": "o", "markersize": 4, "capsize": 3, "linewidth": 1.3}
            left.errorbar([int(t) for t in EXPANSIONS], means, yerr=spreads, label=f"width {width}", **style)
            right.errorbar([each.madds / 1e6 for each in line], means, yerr=spreads, label=f"width {width}", **style)
            for t, each in zip(EXPANSIONS, line, strict=True):
                right.annotate(t, (each.madds / 1e6, each.mean), (3, -9), textcoords="offset points", fontsize=7, color=QUIET)
        left.set_xlabel("expansion factor t")
        left.set_ylabel("top-1 on Imagenette, %")
        log_scale(right)
        right.set_xlabel("MAdds, millions")
        left.legend(loc="lower right")

    return Section(
        "expansion",
        TITLE,
        SOURCE,
        CLAIM,
        (
            Prose(setting(list(found.values()), material) + " MobileNetV2 at 64 pixels, all blocks but the first with one t."),
            Figure(
                "expansion",
                "Accuracy by expansion factor, and by cost",
                "Two curves, of width 0.35 and 0.75, rise steeply from t = 1 and slowly from t = 4 on; error bars are a "
                "standard deviation over the seeds, the small numbers are t.",
                draw,
                width=7.0,
                height=3.6,
            ),
            table_of("All expansion factors", list(found.values()), NAMES),
        ),
        verdict(found),
        row_names(material, VARIANTS),
    )


def verdict(found: Found) -> Verdict:
    """Whether 5 to 10 are alike at each width, and which factor is best for its cost at each."""
    sentences, alike, shown = list[str](), True, False
    for width in EXPANSION_WIDTHS:
        means = [found[width, t].mean for t in ALIKE]
        test = compared(found[width, "10"], found[width, "5"])
        apart = max(means) - min(means)
        gain = found[width, "5"].mean - found[width, "1"].mean
        alike = alike and apart < gain / 4
        shown = shown or test.shown
        p = "too few seeds for a test" if test.p is None else f"p = {test.p:.3f}"
        sentences.append(
            f"At width {width} the means of t = 5, 6, 8 and 10 lie within {apart:.2f} points, where t = 1 to 5 gains "
            f"{gain:.2f}; 10 against 5 is {test.difference:+.2f} ({p})."
        )
    best = {width: best_for_cost(found, width) for width in EXPANSION_WIDTHS}
    small, large = (int(best[width]) for width in EXPANSION_WIDTHS)
    sentences.append(
        f"Beside one line of accuracy against the logarithm of the cost over all runs, t = {small} stands highest at the "
        f"smaller width and t = {large} at the larger one, "
        f"{'as the paper says' if small < large else 'not as the paper says'}."
    )
    words = " ".join(sentences)
    if alike and small < large:
        return Verdict("holds in part" if shown else "holds", words)
    return Verdict("holds in part" if alike or small < large else "does not hold", words)


def best_for_cost(found: Found, width: str) -> str:
    """The factor of this width that lies highest above the common line of accuracy against the logarithm of the cost."""
    line = fitted([math.log(each.madds) for each in found.values()], [each.mean for each in found.values()])
    return max(EXPANSIONS, key=lambda t: found[width, t].mean - line.a - line.b * math.log(found[width, t].madds))
