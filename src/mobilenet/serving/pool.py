"""The threads that answer, and the bounded queue before them.

The engine, Pillow and zlib release the interpreter's lock, so threads use all cores. One image on one thread in each worker was
measured to give the most images per second; see docs/serve.md.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from .settings import RequestError

T = TypeVar("T")

SMOOTHING = 0.1
"""The weight of the newest job in the mean time of a job."""


class Pool:
    """Runs jobs on `workers` threads. At most `queue` jobs wait; one more is refused at once, so that nobody waits long.

    All methods belong to the event loop's thread.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self.workers, self.queue = workers, queue
        self.num_pending, self.mean_seconds = 0, 0.0
        self.executor = ThreadPoolExecutor(workers, "mobilenet-serve")

    @property
    def num_waiting(self) -> int:
        return max(self.num_pending - self.workers, 0)

    @property
    def num_running(self) -> int:
        return min(self.num_pending, self.workers)

    def refuse_if_full(self) -> None:
        """RequestError 429 if there is no place in the queue."""
        if self.num_pending < self.workers + self.queue:
            return
        seconds = max(math.ceil(self.num_pending * self.mean_seconds / self.workers), 1)
        raise RequestError(
            429,
            f"{self.num_waiting} requests wait already, and no more may; ask again in {seconds} s, or start the server with "
            "a longer --queue",
            retry_seconds=seconds,
        )

    async def run(self, job: Callable[[], T]) -> T:
        """The job's result. A caller that is cancelled takes a job that waits with it; one that runs goes on to its end.

        Raises RequestError 429 if the queue is full, or what the job raises.
        """
        self.refuse_if_full()
        loop = asyncio.get_running_loop()
        self.num_pending += 1

        def timed() -> tuple[T, float]:
            start = time.perf_counter()
            return job(), time.perf_counter() - start

        def done(future: Future[tuple[T, float]]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self.count, future)

        try:
            future = self.executor.submit(timed)
        except RuntimeError:  # shut down
            self.num_pending -= 1
            raise RequestError(503, "the server is ending; ask another one", retry_seconds=1) from None
        future.add_done_callback(done)
        result, _ = await asyncio.wrap_future(future)
        return result

    def count(self, future: Future[tuple[T, float]]) -> None:
        self.num_pending -= 1
        if not future.cancelled() and future.exception() is None:
            seconds = future.result()[1]
            share = SMOOTHING if self.mean_seconds else 1.0
            self.mean_seconds += share * (seconds - self.mean_seconds)

    def close(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)
