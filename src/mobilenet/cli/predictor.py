"""The predictor that `predict` and `evaluate` run, from the options that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from ..predict.predictor import Predictor
from ..runtimes.backends import BACKENDS, choose, limit_numpy
from ..zoo.load import load_model
from .shell import say

if TYPE_CHECKING:
    from ..runtimes.backends import Backend

backend_option = click.option(
    "--backend",
    default="native",
    show_default=True,
    help=f"What runs the network: {', '.join(BACKENDS)}.",
)
device_option = click.option("--device", help="Where another library's backend runs it, for example cuda; by default cpu.")


def load_predictor(
    model: str,
    backend: str,
    threads: int | None,
    memory_budget: int | None = None,
    fast_decoding: bool = True,
    device: str | None = None,
    num_callers: int = 1,
) -> Predictor:
    """The predictor for a model's name or file. Call it before numpy is imported, whose threads it limits."""
    limit_numpy(backend, threads)
    content, name = load_model(model, say), cast("Backend", backend)
    runtime = choose(content, name, threads, memory_budget, device=device, num_callers=num_callers)
    return Predictor(content, runtime, fast_decoding=fast_decoding)
