"""Runs a target on one input after the other and keeps each that fails, once for each place in the code."""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

import targets

STATUS = Path("/proc/self/status")
MAX_SECONDS = 10  # of one input; honest ones take milliseconds
MAX_GROWTH = 400 * 2**20  # bytes by which one input may raise the process's peak


def peak() -> int:
    """The most bytes that this process has held; getrusage's is at least that of the process which started this one."""
    for line in STATUS.read_text().splitlines() if STATUS.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Watch:
    """Call it with an input. A failure is stored in `folder` and reported on stderr, and does not end the run."""

    def __init__(self, target: targets.Target, folder: Path) -> None:
        self.target, self.folder, self.failures = target, folder, dict[str, Path]()
        folder.mkdir(parents=True, exist_ok=True)
        self.scratch = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)

    def __call__(self, data: bytes) -> None:
        before, start = peak(), time.process_time()
        try:
            targets.check(self.target, data, Path(self.scratch.name))
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            self._fail(data, f"{type(error).__name__} {frame.filename}:{frame.lineno}", traceback.format_exc(limit=-6))
        seconds = time.process_time() - start
        if seconds > MAX_SECONDS:
            self._fail(data, "time", f"took {seconds:.1f} s")
        grown = peak() - before
        if grown > MAX_GROWTH:
            self._fail(data, "memory", f"raised the peak by {grown / 2**20:.0f} MiB")

    def _fail(self, data: bytes, place: str, report: str) -> None:
        if place not in self.failures:
            path = self.folder / hashlib.sha256(data).hexdigest()[:16]
            path.write_bytes(data)
            self.failures[place] = path
            print(f"FAILURE {self.target.name} {path}\n{report}", file=sys.stderr, flush=True)
