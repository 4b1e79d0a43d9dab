"""The predictor that `predict` and `evaluate` run, from the options that they share."""

from __future__ import annotations

from typing import Any

import click

from ..engine.backends import BACKENDS, choose, limit_numpy
from ..errors import UsageError
from ..predict.predictor import Predictor
from ..zoo.load import load_model
from .shell import say

backend_option = click.option(
    "--backend",
    default="native",
    show_default=True,
    help=f"What runs the network: {', '.join((*BACKENDS, 'torch'))}.",
)


def load_predictor(
    model: str,
    backend: str,
    threads: int | None,
    memory_budget: int | None = None,
    num_images: int | None = None,
    fast_decoding: bool = True,
) -> Predictor:
    """The predictor for a model's name or file. Call it before numpy is imported, whose threads it limits."""
    limit_numpy(backend, threads)
    source: Any = torch_runtime() if backend == "torch" else backend
    content = load_model(model, say)
    return Predictor(content, choose(content, source, threads, memory_budget, num_images), fast_decoding=fast_decoding)


def torch_runtime() -> Any:
    try:
        from ..nn import executor
    except ImportError as error:
        raise UsageError(f"--backend torch: {error}; pip install 'mobilenet[train]', or choose another backend") from error
    return executor
