"""Work on many items in several threads, results in the order of the items, memory bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Condition, Lock, Semaphore, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

WINDOW = 64
"""Results for each worker that may wait for an earlier one. They are small: an answer, no image."""


class Ordered(Generic[T, U]):
    """Calls `work` for each item in `num_workers` threads and yields the results in the order of the items.

    A worker takes the next item when it is free, and no worker runs further ahead than `WINDOW` allows: a slow reader of the
    results stops the work, and the items are never listed far ahead. An exception of `work`, or of the items, is raised where
    the result would come.
    """

    def __init__(self, work: Callable[[T], U], items: Iterator[T], num_workers: int) -> None:
        self.work, self.items = work, items
        self.num_workers = num_workers
        self.results: dict[int, tuple[U | None, BaseException | None]] = {}
        self.changed, self.listing, self.window = Condition(), Lock(), Semaphore(WINDOW * num_workers)
        self.num_listed = self.num_busy = 0
        self.ended = self.stopped = False

    def __iter__(self) -> Iterator[U]:
        for index in range(self.num_workers):
            Thread(target=self._run, name=f"mobilenet-predict-{index}", daemon=True).start()
        num_given = 0
        try:
            while True:
                with self.changed:
                    while num_given not in self.results and not (self.ended and num_given == self.num_listed):
                        self.changed.wait()
                    if num_given not in self.results:
                        return
                    result, error = self.results.pop(num_given)
                if error is not None:
                    raise error
                yield result  # type: ignore[misc]  # None only beside an error
                num_given += 1
                self.window.release()
        finally:
            self._stop()

    def _stop(self) -> None:
        """Waits for calls of `work` to end, so that no file stays half written, but not for a worker that waits for an item."""
        with self.changed:
            self.stopped = True
            while self.num_busy:
                self.changed.wait()
        self.window.release(self.num_workers)

    def _run(self) -> None:
        while True:
            self.window.acquire()
            with self.listing:
                if self.ended or self.stopped:
                    return
                error: BaseException | None = None
                try:
                    item = next(self.items)
                except StopIteration:
                    self._end()
                    return
                except BaseException as caught:
                    error = caught
                with self.changed:
                    if self.stopped:
                        return
                    index = self.num_listed
                    self.num_listed += 1
                    if error is not None:
                        self.results[index] = None, error
                        self.ended = True
                        self.changed.notify_all()
                        return
                    self.num_busy += 1
            result: U | None = None
            try:
                result = self.work(item)
            except BaseException as caught:
                error = caught
            with self.changed:
                self.results[index] = result, error
                self.num_busy -= 1
                self.changed.notify_all()

    def _end(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify_all()
