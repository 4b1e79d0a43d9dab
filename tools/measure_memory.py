"""Peak memory of ``mobilenet predict`` on folders of 200 to 20,000 images: one row in results/memory.jsonl for each.

    python tools/measure_memory.py --data ../shared/data/imagenet100

The peak is the kernel's VmHWM, of all processes of the command. Images are links to those of the data, so they have real sizes.
A small network runs: what must not grow is what stands around it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mobilenet import modelfile
from mobilenet.bench import history
from mobilenet.images.preprocessing import IMAGENET_TORCHVISION
from mobilenet.modelfile import ModelFile
from mobilenet.network.mobilenet import mobilenet_v2

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with images, which are linked again and again")
    parser.add_argument("--images", type=int, nargs="+", default=[200, 2000, 20_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="only print the rows")
    options = parser.parse_args()
    sources = sorted(path for path in options.data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model.safetensors"
        modelfile.write(small_model(), model)
        for number in options.images:
            folder = Path(name) / str(number)
            folder.mkdir()
            for index in range(number):
                os.symlink(sources[index % len(sources)].resolve(), folder / f"{index:06}.jpg")
            command = [sys.executable, "-m", "mobilenet", "predict", str(folder), "--model", str(model), "--format", "jsonl"]
            peak = peak_bytes([*command, "--workers", str(options.workers)])
            row = {**history.origin(ROOT), "images": number, "workers": options.workers, "peak_bytes": peak}
            print(f"{number:,} images: {peak / 2**20:.1f} MiB", flush=True)
            if not options.dry:
                history.append(ROOT, "memory", [row])


def small_model() -> ModelFile:
    network = mobilenet_v2(0.35, 224, classes=1000)
    generator = np.random.default_rng(0)
    tensors = {name: generator.uniform(0.01, 0.1, shape).astype(np.float32) for name, shape in network.tensors().items()}
    return ModelFile(network, tensors, tuple(f"class {index}" for index in range(1000)), IMAGENET_TORCHVISION)


def peak_bytes(command: list[str]) -> int:
    """The sum of the peaks of the command's process and of all that it starts, each as last seen."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for child in family(process.pid):
            peaks[child] = max(peaks.get(child, 0), peak_of(child))
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{command}: status {process.returncode}")
    return sum(peaks.values())


def family(process: int) -> list[int]:
    """The process, its children, and theirs."""
    found = [process]
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        found += [each for child in path.read_text().split() for each in family(int(child))]
    return found


def peak_of(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


if __name__ == "__main__":
    main()
