"""Batches: which samples, in which order, on which process; augmented, collated, normalized. Repeatable in every respect.

Letters: N samples of a batch on this process, H and W the input's, K classes.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

import torch
import torch.utils.data
from torch import Tensor

from ...data.seeds import derived_seed
from ...engine.cores import cores_of_affinity
from ...errors import UsageError
from ...images.preprocessing import Preprocessing
from ...settings import require
from .augment import Augmentation, ClassificationAugmentation, drawing_from, evaluation_image, training
from .mix import mix, mixes
from .samples import Dataset, DetectionTarget, ImagesLost, Target

SampleKey = tuple[int, int]
"""(dataset index, repeat): a repeated sample gets a different augmentation."""

ORDER, CHANGE, MIX = 0, 1, 2
"""The purposes of random numbers; each has a stream of its own."""


@dataclass(frozen=True)
class LoaderSettings:
    """How the samples of one epoch become the batches of this process.

    Attributes:
        batch: samples of one step over all processes together; a multiple of `world`.
        workers: processes that read and augment images, at most one for each core this process may run on; 0 does it in
            this process.
        seed, epoch: whole numbers from which all randomness is derived.
        rank, world: number of this process, and how many there are.
        drop_last: leave out the samples that do not fill the last batch. Otherwise the last batch is divided as evenly as
            possible (in evaluation processes may differ in their number of batches; nothing is counted twice).
        skip: batches of this epoch that are already done.
        channels_last: memory layout of the images.
        balanced: draw as many samples as there are, each class as often as the others, with repetition (classification).
        device: where the batch is normalized and mixed, and left.

    Raises UsageError that names the field if one is out of range.
    """

    batch: int
    workers: int = 0
    seed: int = 0
    epoch: int = 0
    rank: int = 0
    world: int = 1
    drop_last: bool = False
    skip: int = 0
    channels_last: bool = False
    balanced: bool = False
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        batch_rule = f"a multiple of the {self.world} processes"
        require(
            "loader",
            self,
            (
                ("batch", self.batch >= 1 and self.batch % max(self.world, 1) == 0, batch_rule),
                ("workers", self.workers >= 0, "at least 0"),
                ("rank", 0 <= self.rank < self.world, f"from 0 to {self.world - 1}"),
                ("epoch", self.epoch >= 0, "at least 0"),
                ("skip", self.skip >= 0, "at least 0"),
            ),
        )


BatchTarget = Tensor | list[Target]


class Batch(TypedDict):
    """What a loader yields.

    image: (N, 3, H, W) float32 on the loader's device, normalized as the preprocessing says.
    target: classification: (N,) int64, or (N, K) float32 that sum to 1 if images are mixed. Detection: N of
        `DetectionTarget`, as plain tensors. Segmentation: (N, H, W) uint8. In training they fit the image and are on the
        loader's device; in evaluation they are the original's: boxes in its pixels, masks (a list of N) of its size.
    index: (N,) int64, of the samples in the dataset.
    size: N of (height, width) of the images before any change.
    failed: (name, reason) of the images that could not be read.
    """

    image: Tensor
    target: BatchTarget
    index: Tensor
    size: list[tuple[int, int]]
    failed: list[tuple[str, str]]


class Changed(TypedDict):
    """A sample ready for collation: a plain uint8 image and plain tensors; no image if it could not be read in evaluation."""

    image: Tensor | None
    target: Target | None
    index: int
    size: tuple[int, int]
    failed: tuple[tuple[str, str], ...]


class Loader:
    """The batches of one epoch, of this process; `len` is their number.

    What the batches hold depends on (dataset, augmentation, preprocessing, batch, seed, epoch) alone: the random change of
    a sample on (seed, epoch, index), the order and the mixing on (seed, epoch). Workers, `skip` and `world` only divide
    the same work: the batches of all processes, put together by rank, are those of one process.

    Args:
        dataset: where the samples come from.
        augmentation: for training: random order, random changes. None is evaluation: every sample once, in order, as the
            preprocessing alone shows it; images that cannot be read are left out (in training the next one replaces them).
        preprocessing: size of the input and its normalization.
        settings: see `LoaderSettings`.

    Attributes:
        steps: this process's samples of each batch to come.
        waited: seconds that the last iteration has spent waiting for data so far.

    Raises UsageError if the arguments contradict each other.
    """

    def __init__(
        self, dataset: Dataset, augmentation: Augmentation | None, preprocessing: Preprocessing, settings: LoaderSettings
    ) -> None:
        self.dataset, self.preprocessing, self.settings = dataset, preprocessing, settings
        self.trains, self.device, self.waited = augmentation is not None, torch.device(settings.device), 0.0
        if settings.balanced and (augmentation is None or dataset.targets is None):
            raise UsageError("loader: balanced True must be False except for training a classifier")
        if augmentation is not None and augmentation.task != dataset.task:
            raise UsageError(f"loader: {type(augmentation).__name__} must be the one for {dataset.task}, as the data is")
        self.mixing = augmentation if isinstance(augmentation, ClassificationAugmentation) and mixes(augmentation) else None
        self.changes = _Changes(dataset, augmentation, preprocessing, settings.seed, settings.epoch)
        self.steps = self._steps()

    def _steps(self) -> list[list[SampleKey]]:
        batch, world, skip = self.settings.batch, self.settings.world, self.settings.skip
        pairs = self.mixing is not None
        if pairs and world > 1 and batch // world % 2:
            raise UsageError(
                f"loader: batch {batch} over {world} processes is odd on each: images are mixed in pairs; make it even"
            )
        if self.trains:
            keys = order(self.dataset, self.settings.seed, self.settings.epoch, self.settings.balanced)
        else:
            keys = [(index, 0) for index in range(len(self.dataset))]
        if self.settings.drop_last:
            keys = keys[: len(keys) // batch * batch]
        last = len(keys) % batch
        if self.trains and last and len(_share(last, world - 1, world, pairs)) == 0:
            raise UsageError(
                f"loader: drop_last False leaves a last batch of {last}, too few for {world} processes; make it True"
            )
        if skip > -(-len(keys) // batch):
            raise UsageError(f"loader: skip {skip} must be at most the epoch's {-(-len(keys) // batch)} batches")
        cuts = (keys[start : start + batch] for start in range(skip * batch, len(keys), batch))
        shares = ([cut[i] for i in _share(len(cut), self.settings.rank, world, pairs)] for cut in cuts)
        return [share for share in shares if share]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Batch]:
        self.waited = 0.0
        workers = min(self.settings.workers, cores_of_affinity())
        fork = workers > 0 and sys.platform == "linux"  # a forked worker shares what is kept in memory
        source = iter(
            torch.utils.data.DataLoader(
                self.changes,
                batch_sampler=self.steps,
                num_workers=workers,
                collate_fn=partial(_collated, one_size=self.trains),
                pin_memory=self.device.type == "cuda",
                worker_init_fn=_start_worker,
                multiprocessing_context=multiprocessing.get_context("fork") if fork else None,
                generator=torch.Generator(),  # of its own, or it would draw from the global one
            )
        )
        for step in range(len(self.steps)):
            begin = time.perf_counter()
            with nullcontext() if workers else one_thread():
                batch = next(source)
            self.waited += time.perf_counter() - begin
            if isinstance(batch, ImagesLost):
                del source  # ends the workers now, not when the error is forgotten
                raise batch
            self.dataset.failed.update(batch["failed"])
            if len(batch["index"]):
                yield self.finish(batch, self.settings.skip + step)

    def finish(self, batch: Batch, step: int) -> Batch:
        """A collated batch with uint8 images -> the batch as `Batch` has it. `step` counts from the epoch's start."""
        images = normalized(batch["image"].to(self.device, non_blocking=True), self.preprocessing)
        target = _moved(batch["target"], self.device) if self.trains else batch["target"]
        if self.mixing is not None:
            assert isinstance(target, Tensor)
            seed = (self.settings.seed, self.settings.epoch, MIX, step)
            images, target = mix(images, target, len(self.dataset.labels), self.mixing, seed)
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        return {**batch, "image": images.contiguous(memory_format=layout), "target": target}


def order(dataset: Dataset, seed: int, epoch: int, balanced: bool = False) -> list[SampleKey]:
    """The epoch's samples, a random order from (seed, epoch): every sample once, or `balanced` N times by class."""
    generator = torch.Generator().manual_seed(derived_seed(seed, epoch, ORDER))
    if not balanced:
        return [(index, 0) for index in torch.randperm(len(dataset), generator=generator).tolist()]
    assert dataset.targets is not None
    present = torch.unique(dataset.targets).tolist()
    members = [torch.nonzero(dataset.targets == label)[:, 0] for label in present]
    classes = torch.arange(len(dataset)) % len(present)
    classes = classes[torch.randperm(len(classes), generator=generator)]
    keys: list[SampleKey] = [(0, 0)] * len(classes)
    for number, indices in enumerate(members):
        places = torch.nonzero(classes == number)[:, 0].tolist()
        for repeat, begin in enumerate(range(0, len(places), len(indices))):  # all of a class before any again
            shuffled = indices[torch.randperm(len(indices), generator=generator)].tolist()
            for place, index in zip(places[begin : begin + len(indices)], shuffled, strict=False):
                keys[place] = (index, repeat)
    return keys


def _share(count: int, rank: int, world: int, pairs: bool) -> range:
    """Which of a batch's `count` samples this process takes: a run as long as the others' except the last, even for pairs."""
    length = -(-count // world)
    length += length % 2 if pairs and world > 1 else 0
    return range(min(rank * length, count), min((rank + 1) * length, count))


def normalized(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(N, 3, H, W) uint8 -> float32, to the last bit as `Preprocessing` does it: three roundings in this order."""
    x = images.to(torch.float32).div_(255)
    x -= torch.tensor(preprocessing.mean, dtype=torch.float32, device=x.device)[:, None, None]
    x /= torch.tensor(preprocessing.std, dtype=torch.float32, device=x.device)[:, None, None]
    return x


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes on one thread: single images are too small to be divided (4 times faster, measured)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Changes(torch.utils.data.Dataset[Changed | ImagesLost]):
    """The dataset as the workers see it: samples read and changed by key."""

    def __init__(
        self, dataset: Dataset, augmentation: Augmentation | None, preprocessing: Preprocessing, seed: int, epoch: int
    ) -> None:
        self.dataset, self.preprocessing, self.seed, self.epoch = dataset, preprocessing, seed, epoch
        self.change = None if augmentation is None else training(augmentation, preprocessing)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> Changed | ImagesLost:
        try:
            return self._evaluated(key[0]) if self.change is None else self._trained(*key)
        except ImagesLost as error:  # as a value: an error that a worker raises arrives with its traceback in the message
            return error.with_traceback(None)

    def _trained(self, index: int, repeat: int) -> Changed:
        assert self.change is not None
        sample = self.dataset[index]
        size = (sample["image"].shape[-2], sample["image"].shape[-1])
        with drawing_from(self.seed, self.epoch, CHANGE, index, repeat):
            image, target = self.change(sample["image"], sample["target"])
        return {
            "image": image.as_subclass(Tensor),
            "target": _plain(target),
            "index": sample["index"],
            "size": size,
            "failed": sample["failed"],
        }

    def _evaluated(self, index: int) -> Changed:
        (image, target), shown, failed = self.dataset.nearest(index, self.dataset.open)
        size = (image.height, image.width)
        if shown != index:  # the image that replaces it is scored under its own index
            return {"image": None, "target": None, "index": shown, "size": size, "failed": failed}
        tensor = evaluation_image(image, self.preprocessing)
        return {"image": tensor, "target": _plain(target), "index": index, "size": size, "failed": failed}


def _plain(target: Target) -> Target:
    """Plain tensors: torchvision's wrappers are for augmentation only."""
    if isinstance(target, Tensor):
        return target.as_subclass(Tensor)
    boxes, labels, crowd = (target[key].as_subclass(Tensor) for key in ("boxes", "labels", "crowd"))
    return DetectionTarget(boxes=boxes, labels=labels, crowd=crowd)


def _collated(samples: Sequence[Changed | ImagesLost], one_size: bool) -> Batch | ImagesLost:
    """Class indices are stacked, and masks if they have one size; boxes stay a list, since their numbers differ."""
    shown = list[Changed]()
    failed = list[tuple[str, str]]()
    for sample in samples:
        if isinstance(sample, ImagesLost):
            return sample
        failed += sample["failed"]
        if sample["image"] is not None:
            shown.append(sample)
    images = [sample["image"] for sample in shown if sample["image"] is not None]
    targets = [sample["target"] for sample in shown if sample["target"] is not None]
    tensors = [target for target in targets if isinstance(target, Tensor)]
    stacked = bool(tensors) and (one_size or tensors[0].ndim == 0)
    return {
        "image": torch.stack(images) if images else torch.empty(0, 3, 1, 1),
        "target": torch.stack(tensors) if stacked else targets,
        "index": torch.tensor([sample["index"] for sample in shown], dtype=torch.int64),
        "size": [sample["size"] for sample in shown],
        "failed": failed,
    }


def _moved(target: Any, device: torch.device) -> Any:
    if isinstance(target, Tensor):
        return target.to(device, non_blocking=True)
    if isinstance(target, list):
        return [_moved(each, device) for each in target]
    return {key: value.to(device, non_blocking=True) for key, value in target.items()}


def _start_worker(number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the main process, which then ends its workers
    torch.set_num_threads(1)
