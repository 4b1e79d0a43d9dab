"""The page's contents: every section in reading order. To add one, write its module in ``paper/sections`` and a line here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

from ..errors import UsageError, unknown_name
from ..values import Value
from .sections.section import Maker


class Chapter(Value):
    """Sections under one heading.

    Attributes:
        name: on the command line, for all its sections.
        words: a sentence or two before the first section.
        sections: names; the section ``table-4`` is made by ``sections/table_4.py``.
    """

    name: str
    title: str
    words: str
    sections: tuple[str, ...]


CONTENTS = (
    Chapter(
        "ideas",
        "The ideas",
        "What makes these networks cheap, worked out on small examples and checked against the ledger.",
        ("separable", "pointwise", "bottleneck", "identity"),
    ),
    Chapter(
        "bottlenecks",
        "Why a bottleneck is linear",
        "A ReLU sets what is negative to zero. The paper asks what that destroys, and draws its block from the answer.",
        ("figure-1", "appendix-a", "figure-2", "figure-3", "figure-4"),
    ),
    Chapter(
        "v1",
        "What MobileNetV1 costs",
        "The tables of costs in arXiv 1704.04861, counted again from the network's own description.",
        ("v1-table-1", "v1-table-3", "v1-table-4", "v1-table-6", "v1-table-8"),
    ),
    Chapter(
        "v2",
        "What MobileNetV2 costs",
        "Every table of arXiv 1801.04381, counted again; Table 1 is the section on the bottleneck.",
        ("table-2", "table-3", "table-4", "table-5", "table-6", "table-7"),
    ),
    Chapter(
        "others",
        "What the others cost",
        "The systems that the papers compare with.",
        ("systems",),
    ),
    Chapter(
        "accuracy",
        "What accuracy costs",
        "The published checkpoints of both families.",
        ("log-linear", "figure-5"),
    ),
    Chapter(
        "trainings",
        "What trainings say",
        "Comparisons of networks, trained again at a size that two processor cores can do, with several seeds each.",
        ("figure-6", "expansion", "depth", "figure-7", "figure-8"),
    ),
    Chapter(
        "memory",
        "How little memory a block needs",
        "Activations, not weights, fill a small device's memory. The paper says how a block gets by with little.",
        ("splits",),
    ),
)


def chosen(names: Sequence[str]) -> list[Chapter]:
    """The contents, or of them only the sections and chapters of these names. UsageError for an unknown name."""
    known = [name for chapter in CONTENTS for name in (chapter.name, *chapter.sections)]
    for name in names:
        if name not in known:
            raise UsageError(unknown_name("section", name, known))
    kept = [
        Chapter(
            chapter.name,
            chapter.title,
            chapter.words,
            tuple(name for name in chapter.sections if not names or name in names or chapter.name in names),
        )
        for chapter in CONTENTS
    ]
    return [chapter for chapter in kept if chapter.sections]


def maker(name: str) -> Maker:
    """The module that makes the section."""
    module: Maker = import_module(f".sections.{name.replace('-', '_')}", __package__)
    return module


def section_names(chapters: Iterable[Chapter] = CONTENTS) -> list[str]:
    return [name for chapter in chapters for name in chapter.sections]
