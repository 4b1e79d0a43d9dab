"""A card as Markdown, with the metadata that the hub reads at its top."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import printable
from . import facts

if TYPE_CHECKING:
    from .card import Card

HUB_LICENSES = {"apache-2.0", "bsd-3-clause", "mit", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0"}
"""Those of the hub's list that published models of this family have; any other is called "other" there."""
SAMPLES = "samples"
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def markdown(card: Card) -> str:
    """The whole text of a README.md."""
    parts = [front_matter(card), f"# {escaped(card.name)}", escaped(facts.summary(card))]
    for heading, language, code in facts.usage(card):
        parts.append(
            f"## {heading}\n\n```{language}\n{code}\n```" if heading != "Python" else f"## Use it\n\n```python\n{code}\n```"
        )
    if card.samples:
        shown = [f"![{escaped(each.words)}]({SAMPLES}/{each.name})\n\n{escaped(each.words)}" for each in card.samples]
        parts.append("## Samples\n\n" + "\n\n".join(shown))
    accuracy = facts.accuracy_rows(card)
    parts.append("## Accuracy\n\n" + (table(("metric", "value"), accuracy) if accuracy else "None is recorded in the file."))
    parts.append("## Size and speed\n\n" + table(("what", "value"), facts.size_rows(card)))
    training = facts.training_rows(card)
    parts.append("## Data and training\n\n" + (table(("what", "value"), training) if training else "The file says nothing."))
    parts.append("## How images go in\n\n" + table(("setting", "value"), facts.input_rows(card)))
    parts.append(f"## Labels\n\n{escaped(labels(card))}")
    parts.append("## Limits\n\n" + "\n".join(f"- {escaped(each)}" for each in facts.limits(card)))
    parts.append(f"## License\n\n{escaped(card.info.licence or 'Unknown: the file says nothing of it.')}")
    return "\n\n".join(parts) + "\n"


def labels(card: Card) -> str:
    names = card.info.labels
    more = f" and {len(names) - facts.MAX_LABELS} more, all in the file" if len(names) > facts.MAX_LABELS else ""
    return ", ".join(names[: facts.MAX_LABELS]) + more


def front_matter(card: Card) -> str:
    """YAML whose texts are JSON strings, which YAML reads too."""
    info = card.info
    kind = (info.licence or "").lower()
    lines = [f"license: {kind if kind in HUB_LICENSES else 'other'}"]
    if kind not in HUB_LICENSES:
        lines.append(f"license_name: {json.dumps(slug(info.licence or 'unknown'))}")
    lines += ["library_name: mobilenet", f"pipeline_tag: {facts.TASKS[info.task][1]}"]
    lines += ["tags:", *(f"- {json.dumps(tag)}" for tag in ("mobilenet", info.architecture, info.precision))]
    return "\n".join(["---", *lines, "---"])


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")[:60] or "unknown"


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(map(escaped, row))} |" for row in rows)])


def escaped(text: str) -> str:
    """One line of plain text: what a label or a path holds is no Markdown, and no HTML."""
    return SPECIAL.sub(r"\\\1", printable(text)).replace("://", ":&#47;&#47;")
