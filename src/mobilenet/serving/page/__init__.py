"""The page that shows a model at work: its files. They know nothing of where answers come from, but for ``answers.js``."""

from __future__ import annotations

import json
from importlib.resources import files
from string import Template

from ...images.palette import COLORS, SHADES, class_color, shade, text_color
from ...values import Value

INDEX = "index.html"
CODE = ("__init__.py", "__pycache__")


class Words(Value):
    """What the page says of where answers come from, as HTML.

    Attributes:
        promise: what happens to the user's images.
        links: beside the title.
        loading: until the models are known.
        without_scripts: to browsers without JavaScript.
        head: more elements of the head.
    """

    promise: str
    links: str
    loading: str
    without_scripts: str
    head: str = ""


def page_files() -> dict[str, bytes]:
    """Every file of the page by name, but for `INDEX`."""
    names = [item for item in files(__package__).iterdir() if item.name not in (INDEX, *CODE)]
    return {"palette.json": palette()} | {item.name: item.read_bytes() for item in sorted(names, key=lambda item: item.name)}


def index(words: Words) -> bytes:
    """The page itself."""
    template = Template((files(__package__) / INDEX).read_text("utf-8"))
    return template.substitute(words.__dict__).encode()


def palette() -> bytes:
    """For every class its colors as the package draws them: of the first, second ... object, and of text on them."""
    classes = [[shade(class_color(index), number) for number in range(len(SHADES))] for index in range(len(COLORS) // 3)]
    colors = [[f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in shades] for shades in classes]
    texts = [["#000000" if text_color(each) == (0, 0, 0) else "#ffffff" for each in shades] for shades in classes]
    return json.dumps({"colors": colors, "texts": texts}, separators=(",", ":")).encode()
