"""Integers beside integers: the engine and other runtimes on one quantized model.

ONNX Runtime and OpenVINO run the graph of `exports.qdq` (with and without rounding before additions) and, if there are images
to calibrate with, what their own quantizers make of the float network: ONNX Runtime's static quantization, NNCF. Each is a row,
and a library's fastest row counts. LiteRT runs a published file. All start from a file and read the same image.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..images.find import find_inputs
from ..modelfile import ModelFile
from ..network.layers import Network, Resolution
from ..quantizing.quantize import NUM_IMAGES, quantize, read, spread
from ..values import replace
from . import history
from .integer_peers import engine, files, load, unavailable
from .measure import Times, growth, interleaved
from .peers import Run

if TYPE_CHECKING:
    from ..tensors import Floats

NUM_HELD_OUT = 32
"""Images that did not calibrate, on which answers are compared with the float model's."""


@dataclass(frozen=True)
class IntegerTime(Times):
    """A runtime's row for one file; the contract of ``mobilenet bench --precision int8 --json``.

    Attributes:
        file: what it runs: "model file", "QDQ", "QDQ, additions rounded", "its own quantization" or a published file's name.
        planned_bytes: of activations, as the engine plans them; None for others, which do not say.
        max_abs_error: of the class scores, against the float model; None if the file has other classes or answers with classes.
        agreement: share of the float model's answers that are the same: of images for a classifier, of pixels or default boxes
            for other networks; None if the file has other classes.
        images: number of compared images, which did not calibrate; 0 if noise was compared because there were none.
    """

    file: str
    planned_bytes: int | None
    max_abs_error: float | None
    agreement: float | None
    images: int


def bench_integers(
    name: str,
    model: ModelFile,
    calibration: str | None = None,
    resolution: Resolution | None = None,
    threads: int = 1,
    against: Sequence[str] = (),
    seconds: float = 5.0,
    memory: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> list[IntegerTime]:
    """Times of the native engine in integers, and of the runtimes `against`.

    Args:
        name: of the model; LiteRT runs the published file of that name.
        model: in integers, or in floats, which are quantized first; that needs `calibration`.
        calibration: images for quantizing, see `mobilenet quantize`; of those beyond the first 64, some compare answers.
        say: is told what is left out, and why.

    Raises:
        UsageError: a runtime is unknown or not installed, or a float model comes without images.
    """
    for runtime in against:
        if reason := unavailable(runtime):
            raise UsageError(f"engine {reason}")
    check_calibration(name, model, calibration)
    if resolution is not None:
        preprocessing = model.preprocessing.at(resolution)
        model = replace(model, network=model.network.at(preprocessing.size), preprocessing=preprocessing)
    floats, size = model.dequantized(), model.network.resolution
    chosen, inputs, held_out = divided(model, calibration)
    integers = quantize(model, chosen).model if model.quantization is None else model
    with tempfile.TemporaryDirectory() as folder:
        subjects = list(files(name, integers, floats, inputs, against, Path(folder), say))
        loaders = {each: partial(load, each.engine, str(each.path), threads, scores_of(model.network)) for each in subjects}
        runs = {subject: loader() for subject, loader in loaders.items()}
        image = held_out[0] if held_out else np.random.default_rng(0).standard_normal((1, 3, *size)).astype(np.float32)
        comparison = Comparison(floats, held_out or [image])
        times, planned, rows = interleaved(runs, image, seconds, threads), planned_bytes(integers, threads), list[IntegerTime]()
        for subject, values in times.items():
            error, agreement = comparison(runs[subject])
            rows.append(
                IntegerTime(
                    engine=subject.engine,
                    file=subject.file,
                    precision="int8",
                    threads=threads,
                    resolution=list(size),
                    median_ms=1e3 * statistics.median(values),
                    min_ms=1e3 * min(values),
                    p90_ms=1e3 * float(np.percentile(values, 90)),
                    peak_rss_delta_bytes=growth(subject.engine, loaders[subject], size) if memory else None,
                    planned_bytes=planned if subject.engine == "native" else None,
                    max_abs_error=error,
                    agreement=agreement,
                    images=len(held_out),
                )
            )
    return rows


def check_calibration(name: str, model: ModelFile, calibration: str | None) -> None:
    if model.quantization is None and calibration is None:
        raise UsageError(
            f"--precision int8: {name} has floats; give --calibration IMAGES, from which integers are made, or an integer "
            "model file"
        )


def in_integers(name: str, model: ModelFile, calibration: str | None) -> ModelFile:
    """The model itself, or quantized. UsageError as `bench_integers`."""
    check_calibration(name, model, calibration)
    return model if model.quantization is not None else quantize(model, calibration or "").model


def divided(model: ModelFile, calibration: str | None) -> tuple[list[str], list[Floats], list[Floats]]:
    """The images that calibrate: paths and inputs (1, 3, H, W); then inputs that do not, evenly spread."""
    if calibration is None:
        return [], [], []
    paths = find_inputs(calibration)
    chosen = spread(paths, NUM_IMAGES)
    others = spread(sorted(set(paths) - set(chosen)), NUM_HELD_OUT)
    return chosen, read(model, chosen)[0], read(model, others)[0] if others else []


def planned_bytes(model: ModelFile, threads: int) -> int | None:
    """Of the engine; None if a reference runs the model."""
    runtime = engine(model, threads)
    return runtime.planned_bytes(model.network.resolution) if runtime.name == "native" else None


def scores_of(network: Network) -> str:
    """The output whose numbers are compared: class scores, if there are any."""
    return next((name for name in network.outputs if network[name].name in network.heads.classes), network.outputs[0])


class Comparison:
    """Outputs beside the float model's, on some images."""

    def __init__(self, floats: ModelFile, images: list[Floats]) -> None:
        from ..runtimes.backends import native

        self.network, self.images, name = floats.network, images, scores_of(floats.network)
        runtime = native(floats.network, floats.tensors)
        self.expected = [np.asarray(runtime(image)[name]) for image in images]

    def __call__(self, run: Run) -> tuple[float | None, float | None]:
        """The largest difference, and the share of the same answers."""
        found = [run(image) for image in self.images]
        pairs = list(zip(found, self.expected, strict=True))
        if found[0].dtype.kind in "iu":  # classes already
            same = [a == self.answers(b) for a, b in pairs if a.size == self.answers(b).size]
            return None, float(np.mean(same)) if same else None
        if any(a.shape != b.shape for a, b in pairs):
            return None, None
        same = [self.answers(a) == self.answers(b) for a, b in pairs]
        return max(float(np.abs(a - b).max()) for a, b in pairs), float(np.mean(same))

    def answers(self, scores: Floats) -> NDArray[np.int64]:
        """The class of each image, pixel or default box."""
        if self.network.task == "detection":
            slots = (self.network.settings.classes or 0) + 1  # with the background
            return np.asarray(scores.reshape(len(scores), -1, slots, *scores.shape[2:]).argmax(axis=2))
        return np.asarray(scores.argmax(axis=1))


def append_rows(rows: Sequence[IntegerTime], model: str, checkout: Path) -> Path:
    """Appends the rows, with date, commit, machine and instruction sets, to results/bench_integers.jsonl of a checkout."""
    conditions = {**history.engine_origin(checkout, model), "onednn_isa": os.environ.get("ONEDNN_MAX_CPU_ISA")}
    return history.append(checkout, "bench_integers", [{**conditions, **asdict(row)} for row in rows])
