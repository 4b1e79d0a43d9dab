"""The images on which runtimes are compared: a user's, with labels if there are any, or parts of the photos in this package."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from PIL import Image, ImageOps

from ..errors import UsageError
from ..images.find import find_inputs
from ..images.open import ImageError, open_image
from ..predict.evaluate import records_for, score_of, scored_truth

if TYPE_CHECKING:
    from ..data import Records, Truth
    from ..images.preprocessing import Preprocessing
    from ..modelfile import ModelFile
    from ..tasks.metrics import Metrics
    from ..tasks.results import Result

PHOTOS = Path(__file__).with_name("photos")
"""Three photos that anyone may use: a cat (Stéfan van der Walt, CC0), a cup of coffee (Rachel Michetti, CC0) and a rocket
(SpaceX, public domain), from scikit-image's data."""


class Scored(Protocol):
    """A score of any task, see `tasks.metrics.Score`."""

    def add(self, result: Result, truth: object) -> None: ...
    def metrics(self) -> Metrics: ...


class Look(NamedTuple):
    """One image: its name, how to open it, and its place among labeled images, or None."""

    name: str
    open: Callable[[], Image.Image]
    place: int | None = None


class Looks(Sequence[Look]):
    """Images to compare runtimes on.

    Attributes:
        source: for reports: where they come from.
        records: the labeled images, or None.
    """

    def __init__(self, items: Sequence[Look], source: str, records: Records[Truth] | None = None) -> None:
        self.items, self.source, self.records = items, source, records

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Look:  # type: ignore[override]  # nobody takes slices
        return self.items[index]

    def scores(self) -> Scored | None:
        """An empty score of the labels' task, or None without labels."""
        return None if self.records is None else score_of(self.records)

    def truth(self, look: Look) -> object:
        """What a score's `add` takes."""
        assert self.records is not None
        assert look.place is not None
        return scored_truth(self.records.truth(look.place), look.place)


def looks_at(data: str | os.PathLike[str] | None, model: ModelFile) -> Looks:
    """The images of a folder, file or pattern, with labels if they have labels for the model's task; by default the package's.

    Raises:
        UsageError, ImageError: `data` names no image; or labels, with a class that the model does not know.
    """
    if data is None:
        items = list(packaged())
        return Looks(items, f"{len(items)} parts of the photos that mobilenet brings")
    if os.path.exists(data) and (records := labeled(model, Path(data))) is not None:
        return Looks([Look(records.name(i), records.record(i).open, i) for i in range(len(records))], str(data), records)
    paths = find_inputs(data)
    return Looks([Look(path, lambda path=path: open_image(path)) for path in paths], str(data))  # type: ignore[misc]


def labeled(model: ModelFile, data: Path) -> Records[Truth] | None:
    """The labeled images in `data`, or None if they have no labels for the model's task."""
    from ..data.open import recognize

    try:
        recognize(data, model.network.task)
    except UsageError:
        return None
    try:
        return records_for(model, data)
    except UsageError:
        if images_in(data):  # folders of images that are no classes of this model
            return None
        raise


def images_in(data: Path) -> bool:
    try:
        return bool(find_inputs(data))
    except ImageError:
        return False


def prepared(looks: Looks, preprocessing: Preprocessing) -> Looks:
    """The same images at the size of a network's input, without labels, whose places would be others there."""
    items = [Look(each.name, lambda each=each: preprocessing.resize_and_crop(each.open())) for each in looks]  # type: ignore[misc]
    return Looks(items, looks.source)


def packaged() -> Iterator[Look]:
    """Of each photo the whole, its mirror image, the four corners and the center: 21 images."""
    for path in sorted(PHOTOS.glob("*.jpg")):
        for name, part in PARTS.items():
            yield Look(f"{path.stem}, {name}", lambda path=path, part=part: part(open_image(path)))  # type: ignore[misc]


def cut(x: float, y: float) -> Callable[[Image.Image], Image.Image]:
    """A function that cuts out six tenths of both sides, from the shares `x` and `y` of the rest."""

    def part(image: Image.Image) -> Image.Image:
        width, height = round(image.width * 0.6), round(image.height * 0.6)
        left, top = round((image.width - width) * x), round((image.height - height) * y)
        return image.crop((left, top, left + width, top + height))

    return part


PARTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "whole": lambda image: image,
    "mirrored": ImageOps.mirror,
    "upper left": cut(0, 0),
    "upper right": cut(1, 0),
    "lower left": cut(0, 1),
    "lower right": cut(1, 1),
    "center": cut(0.5, 0.5),
}
