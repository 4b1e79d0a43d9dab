"""A network's score on the validation images, shared out over all processes, no image counted twice.

Images go through the model file's preprocessing, outputs through the decoder that the predictor uses, and results into the
metrics that ``mobilenet evaluate`` computes, so the score in the log is the one that the model file will get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ...nn import TorchNetwork
from ...tasks.classification import Classification
from ...tasks.metrics import Metrics
from ..input import Dataset, ImagesLost, Loader, LoaderSettings
from ..objectives import Objective
from .distributed import gather

SCORING_BATCH = 64  # of each process


@dataclass
class Evaluation:
    """The score of a network.

    Attributes:
        images: number of images scored.
        failed: the names of all others, with the reason.
        pairs: of a classifier, (true class, predicted class) of every image.
    """

    metrics: Metrics
    images: int
    failed: list[str] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list, repr=False)

    def confusion(self, classes: int) -> NDArray[np.int64]:
        """(K, K): number of images by true class (row) and predicted class (column)."""
        table = np.zeros((classes, classes), np.int64)
        np.add.at(table, tuple(np.array(self.pairs, np.int64).reshape(-1, 2).T), 1)
        return table


def evaluate_network(
    fabric: Fabric,
    net: TorchNetwork,
    objective: Objective[Any],
    dataset: Dataset,
    workers: int,
    stopped: Callable[[], bool] = lambda: False,
    batch: int = SCORING_BATCH,
) -> Evaluation | None:
    """The score of `net`, in float32, on all of `dataset`, the same on every process; None if `stopped` is true on any.

    Collective: every process must call it. Raises ImagesLost if more than half of the images cannot be read.
    """
    was_training = net.training
    outputs_of = net.eval().taps(*net.network.outputs)
    metric, indices, failed, pairs = objective.metric(dataset), list[int](), list[str](), list[tuple[int, int]]()
    settings = LoaderSettings(
        batch * fabric.world_size, workers, rank=fabric.global_rank, world=fabric.world_size, device=fabric.device
    )
    with torch.inference_mode():
        for samples in Loader(dataset, None, objective.preprocessing, settings):
            if stopped():
                break
            outputs = {name: value.float().cpu().numpy() for name, value in outputs_of(samples["image"]).items()}
            indices += samples["index"].tolist()
            failed += [f"{name}: {reason}" for name, reason in samples["failed"]]
            for number, index in enumerate(samples["index"].tolist()):
                height, width = samples["size"][number]
                result = objective.decode(outputs, number, (width, height))
                truth = objective.truth(samples["target"][number], index)
                metric.add(result, truth)
                if isinstance(result, Classification):
                    pairs.append((truth, int(result.scores.argmax())))
    net.train(was_training)
    shares = gather(fabric, (stopped(), metric.state(), indices, failed, pairs))
    if any(stop for stop, *_ in shares):
        return None
    whole = objective.metric(dataset)
    for _, state, *_ in shares:
        whole.merge(state)
    scored = [index for _, _, share, *_ in shares for index in share]
    assert len(scored) == len(set(scored))
    failed = sorted({reason for *_, reasons, _ in shares for reason in reasons})
    if len(scored) * 2 < len(dataset):
        first = failed[0] if failed else "no reason given"
        raise ImagesLost(f"only {len(scored)} of {len(dataset)} images can be read ({first}); is the data still there?")
    return Evaluation(whole.metrics(), len(scored), failed, [pair for *_, share in shares for pair in share])
