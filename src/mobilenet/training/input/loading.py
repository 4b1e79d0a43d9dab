"""Batches: which samples, in which order, on which process; changed, collated, normalised. Repeatable in every respect.

Letters: N samples of a batch on this process, H and W the input's, K classes.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypedDict, cast

import torch
import torch.utils.data
from torch import Tensor

from ...data.dataset import Dataset, PicturesLost, Target, derived_seed
from ...images.preprocessing import Preprocessing
from .augment import Augmentation, ClassificationAugmentation, check_task, drawing_from, evaluation, training
from .mix import mix, mixes

Draw = tuple[int, int]
"""Index of a sample, and how often the epoch had it before: another time it is changed otherwise."""

ORDER, CHANGE, MIX = 0, 1, 2
"""What random numbers are for; each purpose has a stream of its own."""


class Batch(TypedDict):
    """What a loader gives.

    image: (N, 3, H, W) float32 on the loader's device, normalised as the preprocessing says.
    target: classification: (N,) int64, or (N, K) float32 that sum to 1 where pictures are mixed. Detection: N of
        `DetectionTarget`, as plain tensors. Segmentation: (N, H, W) uint8. In training they fit the image; in evaluation they
        are the original's, boxes in its pixels and masks (a list of N) of its size. On the loader's device in training.
    index: (N,) int64, of the samples in the dataset.
    size: N of (height, width) of the pictures before any change.
    failed: (name, reason) of the pictures that could not be read.
    """

    image: Tensor
    target: Any
    index: Tensor
    size: list[tuple[int, int]]
    failed: list[tuple[str, str]]


def loader(
    dataset: Dataset,
    augmentation: Augmentation | None,
    preprocessing: Preprocessing,
    batch: int,
    workers: int,
    seed: int,
    epoch: int,
    rank: int = 0,
    world: int = 1,
    drop_last: bool = False,
    skip: int = 0,
    *,
    channels_last: bool = False,
    balanced: bool = False,
    device: torch.device | str = "cpu",
) -> Loader:
    """The batches of one epoch, of this process.

    What the batches hold depends on (dataset, augmentation, preprocessing, batch, seed, epoch) alone: the random change of
    a sample on (seed, epoch, index), the order and the mixing on (seed, epoch). Workers, `skip` and `world` only divide
    the same work: the batches of all processes, put together by rank, are those of one process.

    Args:
        dataset: where the samples come from.
        augmentation: for training: random order, random changes. None is evaluation: every sample once, in order, as the
            preprocessing alone shows it; pictures that cannot be read are left out (in training the next one stands in).
        preprocessing: size of the input and its normalisation.
        batch: samples of one step over all processes together; a multiple of `world`.
        workers: processes that read and change pictures; 0 does it here.
        seed, epoch: whole numbers.
        rank, world: number of this process and of all.
        drop_last: leave out what does not fill the last batch. Otherwise the last batch is divided as evenly as it can be
            (in evaluation processes may differ in their number of batches; nothing is counted twice).
        skip: batches of this epoch that were done before.
        channels_last: memory layout of the images.
        balanced: draw as many samples as there are, each class as often as the others, with repetition (classification).
        device: where the batch is normalised and mixed, and left.

    Raises ValueError where an argument is out of range or does not go with the others.
    """
    return Loader(dataset, augmentation, preprocessing, batch, workers, seed, epoch, rank, world, drop_last, skip,
                  channels_last, balanced, torch.device(device))  # fmt: skip


class Loader:
    """Iterates over batches; `len` is the number that comes. Made by `loader`.

    Attributes:
        steps: this process's draws of each batch that comes.
        waited: seconds that the last iteration has spent waiting for data so far.
    """

    def __init__(
        self, dataset: Dataset, augmentation: Augmentation | None, preprocessing: Preprocessing, batch: int, workers: int,
        seed: int, epoch: int, rank: int, world: int, drop_last: bool, skip: int, channels_last: bool, balanced: bool,
        device: torch.device,
    ) -> None:  # fmt: skip
        for name, value, ok, rule in (
            ("batch", batch, batch >= 1 and batch % max(world, 1) == 0, f"a multiple of the {world} processes"),
            ("workers", workers, workers >= 0, "at least 0"),
            ("rank", rank, 0 <= rank < world, f"from 0 to {world - 1}"),
            ("epoch", epoch, epoch >= 0, "at least 0"),
            ("skip", skip, skip >= 0, "at least 0"),
            ("balanced", balanced, not balanced or (augmentation is not None and dataset.targets is not None),
             "False but for training a classifier"),
        ):  # fmt: skip
            if not ok:
                raise ValueError(f"loader: {name} {value!r} must be {rule}")
        if augmentation is not None:
            check_task(augmentation, dataset.task)
        self.mixed = augmentation if isinstance(augmentation, ClassificationAugmentation) and mixes(augmentation) else None
        if self.mixed is not None and world > 1 and batch // world % 2:
            raise ValueError(
                f"loader: batch {batch} over {world} processes is odd on each: pictures are mixed in pairs; make it even"
            )
        self.dataset, self.preprocessing, self.workers = dataset, preprocessing, workers
        self.seed, self.epoch, self.skip = seed, epoch, skip
        self.channels_last, self.device, self.trains = channels_last, device, augmentation is not None
        self.waited = 0.0
        draws = order(dataset, seed, epoch, balanced) if self.trains else [(index, 0) for index in range(len(dataset))]
        if drop_last:
            draws = draws[: len(draws) // batch * batch]
        last = len(draws) % batch
        if self.trains and last and len(_share(last, world - 1, world, self.mixed is not None)) == 0:
            raise ValueError(
                f"loader: drop_last False leaves a last batch of {last}, too few for {world} processes; make it True"
            )
        if skip > -(-len(draws) // batch):
            raise ValueError(f"loader: skip {skip} must be at most the epoch's {-(-len(draws) // batch)} batches")
        cuts = (draws[start : start + batch] for start in range(skip * batch, len(draws), batch))
        shares = ([cut[i] for i in _share(len(cut), rank, world, self.mixed is not None)] for cut in cuts)
        self.steps: list[list[Draw]] = [share for share in shares if share]
        self.changed = _Changed(dataset, augmentation, preprocessing, seed, epoch)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Batch]:
        self.waited = 0.0
        fork = self.workers > 0 and sys.platform == "linux"  # a forked worker shares what is kept in memory
        source = iter(torch.utils.data.DataLoader(
            cast(Any, self.changed),
            batch_sampler=self.steps,
            num_workers=self.workers,
            collate_fn=_collate_training if self.trains else _collate_evaluation,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_start_worker,
            multiprocessing_context=multiprocessing.get_context("fork") if fork else None,
            generator=torch.Generator(),  # of its own, or it would draw from everybody's
        ))  # fmt: skip
        for step in range(len(self.steps)):
            begin = time.perf_counter()
            with nullcontext() if self.workers else one_thread():
                batch = next(source)
            self.waited += time.perf_counter() - begin
            if isinstance(batch, PicturesLost):
                del source  # ends the workers now, not when the error is forgotten
                raise batch
            self.dataset.failed.update(batch["failed"])
            if len(batch["index"]):
                yield self.finish(batch, self.skip + step)

    def finish(self, batch: Batch, step: int) -> Batch:
        """A collated batch with uint8 images -> the batch as `Batch` has it. `step` counts from the epoch's start."""
        images = normalised(batch["image"].to(self.device, non_blocking=True), self.preprocessing)
        target = _moved(batch["target"], self.device) if self.trains else batch["target"]
        if self.mixed is not None:
            images, target = mix(images, target, len(self.dataset.labels), self.mixed, (self.seed, self.epoch, MIX, step))
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return {**batch, "image": images.contiguous(memory_format=layout), "target": target}


def order(dataset: Dataset, seed: int, epoch: int, balanced: bool = False) -> list[Draw]:
    """The epoch's draws, a random order from (seed, epoch): every sample once, or `balanced` N times by class."""
    generator = torch.Generator().manual_seed(derived_seed(seed, epoch, ORDER))
    if not balanced:
        return [(index, 0) for index in torch.randperm(len(dataset), generator=generator).tolist()]
    assert dataset.targets is not None
    present = torch.unique(dataset.targets).tolist()
    members = [torch.nonzero(dataset.targets == label)[:, 0] for label in present]
    classes = torch.arange(len(dataset)) % len(present)
    classes = classes[torch.randperm(len(classes), generator=generator)]
    draws: list[Draw] = [(0, 0)] * len(classes)
    for number, indices in enumerate(members):
        places = torch.nonzero(classes == number)[:, 0].tolist()
        for lap, begin in enumerate(range(0, len(places), len(indices))):  # all of a class before any again
            shuffled = indices[torch.randperm(len(indices), generator=generator)].tolist()
            for place, index in zip(places[begin : begin + len(indices)], shuffled, strict=False):
                draws[place] = (index, lap)
    return draws


def _share(count: int, rank: int, world: int, pairs: bool) -> range:
    """Which of a batch's `count` samples are this process's: a run, as long as the others' but the last, even for pairs."""
    length = -(-count // world)
    length += length % 2 if pairs and world > 1 else 0
    return range(min(rank * length, count), min((rank + 1) * length, count))


def normalised(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, 3, H, W) uint8 -> float32, to the last bit as `Preprocessing` does it: three roundings in this order."""
    x = images.to(torch.float32).div_(255)
    x -= torch.tensor(preprocessing.mean, dtype=torch.float32, device=x.device)[:, None, None]
    x /= torch.tensor(preprocessing.std, dtype=torch.float32, device=x.device)[:, None, None]
    return x


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes on one thread: single pictures are too small to be worth dividing (4 times quicker, measured)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Changed:
    """The dataset as the workers see it: samples read and changed by draw."""

    def __init__(
        self, dataset: Dataset, augmentation: Augmentation | None, preprocessing: Preprocessing, seed: int, epoch: int
    ) -> None:
        self.dataset, self.seed, self.epoch = dataset, seed, epoch
        self.random = augmentation is not None
        self.change = evaluation(preprocessing) if augmentation is None else training(augmentation, preprocessing)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        index, lap = draw
        try:
            sample = self.dataset[index]
        except PicturesLost as error:  # as a value: what a worker raises arrives with pages of its traceback in the message
            return {"lost": error.with_traceback(None)}
        size = (sample["image"].shape[-2], sample["image"].shape[-1])
        found = {"index": sample["index"], "failed": sample["failed"], "size": size}
        if self.random:
            with drawing_from(self.seed, self.epoch, CHANGE, index, lap):
                image, target = self.change(sample["image"], sample["target"])
        elif sample["index"] == index:
            image, target = self.change(sample["image"], sample["target"])
        else:  # another stands in for it, which has its own turn
            return {**found, "image": None, "target": None}
        return {**found, "image": image.as_subclass(Tensor), "target": _plain(target)}


def _plain(target: Target) -> Target:
    """Plain tensors: torchvision's wrappers are for changing only."""
    if isinstance(target, dict):
        return {key: value.as_subclass(Tensor) for key, value in target.items()}
    return target.as_subclass(Tensor)


def _collate_evaluation(samples: Sequence[dict[str, Any]]) -> dict[str, Any] | PicturesLost:
    if lost := _lost(samples):
        return lost
    shown = [sample for sample in samples if sample["image"] is not None]
    targets = [sample["target"] for sample in shown]
    classes = bool(targets) and isinstance(targets[0], Tensor) and targets[0].ndim == 0
    return {**_collated(samples, shown), "target": torch.stack(targets) if classes else targets}


def _collate_training(samples: Sequence[dict[str, Any]]) -> dict[str, Any] | PicturesLost:
    if lost := _lost(samples):
        return lost
    targets = [sample["target"] for sample in samples]
    return {**_collated(samples, samples), "target": targets if isinstance(targets[0], dict) else torch.stack(targets)}


def _lost(samples: Sequence[dict[str, Any]]) -> PicturesLost | None:
    return next((sample["lost"] for sample in samples if "lost" in sample), None)


def _collated(samples: Sequence[dict[str, Any]], shown: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "image": torch.stack([sample["image"] for sample in shown]) if shown else torch.empty(0, 3, 1, 1),
        "index": torch.tensor([sample["index"] for sample in shown], dtype=torch.int64),
        "size": [sample["size"] for sample in shown],
        "failed": [failure for sample in samples for failure in sample["failed"]],
    }


def _moved(target: Any, device: torch.device) -> Any:
    if isinstance(target, Tensor):
        return target.to(device, non_blocking=True)
    if isinstance(target, list):
        return [_moved(each, device) for each in target]
    return {key: value.to(device, non_blocking=True) for key, value in target.items()}


def _start_worker(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's, which then ends its workers
    torch.set_num_threads(1)
