"""A card as one page of HTML, with its images in it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..pages.markup import name_cell, page, section, table, text, tiles
from . import facts
from .markdown import labels

if TYPE_CHECKING:
    from .card import Card, Sample


def page_of(card: Card) -> bytes:
    """The whole page."""
    return page(card.name, facts.summary(card), sections(card), f"{card.file.name}, sha256 {card.sha256}")


def sections(card: Card) -> Iterable[str]:
    info = card.info
    yield tiles([
        *((name, f"{value:.3f}") for name, value in list(info.accuracy.items())[:2]),
        ("parameters", f"{info.params / 1e6:.2f} M"),
        ("multiply-adds", f"{info.madds / 1e6:.0f} M"),
        ("model file", f"{card.file_bytes / 1e6:.2f} MB"),
        ("activations", f"{info.activation_bytes / 2**20:.2f} MiB"),
        ("one image", f"{card.latency_ms:.1f} ms"),
    ])  # fmt: skip
    yield "<h2>Use it</h2>" + "".join(f"<h3>{text(name)}</h3><pre>{text_of(code)}</pre>" for name, _, code in facts.usage(card))
    yield "<h2>Samples</h2><div class='cases'>" + "".join(map(figure, card.samples)) + "</div>" if card.samples else ""
    yield rows("Accuracy", "As recorded in the model file.", facts.accuracy_rows(card))
    yield rows(
        "Size and speed", "Counted from the network; the time was measured when this card was made.", facts.size_rows(card)
    )
    yield rows("Data and training", "Where the weights come from.", facts.training_rows(card))
    yield rows("How images go in", "The preprocessing in the model file.", facts.input_rows(card))
    yield section("Labels", "The classes that the model knows.", f"<p>{text(labels(card))}</p>")
    yield "<h2>Limits</h2><ul>" + "".join(f"<li>{text(each)}</li>" for each in facts.limits(card)) + "</ul>"
    yield section("License", "Of the weights.", f"<p>{text(info.licence or 'Unknown: the file says nothing of it.')}</p>")


def rows(title: str, words: str, pairs: list[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    cells = (name_cell(name) + name_cell(value) for name, value in pairs)
    return section(title, words, table(("what", "value"), cells, title, num_names=2))


def text_of(code: str) -> str:
    return "\n".join(map(text, code.split("\n")))


def figure(sample: Sample) -> str:
    content = base64.b64encode(sample.content).decode()
    image = f"<img alt='{text(sample.words)}' src='data:image/jpeg;base64,{content}'>"
    return f"<figure>{image}<figcaption>{text(sample.words)}</figcaption></figure>"
