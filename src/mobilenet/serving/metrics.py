"""What the server counts, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds."""

Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """A metric: its kind, "counter", "gauge" or "histogram", and what it says."""

    kind: str
    help: str


FAMILIES = {
    "mobilenet_requests_total": Family("counter", "Requests by route, model and status of the answer."),
    "mobilenet_images_total": Family("counter", "Images that were answered, by model."),
    "mobilenet_refused_total": Family("counter", "Requests that were refused with status 429, because the queue was full."),
    "mobilenet_reloads_total": Family("counter", "Models that were loaded again, by model and result."),
    "mobilenet_request_seconds": Family("histogram", "From a request's head to its answer, by route."),
    "mobilenet_network_seconds": Family("histogram", "Of an image in the network, by model."),
    "mobilenet_queue_seconds": Family("histogram", "That a request waited for a worker."),
    "mobilenet_queue_length": Family("gauge", "Requests that wait for a worker."),
    "mobilenet_queue_capacity": Family("gauge", "Requests that may wait for a worker."),
    "mobilenet_workers": Family("gauge", "Worker threads."),
    "mobilenet_workers_busy": Family("gauge", "Worker threads at work."),
    "mobilenet_connections": Family("gauge", "Open connections."),
    "mobilenet_held_bytes": Family("gauge", "Of request bodies in memory."),
    "mobilenet_model_loaded_timestamp_seconds": Family("gauge", "When a model was loaded, in seconds since 1970."),
    "process_resident_memory_bytes": Family("gauge", "Memory of the process."),
}


class Histogram:
    def __init__(self) -> None:
        self.counts, self.total = [0] * (len(BUCKETS) + 1), 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Metrics:
    """Counters, histograms and gauges by name and labels. Used in the event loop's thread only.

    Label values come from the server's own lists of routes and models, never from a request, so their number is bounded.
    """

    def __init__(self) -> None:
        self.counters = dict[str, dict[Labels, float]]()
        self.histograms = dict[str, dict[Labels, Histogram]]()
        self.gauges = dict[str, Callable[[], float | dict[Labels, float]]]()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        series = self.counters.setdefault(name, {})
        key = tuple(labels.items())
        series[key] = series.get(key, 0) + amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        self.histograms.setdefault(name, {}).setdefault(tuple(labels.items()), Histogram()).observe(seconds)

    def gauge(self, name: str, value: Callable[[], float | dict[Labels, float]]) -> None:
        """`value` is asked for each time the metrics are read; by labels if it gives a dict."""
        self.gauges[name] = value

    def text(self) -> str:
        """All of it as Prometheus reads it."""
        lines: list[str] = []
        for name, family in FAMILIES.items():
            lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
            if family.kind == "histogram":
                for labels, histogram in self.histograms.get(name, {}).items():
                    lines += histogram_lines(name, labels, histogram)
                continue
            found = self.gauges[name]() if name in self.gauges else self.counters.get(name, {})
            series = found if isinstance(found, dict) else {(): found}
            lines += [f"{name}{written(labels)} {value:.15g}" for labels, value in series.items()]
        return "\n".join(lines) + "\n"


def histogram_lines(name: str, labels: Labels, histogram: Histogram) -> list[str]:
    sums = list(accumulate(histogram.counts))
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    lines = [f"{name}_bucket{written((*labels, ('le', b)))} {count}" for b, count in zip(bounds, sums, strict=True)]
    return [*lines, f"{name}_sum{written(labels)} {histogram.total:.9g}", f"{name}_count{written(labels)} {sums[-1]}"]


def written(labels: Labels) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    pairs = ",".join(f'{name}="{escaped(value)}"' for name, value in labels)
    return f"{{{pairs}}}" if labels else ""


def resident_bytes() -> float:
    """The memory of this process; its peak where the system tells no more, and 0 where it tells nothing."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/statm", encoding="ascii") as file:
        return float(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    try:
        import resource
        import sys
    except ImportError:  # Windows
        return 0.0
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
