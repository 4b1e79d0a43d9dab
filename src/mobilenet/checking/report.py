"""The report of a check: what the data is, what each part holds, and what was found, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from ..network.layers import Task

Level = Literal["error", "loss", "warning", "note"]
"""How bad a finding is. error: training cannot begin, or its score would mean nothing. loss: images or labels are not used.
warning: something was mended, or should be looked at. note: good to know."""

LEVELS: tuple[Level, ...] = ("error", "loss", "warning", "note")


class FindingEntry(TypedDict):
    """A finding in JSON's types."""

    level: Level
    kind: str
    count: int
    text: str
    examples: list[str]


@dataclass(frozen=True)
class Finding:
    """Something that was found `count` times. `kind` is its short name, which no release changes, `text` a sentence, and
    `examples` are the first cases."""

    level: Level
    kind: str
    count: int
    text: str
    examples: tuple[str, ...] = ()

    def to_json(self) -> FindingEntry:
        return {"level": self.level, "kind": self.kind, "count": self.count, "text": self.text, "examples": list(self.examples)}

    def __str__(self) -> str:
        shown = f" ({self.examples[0]}{', ...' if self.count > 1 else ''})" if self.examples else ""
        return f"{self.text}{shown}"


class PartEntry(TypedDict):
    """A part in JSON's types."""

    images: int
    objects: int | None
    without_objects: int | None
    classes: dict[str, int]
    sizes: dict[str, tuple[int, int]]


@dataclass
class Part:
    """What one part holds.

    Attributes:
        objects, without_objects: of boxes: how many, and how many images have none; None for other tasks.
        classes: how many images (classification), objects (detection) or images with such pixels (segmentation) each class has.
        sizes: the smallest, the median and the largest image by area, (width, height); {} if none was looked at.
    """

    images: int
    objects: int | None = None
    without_objects: int | None = None
    classes: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def to_json(self) -> PartEntry:
        return {
            "images": self.images,
            "objects": self.objects,
            "without_objects": self.without_objects,
            "classes": self.classes,
            "sizes": self.sizes,
        }


class ReportEntry(TypedDict):
    """The contract of ``mobilenet check --json``."""

    data: str
    layout: str
    title: str
    task: Task
    classes: list[str]
    held_out: float | None
    parts: dict[str, PartEntry]
    findings: list[FindingEntry]


@dataclass
class Report:
    """What `check` returns.

    Attributes:
        layout, title: the layout's name and title.
        held_out: the share of the images that was held out for validation, because there is no such part; else None.
        parts: by name: "train", "val", "test", or "all".
    """

    data: str
    layout: str
    title: str
    task: Task
    classes: tuple[str, ...]
    held_out: float | None
    parts: dict[str, Part]
    findings: list[Finding]

    def worst(self) -> Level | None:
        return next((level for level in LEVELS if any(each.level == level for each in self.findings)), None)

    def status(self, strict: bool = False) -> int:
        """1 if training cannot begin; with `strict`, if anything was found that is more than a note. Else 0."""
        bad: Sequence[Level] = ("error", "loss", "warning") if strict else ("error",)
        return int(self.worst() in bad)

    def to_json(self) -> ReportEntry:
        return {
            "data": self.data,
            "layout": self.layout,
            "title": self.title,
            "task": self.task,
            "classes": list(self.classes),
            "held_out": self.held_out,
            "parts": {name: part.to_json() for name, part in self.parts.items()},
            "findings": [finding.to_json() for finding in self.findings],
        }
