"""From a model's name or file to a predictor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, overload

from ..errors import UsageError, short_repr
from ..modelfile import ModelFile
from ..runtimes.backends import Backend, MakeExecutor, choose
from ..tasks.views import ONE_VIEW, Views, as_views
from ..zoo.load import load_model
from .origin import Loaded, once_loaded
from .predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import TypedDict, Unpack

    from ..tasks.classification import Classification
    from ..tasks.detection import Detections
    from ..tasks.results import Result
    from ..tasks.segmentation import Segmentation
    from .origin import Settings

    class EngineSettings(TypedDict, total=False):
        threads: int | None
        memory_budget: int | None
        fast_decoding: bool
        device: str | None
        precision: str | None


@overload
def load(
    source: Literal["imagenet"] = ...,
    backend: Backend | MakeExecutor = ...,
    views: Views | str = ...,
    *,
    task: Literal["classification"] | None = ...,
    **settings: Unpack[EngineSettings],
) -> Predictor[Classification]: ...
@overload
def load(
    source: Literal["coco"],
    backend: Backend | MakeExecutor = ...,
    views: Views | str = ...,
    *,
    task: Literal["detection"] | None = ...,
    **settings: Unpack[EngineSettings],
) -> Predictor[Detections]: ...
@overload
def load(
    source: Literal["voc", "voc-small"],
    backend: Backend | MakeExecutor = ...,
    views: Views | str = ...,
    *,
    task: Literal["segmentation"] | None = ...,
    **settings: Unpack[EngineSettings],
) -> Predictor[Segmentation]: ...
@overload
def load(
    source: str | Path | ModelFile,
    backend: Backend | MakeExecutor = ...,
    views: Views | str = ...,
    *,
    task: Literal["classification"],
    **settings: Unpack[EngineSettings],
) -> Predictor[Classification]: ...
@overload
def load(
    source: str | Path | ModelFile,
    backend: Backend | MakeExecutor = ...,
    views: Views | str = ...,
    *,
    task: Literal["detection"],
    **settings: Unpack[EngineSettings],
) -> Predictor[Detections]: ...
@overload
def load(
    source: str | Path | ModelFile,
    backend: Backend | MakeExecutor = ...,
    views: Views | str = ...,
    *,
    task: Literal["segmentation"],
    **settings: Unpack[EngineSettings],
) -> Predictor[Segmentation]: ...
@overload
def load(
    source: str | Path | ModelFile,
    backend: Backend | MakeExecutor = ...,
    views: Views | str = ...,
    *,
    task: None = ...,
    **settings: Unpack[EngineSettings],
) -> Predictor[Result]: ...
def load(
    source: str | Path | ModelFile = "imagenet",
    backend: Backend | MakeExecutor = "native",
    views: Views | str = ONE_VIEW,
    *,
    task: Literal["classification", "detection", "segmentation"] | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    fast_decoding: bool = True,
    device: str | None = None,
    precision: str | None = None,
) -> Predictor[Result]:
    """A predictor from a model's name (fetched on first use), the path of a model file, an address of the Hugging Face hub
    (``hf://user/name``), or a file's content.

    A type checker knows the results of "imagenet", "coco", "voc" and "voc-small", and of every model with its `task`.

    Args:
        backend: "native" (the engine), "reference" (numpy; in integers if the model is quantized), "dequantized" (the engine,
            in float32 even if the model is quantized), "onnxruntime", "openvino" or "torch" (in float32 too), or a function
            that makes an executor from a model.
        views: scales and mirror images whose answers are averaged: `Views`, or a text such as "1,2,flip".
        task: what the model must do: "classification", "detection" or "segmentation".
        threads: that work on one image; by default the native engine uses every big core that this process may run on.
        memory_budget: bytes that the native engine's activations may take for one image.
        fast_decoding: see `Predictor`.
        device: "cpu", or for ONNX Runtime, OpenVINO and torch what they call another device, such as "cuda".
        precision: "bf16": a float model's products in bfloat16, half as exact and up to twice as fast, on processors with AMX.
            By default float32, or integers if the model is quantized.

    Raises:
        MobilenetError: an unknown name, a damaged file, a failed download; a model for another task; a backend whose package is
            not installed; `threads`, `memory_budget`, a `device` or a `precision` that the runtime cannot honor.
    """
    model = source if isinstance(source, ModelFile) else load_model(source)
    if task not in (None, model.network.task):
        raise UsageError(f"task {short_repr(task)}: this model does {model.network.task}; leave it out, or give another model")
    views = as_views(views)
    runtime = choose(model, backend, threads, memory_budget, device=device, precision=precision)
    predictor = Predictor(model, runtime, views, fast_decoding)
    if memory_budget is not None:
        predictor.activation_bytes()  # the plan, which is refused here and not with the first image
    file = None if isinstance(source, ModelFile) else os.fspath(source)
    state = None if file is None or not os.path.isfile(file) else os.stat(file)
    settings: Settings = {"backend": backend, "views": views, "threads": threads, "memory_budget": memory_budget}
    settings |= {"fast_decoding": fast_decoding, "device": device, "precision": precision}
    predictor._loaded = Loaded(load_again, file, state, settings)
    return predictor


def load_again(source: str | ModelFile, mark: str | None, settings: Settings) -> Predictor[Result]:
    """Makes a predictor again in another process, from what its `Loaded.origin` returned."""
    return once_loaded(load, source, mark, settings)
