"""Figure 6: a linear bottleneck against one with a ReLU6, and three places for the shortcut, trained here."""

from __future__ import annotations

from ..studies.grid import BASE_VARIANT, EXPANSION_SHORTCUT, NO_SHORTCUT, RELU6
from .section import Material, Prose, Section, Verdict
from .trained import (
    compared,
    curves_figure,
    open_section,
    outcome_of,
    record_runs,
    row_names,
    samples,
    setting,
    table_of,
    words_of,
)

TITLE = "Linear bottlenecks, and where shortcuts go"
SOURCE = "MobileNetV2, sections 3.2 and 6.4, Figure 6"
CLAIM = (
    "A ReLU6 behind the projection makes the network worse; a shortcut between bottlenecks is better than one between expanded "
    "tensors, and better than none. The paper prints curves and no end values."
)
VARIANTS = (BASE_VARIANT, RELU6, EXPANSION_SHORTCUT, NO_SHORTCUT)
NAMES = {
    BASE_VARIANT.name: "linear bottleneck, shortcut between bottlenecks",
    RELU6.name: "ReLU6 in the bottleneck",
    EXPANSION_SHORTCUT.name: "shortcut between expansions",
    NO_SHORTCUT.name: "no shortcut",
}


def record(material: Material) -> None:
    record_runs(material, VARIANTS)


def make(material: Material) -> Section:
    found = {each.variant.name: each for each in samples(material, VARIANTS)}
    if len(found) < len(VARIANTS):
        return open_section("figure-6", TITLE, SOURCE, CLAIM, material, VARIANTS)

    base, relu6, expansion, none = (found[variant.name] for variant in VARIANTS)
    tests = [compared(base, other) for other in (relu6, expansion, none)]
    sentences = [
        words_of(tests[0], "A linear bottleneck", "a ReLU6 in it"),
        words_of(tests[1], "A shortcut between bottlenecks", "one between expansions"),
        words_of(tests[2], "A shortcut between bottlenecks", "none"),
    ]
    return Section(
        "figure-6",
        TITLE,
        SOURCE,
        CLAIM,
        (
            Prose(
                setting(list(found.values()), material)
                + " The network is MobileNetV2 0.5 at 64 pixels; each variant changes one setting of it. Blocks with a "
                "shortcut do not start as the identity here, which would favor them."
            ),
            curves_figure("figure-6a", [base, relu6], NAMES, "The bottleneck: linear, or with a ReLU6"),
            curves_figure("figure-6b", [base, expansion, none], NAMES, "Shortcuts: between bottlenecks, expansions, or none"),
            table_of("The four networks", [base, relu6, expansion, none], NAMES),
        ),
        Verdict(outcome_of(tests), " ".join(sentences)),
        row_names(material, VARIANTS),
    )
