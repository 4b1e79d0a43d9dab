"""A recipe: one frozen value with everything about a training run except where the data is."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

from ... import settings
from ...images.preprocessing import Preprocessing
from ...network import catalog
from ...network.layers import Network, Task
from ...settings import Rules, Settings
from ...tasks.detection import Decoding
from ...values import field, replace
from ..input import Augmentation
from ..optim.ema import Averaging
from ..optim.optimizer import SGD, Decayed, Optimizer
from ..optim.schedule import Cosine, Schedule, Warmup, factor
from .names import current_names

Precision = Literal["32-true", "bf16-mixed"]
Form = Literal["tensorflow", "torchvision"]
"""Whose form of SSD's loss, see `losses.FORMS`."""


class NetworkSpec(Settings):
    """Which network to train, and how its weights start.

    Attributes:
        architecture: its name, see `catalog.ARCHITECTURES`.
        settings: arguments of the architecture, for example ``{"width": 0.5}``. Not the resolution, which is a setting of the
            recipe, nor the classes, which come from the data.
        dropout: probability, before the classifier or a segmenter's logits.
        norm_momentum: weight of the newest batch in batch norm's statistics; 0.003 is TensorFlow-slim's decay of 0.997.
        initialization: of random weights, "pytorch" or "tensorflow".
        zero_residuals: blocks with a shortcut start as the identity (scale 0 in their last batch norm).
        start: a known model or a model file to take the initial weights from, see `copy_weights`; None for random weights.
        head: how the layers whose outputs are classes begin if `start` does not know all classes: "random", or "fitted" to
            the training images before the first step, see `training.run.heads`. Rows of known classes are copied either way.
        fixed_norms: the batch norms that come from `start` keep its statistics; their scales and shifts learn.
    """

    architecture: str = "mobilenet_v2"
    settings: Mapping[str, object] = field(default_factory=dict)
    dropout: float = 0.2
    norm_momentum: float = 0.1
    initialization: Literal["pytorch", "tensorflow"] = "pytorch"
    zero_residuals: bool = False
    start: str | None = None
    head: Literal["random", "fitted"] = "random"
    fixed_norms: bool = False

    noun = "network"

    def rules(self) -> Rules:
        yield "settings", "resolution" not in self.settings, "without 'resolution', which is a setting of the recipe"
        yield "settings", "classes" not in self.settings, "without 'classes', which come from the data"
        yield "norm_momentum", not self.fixed_norms or self.norm_momentum == 0.1, "absent with fixed_norms"
        start_is_right = not self.fixed_norms or self.start is not None
        yield "start", start_is_right, "given with fixed_norms: the statistics of random weights mean nothing"
        yield "head", self.head == "random" or self.start is not None, "random without a start"

    def network(self, resolution: int, classes: int | None) -> Network:
        """The network for `classes` classes, or the architecture's default number."""
        own = {} if classes is None else {"classes": classes}
        return catalog.build(self.architecture, resolution=resolution, **own, **self.settings)


class CrossEntropy(Settings):
    """A classifier's loss. `smoothing`: the share of the truth that is spread over all classes."""

    smoothing: float = 0.0

    task = "classification"

    def rules(self) -> Rules:
        yield "smoothing", 0 <= self.smoothing < 1, "at least 0 and below 1; for example 0.1"


class BoxLoss(Settings):
    """A detector's loss, in TensorFlow's or torchvision's form; the network's ``anchors`` and the decoding must agree with it.

    Attributes:
        negatives: maximum number of background boxes that count, for each box with an object; those of largest loss.
        decoding: how boxes are read from the outputs, in scoring and in the model file.
    """

    form: Form = "torchvision"
    negatives: float = 3.0
    decoding: Decoding = Decoding("softmax", "xywh", 0.01, 0.55, 100, 300)

    task = "detection"


class PixelCrossEntropy(Settings):
    """A segmenter's loss: the mean over all pixels that are not void. `weights`: one for each class, or none."""

    weights: tuple[float, ...] = ()

    task = "segmentation"


Loss = CrossEntropy | BoxLoss | PixelCrossEntropy


class Teacher(Settings):
    """Distillation: the network also learns the outputs of another network.

    Attributes:
        model: a known model, a model file, or ``timm:NAME`` for a network of timm with its pretrained weights.
        weight: the teacher's share of the loss; the truth has the rest.
        temperature: the logits of both networks are divided by it.
    """

    model: str
    weight: float = 0.5
    temperature: float = 1.0

    def rules(self) -> Rules:
        yield "weight", 0 < self.weight <= 1, "above 0 and at most 1"
        yield "temperature", self.temperature > 0, "above 0"


class Quantize(Settings):
    """The model file holds integers, as `mobilenet quantize` makes them; they are what is scored.

    Attributes:
        qat: the network learns with the integers' roundings (quantization-aware training): batch norm is folded before the
            first step, as the engine folds it. Otherwise it learns in floats, and is quantized whenever it is scored.
        images: training images from which the ranges are taken.
    """

    qat: bool = True
    images: int = 64

    def rules(self) -> Rules:
        yield "images", self.images >= 1, "at least 1"


class GeneratedShapes(Settings):
    """Generated images of shapes instead of a folder: `train` and `val` of them, none in both, `size` pixels wide and high."""

    train: int = 4096
    val: int = 512
    size: int = 64


class Recipe(Settings):
    """Everything about a training run except where the data is.

    Attributes:
        name: of the function that made it.
        network: which network to train.
        resolution: side of the network's input in pixels, in scoring and in the model file.
        preprocessing: how an image becomes that input; its size must be `resolution`.
        augmentation: random changes of the training images.
        sizes: (share of the run, side) pairs: from that share on, training images have that side in pixels. () for `resolution`
            throughout.
        loss: what is minimized; its kind must fit the network's task.
        epochs: passes over the data.
        batch: images per step of the optimizer, over all processes together.
        accumulate: number of parts in which a batch is processed in turn, to save memory. Batch norm sees one part.
        optimizer, schedule, warmup: how weights move.
        lr: the learning rate when the schedule's factor is 1.
        weight_decay, decayed: how much, and for which parameters.
        clip: maximum norm of all gradients together; None for no limit.
        averaging: of the weights; the average is then scored and stored. None stores the last weights.
        teacher: another network to learn from.
        quantize: make integers; None keeps floats.
        precision: "bf16-mixed" computes in bfloat16 if PyTorch's autocast considers it safe; scoring is always in float32.
        channels_last: memory layout of images and features.
        compile: run the network through `torch.compile`.
        sync_norm: batch norm over the images of all processes.
        score_epochs: number of epochs between scorings on the validation images; the last epoch is always scored.
        patience: end the run after so many epochs without a better score (`training.run.best`); None for never.
        restarts: epochs with which the schedule and `sizes` begin again, because a finished run was given more epochs.
        score_start: also score the network before the first step: what the initial weights know already.
        checkpoint_steps: number of steps between checkpoints; one is also written at the end of each epoch.
        workers: processes that read images, for each training process, at most one for each core it may run on; 0 reads in the
            training process itself.
        limit: maximum number of images of each split; None for all.
        val_share: the share of the images that is held out for validation if the data has no validation part.
        shapes: train on generated images of shapes; None for a folder of images.
        in_memory: decode all images once and keep them in memory.
        balanced: draw all classes equally often (classification).
        seed: of every random choice.
    """

    name: str
    network: NetworkSpec
    resolution: int
    preprocessing: Preprocessing
    augmentation: Augmentation
    epochs: int
    batch: int
    lr: float
    loss: Loss = CrossEntropy()
    optimizer: Optimizer = SGD()
    schedule: Schedule = Cosine()
    warmup: Warmup = Warmup()
    weight_decay: float = 0.0
    decayed: Decayed = "weights"
    sizes: tuple[tuple[float, int], ...] = ()
    accumulate: int = 1
    clip: float | None = None
    averaging: Averaging | None = None
    teacher: Teacher | None = None
    quantize: Quantize | None = None
    precision: Precision = "32-true"
    channels_last: bool = True
    compile: bool = False
    sync_norm: bool = False
    score_epochs: int = 1
    score_start: bool = False
    patience: int | None = None
    restarts: tuple[int, ...] = ()
    checkpoint_steps: int = 1000
    workers: int = 2
    limit: int | None = None
    val_share: float = 0.2
    shapes: GeneratedShapes | None = None
    in_memory: bool = False
    balanced: bool = False
    seed: int = 0

    def rules(self) -> Rules:
        task, shares, sides = self.task, [share for share, _ in self.sizes], [side for _, side in self.sizes]
        for name in ("epochs", "batch", "score_epochs", "checkpoint_steps"):
            yield name, getattr(self, name) >= 1, "at least 1"
        yield "resolution", self.preprocessing.size == (self.resolution,) * 2, "the size that the preprocessing makes"
        yield "val_share", 0 < self.val_share < 1, "above 0 and below 1; for example 0.2"
        yield "loss", self.loss.task == task, f"one for {task}"
        yield "augmentation", self.augmentation.task == task, f"one for {task}"
        increasing = shares == sorted(set(shares)) and shares[:1] in ([], [0.0])
        yield "sizes", increasing, "pairs of a share of the run, increasing from 0, and a side"
        yield "sizes", all(8 <= side <= 4096 for side in sides), "pairs whose sides are 8 to 4096 pixels"
        yield "sizes", not sides or task == "classification", "() except for classification"
        yield "balanced", not self.balanced or task == "classification", "false except for classification"
        yield "teacher", self.teacher is None or task == "classification", "null except for classification"
        yield "lr", self.lr > 0, "above 0"
        yield "weight_decay", self.weight_decay >= 0, "at least 0"
        yield "sync_norm", not (self.sync_norm and self.network.fixed_norms), "false with fixed_norms"
        yield "clip", self.clip is None or self.clip > 0, "above 0, or null"
        yield "limit", self.limit is None or self.limit > 0, "above 0, or null"
        yield "accumulate", self.accumulate >= 1 and self.batch % self.accumulate == 0, f"a divisor of the batch, {self.batch}"
        yield "workers", self.workers >= 0, "at least 0"
        yield "patience", self.patience is None or self.patience >= 1, "at least 1, or null"
        edges = [0, *self.restarts, self.epochs]
        yield "restarts", edges == sorted(set(edges)), f"increasing epochs between 0 and the run's {self.epochs}"
        shortest = min(b - a for a, b in pairwise(edges))
        part = "schedule" if self.restarts else "run"
        yield "warmup", self.warmup.epochs < shortest, f"shorter than the {part}'s {shortest} epochs"
        learns_integers = self.quantize is not None and self.quantize.qat
        no_ranges = learns_integers and self.network.start is None
        yield "quantize", not no_ranges, "absent, or with qat false, without network.start: random weights have no ranges yet"
        rule = "'32-true' with quantize.qat: integers are exact in float32 alone"
        yield "precision", not learns_integers or self.precision == "32-true", rule
        yield "compile", not (learns_integers and self.compile), "false with quantize.qat"
        yield "sync_norm", not (learns_integers and self.sync_norm), "false with quantize.qat, which folds batch norm"
        keeps_start = self.averaging is not None and self.averaging.start > 0
        rule = "without a start if weights start at random; set network.start, or leave averaging.start out"
        yield "averaging", not keeps_start or self.network.start is not None, rule

    @property
    def task(self) -> Task:
        return self.network.network(self.resolution, None).task

    def side(self, epoch: int) -> int:
        """Side of the training images in pixels, in an epoch counted from 0."""
        first, last = self.cycle(epoch)
        sides = [side for share, side in self.sizes if share * (last - first) <= epoch - first + 1e-9]
        return sides[-1] if sides else self.resolution

    def cycle(self, epoch: int) -> tuple[int, int]:
        """The first epoch of the schedule that `epoch` lies in, and the one after its last."""
        edges = (0, *self.restarts, self.epochs)
        number = sum(epoch >= edge for edge in self.restarts)
        return edges[number], edges[number + 1]

    def rate(self, step: int, epoch_steps: int) -> float:
        """The learning rate of step number `step`, counted from 0."""
        first, last = self.cycle(step // epoch_steps)
        return self.lr * factor(self.schedule, self.warmup, step - first * epoch_steps, epoch_steps, last - first)

    def to_json(self) -> dict[str, object]:
        """JSON's types, as in a run's folder and in the model file: each value with its kind."""
        return settings.tagged_fields(self)

    @classmethod
    def from_json(cls, data: object) -> Recipe:
        """The reverse of `to_json`; settings with a default may be missing. UsageError names the setting that is wrong."""
        return settings.from_tagged_json(cls, data)


def with_settings(recipe: Recipe, changes: Mapping[str, str]) -> Recipe:
    """`recipe` with other settings: text by path, see `settings.changed` and `names`. Their order does not matter.

    `resolution` also changes the preprocessing, and `sizes` in proportion, to multiples of 8.
    """
    data = recipe.to_json()
    changes = current_names(changes, data)
    for path in sorted(changes, key=lambda path: (path not in data, path.count("."))):  # a kind before its own settings
        data = settings.changed(data, path, changes[path])
    side = data["resolution"]
    if side != recipe.resolution and type(side) is int and side > 0:
        data["preprocessing"] = settings.to_tagged_json(recipe.preprocessing.at(side))
        if "sizes" not in changes:
            data["sizes"] = [[share, max(round(s * side / recipe.resolution / 8), 1) * 8] for share, s in recipe.sizes]
    return Recipe.from_json(data)


def shrunk(recipe: Recipe) -> Recipe:
    """The same recipe in seconds: one epoch of a few small images, to test that everything fits together."""
    side = min(recipe.resolution, 96 if recipe.task == "detection" else 64)
    small = with_settings(recipe, {"resolution": str(side)})
    return replace(
        small,
        epochs=1,
        batch=8,
        accumulate=1,
        limit=16,
        workers=0,
        compile=False,
        score_epochs=1,
        sizes=(),
        restarts=(),
        warmup=replace(small.warmup, epochs=min(small.warmup.epochs, 0.5)),
    )
