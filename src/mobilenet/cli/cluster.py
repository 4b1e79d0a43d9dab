"""``mobilenet predict --cluster``: the options become a call of `mobilenet.batch`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import click

from ..cluster.batch import Batch, batch
from ..errors import UsageError
from ..predict.load import load
from .shell import say

if TYPE_CHECKING:
    from ..cluster.folder import Kind
    from ..runtimes.backends import Backend
    from .predictor import Rules


def predict_on_cluster(
    settings: Mapping[str, object],
    rules: Rules,
    cluster: str,
    inputs: Sequence[str],
    files_from: str | None,
    recursive: bool,
    column: str | None,
    output: str | None,
    kind: str,
    resume: bool,
    top: int | None,
    threshold: float | None,
    workers: int | None,
) -> None:
    """Predicts on a Ray cluster, shows how many images are done, and says at the end what became of every input.

    Args:
        settings: model, backend, device, threads, memory_budget, precision and fast_decoding of the predictor.
        rules: its views, and how it chooses boxes.
    """
    if output is None:
        raise UsageError(f"--cluster {cluster}: the answers go into files; give --output FOLDER")
    if kind not in ("jsonl", "parquet"):
        raise UsageError(f"--format {kind}: the parts of a cluster's output are jsonl or parquet; choose one")
    threads, device = cast("int | None", settings["threads"]), cast("str | None", settings["device"])
    predictor = load(
        cast("str", settings["model"]),
        cast("Backend", settings["backend"]),
        rules.parsed_views,
        threads=threads or 1,
        device=device,
        memory_budget=cast("int | None", settings["memory_budget"]),
        fast_decoding=bool(settings["fast_decoding"]),
        precision=cast("str | None", settings["precision"]),
    )
    rate = Rate()
    done = batch(
        [*inputs, *([] if files_from is None else [f"@{files_from}"])],
        output,
        rules.applied(predictor),
        cluster=cluster,
        format=cast("Kind", kind),
        resume=resume,
        workers=workers,
        column=column,
        recursive=recursive,
        top=top,
        threshold=threshold,
        report=rate,
    )
    rate.clear()
    say(summary(done))
    if done.num_failed:
        sys.exit(1)


class Rate:
    """A line on the terminal that counts."""

    def __init__(self) -> None:
        self.shown = 0.0
        self.visible = sys.stderr.isatty()

    def __call__(self, done: Batch) -> None:
        now = time.perf_counter()
        if self.visible and now - self.shown > 0.2:
            number = done.num_answered + done.num_failed
            click.echo(f"\r\x1b[K{number:,} images, {number / max(done.seconds, 1e-9):.1f} images/s", nl=False, err=True)
            self.shown = now

    def clear(self) -> None:
        if self.shown:
            click.echo("\r\x1b[K", nl=False, err=True)


def summary(done: Batch) -> str:
    number = done.num_answered + done.num_failed
    text = f"{done.num_answered:,} of {number:,} images"
    if done.num_failed:
        text += f", {done.num_failed:,} failed"
    if done.num_held:
        text += f", {done.num_held:,} held already"
    if number:
        text += f"; {number / max(done.seconds, 1e-9):.1f} images/s, in {done.num_parts:,} files of {done.output}"
    return text
