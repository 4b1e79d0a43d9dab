"""The sentences and tables of a card, as plain texts: Markdown and HTML write the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .card import Card

    Row = tuple[str, str]

TASKS = {
    "classification": ("names what an image shows", "image-classification"),
    "detection": ("finds objects in an image, with a box around each", "object-detection"),
    "segmentation": ("names the class of every pixel of an image", "image-segmentation"),
}
MAX_LABELS = 50


def summary(card: Card) -> str:
    """One sentence: what the model does, with which network."""
    info = card.info
    height, width = info.resolution
    width_factor = info.settings.get("width")
    scaled = f" {width_factor:g}" if isinstance(width_factor, (int, float)) else ""
    return (
        f"This model {TASKS[info.task][0]}: {len(info.labels)} classes, by {info.architecture}{scaled} on images of "
        f"{width} x {height} pixels, with {'integers' if info.precision == 'int8' else 'float32'} as weights."
    )


def size_rows(card: Card) -> list[Row]:
    """What the model costs."""
    info = card.info
    return [
        ("Parameters", f"{info.params:,}"),
        ("Multiply-adds for one image", f"{info.madds:,}"),
        ("Model file", f"{card.file_bytes / 1e6:.2f} MB"),
        ("Memory of activations", f"{info.activation_bytes / 2**20:.2f} MiB on one thread ({info.runtime})"),
        ("Time for one image", f"{card.latency_ms:.1f} ms at best, one thread, {card.processor}, without decoding the image"),
        ("sha256 of the file", card.sha256),
    ]


def accuracy_rows(card: Card) -> list[Row]:
    """What is known of its accuracy, and who says so."""
    rows = [(name, f"{value:.4f}, as the publisher measured it") for name, value in card.info.accuracy.items()]
    for name, value in flat(card.info.metrics):
        rows.append((name, f"{value:.4f}, when the file was made" if isinstance(value, float) else f"{value}"))
    return rows


def training_rows(card: Card) -> list[Row]:
    """Where the weights come from: the source, and the main settings of the training."""
    info = card.info
    rows = [(key, ", ".join(f"{k} {v}" for k, v in flat(value)) or str(value)) for key, value in info.source.items() if value]
    kept = [(key, str(value)) for key, value in flat(card.recipe or {}) if value not in (None, "", [], {})]
    return [
        *((f"source: {key}", value[:300]) for key, value in rows),
        *((f"recipe: {key}", value[:300]) for key, value in kept),
    ]


def flat(value: object, path: str = "") -> list[tuple[str, object]]:
    """A JSON object with one entry for each value: ``{"a": {"b": 1}}`` as ``[("a.b", 1)]``."""
    if not isinstance(value, dict):
        return [(path, value)] if path else []
    return [pair for key, inner in value.items() for pair in flat(inner, f"{path}.{key}" if path else str(key))]


def input_rows(card: Card) -> list[Row]:
    """How an image becomes the network's input."""
    return [(key, str(value)) for key, value in card.info.preprocessing.items() if value is not None]


def limits(card: Card) -> Iterator[str]:
    """What the model cannot do, as far as its file says it."""
    info = card.info
    yield f"It knows its {len(info.labels)} classes and nothing else: anything else is taken for one of them, or not found."
    match info.task:
        case "classification":
            yield "Its scores add up to 1 on every image, so a high score is no proof that any of its classes is there."
        case "detection":
            height, width = info.resolution
            yield f"Objects that are small when the image is {width} x {height} pixels are often missed."
        case "segmentation":
            yield "Edges are only as fine as its output, which is enlarged to the image's size."
        case other:
            raise AssertionError(f"no limits are known of {other}")
    if not (info.accuracy or info.metrics):
        yield "No accuracy is recorded in its file: measure it on your own images before you rely on it."
    if info.licence is None:
        yield "The file says nothing of a license: ask whoever made it before you use or share it."
    if info.precision == "int8":
        yield "Its weights are integers; compare it with the float model it was made of on your own images."
    yield "It was not tested for fairness between groups of people, nor against images made to deceive it."


def usage(card: Card) -> list[tuple[str, str, str]]:
    """(heading, language, code) of ways to use it."""
    source = card.source
    file = "" if card.address or card.info.name else "./"
    return [
        ("Python", "python", f'import mobilenet\n\npredict = mobilenet.load("{file}{source}")\nprint(predict("photo.jpg"))'),
        ("Command line", "sh", f"pip install mobilenet\nmobilenet predict photo.jpg --model {file}{source}"),
        ("Server", "sh", f"pip install 'mobilenet[serve]'\nmobilenet serve {file}{source}"),
    ]
