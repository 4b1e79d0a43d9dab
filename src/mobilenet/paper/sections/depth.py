"""MobileNetV1's Table 5: a thinner network against a shallower one of the same cost, trained here."""

from __future__ import annotations

from ..studies.grid import DEPTHS, V1_SHALLOW, V1_THIN
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

TITLE = "Thinner against shallower"
SOURCE = "MobileNetV1, section 4.1, Table 5"
CLAIM = "At about the same cost a thinner network (width 0.75) is better than a shallower one by 3 points of ImageNet's top-1."
NAMES = {V1_THIN.name: "MobileNetV1 0.75", V1_SHALLOW.name: "shallow MobileNetV1"}


def record(material: Material) -> None:
    record_runs(material, DEPTHS)


def make(material: Material) -> Section:
    found = samples(material, DEPTHS)
    if len(found) < len(DEPTHS):
        return open_section("depth", TITLE, SOURCE, CLAIM, material, DEPTHS)
    thin, shallow = found
    test = compared(thin, shallow)
    return Section(
        "depth",
        TITLE,
        SOURCE,
        CLAIM,
        (
            Prose(setting(found, material) + " Both networks see 64 pixels."),
            curves_figure("depth", found, NAMES, "Thinner and shallower"),
            table_of("The two networks", found, NAMES),
        ),
        Verdict(outcome_of([test]), words_of(test, "The thinner network", "the shallower one")),
        row_names(material, DEPTHS),
    )
