"""Any two models, runtimes and exported files beside each other: `mobilenet.compare`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import UsageError
from ..exports.exporter import WholeFile
from ..exports.formats import exporter, format_of_file
from ..modelfile import ModelFile
from ..predict.predictor import Predictor
from ..runtimes.backends import BACKENDS, Backend, choose
from ..zoo.load import load_model
from .compare import Comparison, compared
from .looks import Look, Looks, looks_at
from .sides import ModelSide, Side, WholeSide, bytes_of, file_bytes

Source = str | os.PathLike[str] | ModelFile


def compare(
    a: Source,
    b: Source,
    data: str | os.PathLike[str] | None = None,
    *,
    watch: Callable[[Looks], Iterable[Look]] = lambda looks: looks,
) -> Comparison:
    """Two sides on the same images, each on one thread: differences of outputs, agreement of answers, scores, time and size.

    Args:
        a, b: a model's name, file or content, run by the engine; or a backend's name ("onnxruntime", "reference") or an
            exported file, which run the model of the other side.
        data: images, with labels or without; by default parts of the photos that mobilenet brings.
        watch: may wrap the images, to show progress.

    Raises:
        UsageError: neither side is a model, or the two are for other tasks; or `data` names no image.
        ExportError: a file's runtime refuses it.
    """
    models = [model_of(each) for each in (a, b)]
    known = [model for model in models if model is not None]
    if not known:
        raise UsageError(f"{a} and {b}: one of them must be a model, which the other runs; for example imagenet")
    tasks = [model.network.task for model in known]
    if len(set(tasks)) > 1:
        raise UsageError(f"{a} does {tasks[0]} and {b} {tasks[1]}: give two models for one task")
    sides = [side_of(source, model or known[0]) for source, model in zip((a, b), models, strict=True)]
    return compared(sides[0], sides[1], looks_at(data, known[0]), watch)


def model_of(source: Source) -> ModelFile | None:
    """The model, or None for a backend's name or an exported file."""
    if isinstance(source, ModelFile):
        return source
    text = os.fspath(source)
    return None if backend_of(text) or format_of_file(text) else load_model(text)


def backend_of(text: str) -> Backend | None:
    return next((each for each in BACKENDS if each == text), None)


def side_of(source: Source, model: ModelFile) -> Side:
    """What answers images for one side.

    Args:
        model: the side's own, or the other side's for a backend or an exported file.
    """
    if isinstance(source, ModelFile):
        return ModelSide(f"{model.network.architecture}, engine", model, choose(model, threads=1), bytes_of(model))
    text = os.fspath(source)
    if backend := backend_of(text):
        threads = None if backend in ("reference", "torch") else 1
        runtime = choose(model, backend, threads)
        return ModelSide(f"{runtime.name} {runtime.precision}", model, runtime, bytes_of(model))
    kind = format_of_file(text)
    if kind is None:
        return ModelSide(f"{text}, engine", model, choose(model, threads=1), bytes_of(model))
    path = Path(text)
    if not path.exists():
        raise UsageError(f"{text}: is no file here; make it with 'mobilenet export MODEL --to {kind.name}'")
    opened = exporter(kind).open(path, model)
    title = f"{path.name}, {opened.name} {opened.precision}"
    if isinstance(opened, WholeFile):
        like = Predictor(model, choose(model, threads=1))
        return WholeSide(title, model, opened, file_bytes(path), like)
    return ModelSide(title, model, opened, file_bytes(path))
