"""Checks labeled images: recognizes them, looks at each, and collects what is wrong."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..data import VAL_SHARE, Classes, DataError, Divided, Records, Truth, open_records, open_training, recognize
from ..data.findings import KINDS, LOSSES, USUAL
from ..errors import UsageError
from ..network.layers import Task
from .fingerprints import near_pairs
from .look import Look, looks
from .report import LEVELS, Finding, Level, Part, Report

MAX_EXAMPLES = 5
FEW = 10
"""A class needs at least so many images or objects in the training part."""

UNEVEN = 10.0
"""A class that has so many times the examples of another one is reported."""


def check(
    data: str | os.PathLike[str],
    task: Task | None = None,
    layout: str | None = None,
    share: float = VAL_SHARE,
    workers: int = 1,
    quick: bool = False,
    watch: Callable[[Iterator[Look], int], Iterable[Look]] = lambda found, count: found,
) -> Report:
    """What labeled images hold, and what is wrong with them.

    Args:
        data: a folder or file whose layout is recognized, see `data.open`.
        task: for data with labels for several; by default the one that the labels serve first.
        layout: the layout's name, for data that can be read in several ways.
        share: of the images that is held out for validation if there is no such part.
        workers: processes that look at images.
        quick: read the labels only and open no image.
        watch: may wrap the iterator over images, and gets their number, to show progress.

    Raises UsageError if nothing is there or the layout is not recognized, DataError if the labels cannot be read at all.
    """
    kind, known_task = recognize(data, task, layout)
    try:
        records = open_parts(data, known_task, layout, share)
    except UsageError as error:
        raise DataError(str(error)) from error
    held_out = next((each.share for each in records.values() if isinstance(each, Divided)), None)
    first = next(iter(records.values()))
    parts = {name: part_of(each) for name, each in records.items()}
    findings = quick_findings(records, parts)
    if not quick:
        seen: dict[str, list[Look]] = {}
        for name, each in records.items():
            seen[name] = list(watch(looks(each, workers), len(each)))
            _add_sizes(parts[name], seen[name], each)
        findings += [*_images(records, seen), *_copies(records, seen)]
        if known_task == "segmentation":
            findings += _classes(parts, first.labels, known_task)
    findings.sort(key=_severity)
    return Report(os.fspath(data), kind.name, kind.title, known_task, first.labels, held_out, parts, findings)


def quick_findings(records: dict[str, Records[Truth]], parts: dict[str, Part] | None = None) -> list[Finding]:
    """What is wrong with the labels, the worst first; no image is opened. `parts` are their `part_of`, if known."""
    parts = parts or {name: part_of(each) for name, each in records.items()}
    first = next(iter(records.values()))
    return sorted([*_labels(records), *_classes(parts, first.labels, first.task)], key=_severity)


def _severity(finding: Finding) -> int:
    return LEVELS.index(finding.level)


def open_parts(
    data: str | os.PathLike[str], task: Task, layout: str | None = None, share: float = VAL_SHARE
) -> dict[str, Records[Truth]]:
    """The records of every part, with the classes of the first. Data without "val" is divided into "train" and "val"; if that
    fails because it has too few different images, all of it is one part, "all"."""
    kind, _ = recognize(data, task, layout)
    parts = kind(Path(data), task).splits
    if parts is not None and "train" not in parts:
        first = open_records(data, task, parts[0], None, layout)
        alone: dict[str, Records[Truth]] = {parts[0]: first}
        alone.update((split, open_records(data, task, split, _of(first), layout)) for split in parts[1:])
        return alone
    try:
        training, validation = open_training(data, task, share, layout)
    except UsageError:
        if parts is None:
            with suppress(UsageError):
                return {"all": open_records(data, task, None, None, layout)}
        raise
    found: dict[str, Records[Truth]] = {"train": training, "val": validation}
    if parts is not None and "test" in parts:
        found["test"] = open_records(data, task, "test", _of(training), layout)
    return found


def _of(records: Records[Truth]) -> Classes:
    return Classes(records.labels, records.label_ids)


def part_of(records: Records[Truth]) -> Part:
    """What the labels alone tell of a part: nothing if they are mask files."""
    counts, empty, total = Counter[int](), 0, 0
    for index in range(len(records)):
        found = records.classes_of(index)
        counts.update(set(found) if records.task == "segmentation" else found)
        empty, total = empty + (not found), total + len(found)
    classes = {label: counts[index] for index, label in enumerate(records.labels)} if total else {}
    boxes = records.task == "detection"
    return Part(len(records), total if boxes else None, empty if boxes else None, classes)


def _add_sizes(part: Part, seen: Sequence[Look], records: Records[Truth]) -> None:
    sizes = sorted((look.size for look in seen if not look.error), key=lambda size: size[0] * size[1])
    if sizes:
        part.sizes = {"smallest": sizes[0], "median": sizes[len(sizes) // 2], "largest": sizes[-1]}
    if records.task == "segmentation":
        part.classes = {
            label: sum(bool(look.pixels[index]) for look in seen if look.pixels) for index, label in enumerate(records.labels)
        }


def _labels(records: dict[str, Records[Truth]]) -> Iterator[Finding]:
    """What was mended or left out when the labels were read."""
    all_findings = {id(each.findings): each.findings for each in records.values()}.values()
    for kind, text in KINDS.items():
        count = sum(findings.counts.get(kind, 0) for findings in all_findings)
        examples = [each for findings in all_findings for each in findings.examples.get(kind, ())]
        if count and kind != "image_missing":  # which the look at the images finds too
            yield _finding("loss" if kind in LOSSES else "note" if kind in USUAL else "warning", kind, count, text, examples)


def _classes(parts: dict[str, Part], labels: Sequence[str], task: Task) -> Iterator[Finding]:
    """Classes without images, with few, or with many more than others, in the part that is trained on."""
    part = next(iter(parts.values()))
    thing = "objects" if task == "detection" else "images"
    if task == "detection" and not part.objects:
        yield Finding("error", "no_objects", part.images, f"{part.images} training images, and no object on any of them")
        return
    if task == "classification" and len(labels) < 2:
        yield Finding("error", "one_class", 1, "one class only: there is nothing to tell apart")
        return
    if not part.classes:
        return
    none = [label for label, count in part.classes.items() if not count]
    few = {label: count for label, count in part.classes.items() if 0 < count < FEW}
    if none:
        yield _finding("warning", "class_empty", len(none), f"classes have no training {thing}", none)
    if few:
        examples = [f"{label}: {count}" for label, count in few.items()]
        yield _finding("warning", "class_small", len(few), f"classes have fewer than {FEW} training {thing}", examples)
    present = {label: count for label, count in part.classes.items() if count}
    if present and task != "segmentation":
        most, least = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
        if present[most] > UNEVEN * present[least]:
            text = f"the classes are uneven: {present[most]} {thing} of {most}, {present[least]} of {least}"
            yield Finding("note", "uneven", 1, text)


def _images(records: dict[str, Records[Truth]], seen: dict[str, list[Look]]) -> Iterator[Finding]:
    """Findings in single images and their labels."""
    for name, found in seen.items():
        broken = sum(bool(look.error or look.truth_error) for look in found)
        if broken * 2 > len(found):
            yield Finding("error", "unreadable", broken, f"{broken} of the {len(found)} {name} images cannot be used")
    every = [(records[name].name(i), look) for name, found in seen.items() for i, look in enumerate(found)]
    errors, truth_errors = (
        [look.error for _, look in every if look.error],
        [look.truth_error for _, look in every if look.truth_error],
    )
    if errors:
        yield _finding("loss", "image_broken", len(errors), "images cannot be read", errors)
    if truth_errors:
        yield _finding("loss", "mask_broken", len(truth_errors), "masks do not fit their image or their classes", truth_errors)
    counted: dict[tuple[Level, str, str], list[int]] = {
        ("note", "turned", KINDS["turned"]): [int(look.turned) for _, look in every],
        ("warning", "size_wrong", KINDS["size_wrong"]): [int(look.scaled) for _, look in every],
        ("warning", "box_outside", KINDS["box_outside"]): [look.boxes_outside for _, look in every],
        ("warning", "box_repeated", "boxes repeat one of the same class on the same image"): [
            look.boxes_same for _, look in every
        ],
        ("note", "box_tiny", "boxes are narrower than 2 % of their image: hard to find at 300 pixels"): [
            look.boxes_tiny for _, look in every
        ],
    }
    for (level, kind, text), counts in counted.items():
        if any(counts):
            where = [name for (name, _), count in zip(every, counts, strict=True) if count]
            yield _finding(level, kind, sum(counts), text, where)


def _copies(records: dict[str, Records[Truth]], seen: dict[str, list[Look]]) -> Iterator[Finding]:
    """Images that occur twice: in two parts, with two labels, or needlessly."""
    entries = [(name, i) for name, found in seen.items() for i, look in enumerate(found) if not look.error]

    def called(entry: tuple[str, int]) -> str:
        return records[entry[0]].name(entry[1])

    def label(entry: tuple[str, int]) -> Sequence[int]:
        return records[entry[0]].classes_of(entry[1]) if records[entry[0]].task == "classification" else ()

    groups = defaultdict[bytes, list[tuple[str, int]]](list)
    for name, i in entries:
        groups[seen[name][i].content].append((name, i))
    copies = [group for group in groups.values() if len(group) > 1]
    across = [group for group in copies if len({name for name, _ in group}) > 1]
    inside = [group for group in copies if len({name for name, _ in group}) == 1]
    contrary = [group for group in copies if len({tuple(label(entry)) for entry in group}) > 1]
    repeated: dict[tuple[Level, str, str], list[list[tuple[str, int]]]] = {
        ("warning", "copies_across", "images are in two parts at once: the score counts images that were trained on"): across,
        ("warning", "copies_contrary", "images occur with different labels"): contrary,
        ("note", "copies", "images occur more than once in the same part"): inside,
    }
    for (level, kind, text), found in repeated.items():
        if found:
            examples = [f"{called(group[0])} = {called(group[1])}" for group in found]
            yield _finding(level, kind, len(found), text, examples)
    prints, names = [seen[name][i].print for name, i in entries], [name for name, _ in entries]
    near = [(entries[i], entries[j]) for i, j in near_pairs(prints, names)]
    leaks = [(a, b) for a, b in near if seen[a[0]][a[1]].content != seen[b[0]][b[1]].content]
    if leaks:
        text = "images look almost the same as one in another part: the score may be too good"
        count = len({b for _, b in leaks})
        yield _finding("warning", "near_across", count, text, [f"{called(a)} ~ {called(b)}" for a, b in leaks])


def _finding(level: Level, kind: str, count: int, text: str, examples: Iterable[str]) -> Finding:
    return Finding(level, kind, count, f"{count} {text}", tuple(dict.fromkeys(examples))[:MAX_EXAMPLES])
