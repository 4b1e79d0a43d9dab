"""A bound on time and memory for code that reads a hostile file."""

from __future__ import annotations

import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bounded(seconds: float, max_bytes: int) -> Iterator[None]:
    """Fails if the block takes longer, by the clock of this process's work, or holds more memory at once."""

    def stop(number, frame):
        raise AssertionError(f"still at work after {seconds} s")

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
        assert peak <= max_bytes, f"held {peak} bytes at once, more than {max_bytes}"
    finally:
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
