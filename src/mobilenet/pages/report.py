"""The page and the JSON file of an evaluation, and of the latest score of a run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..analysis.analysis import Analysis
from ..analysis.study import Case
from ..data import Records, Truth
from ..errors import UsageError
from ..files import WriteError, write_atomically
from ..tasks.metrics import Metrics
from . import words
from .cases import gallery
from .figures import classes_section, confusion_section, curves_section
from .markup import folded, number, page, section, text, tiles

PAGE, DATA = "index.html", "report.json"
MARK = b'<meta name="generator" content="mobilenet">'
REFRESH = re.compile(rb"<meta http-equiv='refresh' content='\d+'>\n")
HEAD = 1000  # bytes in which `MARK` stands
MAIN_METRICS = ("top1", "top5", "mAP", "mAP50", "mAP75", "AR100", "mIoU", "pixel_accuracy")
"""Those in large letters; all others are in the JSON file and in the text."""


@dataclass(frozen=True)
class Report:
    """What one evaluation found.

    Attributes:
        records: of which `images` were scored, and `failed` names the others.
        worst, samples: images with their answers.
        notes: sentences about the data.
    """

    records: Records[Truth]
    analysis: Analysis
    metrics: Metrics
    images: int
    failed: Sequence[str] = ()
    notes: Sequence[str] = ()
    worst: Sequence[Case] = ()
    samples: Sequence[Case] = field(default=())


def sections(report: Report, more: Sequence[str] = ()) -> Iterable[str]:
    """The parts of the page, in their order; `more` comes after the numbers of all images together."""
    analysis, failed = report.analysis, report.failed
    yield tiles(headline(report))
    others = [f"{name} {number(value)}" for name, value in report.metrics.items() if name not in MAIN_METRICS]
    yield f"<p class='quiet'>{text(', '.join(others))}</p>" if others else ""
    yield "".join(f"<p class='quiet'>{text(note)}</p>" for note in report.notes)
    yield from more
    yield classes_section(analysis)
    yield confusion_section(analysis)
    yield curves_section(analysis)
    yield section("Worst mistakes", words.WORST[analysis.task], gallery(report.worst, report.records))
    yield section("Samples", "Evenly spread over the images, whatever the answer.", gallery(report.samples, report.records))
    listed = "".join(f"<li>{text(reason)}</li>" for reason in failed)
    yield folded(f"{len(failed)} images could not be scored", f"<ul>{listed}</ul>") if failed else ""


def headline(report: Report) -> list[tuple[str, str]]:
    analysis, curve = report.analysis, report.analysis.curve
    found = [(name, number(value)) for name, value in report.metrics.items() if name in MAIN_METRICS]
    found.append(("images", f"{report.images:,}"))
    if curve is not None and (best := curve.best()) is not None:
        found.append((f"best threshold, F1 {curve.f1[best]:.2f}", f"{curve.thresholds[best]:.2f}"))
    if analysis.calibration.error is not None:
        found.append(("calibration error", number(analysis.calibration.error)))
    return found


def to_json(report: Report, title: str) -> dict[str, object]:
    """The same figures for programs; see the how-to page on evaluating."""
    analysis = report.analysis
    counts = sorted(analysis.counts.items())
    return {
        "title": title,
        "task": analysis.task,
        "images": report.images,
        "metrics": report.metrics,
        **analysis.to_json(),
        "confusion": [[truth, answer, count] for (truth, answer), count in counts],
        "worst": [report.records.name(case.index) for case in report.worst],
        "failed": list(report.failed),
    }


def check_folder(folder: Path, option: str = "--report") -> None:
    """Looks before the work of minutes whether the folder can be written. UsageError if it holds a page that was not made here,
    which would be replaced; WriteError if it cannot be made."""
    path, whole = folder / PAGE, folder.absolute()
    existing = next(each for each in (whole, *whole.parents) if each.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise WriteError(f"{option} {folder}: {existing} is no folder that can be written; give another folder")
    try:
        with open(path, "rb") as file:
            if MARK not in file.read(HEAD):
                raise UsageError(f"{option} {folder}: {PAGE} there is no page of mobilenet; give another folder")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror}; give {option} another folder") from error


def write_report(
    folder: Path,
    report: Report,
    title: str,
    subtitle: str,
    more: Sequence[str] = (),
    footer: str = "Made by mobilenet.",
    refresh: int | None = None,
) -> Path:
    """Writes ``index.html`` and ``report.json`` into the folder, each whole or not at all; the page's path.

    Args:
        more: sections that come before the figures of the classes.
        refresh: seconds after which a browser loads the page again; None for a page that does not change any more.

    Raises WriteError.
    """
    content = page(title, subtitle, sections(report, more), footer, refresh)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    write_atomically(folder / DATA, (json.dumps(to_json(report, title), indent=1) + "\n").encode())
    write_atomically(folder / PAGE, content)
    return folder / PAGE


def settle(folder: Path) -> None:
    """Makes the page that is in the folder, if there is one, stay as it is: browsers do not load it again."""
    path = folder / PAGE
    try:
        content = path.read_bytes()
    except OSError:
        return
    head, tail = content[:HEAD], content[HEAD:]
    settled = re.sub(REFRESH, b"", head)
    if settled != head:
        write_atomically(path, settled + tail)
