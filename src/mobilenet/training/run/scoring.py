"""A network's score on the validation images, shared out over all processes, no image counted twice.

Images go through the model file's preprocessing, outputs through the decoder that the predictor uses, and results into the
metrics that ``mobilenet evaluate`` computes, so the score in the log is the one that the model file will get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric

from ...analysis.analysis import Analysis
from ...analysis.study import Case, Study
from ...nn import TorchNetwork
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
        analysis: the figures of each class and more.
        worst, samples: some images with their answers.
    """

    metrics: Metrics
    images: int
    failed: list[str]
    analysis: Analysis
    worst: list[Case] = field(default_factory=list, repr=False)
    samples: list[Case] = field(default_factory=list, repr=False)


def evaluate_network(
    fabric: Fabric,
    net: TorchNetwork,
    objective: Objective[Any],
    dataset: Dataset,
    workers: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Evaluation | None:
    """The score of `net`, in float32, on all of `dataset`, the same on every process; None if `stopped` is true on any.

    Collective: every process must call it. Raises ImagesLost if more than half of the images cannot be read.
    """
    was_training = net.training
    outputs_of = net.eval().taps(*net.network.outputs)
    metric, indices, failed = objective.metric(dataset), list[int](), list[str]()
    study = Study(dataset.records, objective.background)
    settings = LoaderSettings(
        SCORING_BATCH * fabric.world_size, workers, rank=fabric.global_rank, world=fabric.world_size, device=fabric.device
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
                study.add(index, result, truth)
    net.train(was_training)
    shares = gather(fabric, (stopped(), metric.state(), study.state(), indices, failed))
    if any(stop for stop, *_ in shares):
        return None
    whole, study = objective.metric(dataset), Study(dataset.records, objective.background)
    for _, state, studied, *_ in shares:
        whole.merge(state)
        study.merge(studied)
    scored = [index for *_, share, _ in shares for index in share]
    assert len(scored) == len(set(scored))
    failed = sorted({reason for *_, reasons in shares for reason in reasons})
    if len(scored) * 2 < len(dataset):
        first = failed[0] if failed else "no reason given"
        raise ImagesLost(f"only {len(scored)} of {len(dataset)} images can be read ({first}); is the data still there?")
    return Evaluation(whole.metrics(), len(scored), failed, study.analysis(whole), study.worst, study.samples)
