"""Compiles the core for AArch64 and runs its native tests in an emulator: python native/tests/arm.py [PROCESSOR ...]

The kernels are held against plain loops, as on every processor: float32 to the bit with fused multiply-adds, integers
exactly. An emulator's times say nothing of a processor's speed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "arm"
COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
PROCESSORS = {"cortex-a53": "neon", "cortex-a76": "neondot", "max": "neoni8mm"}
"""Models of the emulator, and the best instruction set that the core must find on each."""

TESTS = ("vectors", "kernels", "kernels_i8", "kernels_bf16", "weights_i8", "programs", "detections")
"""Not `workers` and `faults`: the emulator's own code fails when a process with threads forks, and limits no memory."""


def build() -> None:
    configure = ["cmake", "-S", ROOT, "-B", FOLDER, "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    options = [f"-DCMAKE_CXX_COMPILER={COMPILER}", "-DCMAKE_EXE_LINKER_FLAGS=-static", "-DMOBILENET_NATIVE_TESTS=ON"]
    targets = [f"native_{test}" for test in TESTS]
    for command in ([*configure, *options], ["cmake", "--build", FOLDER, "-j", str(os.cpu_count()), "--target", *targets]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run(processor: str) -> None:
    """Every native test on one processor. Raises SystemExit if one fails, or if the core takes other kernels than it should."""
    for test in TESTS:
        command = [EMULATOR, "-cpu", processor, FOLDER / f"native_{test}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{processor}: {test} failed with status {done.returncode}\n{done.stdout}{done.stderr}")
        if test == "kernels_i8":
            best = done.stdout.split("\n")[-2].partition(":")[0]
            if best != PROCESSORS[processor]:
                sys.exit(f"{processor}: the core's best instruction set is {best}, expected {PROCESSORS[processor]}")
    print(f"{processor}: {len(TESTS)} native tests passed, up to {PROCESSORS[processor]}", flush=True)


def main(processors: list[str]) -> None:
    if unknown := [name for name in processors if name not in PROCESSORS]:
        sys.exit(f"no model here is called {unknown[0]!r}; known: {', '.join(PROCESSORS)}")
    if missing := [tool for tool in ("cmake", COMPILER, EMULATOR) if shutil.which(tool) is None]:
        print(f"skipped: {', '.join(missing)} is not installed (Debian: cmake g++-aarch64-linux-gnu qemu-user)")
        return
    build()
    for processor in processors or PROCESSORS:
        run(processor)


if __name__ == "__main__":
    main(sys.argv[1:])
