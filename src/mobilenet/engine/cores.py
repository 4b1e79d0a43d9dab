"""How many cores this process may use: the default number of threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_THREADS = 256
CGROUPS = "/sys/fs/cgroup"
MEMBERSHIP = "/proc/self/cgroup"


def cores_of_affinity() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_cores() -> int:
    """The least of three limits, from 1 to `MAX_THREADS`: the cores this process may run on (its affinity), the CPU quota
    of its control groups (``docker --cpus``, Kubernetes limits), and OMP_NUM_THREADS.

    A quota that is no whole number is rounded down, since a thread that has used up the quota makes the others wait.
    """
    from pathlib import Path

    limits = [cores_of_affinity(), MAX_THREADS, *(int(quota) for quota in _quotas(Path(CGROUPS), Path(MEMBERSHIP)))]
    return max(1, min([*limits, *threads_asked_for()]))


@cache
def threads_asked_for() -> tuple[int, ...]:
    """OMP_NUM_THREADS as it stood when this was first called, or nothing."""
    text = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # "4,2" is for nested parallel regions
    return (int(text),) if text.isdecimal() and int(text) > 0 else ()


def _quotas(root: Path, membership: Path) -> Iterator[float]:
    """Every CPU quota, in cores, of the groups that `membership` names and of the groups above them.

    Version 2 of control groups has one hierarchy and writes ``cpu.max`` ("max 100000" or "150000 100000"); version 1 has one
    hierarchy for each controller, and two files.
    """
    for line in _read(membership).splitlines():
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        if controllers == "":
            bases = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            bases = [root / controllers, root / "cpu"]
        else:
            continue
        for base in bases:
            group = base / path.strip().lstrip("/")
            for folder in (group, *group.parents):
                if not folder.is_relative_to(base):
                    break
                yield from _quota(folder)


def _quota(folder: Path) -> Iterator[float]:
    quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:  # version 1 writes -1 for no quota
        yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
