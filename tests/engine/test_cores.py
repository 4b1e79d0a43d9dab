"""The default number of threads: affinity, big and little cores, control groups, OMP_NUM_THREADS."""

from __future__ import annotations

import os

import pytest

from mobilenet.engine import cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch, tmp_path):
    """A process on eight cores, without a quota."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "self")
    monkeypatch.setattr(cores, "DEVICES", tmp_path / "devices")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores.threads_asked_for.cache_clear()
    yield
    cores.threads_asked_for.cache_clear()


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_affinity_alone():
    assert cores.available_cores() == 8


def write_capacities(tmp_path, *capacities):
    for core, capacity in enumerate(capacities):
        write(tmp_path / f"devices/system/cpu/cpu{core}/cpu_capacity", f"{capacity}\n")


@pytest.mark.parametrize(
    ("capacities", "expected"),
    [((1024,) * 8, 8), ((1024, 870, 870, 870, 330, 330, 330, 330), 4), ((446,) * 4 + (1024,) * 4, 4), ((512, 1024) * 4, 8),
     (("fast",) * 8, 8)],
)  # fmt: skip
def test_little_cores_of_arm_are_left_out(tmp_path, capacities, expected):
    write_capacities(tmp_path, *capacities)
    assert cores.available_cores() == expected


def test_little_cores_alone_are_used(tmp_path, monkeypatch):
    write_capacities(tmp_path, 1024, 1024, 1024, 1024, 300, 300, 300, 300)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {4, 5, 6})
    assert cores.available_cores() == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 4, 5, 6})
    assert cores.available_cores() == 1


@pytest.mark.parametrize(("atoms", "expected"), [("4-7\n", 4), ("2,4-7\n", 3), ("0-7\n", 8), ("\n", 8), ("some\n", 8)])
def test_little_cores_of_intel_are_left_out(tmp_path, atoms, expected):
    write(tmp_path / "devices/cpu_atom/cpus", atoms)
    assert cores.available_cores() == expected


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("1600000 100000", 8), ("", 8),
     ("nonsense", 8)],
)  # fmt: skip
def test_quota_of_version_2(tmp_path, quota, expected):
    write(tmp_path / "self", "0::/\n")
    write(tmp_path / "cgroup" / "cpu.max", quota)
    assert cores.available_cores() == expected


def test_the_strictest_group_above_counts(tmp_path):
    write(tmp_path / "self", "0::/pods/one/container\n")
    write(tmp_path / "cgroup/pods/cpu.max", "300000 100000")
    write(tmp_path / "cgroup/pods/one/container/cpu.max", "600000 100000")
    assert cores.available_cores() == 3


@pytest.mark.parametrize("controllers", ["cpu,cpuacct", "cpu"])
def test_quota_of_version_1(tmp_path, controllers):
    write(tmp_path / "self", f"7:memory:/docker/a\n4:{controllers}:/docker/a\n")
    folder = tmp_path / "cgroup" / controllers / "docker" / "a"
    write(folder / "cpu.cfs_quota_us", "400000\n")
    write(folder / "cpu.cfs_period_us", "100000\n")
    assert cores.available_cores() == 4
    write(folder / "cpu.cfs_quota_us", "-1\n")
    assert cores.available_cores() == 8


def test_nested_groups_of_version_1_beside_version_2(tmp_path):
    """Both hierarchies of a hybrid system count, and in each the groups above."""
    write(tmp_path / "self", "9:cpu,cpuacct:/pods/one\n1:name=systemd:/elsewhere\n0::/user/one\n")
    for group, quota in (("", "-1"), ("pods", "300000"), ("pods/one", "700000")):
        write(tmp_path / "cgroup" / "cpu,cpuacct" / group / "cpu.cfs_quota_us", quota)
        write(tmp_path / "cgroup" / "cpu,cpuacct" / group / "cpu.cfs_period_us", "100000")
    write(tmp_path / "cgroup/unified/user/cpu.max", "500000 100000")
    assert cores.available_cores() == 3
    write(tmp_path / "cgroup/unified/user/cpu.max", "220000 100000")
    assert cores.available_cores() == 2
    write(tmp_path / "self", "9:cpu,cpuacct:/pods/../../outside\n")
    assert cores.available_cores() >= 1


def test_a_path_that_the_container_cannot_see(tmp_path):
    """With version 1 a container reads the host's path, which does not exist inside; the group's root is its own."""
    write(tmp_path / "self", "4:cpu:/docker/0123\n")
    write(tmp_path / "cgroup/cpu/cpu.cfs_quota_us", "200000")
    write(tmp_path / "cgroup/cpu/cpu.cfs_period_us", "100000")
    assert cores.available_cores() == 2


@pytest.mark.parametrize(("wish", "expected"), [("3", 3), ("64", 8), ("2,4", 2), ("0", 8), ("many", 8), ("", 8)])
def test_omp_num_threads(monkeypatch, wish, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", wish)
    assert cores.available_cores() == expected


def test_numpy_is_limited_and_the_engine_keeps_its_cores():
    """`limit_numpy` writes OMP_NUM_THREADS for numpy; that must not be taken for the user's wish."""
    from mobilenet.runtimes import backends

    before = {name: os.environ.get(name) for name in backends.NUMPY_THREADS}
    try:
        backends.limit_numpy("native", 1)
        assert os.environ["OMP_NUM_THREADS"] == "1"
        assert backends.default_threads() == 8
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
