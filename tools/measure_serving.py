"""``mobilenet serve`` under load: rows in results/serving.jsonl.

    python tools/measure_serving.py --data ../shared/data/imagenet100
    python tools/measure_serving.py --data ../shared/data/imagenet100 --overload 600

For each number of clients: milliseconds of an answer (median and 99th percentile) and images per second, for this engine and
for the same server with another backend, in turns. `--shapes` compares ways to use the cores: workers x threads, and images in
one batch. `--overload` keeps many times more clients than the server answers at once: every request must get an answer (200, or
429 at once), and the server's memory must stay flat.
The clients are threads of this process, on the same machine: they take time from the server, the same for each row.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure_memory import family

import mobilenet
from mobilenet import Predictor
from mobilenet.bench import history

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with images")
    parser.add_argument("--model", default="imagenet")
    parser.add_argument("--backend", action="append", help="of the server; may be given again (default: native, onnxruntime)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=10.0, help="for one number of clients")
    parser.add_argument("--rounds", type=int, default=3, help="turns of all rows; the best rate of a row counts")
    parser.add_argument("--shapes", action="store_true", help="compare workers, threads and batches instead")
    parser.add_argument("--overload", type=float, metavar="SECONDS", help="overload the server for so long instead")
    parser.add_argument("--dry", action="store_true", help="only print the rows")
    options = parser.parse_args()
    images = [path.read_bytes() for path in sorted(options.data.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")][:100]
    if not images:
        raise SystemExit(f"{options.data}: no JPEG in it")
    if options.overload:
        rows = [overload(options.model, images, options.overload)]
    elif options.shapes:
        rows = shapes(options.model, options.rounds)
    else:
        backends = options.backend or ["native", "onnxruntime"]
        rows = throughput(options.model, backends, images, options.clients, options.seconds, options.rounds)
    for row in rows:
        print(json.dumps(row), flush=True)
    if not options.dry:
        history.append(ROOT, "serving", [{**history.origin(ROOT), **row} for row in rows])


@contextmanager
def server(*arguments: str) -> Iterator[tuple[str, int, int]]:
    """(host, port, process id) of a server of the command line."""
    command = [sys.executable, "-m", "mobilenet", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        seen = []
        while line := process.stderr.readline():
            seen.append(line)
            if match := re.search(r"http://(\S+):(\d+) serves", line):
                yield match[1], int(match[2]), process.pid
                return
        raise SystemExit("".join(seen))
    finally:
        process.terminate()
        process.wait(60)


class Load:
    """What clients of one kind got.

    Attributes:
        seconds: of each answer with status 200. statuses: how many answers had each; 0 stands for a connection that ended
            without an answer. refused_seconds: of each answer with status 429.
    """

    def __init__(self, host: str, port: int, model: str, images: Sequence[bytes]) -> None:
        self.host, self.port, self.path, self.images = host, port, f"/v1/models/{model}/predict", images
        self.seconds, self.refused_seconds, self.statuses = list[float](), list[float](), Counter[int]()
        self.lock = threading.Lock()

    def run(self, num_clients: int, seconds: float, waits: bool = True) -> float:
        """Asks without pause for so many seconds. Returns the seconds until the last answer.

        Args:
            waits: whether a client that is refused waits a moment, as Retry-After asks for, but shorter.
        """
        start = time.perf_counter()
        end = start + seconds
        threads = [threading.Thread(target=self.client, args=(number, end, waits)) for number in range(num_clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - start

    def client(self, number: int, end: float, waits: bool) -> None:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        while (start := time.perf_counter()) < end:
            image = self.images[number % len(self.images)]
            number += 7
            try:
                connection.request("POST", self.path, image, {"Content-Type": "image/jpeg"})
                response = connection.getresponse()
                response.read()
                status = response.status
            except (OSError, http.client.HTTPException):
                connection.close()
                status = 0
            with self.lock:
                self.statuses[status] += 1
                if status in (200, 429):
                    (self.seconds if status == 200 else self.refused_seconds).append(time.perf_counter() - start)
            if status == 429 and waits:
                time.sleep(0.05)
        connection.close()

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        return round(1e3 * float(np.quantile(self.seconds, share)), 2)


def throughput(
    model: str, backends: Sequence[str], images: Sequence[bytes], clients: Sequence[int], seconds: float, rounds: int
) -> list[dict[str, Any]]:
    best: dict[tuple[str, int], dict[str, Any]] = {}
    for _ in range(rounds):
        for backend in backends:
            with server(model, "--backend", backend, "--queue", "64") as (host, port, process):
                Load(host, port, model, images).run(2, 1.0)  # caches and the allocator are warm
                for number in clients:
                    load = Load(host, port, model, images)
                    spent = load.run(number, seconds)
                    rate = round(len(load.seconds) / spent, 1)
                    times = {"p50_ms": load.percentile(0.5), "p99_ms": load.percentile(0.99)}
                    row = {"kind": "load", "model": model, "backend": backend, "clients": number, "images_per_second": rate}
                    row |= {
                        **times,
                        "statuses": dict(load.statuses),
                        "memory_bytes": memory(process),
                        "load": os.getloadavg()[0],
                    }
                    if rate > best.get((backend, number), {"images_per_second": 0})["images_per_second"]:
                        best[backend, number] = row
    return list(best.values())


def overload(model: str, images: Sequence[bytes], seconds: float) -> dict[str, Any]:
    """64 clients that do not wait, before a queue of 8."""
    with server(model, "--queue", "8") as (host, port, process):
        load, memories = Load(host, port, model, images), list[int]()
        load.run(4, min(seconds, 5.0))
        load = Load(host, port, model, images)
        running = threading.Thread(target=load.run, args=(64, seconds, True))
        running.start()
        while running.is_alive():
            memories.append(memory(process))
            running.join(max(seconds / 40, 0.2))
        quarter = max(len(memories) // 4, 1)
        connection = http.client.HTTPConnection(host, port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    counted = re.search(r"^mobilenet_refused_total (\d+)", text, re.MULTILINE)
    refused = load.statuses[429]
    return {
        "kind": "overload", "model": model, "clients": 64, "queue": 8, "seconds": seconds,
        "requests": sum(load.statuses.values()), "answered": load.statuses[200], "refused": refused,
        "refused_as_counted": int(counted[1]) if counted else None, "lost": load.statuses[0],
        "statuses": dict(load.statuses), "p50_ms": load.percentile(0.5), "p99_ms": load.percentile(0.99),
        "refused_p99_ms": round(1e3 * float(np.quantile(load.refused_seconds, 0.99)), 2) if refused else None,
        "memory_first_quarter": round(median(memories[:quarter])), "memory_last_quarter": round(median(memories[-quarter:])),
        "memory_most": max(memories), "load": os.getloadavg()[0],
    }  # fmt: skip


def shapes(model: str, rounds: int) -> list[dict[str, Any]]:
    """Images per second of the network alone: workers that run one image each on some threads, or batches on all of them."""
    from mobilenet.engine.cores import available_cores

    cores = available_cores()
    cases = sorted({(cores, 1, 1), (1, cores, 1), (1, cores, 4), (1, cores, 16), (cores, 1, 8)})
    best: dict[tuple[int, int, int], float] = {}
    predictors = {threads: mobilenet.load(model, threads=threads) for threads in {case[1] for case in cases}}
    for _ in range(rounds):
        for workers, threads, batch in cases:
            rate = network_rate(predictors[threads], workers, batch)
            best[workers, threads, batch] = max(best.get((workers, threads, batch), 0.0), rate)
    return [
        {"kind": "shape", "model": model, "workers": w, "threads": t, "batch": b, "images_per_second": round(rate, 1),
         "load": os.getloadavg()[0]}
        for (w, t, b), rate in best.items()
    ]  # fmt: skip


def network_rate(predictor: Predictor, workers: int, batch: int) -> float:
    """Images per second of so many threads that call the network with batches."""
    images = np.zeros((batch, 3, *predictor.model.preprocessing.size), np.float32)
    count = max(200 // batch, 4)

    def call(_: int) -> None:
        predictor.runtime(images)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(call, range(workers)))
        start = time.perf_counter()
        list(pool.map(call, range(count)))
        return count * batch / (time.perf_counter() - start)


def memory(process: int) -> int:
    """Bytes that a process and its children have in memory now."""
    total = 0
    for each in family(process):
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text())
        total += 1024 * int(match[1]) if match else 0
    return total


if __name__ == "__main__":
    main()
