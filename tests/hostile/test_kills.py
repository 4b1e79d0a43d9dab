"""`kill -9` of fetch, convert and train at random moments loses nothing and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lightning_fabric")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

KILLS = Path(__file__).parents[1] / "support" / "kills.py"


def test_kills():
    """In a process of its own, as it forks."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(KILLS), "5", "--dry"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("'kills': 5") == 3
