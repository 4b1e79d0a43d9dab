"""What several tests of training share."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick_run(monkeypatch):
    """Runs draw no report, and compute on one thread."""
    import torch

    from mobilenet.training.run import report

    monkeypatch.setattr(report, "draw_run", lambda *_: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
