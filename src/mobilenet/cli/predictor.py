"""The predictor that `predict` and `evaluate` run, from the options that they share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import click

from ..predict.predictor import Predictor
from ..runtimes.backends import BACKENDS, choose, limit_numpy
from ..tasks.views import ONE_VIEW, Views
from ..zoo.load import load_model
from .shell import F, say

if TYPE_CHECKING:
    from ..runtimes.backends import Backend

backend_option = click.option(
    "--backend",
    default="native",
    show_default=True,
    help=f"What runs the network: {', '.join(BACKENDS)}.",
)
device_option = click.option("--device", help="Where another library's backend runs it, for example cuda; by default cpu.")
precision_option = click.option(
    "--precision", help="bf16: a float model's products in bfloat16, on processors with AMX; by default what the model has."
)


RULES = {
    "views": click.option(
        "--views",
        metavar="SCALE,...,flip",
        help="Average views of each image: flip, 0.75,1,1.25 or 1,1.25,flip. Each takes the time of an image.",
    ),
    "classes": click.option(
        "--classes",
        multiple=True,
        metavar="LABEL,...",
        help="The only objects that a detector finds: labels, or indices from 0.",
    ),
    "iou": click.option(
        "--iou", type=click.FloatRange(0, 1), help="Of two boxes that overlap by more than this, a detector keeps the better."
    ),
    "max_detections": click.option(
        "--max-detections", type=int, metavar="N", help="Of an image; by default 100 to 300, as the model has it."
    ),
    "agnostic": click.option("--agnostic", is_flag=True, help="Boxes give way to better ones of other classes too."),
}


class Rules(NamedTuple):
    """How images are seen and boxes chosen, as options say it."""

    views: str | None = None
    classes: Sequence[str] = ()
    iou: float | None = None
    max_detections: int | None = None
    agnostic: bool = False

    @property
    def parsed_views(self) -> Views:
        return ONE_VIEW if self.views is None else Views.parse(self.views)

    def applied(self, predictor: Predictor) -> Predictor:
        """The predictor with the rules for boxes. Raises UsageError if it finds none, or for an unknown class."""
        if not (self.classes or self.agnostic) and self.iou is self.max_detections is None:
            return predictor
        labels = predictor.labels
        words = [word for text in self.classes for word in ([text] if text in labels else map(str.strip, text.split(",")))]
        classes = [int(word) if word.isdecimal() and word not in labels else word for word in words] or None
        return predictor.adjusted(classes=classes, iou=self.iou, max_detections=self.max_detections, agnostic=self.agnostic)


NO_RULES = Rules()


def rule_options(*names: str) -> Callable[[F], F]:
    """The options of these names in `RULES`, which a command gets as one argument `rules`."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def packed(*args: object, **given: object) -> None:
            rules = Rules._make(given.pop(name, default) for name, default in Rules._field_defaults.items())
            function(*args, rules=rules, **given)

        for name in reversed(names):
            RULES[name](packed)
        return cast(F, packed)

    return decorate


def load_predictor(
    model: str,
    backend: str,
    threads: int | None,
    memory_budget: int | None = None,
    fast_decoding: bool = True,
    device: str | None = None,
    num_callers: int = 1,
    rules: Rules = NO_RULES,
    precision: str | None = None,
) -> Predictor:
    """The predictor for a model's name or file. Call it before numpy is imported, whose threads it limits."""
    limit_numpy(backend, threads)
    views = rules.parsed_views
    content, name = load_model(model, say), cast("Backend", backend)
    runtime = choose(content, name, threads, memory_budget, device=device, num_callers=num_callers, precision=precision)
    return rules.applied(Predictor(content, runtime, views, fast_decoding))
