"""A network's score on the validation pictures, spread over all processes, no picture counted twice.

Pictures go through the model file's own preprocessing, answers through the predictor's own decoding, both into the scores
that ``mobilenet evaluate`` uses: what is logged here is what the model file will be found to reach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from ...nn import TorchNetwork
from ...tasks.metrics import Metrics
from ...tasks.results import Classification
from ..input import Dataset, ImagesLost, Loader, LoaderSettings
from ..objectives import Objective
from .distributed import gather

SCORING_BATCH = 64  # of each process


@dataclass
class Scored:
    """`metrics` over `images` pictures; `failed` names every other one, with the reason.

    `pairs`: of a classifier, (truth, answer) of every picture.
    """

    metrics: Metrics
    images: int
    failed: list[str] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list, repr=False)

    def confusion(self, classes: int) -> NDArray[np.int64]:
        """(K, K): pictures by truth (row) and answer (column)."""
        table = np.zeros((classes, classes), np.int64)
        np.add.at(table, tuple(np.array(self.pairs, np.int64).reshape(-1, 2).T), 1)
        return table


def score(
    fabric: Fabric,
    net: TorchNetwork,
    task: Objective,
    dataset: Dataset,
    workers: int,
    stopped: Callable[[], bool] = lambda: False,
    batch: int = SCORING_BATCH,
) -> Scored | None:
    """The score of `net`, in float32, on all of `dataset`, the same on every process.

    None where some process was asked to stop (`stopped`). Raises ImagesLost where more than half of the pictures cannot be
    read.
    """
    training = net.training
    named = net.eval().taps(*net.network.outputs)
    mine, indices, failed, pairs = task.score(dataset), list[int](), list[str](), list[tuple[int, int]]()
    with torch.inference_mode():
        settings = LoaderSettings(
            batch * fabric.world_size, workers, rank=fabric.global_rank, world=fabric.world_size, device=fabric.device
        )
        for samples in Loader(dataset, None, task.preprocessing, settings):
            if stopped():
                break
            outputs = {name: value.float().cpu().numpy() for name, value in named(samples["image"]).items()}
            indices += samples["index"].tolist()
            failed += [f"{name}: {reason}" for name, reason in samples["failed"]]
            for number, index in enumerate(samples["index"].tolist()):
                rows, columns = samples["size"][number]
                result = task.decode(outputs, number, (columns, rows))
                truth = task.truth(samples["target"][number], index)
                mine.add(result, truth)
                if isinstance(result, Classification):
                    pairs.append((truth, int(result.scores.argmax())))
    net.train(training)
    everyone = gather(fabric, (stopped(), mine.state(), indices, failed, pairs))
    if any(asked for asked, *_ in everyone):
        return None
    whole = task.score(dataset)
    for _, state, *_ in everyone:
        whole.merge(state)
    counted = [index for _, _, found, *_ in everyone for index in found]
    assert len(counted) == len(set(counted))
    failed = sorted({reason for *_, reasons, _ in everyone for reason in reasons})
    if len(counted) * 2 < len(dataset):
        first = failed[0] if failed else "no reason given"
        raise ImagesLost(f"only {len(counted)} of {len(dataset)} pictures can be read ({first}); is the data still there?")
    return Scored(whole.metrics(), len(counted), failed, [pair for *_, found in everyone for pair in found])
