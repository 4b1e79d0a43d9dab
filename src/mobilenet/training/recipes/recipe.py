"""What a recipe is: one frozen value that says everything about a training but where the data lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ... import settings
from ...images.preprocessing import Preprocessing
from ...network import catalogue
from ...network.layers import Network, Task
from ...tasks.detection import Decoding
from ..input import ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation
from ..optim.ema import Averaging
from ..optim.optimizer import SGD, Decayed, Optimizer
from ..optim.schedule import Cosine, Schedule, Warmup

Precision = Literal["32-true", "bf16-mixed"]
Augmentation = ClassificationAugmentation | DetectionAugmentation | SegmentationAugmentation


@dataclass(frozen=True)
class NetworkSpec:
    """The network that is trained.

    Attributes:
        architecture: its name, see `catalogue.ARCHITECTURES`.
        settings: arguments of the architecture, for example ``{"width": 0.5}``; not the resolution, which is the recipe's, nor
            the classes, which are the data's.
        dropout: before the classifier, or a segmenter's logits.
        norm_momentum: weight of the newest batch in batch norm's statistics; 0.003 is TensorFlow-slim's decay of 0.997.
        initialization: of fresh weights, "pytorch" or "tensorflow".
        zero_residuals: blocks with a shortcut begin as the shortcut alone (their last batch norm at scale 0).
        start: a known model or a model file whose weights are the beginning, as far as names and shapes agree; None begins
            with random ones.
        fixed_norms: batch norm keeps to the statistics that it starts with. For `start` only.
    """

    architecture: str = "mobilenet_v2"
    settings: Mapping[str, Any] = field(default_factory=dict)
    dropout: float = 0.2
    norm_momentum: float = 0.1
    initialization: Literal["pytorch", "tensorflow"] = "pytorch"
    zero_residuals: bool = False
    start: str | None = None
    fixed_norms: bool = False

    def __post_init__(self) -> None:
        for key, owner in (("resolution", "recipe's 'resolution'"), ("classes", "data")):
            if key in self.settings:
                raise ValueError(f"setting {key!r} of the network: the {owner} says it; leave it out")
        if self.fixed_norms and self.norm_momentum != 0.1:
            raise ValueError(
                f"norm_momentum {self.norm_momentum}: fixed_norms leave nothing for it to move; leave one of them out"
            )
        if self.fixed_norms and self.start is None:
            raise ValueError("fixed_norms true: statistics of a network that begins at random mean nothing; give network.start")

    def network(self, resolution: int, classes: int | None) -> Network:
        given = {} if classes is None else {"classes": classes}
        return catalogue.build(self.architecture, resolution=resolution, **given, **self.settings)


@dataclass(frozen=True)
class CrossEntropy:
    """Of a classifier; `smoothing` spreads this share of the truth over all classes."""

    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing {self.smoothing}: must be from 0 to below 1; for example 0.1")


@dataclass(frozen=True)
class BoxLoss:
    """Of a detector, in TensorFlow's or in torchvision's form; the network's ``anchors`` and the decoding follow it.

    Attributes:
        negatives: how many background boxes count for each that holds an object, the hardest first.
        decoding: how boxes are read from the outputs when the network is scored, and ever after.
    """

    form: Literal["tensorflow", "torchvision"] = "torchvision"
    negatives: float = 3.0
    decoding: Decoding = field(default_factory=lambda: Decoding("softmax", "xywh", 0.01, 0.55, 100, 300))


@dataclass(frozen=True)
class PixelCrossEntropy:
    """Of a segmenter, the mean over pixels that are not void; `weights`, one for each class, or none."""

    weights: tuple[float, ...] = ()


Loss = CrossEntropy | BoxLoss | PixelCrossEntropy
LOSSES: dict[Task, type] = {"classification": CrossEntropy, "detection": BoxLoss, "segmentation": PixelCrossEntropy}
AUGMENTATIONS: dict[Task, type] = {
    "classification": ClassificationAugmentation,
    "detection": DetectionAugmentation,
    "segmentation": SegmentationAugmentation,
}


@dataclass(frozen=True)
class Teacher:
    """Distillation: the network also learns the answers of another one.

    Attributes:
        model: a known model, a model file, or ``timm:NAME`` for one of timm's with its pretrained weights.
        weight: share of the loss that the teacher's answers make, the rest is the truth's.
        temperature: both answers are softened by it.
    """

    model: str
    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.weight <= 1 and self.temperature > 0):
            raise ValueError(f"teacher: weight {self.weight} must be above 0 up to 1, temperature {self.temperature} above 0")


@dataclass(frozen=True)
class GeneratedShapes:
    """Pictures of shapes made on the fly instead of a folder: `train` and `val` of them, none in both."""

    train: int = 4096
    val: int = 512
    size: int = 64


@dataclass(frozen=True)
class Recipe:
    """Everything about a training but where the data lies.

    Attributes:
        name: of the function that made it.
        network: what is trained.
        resolution: side of the network's input when it is scored and used, in pixels.
        preprocessing: how a picture becomes that input; its own size is `resolution`.
        augmentation: what is done to pictures in training.
        sizes: (share of the run, side) pairs: from that share on, training sees pictures of that side. () for `resolution`
            throughout.
        loss: what is minimised; its kind must fit the network's task.
        epochs, batch: passes over the data, and pictures in a step of the optimizer, over all processes together.
        accumulate: parts that the batch is cut into, one after the other, to save memory. Batch norm sees a part.
        optimizer, lr, schedule, warmup: `lr` is the learning rate where the schedule's factor is 1.
        weight_decay, decayed: how much, and of which parameters.
        clip: largest norm of all gradients together; None for any.
        averaging: of the weights, which are then the ones scored and kept; None keeps the last.
        teacher: another network to learn from.
        precision: "bf16-mixed" computes in bfloat16 where PyTorch's autocast holds that safe; scores are always float32.
        channels_last: memory layout of pictures and features.
        compile: run the network through `torch.compile`.
        sync_norm: batch norm over the pictures of all processes.
        score_epochs: score on the validation pictures after every so many epochs, and at the end.
        checkpoint_steps: write a checkpoint every so many steps, and at the end of each epoch.
        workers: processes of each process that read pictures; 0 reads in the loop itself.
        limit: use no more than so many pictures of a split; None for all.
        shapes: train on shapes made on the fly; None for a folder of pictures.
        in_memory: decode all pictures once and keep them.
        balanced: draw every class as often as the others (classification).
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
    loss: Loss = field(default_factory=CrossEntropy)
    optimizer: Optimizer = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=Cosine)
    warmup: Warmup = field(default_factory=Warmup)
    weight_decay: float = 0.0
    decayed: Decayed = "weights"
    sizes: tuple[tuple[float, int], ...] = ()
    accumulate: int = 1
    clip: float | None = None
    averaging: Averaging | None = None
    teacher: Teacher | None = None
    precision: Precision = "32-true"
    channels_last: bool = True
    compile: bool = False
    sync_norm: bool = False
    score_epochs: int = 1
    checkpoint_steps: int = 1000
    workers: int = 2
    limit: int | None = None
    shapes: GeneratedShapes | None = None
    in_memory: bool = False
    balanced: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        task = self.task
        sides = [side for _, side in self.sizes]
        for key, ok, rule in (
            ("resolution", self.preprocessing.size == (self.resolution,) * 2, "the side that the preprocessing makes"),
            ("loss", isinstance(self.loss, LOSSES[task]), f"{settings.kind_of(LOSSES[task])} for {task}"),
            ("augmentation", isinstance(self.augmentation, AUGMENTATIONS[task]), f"one for {task}"),
            ("sizes", [s for s, _ in self.sizes] == sorted({*(s for s, _ in self.sizes), *([0.0] if sides else [])}),
             "pairs of a share of the run, rising from 0, and a side"),
            ("sizes", all(8 <= side <= 4096 for side in sides), "pairs whose sides are 8 to 4096 pixels"),
            ("sizes", not sides or task == "classification", "() but for classification"),
            ("balanced", not self.balanced or task == "classification", "false but for classification"),
            ("teacher", self.teacher is None or task == "classification", "null but for classification"),
            ("lr", self.lr > 0, "above 0"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
            ("sync_norm", not (self.sync_norm and self.network.fixed_norms), "false with fixed_norms"),
            ("clip", self.clip is None or self.clip > 0, "above 0, or null"),
            ("limit", self.limit is None or self.limit > 0, "above 0, or null"),
            ("accumulate", self.accumulate >= 1 and self.batch % self.accumulate == 0, f"a divisor of the batch, {self.batch}"),
            ("workers", self.workers >= 0, "at least 0"),
            ("warmup", self.warmup.epochs < self.epochs, f"shorter than the run's {self.epochs} epochs"),
            *((key, getattr(self, key) >= 1, "at least 1")
              for key in ("epochs", "batch", "score_epochs", "checkpoint_steps")),
        ):  # fmt: skip
            if not ok:
                raise ValueError(f"recipe {self.name}: {key} {getattr(self, key)!r:.80} must be {rule}")
        if self.averaging is not None and self.averaging.start and self.network.start is None:
            raise ValueError(f"recipe {self.name}: averaging.start {self.averaging.start} keeps a share of random weights; "
                             "give network.start a model, or leave it 0")  # fmt: skip

    @property
    def task(self) -> Task:
        return self.network.network(self.resolution, None).task

    def side(self, epoch: int) -> int:
        """Side of the training pictures in an epoch, from 0."""
        reached = [side for share, side in self.sizes if share * self.epochs <= epoch + 1e-9]
        return reached[-1] if reached else self.resolution

    def to_json(self) -> dict[str, Any]:
        """JSON's types; a run's folder and the model file hold it."""
        data: dict[str, Any] = settings.to_json(self)
        return data

    @classmethod
    def from_json(cls, data: Any) -> Recipe:
        """The reverse of `to_json`. ValueError names what is wrong."""
        return settings.from_json(cls, data)


def with_settings(recipe: Recipe, given: Mapping[str, str]) -> Recipe:
    """`recipe` with settings by path, read from text as `settings.changed` does; they are set together, in any order.

    `resolution` moves the preprocessing with it, and `sizes` in proportion, to multiples of 8.
    """
    data = recipe.to_json()
    for path in sorted(given, key=lambda path: (path not in data, path.count("."))):  # a kind before what belongs to it
        data = settings.changed(data, path, given[path])
    side = data["resolution"]
    if side != recipe.resolution and type(side) is int and side > 0:
        data["preprocessing"] = settings.to_json(recipe.preprocessing.at(side))
        if "sizes" not in given:
            data["sizes"] = [[share, max(round(s * side / recipe.resolution / 8), 1) * 8] for share, s in recipe.sizes]
    return Recipe.from_json(data)


def shrunk(recipe: Recipe) -> Recipe:
    """The same recipe in seconds: an epoch of a few small pictures, to see that everything fits together."""
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
        warmup=replace(small.warmup, epochs=min(small.warmup.epochs, 0.5)),
    )
