"""What the tests share: the development data, random but lively weights, and the tolerance two runtimes may differ by."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.paths import ROOT
from support.weights import published_model

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C, and its children would too


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--published-images",
        type=int,
        default=0,
        help="photos for published integer models, at their own resolution (default: one small)",
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with development data, beside the project or in MOBILENET_SHARED; skips where there is none."""
    folder = Path(os.environ.get("MOBILENET_SHARED") or ROOT.parent / "shared")
    if not (folder / "data" / "README.md").is_file():
        pytest.skip(f"no development data in {folder}; set MOBILENET_SHARED to a folder that has it")
    return folder


@pytest.fixture(scope="session")
def imagenet():
    return published_model("imagenet")


@pytest.fixture(scope="session")
def coco():
    return published_model("coco")


@pytest.fixture(scope="session")
def voc_small():
    return published_model("voc-small")


@pytest.fixture
def one_thread():
    """Torch on one thread: on a machine with few and busy cores its threads wait for each other ten times as long."""
    try:
        import torch
    except ImportError:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
