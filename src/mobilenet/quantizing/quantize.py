"""A float model and some images -> an integer model, and a report of what it cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import modelfile
from ..images.find import find_inputs
from ..images.open import ImageError, open_image
from ..modelfile import ModelFile
from ..network.grid import GridQuantization, Pixels
from ..predict.evaluate import Evaluation, evaluate
from ..predict.predictor import Predictor
from ..runtimes.backends import check_count, choose
from ..values import replace
from ..zoo.load import load_model
from .assemble import assemble
from .draft import Draft, draft_of
from .equalize import equalize
from .observe import observe
from .ranges import ranges
from .report import Report, layer_noise

if TYPE_CHECKING:
    from ..tensors import Array, Floats

    Watch = Callable[[Sequence[Any], str], Iterable[Any]]
    Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

NUM_IMAGES = 64
"""Images that calibrate, if there are so many."""
NUM_REPORTED = 8
"""Of these, how many the report compares."""


@dataclass(frozen=True)
class Quantized:
    """An integer model, and what making it cost."""

    model: ModelFile
    report: Report

    def save(self, path: str | Path) -> None:
        """Writes the model file, whole or not at all (see `modelfile.write`)."""
        modelfile.write(self.model, path)


def quantize(
    source: str | Path | ModelFile,
    calibration: Paths,
    *,
    data: Path | str | None = None,
    num_images: int = NUM_IMAGES,
    threads: int | None = None,
    watch: Watch = lambda items, _: items,
) -> Quantized:
    """An integer model from a float model: int8 weights, uint8 activations (docs/numerics.md has the rules).

    The same arguments give the same bits.

    Args:
        source: a model's name or file, or its content.
        calibration: images like those that the model will see, without labels: a folder, files or patterns. `num_images` of
            them are used, evenly spread over the sorted list.
        data: labeled images, see `mobilenet evaluate`; the report then has the metrics before and after.
        threads: of the float network that looks at the images; every core by default.
        watch: may wrap the images, to show progress; it gets them and a word for what is done.

    Raises:
        UsageError: the model has integers already, or an argument is out of range.
        ImageError: `calibration` names no image, or none of them can be opened.
        MobilenetError: as `load_model` and `evaluate` say.
    """
    check_count("num_images", num_images, f"the default is {NUM_IMAGES}")
    model = source if isinstance(source, ModelFile) else load_model(source)
    draft, pixels = draft_of(model), Pixels.of(model.preprocessing.mean, model.preprocessing.std)
    before = None if data is None else scored(model, Path(data), threads, watch)
    inputs, failed = read(model, spread(find_inputs(calibration), num_images))
    tensors, quantization = integers_of(draft, watch(inputs, "calibrating"), pixels, threads)
    layers = layer_noise(draft, tensors, quantization, watch(inputs[:NUM_REPORTED], "comparing"))
    result = replace(
        model,
        network=draft.network,
        tensors=tensors,
        quantization=quantization,
        metrics={},
        provenance={**model.provenance, "quantized": {"images": len(inputs), "float_metrics": dict(model.metrics)}},
    )
    report = Report(len(inputs), layers, (stored_bytes(model), stored_bytes(result)), failed=failed)
    if before is not None and data is not None:
        after = scored(result, Path(data), threads, watch)
        report.before, report.after = dict(before.metrics), dict(after.metrics)
        report.failed += after.failed
        result = replace(result, metrics=report.after)
    return Quantized(result, report)


def integers_of(
    draft: Draft, inputs: Iterable[Floats], pixels: Pixels, threads: int | None = None
) -> tuple[dict[str, Array], GridQuantization]:
    """The tensors and the quantization of a model file, from (1, 3, H, W) inputs. Equalizes `draft` in place."""
    observed = equalize(draft, observe(draft, inputs, threads))
    return assemble(draft, ranges(draft, observed, pixels), observed, pixels)


def spread(paths: Sequence[str], count: int) -> list[str]:
    """At most `count` of them, evenly spread."""
    count = min(count, len(paths))
    return [paths[index * len(paths) // count] for index in range(count)]


def read(model: ModelFile, paths: Iterable[str]) -> tuple[list[Floats], list[str]]:
    """The images as the network's inputs, (1, 3, H, W), and why each of the others cannot be opened."""
    inputs, failed = [], list[str]()
    for path in paths:
        try:
            inputs.append(np.asarray(model.preprocessing.batch(open_image(path))))
        except ImageError as error:
            failed.append(str(error))
    if not inputs:
        raise ImageError(f"no calibration image can be opened; the first: {failed[0]}")
    return inputs, failed


def scored(model: ModelFile, data: Path, threads: int | None, watch: Watch) -> Evaluation:
    """The model's score on labeled images, on the runtime that `mobilenet evaluate` chooses."""
    runtime = choose(model, "native", threads if model.quantization is None else None)
    precision = runtime.precision
    return evaluate(Predictor(model, runtime), data, lambda records: watch(records, f"evaluating {precision}"))


def stored_bytes(model: ModelFile) -> int:
    """Bytes of the weights, biases and factors in a model file."""
    arrays = [model.tensors[name] for name in model.network.tensors()]
    if isinstance(model.quantization, GridQuantization):
        arrays += [*model.quantization.multipliers.values(), *model.quantization.scales.values()]
    return sum(array.nbytes for array in arrays)
