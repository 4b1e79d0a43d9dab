"""What was wrong in labels and was mended or left out while they were read: counted, with the first examples."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

MAX_EXAMPLES = 5

KINDS: Mapping[str, str] = MappingProxyType({
    "image_missing": "images that the labels name are not there: left out",
    "image_moved": "images were found by the end of their path, which is that of another machine or folder",
    "image_spelling": "images were found by a name of another spelling (case, accents, suffix)",
    "image_repeated": "images are listed more than once: read once",
    "label_missing": "images have no file of labels: taken as images without objects",
    "mask_missing": "images have no mask: left out",
    "label_empty": "files of labels are empty: images without objects",
    "label_damaged": "files or lines of labels cannot be understood: left out",
    "class_unknown": "labels are of no known class: left out",
    "box_outside": "boxes reach past their image: cut at its edges",
    "box_dropped": "boxes have no area inside their image: left out",
    "size_wrong": "images have another size than the labels say: boxes scaled to it",
    "turned": "images are turned by their EXIF orientation, and their labels with them",
})  # fmt: skip
"""Every kind of finding, and what is said of it after the number."""

USUAL = frozenset({"label_empty"})
"""Kinds that are nobody's fault."""

LOSSES = frozenset({"image_missing", "mask_missing", "label_damaged", "class_unknown", "box_dropped"})
"""Kinds by which an image or a label is lost."""


class Findings:
    """Counts by kind, and for each kind where it was seen first."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}

    def add(self, kind: str, where: str, count: int = 1) -> None:
        assert kind in KINDS, kind
        self.counts[kind] = self.counts.get(kind, 0) + count
        examples = self.examples.setdefault(kind, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(where)

    def merge(self, other: Findings) -> None:
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.examples[kind] = [*self.examples.get(kind, []), *other.examples[kind]][:MAX_EXAMPLES]

    def lines(self) -> list[str]:
        """A sentence for each kind but `USUAL`, in the order of `KINDS`: the number, what it is, and the first place."""
        shown = [kind for kind in KINDS if kind in self.counts and kind not in USUAL]
        return [f"{self.counts[kind]} {KINDS[kind]} ({self.examples[kind][0]})" for kind in shown]
