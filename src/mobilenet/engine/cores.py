"""How many cores this process may use: the default number of threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_THREADS = 256
CGROUPS = "/sys/fs/cgroup"
MEMBERSHIP = "/proc/self/cgroup"
DEVICES = "/sys/devices"
BIG = 0.5
"""A core is big if it has at least this share of the fastest core's capacity."""


def cores_of_affinity() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_cores() -> int:
    """The least of three limits, from 1 to `MAX_THREADS`: the big cores that this process may run on (its affinity), the CPU
    quota of its control groups (``docker --cpus``, Kubernetes limits), and OMP_NUM_THREADS.

    A quota that is no whole number is rounded down, since a thread that has used up the quota makes the others wait.
    """
    from pathlib import Path

    limits = [big_cores(), MAX_THREADS, *(int(quota) for quota in _quotas(Path(CGROUPS), Path(MEMBERSHIP)))]
    return max(1, min([*limits, *threads_asked_for()]))


def big_cores() -> int:
    """The cores this process may run on, without the little ones beside them on phones, boards and laptops.

    The parts of a job are alike, so the others would wait for a little core's. Threads are not bound to cores: the system's
    scheduler moves the busy ones to the big cores.
    """
    if not hasattr(os, "sched_getaffinity"):
        return _performance_cores() or os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    return len(allowed - _little_cores(allowed)) or len(allowed)


def _little_cores(allowed: Iterable[int]) -> set[int]:
    """Linux says how fast cores are on ARM (``cpu_capacity``, 1024 for the fastest), and on Intel's hybrids which are Atoms."""
    capacities = dict[int, int]()
    for core in allowed:
        text = _read(f"{DEVICES}/system/cpu/cpu{core}/cpu_capacity").strip()
        if not text.isdecimal():
            return _listed(_read(f"{DEVICES}/cpu_atom/cpus"))
        capacities[core] = int(text)
    return {core for core, capacity in capacities.items() if capacity < BIG * max(capacities.values())}


def _listed(text: str) -> set[int]:
    """The numbers of ``0-3,8``. Empty for anything else."""
    found = set[int]()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            return set()
        found.update(range(int(first), int(last or first) + 1))
    return found


def _performance_cores() -> int:
    """macOS's count of cores of the fastest kind; 0 if there is only one kind, or on another system."""
    if sys.platform != "darwin":
        return 0
    import ctypes

    value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    failed = ctypes.CDLL(None).sysctlbyname(b"hw.perflevel0.logicalcpu", ctypes.byref(value), ctypes.byref(size), None, 0)
    return 0 if failed else value.value


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


def _read(path: Path | str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
