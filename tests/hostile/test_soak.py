"""Long use: predictions, loads, threads and forks leave memory and file descriptors as they were.

The counts are small here; `python tools/measure_soak.py` runs 10,000 predictions, 300 loads, 16 threads and 30 forks.
"""

from __future__ import annotations

import sys

import measure_soak
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return dict(measure_soak.models(tmp_path_factory.mktemp("models")))


@pytest.mark.parametrize("numbers", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("work", "counts", "max_growth"),
    [
        (measure_soak.predictions, (200,), 3),
        (measure_soak.loads, (12,), 6),
        (measure_soak.threads_and_forks, (4, 2), 24),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_is_left(paths, numbers, work, counts, max_growth):
    found = work(paths[numbers], *counts)
    assert found["wrong"] == 0
    before, after = found["megabytes"]
    assert after - before <= max_growth
    assert found["descriptors"][1] <= found["descriptors"][0]
