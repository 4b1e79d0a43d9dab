"""Kills ``mobilenet predict --resume`` with -9 three times at random, then checks that every input is in the output once, and
adds a row to results/resume.jsonl.

    python tools/measure_resume.py --images 100000 --corrupt 50
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from mobilenet.bench import history

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--corrupt", type=int, default=50)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--model", default="imagenet", help="its name or file")
    parser.add_argument("--dry", action="store_true", help="only print the row")
    options = parser.parse_args()
    chance, killed_after = random.Random(0), list[int]()
    with tempfile.TemporaryDirectory() as name:
        folder, output = Path(name) / "images", Path(name) / "answers.jsonl"
        bad = set(chance.sample(range(options.images), options.corrupt))
        write_images(folder, options.images, bad)
        command = [sys.executable, "-m", "mobilenet", "predict", str(folder), "--model", options.model]
        command += ["--top", "1", "--output", str(output), "--resume"]
        start = time.perf_counter()
        for share in sorted(chance.random() for _ in range(options.kills)):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and count(output) < share * options.images:
                time.sleep(0.05)
            process.kill()
            process.wait()
            killed_after.append(count(output))
            print(f"killed after {killed_after[-1]:,} lines", flush=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        entries = [json.loads(line) for line in output.read_text().splitlines()]
    assert done.returncode in (0, 1), done.stderr
    names = [Path(entry["input"]).name for entry in entries]
    assert sorted(names) == sorted(f"{index:07}.png" for index in range(options.images))
    assert {int(name[:7]) for name, entry in zip(names, entries, strict=True) if "error" in entry} == bad
    seconds = time.perf_counter() - start
    print(f"{len(names):,} inputs, each once, {len(bad)} of them failures, {options.kills} kills, {seconds:.0f} s")
    row = {**history.origin(ROOT), "images": len(names), "failures": len(bad), "killed_after": killed_after, "each_once": True}
    if not options.dry:
        history.append(ROOT, "resume", [{**row, "model": Path(options.model).name, "seconds": round(seconds)}])


def write_images(folder: Path, number: int, bad: set[int]) -> None:
    """Tiny images in folders of 1,000; the `bad` ones are cut short."""
    for index in range(number):
        path = folder / f"{index // 1000:04}" / f"{index:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (index % 256, index // 256 % 256, 0)).save(path)
        if index in bad:
            path.write_bytes(path.read_bytes()[:40])


def count(path: Path) -> int:
    if not path.exists():
        return 0
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


if __name__ == "__main__":
    main()
