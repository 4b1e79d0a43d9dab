"""What a model card says, gathered from the model file, the run that made it, and a few seconds of measuring."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bench.history import processor
from ..drawing.draw import draw
from ..errors import MobilenetError
from ..files import digest
from ..images.find import find_inputs
from ..images.open import ImageError, open_image
from ..limits import limits, parse_json
from ..modelfile import ModelFile
from ..predict.info import Info, info_of
from ..predict.predictor import Predictor
from ..runtimes.backends import choose
from ..tasks.results import MIN_SHOWN
from ..zoo.hub import hub_file
from ..zoo.load import fetch, is_file, is_on_hub, load_model

MODEL, RECIPE = "model.safetensors", "recipe.json"
"""The files of a run's folder (see `training.run.folder`, which needs torch)."""
MAX_SAMPLES = 4
SAMPLE_SIDE = 640
NUM_TIMES = 15


@dataclass(frozen=True)
class Sample:
    """An image with its answer drawn on it.

    Attributes:
        name: of its file in the card's folder. words: the answer. content: a JPEG file.
    """

    name: str
    words: str
    content: bytes


@dataclass(frozen=True)
class Card:
    """A model card. `markdown.markdown` and `page.page_of` write it.

    Attributes:
        name: what the model is called.
        info: network, size, cost, labels, preprocessing, source, accuracy.
        file: of the model; `file_bytes` its size, `sha256` its digest.
        latency_ms: the shortest of `NUM_TIMES` for one image on one thread of `processor`, without decoding the image.
        recipe: of the training, as in its run's folder; None if no run made the model.
        samples: images with their answers.
        address: on the hub, as ``user/name``, or None.
    """

    name: str
    info: Info
    file: Path
    file_bytes: int
    sha256: str
    latency_ms: float
    processor: str
    recipe: Mapping[str, object] | None
    samples: Sequence[Sample]
    address: str | None = None

    @property
    def source(self) -> str:
        """What a reader gives to `load`: the address on the hub, the name, or the file's name."""
        return f"hf://{self.address}" if self.address else self.info.name or self.file.name


def make_card(source: str, samples: Sequence[str] = (), address: str | None = None) -> Card:
    """The card of a known model, a model file, an address of the hub or a run's folder.

    Args:
        samples: image files or folders; the first `MAX_SAMPLES` images are drawn.
        address: where the model will be on the hub, ``user/name``.

    Raises:
        MobilenetError: there is no such model, or an image cannot be read.
    """
    file, folder = model_file(source)
    model = load_model(file)
    runtime = choose(model, threads=1)
    predictor = Predictor(model, runtime)
    info = info_of(model, runtime)
    name = info.name or (folder or file).resolve().name.removesuffix(".safetensors")
    drawn = [drawn_sample(predictor, path, number) for number, path in enumerate(sample_files(samples))]
    latency, found = measured_ms(model, predictor), file.stat()
    recipe = None if folder is None else read_recipe(folder)
    title = address.rpartition("/")[2] if address else name
    return Card(title, info, file, found.st_size, digest(file), latency, processor(), recipe, drawn, address)


def model_file(source: str) -> tuple[Path, Path | None]:
    """The path of a model's file, and the run's folder if the source is one."""
    path = Path(source)
    if not is_on_hub(source) and path.is_dir() and is_folder_name(source):
        if not (path / MODEL).is_file():
            raise MobilenetError(f"{source}: holds no {MODEL}; give the folder of a run, a model file or a model's name")
        return path / MODEL, path
    if is_file(source):
        if not path.is_file():
            raise MobilenetError(f"{source}: is not there; give the folder of a run, a model file or a model's name")
        return path, path.parent if (path.parent / RECIPE).is_file() and path.name == MODEL else None
    return (hub_file(source) if is_on_hub(source) else Path(fetch(source))), None


def is_folder_name(source: str) -> bool:
    """Whether a text is meant as a folder: a model's name always means the model, whatever lies in the working folder."""
    from ..zoo.published import models

    return source not in models()


def read_recipe(folder: Path) -> Mapping[str, object] | None:
    """The recipe of a run; None if there is none that can be read."""
    try:
        with open(folder / RECIPE, "rb") as file:
            value = parse_json(file.read(limits().max_json_bytes + 1))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def measured_ms(model: ModelFile, predictor: Predictor) -> float:
    """The shortest time of the network for one image: whatever else runs on the machine makes it longer only."""
    images = np.zeros((1, 3, *model.preprocessing.size), np.float32)
    times = []
    for _ in range(NUM_TIMES + 2):
        start = time.perf_counter()
        predictor.runtime(images)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times[2:])


def sample_files(arguments: Sequence[str]) -> list[str]:
    found = list[str]()
    for argument in arguments:
        found += find_inputs(argument) if os.path.isdir(argument) else [argument]
    return found[:MAX_SAMPLES]


def drawn_sample(predictor: Predictor, path: str, number: int) -> Sample:
    """The image at most `SAMPLE_SIDE` pixels wide and high, with what the model says of it in this size."""
    image = open_image(path)
    image.thumbnail((SAMPLE_SIDE, SAMPLE_SIDE))
    result = predictor.predict(
        image, threshold=MIN_SHOWN[predictor.task], top=3 if predictor.task == "classification" else None
    )
    content = io.BytesIO()
    try:
        draw(image, result).save(content, "JPEG", quality=88)
    except OSError as error:
        raise ImageError(f"{path}: cannot be drawn ({error})") from error
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in Path(path).stem)[:40]
    return Sample(f"{number + 1}-{stem or 'image'}.jpg", str(result), content.getvalue())
