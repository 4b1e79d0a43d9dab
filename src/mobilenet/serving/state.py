"""What all handlers of one server share."""

from __future__ import annotations

from .bodies import Held
from .metrics import Metrics, resident_bytes
from .models import Models
from .pool import Pool
from .settings import Allowance


class State:
    """The models, the pool, the counters.

    Attributes:
        draining: whether the server was asked to end: it answers what comes, and says that it is not ready.
        num_connections: open ones.
    """

    def __init__(self, models: Models, allowance: Allowance, workers: int) -> None:
        self.models, self.allowance, self.metrics = models, allowance, Metrics()
        self.pool, self.held = Pool(workers, allowance.queue), Held(allowance.max_held_bytes)
        self.draining, self.num_connections = False, 0
        pool, gauge = self.pool, self.metrics.gauge
        gauge("mobilenet_queue_length", lambda: pool.num_waiting)
        gauge("mobilenet_queue_capacity", lambda: pool.queue)
        gauge("mobilenet_workers", lambda: pool.workers)
        gauge("mobilenet_workers_busy", lambda: pool.num_running)
        gauge("mobilenet_connections", lambda: self.num_connections)
        gauge("mobilenet_held_bytes", lambda: self.held.num_bytes)
        gauge("process_resident_memory_bytes", resident_bytes)
        gauge(
            "mobilenet_model_loaded_timestamp_seconds",
            lambda: {(("model", name),): served.loaded_at for name, served in models.items()},
        )

    async def reload(self, names: list[str]) -> None:
        """Loads models again, one by one, while others are answered."""
        import asyncio

        for name in names:
            worked = await asyncio.to_thread(self.models.reload, name)
            self.metrics.count("mobilenet_reloads_total", model=name, result="loaded" if worked else "failed")
