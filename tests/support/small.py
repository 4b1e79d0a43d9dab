"""A model file small enough to damage byte by byte."""

from __future__ import annotations

from dataclasses import replace

from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.network.mobilenet import mobilenet_v1
from support.weights import random_tensors


def small(**changes) -> ModelFile:
    network = mobilenet_v1(0.25, 32, classes=3)
    model = ModelFile(
        network=network,
        tensors=random_tensors(network),
        labels=("cat", "dög", "a, b"),
        preprocessing=Preprocessing(size=(32, 32), fit="squash"),
        label_ids=("n1", "n2", "n3"),
        background=1,
        provenance={"source": "test", "licence": "Apache-2.0"},
        metrics={"top1": 0.5},
    )
    return replace(model, **changes)
