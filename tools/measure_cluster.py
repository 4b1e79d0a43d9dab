"""Kills a node, and then the driver, of a run on a local Ray cluster, and checks that every input is in the output once.

Two nodes of Ray run on this machine, one core each.

1. The node without the driver is killed with -9, all its processes, in mid-run; the run ends by itself.
2. The driver is killed with -9 in mid-run; the same command runs again.

python tools/measure_cluster.py --images 4000 --corrupt 20 --out results/cluster.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from measure_resume import write_images
from pyarrow import parquet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4_000)
    parser.add_argument("--corrupt", type=int, default=20)
    parser.add_argument("--part", type=int, default=50, help="inputs of a part")
    parser.add_argument("--model", default="imagenet")
    parser.add_argument("--out", type=Path, help="file of rows to append to")
    options = parser.parse_args()
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 200 * 2**20}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        bad = set(random.Random(0).sample(range(options.images), options.corrupt))
        write_images(folder, options.images, bad)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **memory})
        try:
            second = cluster.add_node(num_cpus=1, **memory)
            driver = Driver(folder, Path(name) / "killed_node", cluster.address, options)
            before = driver.wait_for(options.images // 4)
            kill_node(cluster, second)
            node = {"parts_before": before, **driver.finish(bad)}
            print("a node was killed:", node, flush=True)

            cluster.add_node(num_cpus=1, **memory)
            driver = Driver(folder, Path(name) / "killed_driver", cluster.address, options)
            before = driver.wait_for(options.images // 4)
            driver.process.kill()
            driver.process.wait()
            time.sleep(10)  # the driver's actors end when Ray has noticed
            again = Driver(folder, Path(name) / "killed_driver", cluster.address, options)
            restart = {"parts_before": before, **again.finish(bad)}
            print("the driver was killed:", restart, flush=True)
        finally:
            cluster.shutdown()
    row = {"date": date.today().isoformat(), "ray": version("ray"), "nodes": 2, "cores": os.cpu_count()}
    row |= {"load": round(os.getloadavg()[0], 1), "model": options.model, "images": options.images, "corrupt": options.corrupt}
    row |= {"part_size": options.part, "node_killed": node, "driver_killed": restart}
    print(json.dumps(row))
    if options.out is not None:
        with options.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


class Driver:
    """A process that calls `mobilenet.batch`."""

    def __init__(self, folder: Path, output: Path, address: str, options: argparse.Namespace) -> None:
        self.output, self.num_images, self.start = output, options.images, time.perf_counter()
        call = "import sys, mobilenet; print(mobilenet.batch(sys.argv[1], sys.argv[2], sys.argv[3], cluster=sys.argv[4], "
        call += "part_size=int(sys.argv[5]), top=1, resume=True, workers=2))"
        arguments = [str(folder), str(output), options.model, address, str(options.part)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", call, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for(self, num_images: int) -> int:
        """Until that many images are answered, about; the number of parts."""
        while self.process.poll() is None:
            if (number := self.num_rows()) >= num_images:
                return len(list(self.output.glob("part-*")))
            time.sleep(0.1)
        raise SystemExit(f"the run ended after {number} images, before the kill:\n{self.process.communicate()[1]}")

    def num_rows(self) -> int:
        return sum(parquet.read_metadata(path).num_rows for path in self.output.glob("part-*"))

    def finish(self, bad: set[int]) -> dict[str, object]:
        """Waits for the end, and counts how often every input is in the output."""
        _, errors = self.process.communicate(timeout=900)
        assert self.process.returncode == 0, errors[-3000:]
        seconds = round(time.perf_counter() - self.start, 1)
        rows = [row for path in sorted(self.output.glob("part-*")) for row in parquet.read_table(path).to_pylist()]
        names = [Path(row["input"]).name for row in rows]
        assert sorted(names) == sorted(f"{index:07}.png" for index in range(self.num_images)), "not every input once"
        assert {int(name[:7]) for name, row in zip(names, rows, strict=True) if row["error"] is not None} == bad
        return {
            "inputs": len(names),
            "distinct": len(set(names)),
            "failures": len(bad),
            "seconds": seconds,
        }


def kill_node(cluster: object, node: object) -> None:
    """All processes of a node at once, the actors first: a node that is ended in the usual way might hand over its work."""
    import psutil

    raylet = node.all_processes["raylet"][0].process  # type: ignore[attr-defined]
    workers = psutil.Process(raylet.pid).children(recursive=True)
    for process in [*workers, raylet]:
        os.kill(process.pid, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
