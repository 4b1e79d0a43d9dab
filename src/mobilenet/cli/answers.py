"""How ``mobilenet predict`` prints: each answer when it is there, the rate meanwhile, one line at the end."""

from __future__ import annotations

import sys
import time
from array import array
from typing import TYPE_CHECKING, Protocol

import click

from ..errors import printable
from ..images.find import is_folder_video
from .shell import MAX_QUIET, process_peak, say

if TYPE_CHECKING:
    from ..predict.predictor import Predictor
    from ..predict.work import Entry, Inputs
    from ..tasks.results import Prediction

    class Sink(Protocol):
        """Where entries go."""

        def write(self, entry: Entry) -> None: ...
        def close(self, complete: bool) -> None: ...


MAX_TIMES = 4096


class Table:
    """An image's name, and a line for each prediction. Errors are on stderr."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def write(self, entry: Entry) -> None:
        if entry.error is None:
            lines = [f"  {prediction_line(prediction)}" for prediction in entry.predictions] or [self.nothing(entry)]
            name = printable(entry.input)
            if entry.frame is not None:
                name += f", frame {entry.frame} at {entry.time:.2f} s"
            click.echo("\n".join([name, *lines]))

    def nothing(self, entry: Entry) -> str:
        every_region = entry.task == "segmentation" and self.threshold == 0.0
        return "  background only" if every_region else f"  nothing above {self.threshold:g}"

    def close(self, complete: bool) -> None:
        pass


def prediction_line(prediction: Prediction) -> str:
    """A prediction's score and label, and its box or the share of the image that it covers."""
    line = f"{prediction.score * 100:5.1f} %  {printable(prediction.label)}"
    if box := getattr(prediction, "box", None):
        x0, y0, x1, y1 = box
        line += f"  x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f}"
    if (share := getattr(prediction, "share", None)) is not None:
        line += f"  on {share * 100:.1f} % of the image"
    return line


class Times:
    """Seconds, of which at most `MAX_TIMES` are kept, evenly spread: memory stays flat."""

    def __init__(self) -> None:
        self.values, self.count, self.step = array("d"), 0, 1

    def add(self, seconds: float) -> None:
        if self.count % self.step == 0:
            if len(self.values) == MAX_TIMES:
                self.values, self.step = self.values[::2], 2 * self.step
            self.values.append(seconds)
        self.count += 1

    def median_ms(self, num_cold: int = 0) -> float:
        """The median without the first `num_cold`, if there are others: they planned, and filled the caches."""
        warm = self.values[-(-num_cold // self.step) :] or self.values
        ordered, half = sorted(warm), len(warm) // 2  # statistics.median would import fractions: 10 ms
        return 1e3 * (ordered[-half - 1] + ordered[half]) / 2


class Account:
    """Counts what was done, shows the rate on a terminal, and says at the end what became of every input."""

    def __init__(self, show_rate: bool) -> None:
        self.network, self.whole, self.num_failed = Times(), Times(), 0
        self.begin, self.shown = time.perf_counter(), 0.0
        self.show_rate = show_rate and sys.stderr.isatty()

    @property
    def num_inputs(self) -> int:
        return self.whole.count + self.num_failed

    def add(self, entry: Entry) -> None:
        if entry.error is None:
            self.network.add(entry.network)
            self.whole.add(entry.whole)
        else:
            self.num_failed += 1
            self.clear()
            say(f"mobilenet: {entry.error}")
        now = time.perf_counter()
        if self.show_rate and self.num_inputs > MAX_QUIET and now - self.shown > 0.2:
            click.echo(f"\r\x1b[K{self.num_inputs:,} images, {self.rate():.1f} images/s", nl=False, err=True)
            self.shown = now

    def rate(self) -> float:
        return self.num_inputs / max(time.perf_counter() - self.begin, 1e-9)

    def clear(self) -> None:
        if self.shown:
            click.echo("\r\x1b[K", nl=False, err=True)
            self.shown = 0.0

    def summary(self, predictor: Predictor, num_workers: int, inputs: Inputs) -> str:
        """One line: inputs, failures, what was skipped, medians, the rate, what ran, memory."""
        parts = [f"{self.whole.count:,} of {self.num_inputs:,} images"]
        if self.num_failed:
            parts.append(f"{self.num_failed:,} failed")
        if inputs.num_held:
            parts.append(f"{inputs.num_held:,} held already")
        if skipped := inputs.search.skipped:
            kinds = sorted(skipped.items(), key=lambda item: -item[1])
            named = ", ".join(f"{count:,} {suffix or 'without suffix'}" for suffix, count in kinds[:5])
            parts.append(f"skipped {named}" + (f", {sum(count for _, count in kinds[5:]):,} others" if kinds[5:] else ""))
            if any(is_folder_video(f"x{suffix}") for suffix in skipped):
                parts[-1] += " (pip install 'mobilenet[video]' for videos)"
        if inputs.num_dropped:
            parts.append(f"{inputs.num_dropped:,} frames dropped")
        text = ", ".join(parts)
        if self.whole.count:
            of = "median" if self.whole.count > num_workers else "first run"
            network, whole = self.network.median_ms(num_workers), self.whole.median_ms(num_workers)
            text += f"; {of} {network:.1f} ms network, {whole:.1f} ms whole"
            if self.num_inputs > MAX_QUIET:
                text += f", {self.rate():.1f} images/s"
            workers = "" if num_workers == 1 else f", {num_workers} workers"
            text += f" ({predictor.runtime.name}{workers}); "
            if predictor.runtime.name == "native":
                text += f"activations {predictor.activation_bytes() / 2**20:.2f} MiB, "
            text += f"process peak {process_peak()}"
        return text
