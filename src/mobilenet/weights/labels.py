"""The 1,000 ImageNet classes: WordNet id and short name, in the order every published classifier uses."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def imagenet(classes: int = 1000) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, WordNet ids) for 1000 classes, or 1001 with TensorFlow's background class first."""
    lines = files(__package__).joinpath("imagenet.tsv").read_text("utf-8").splitlines()
    ids, names = zip(*(line.split("\t") for line in lines), strict=True)
    return (("background", *names), ("background", *ids)) if classes == 1001 else (names, ids)
