"""The recipes of this package: functions that return one complete value. A variant is `replace` of another, so only what
differs is written.

"Published" figures are those of the cited source; all others were measured with this code, on two cores of an AMD EPYC (Zen 4,
AVX-512 with bfloat16) that other work shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...errors import UsageError, unknown_name
from ...images.preprocessing import IMAGENET_TORCHVISION, Preprocessing
from ..input import ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation
from ..optim.ema import Averaging
from ..optim.optimizer import SGD, AdamW, Muon, RMSProp
from ..optim.schedule import Cosine, Exponential, OneCycle, Poly, Warmup
from .recipe import BoxLoss, CrossEntropy, GeneratedShapes, NetworkSpec, PixelCrossEntropy, Recipe

HALF = (0.5, 0.5, 0.5)
SQUASH_128 = Preprocessing(size=(128, 128), fit="squash", mean=HALF, std=HALF)


def imagenet_paper() -> Recipe:
    """MobileNetV2 as the paper trained it (section 6.1; what the paper leaves open follows TensorFlow-slim's README and code).

    ``mobilenet train imagenet_paper --data IMAGENET --out RUN``, IMAGENET having class folders in ``train`` and ``val``.
    Published: 72.0 % top-1 with 16 asynchronous workers of batch 96; the README's 5.5 million steps on one GPU are 412 epochs.
    The learning rate is multiplied by 0.98 every epoch, as the paper says (the README's code: every 2.5 epochs divided by the
    number of GPUs). Our processes are synchronous, so `batch` is 96 for all of them together. Not run here: it takes days on
    eight GPUs. Starts from random weights.
    """
    return Recipe(
        name="imagenet_paper",
        network=NetworkSpec(
            settings={"width": 1.0, "padding": "tensorflow", "epsilon": 1e-3},
            dropout=0.2,
            norm_momentum=0.003,
            initialization="tensorflow",
        ),
        resolution=224,
        preprocessing=Preprocessing(size=(224, 224), fit="central_fraction", fraction=0.875, mean=HALF, std=HALF),
        augmentation=ClassificationAugmentation(
            scale=(0.05, 1.0), ratio=(0.75, 4 / 3), flip=0.5, brightness=32 / 255, saturation=(0.5, 1.5)
        ),
        epochs=412,
        batch=96,
        lr=0.045,
        optimizer=RMSProp(decay=0.9, momentum=0.9, epsilon=1.0),
        schedule=Exponential(rate=0.98, every=1.0, staircase=True),
        weight_decay=4e-5,
        decayed="dense",
        loss=CrossEntropy(smoothing=0.1),
        averaging=Averaging(decay=0.9999, every=1, ramp=True),
        score_epochs=5,
        workers=8,
    )


def imagenet_modern() -> Recipe:
    """MobileNetV2 as torchvision trained its second weights (pytorch/vision pull request 5560).

    ``torchrun --nproc-per-node 8 -m mobilenet train imagenet_modern --data IMAGENET --out RUN``. Published: 72.154 % top-1,
    600 epochs of batch 128 on each of 8 GPUs, scored at 232 and 224 px. Two things differ: no repeated augmentation (four
    copies of an image in an epoch a quarter as long), and the cosine changes at every step, not every epoch. Starts from random
    weights. Not run here.
    """
    return Recipe(
        name="imagenet_modern",
        network=NetworkSpec(settings={"width": 1.0}, dropout=0.2),
        resolution=224,
        preprocessing=replace(IMAGENET_TORCHVISION, resize=232),
        augmentation=ClassificationAugmentation(policy="trivial", erasing=0.1, mixup=0.2, cutmix=1.0),
        sizes=((0.0, 176),),
        epochs=600,
        batch=1024,
        lr=0.5,
        optimizer=SGD(momentum=0.9),
        schedule=Cosine(),
        warmup=Warmup(epochs=5, start=0.01),
        weight_decay=2e-5,
        decayed="all_but_norms",
        loss=CrossEntropy(smoothing=0.1),
        # torchvision's 0.99998 every 32 steps, scaled by batch x 32 / epochs: 1 - (1 - 0.99998) x 1024 x 32 / 600.
        averaging=Averaging(decay=0.998908, every=32, ramp=False),
        precision="bf16-mixed",
        score_epochs=5,
        workers=8,
    )


def imagenette() -> Recipe:
    """Imagenette from random weights, 5 epochs at 128 px, by the rules of its public leaderboard.

    ``mobilenet train imagenette --data IMAGENETTE160 --out RUN``. Muon with a one-cycle schedule, first on smaller images.
    With few epochs, it matters how much one step learns: nearly all of MobileNet's weights are matrices, whose updates Muon
    makes orthogonal. Starts from random weights and reaches top-1 0.797 (seed 0); SGD with Nesterov's momentum and half the
    batch, the best of a dozen settings without Muon, reached 0.750. Blocks with a shortcut start as the identity, so that the
    network learns from the first step.
    """
    return Recipe(
        name="imagenette",
        network=NetworkSpec(settings={"width": 1.0}, dropout=0.0, zero_residuals=True),
        resolution=128,
        preprocessing=Preprocessing(size=(128, 128), fit="squash"),
        augmentation=ClassificationAugmentation(scale=(0.35, 1.0)),
        sizes=((0.0, 96), (0.4, 128)),
        epochs=5,
        batch=32,
        lr=0.006,
        optimizer=Muon(),
        schedule=OneCycle(rise=0.25, start=0.05, final=0.001),
        weight_decay=0.02,
        decayed="weights",
        loss=CrossEntropy(smoothing=0.1),
        averaging=Averaging(decay=0.995),
        precision="bf16-mixed",
        in_memory=True,
    )


def imagenette_20() -> Recipe:
    """`imagenette` for 20 epochs on larger images, with TrivialAugment; also from random weights: top-1 0.876 (seed 0).

    Settings that reached less: crops of at least a quarter of the image (0.869), the same crops with 112 px for the last 14
    epochs (0.861) or, at half the learning rate, without TrivialAugment (0.865, with 8 points between training and validation
    images), and SGD with Nesterov's momentum (0.852).
    """
    return replace(
        imagenette(),
        name="imagenette_20",
        epochs=20,
        sizes=((0.0, 112), (0.3, 128)),
        weight_decay=0.05,
        augmentation=ClassificationAugmentation(scale=(0.45, 1.0), policy="trivial"),
        score_epochs=5,
    )


def imagenette_80() -> Recipe:
    """`imagenette_20` for 80 epochs, with CutMix, mixup and erasing. Not run here: it takes hours on two cores."""
    return replace(
        imagenette_20(),
        name="imagenette_80",
        epochs=80,
        batch=64,
        lr=0.008,
        augmentation=ClassificationAugmentation(scale=(0.35, 1.0), policy="trivial", erasing=0.1, cutmix=1.0, mixup=0.2),
        averaging=Averaging(decay=0.998),
    )


def imagenette_200() -> Recipe:
    """`imagenette_80` for 200 epochs. Not run here."""
    return replace(imagenette_80(), name="imagenette_200", epochs=200, averaging=Averaging(decay=0.999))


def coco_ssdlite() -> Recipe:
    """SSDLite on MobileNetV2 at 320 px, from the `imagenet` backbone (section 6.2; torchvision's recipe for its SSDLite).

    ``torchrun --nproc-per-node 8 -m mobilenet train coco_ssdlite --data COCO --out RUN``, COCO with ``annotations``,
    ``train2017`` and ``val2017``. The paper's 22.1 mAP has no published schedule; torchvision's reference for MobileNetV3 runs
    660 epochs of batch 24 on each of 8 GPUs with a learning rate of 0.15 and a cosine schedule, and reaches 21.3 (published).
    Not run here in full.
    """
    return Recipe(
        name="coco_ssdlite",
        network=NetworkSpec(
            "ssdlite_mobilenet_v2", {"width": 1.0, "anchors": "torchvision"}, dropout=0.0, norm_momentum=0.03, start="imagenet"
        ),
        resolution=320,
        preprocessing=Preprocessing(size=(320, 320), fit="squash"),
        augmentation=DetectionAugmentation(),
        epochs=660,
        batch=192,
        lr=0.15,
        optimizer=SGD(momentum=0.9),
        schedule=Cosine(),
        warmup=Warmup(epochs=2, start=0.001),
        weight_decay=4e-5,
        decayed="all_but_norms",
        loss=BoxLoss(form="torchvision"),
        precision="bf16-mixed",
        score_epochs=20,
        workers=8,
    )


def voc_deeplab() -> Recipe:
    """Mobile DeepLabv3 on MobileNetV2, output stride 16, from the `imagenet` backbone (section 6.3; DeepLab's train.py).

    ``mobilenet train voc_deeplab --data VOC2012 --out RUN``. Published: 75.32 mIoU, 30,000 steps of batch 16, crops of 513 px,
    SGD, learning rate 0.007 with a polynomial schedule of power 0.9, starting from weights trained on COCO; from ImageNet
    weights others report 69 to 71. 46 epochs over the 10,582 images of train_aug are those steps. Not run here in full.
    """
    return Recipe(
        name="voc_deeplab",
        network=NetworkSpec(
            "deeplabv3_mobilenet_v2",
            {"width": 1.0, "output_stride": 16, "aspp": "none"},
            dropout=0.1,
            norm_momentum=0.003,
            start="imagenet",
        ),
        resolution=513,
        preprocessing=Preprocessing(size=(513, 513), fit="pad", fill=127),
        augmentation=SegmentationAugmentation(scale=(0.5, 2.0), step=0.25),
        epochs=46,
        batch=16,
        lr=0.007,
        optimizer=SGD(momentum=0.9),
        schedule=Poly(power=0.9),
        weight_decay=4e-5,
        decayed="dense",
        loss=PixelCrossEntropy(),
        precision="bf16-mixed",
        score_epochs=5,
        workers=4,
    )


def shapes_classify() -> Recipe:
    """Generated images of five kinds of shapes, one shape on each: a first training, minutes on two cores.

    ``mobilenet train shapes_classify --out RUN``. Five bottlenecks at strides 2 to 16 are enough, and learn faster than all
    seventeen.
    """
    return Recipe(
        name="shapes_classify",
        network=NetworkSpec(
            settings={"width": 1.0, "rows": [[1, 16, 1, 1], [4, 24, 1, 2], [4, 32, 1, 2], [4, 64, 1, 2], [4, 96, 1, 1]]},
            dropout=0.0,
            zero_residuals=True,
        ),
        resolution=64,
        preprocessing=SQUASH_128.at(64),
        augmentation=ClassificationAugmentation(scale=(0.7, 1.0), ratio=(0.9, 1.1)),
        epochs=6,
        batch=16,
        lr=0.004,
        optimizer=AdamW(),
        schedule=OneCycle(rise=0.2, start=0.05, final=0.001),
        weight_decay=0.02,
        averaging=Averaging(decay=0.99),
        shapes=GeneratedShapes(train=8192, val=1024, size=64),
        in_memory=True,
        workers=0,
        score_epochs=2,
    )


def shapes_detect() -> Recipe:
    """Generated images of up to five overlapping shapes, with boxes: SSDLite learns to find them from random weights.

    ``mobilenet train shapes_detect --out RUN``.
    """
    return replace(
        shapes_classify(),
        name="shapes_detect",
        network=NetworkSpec("ssdlite_mobilenet_v2", {"width": 0.5, "anchors": "torchvision"}, dropout=0.0, zero_residuals=True),
        resolution=160,
        preprocessing=SQUASH_128.at(160),
        augmentation=DetectionAugmentation(distortion=0.0, zoom_out=0.0, iou_crop=False),
        lr=0.003,
        loss=BoxLoss(form="torchvision"),
        shapes=GeneratedShapes(train=4096, val=512, size=160),
    )


def shapes_segment() -> Recipe:
    """The images of `shapes_detect`, smaller, with a class for each pixel: DeepLabv3 learns from random weights.

    ``mobilenet train shapes_segment --out RUN``. The output stride is 8, since even the true class shares in cells of 16
    pixels, resized to the image, reach an mIoU of only 0.75; in cells of 8 pixels they reach 0.89. Seven wide bottlenecks learn
    sooner than seventeen narrow ones, and are twice as fast.
    """
    return replace(
        shapes_detect(),
        name="shapes_segment",
        network=NetworkSpec(
            "deeplabv3_mobilenet_v2",
            {
                "width": 1.0,
                "output_stride": 8,
                "rows": [[1, 16, 1, 1], [4, 24, 1, 2], [4, 32, 2, 2], [4, 64, 1, 2], [4, 96, 2, 1]],
            },
            dropout=0.0,
            zero_residuals=True,
        ),
        resolution=128,
        preprocessing=SQUASH_128,
        augmentation=SegmentationAugmentation(scale=(1.0, 1.0), step=0.0),
        loss=PixelCrossEntropy(),
        batch=8,
        shapes=GeneratedShapes(train=4096, val=512, size=128),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    function.__name__: function
    for function in (
        imagenet_paper,
        imagenet_modern,
        imagenette,
        imagenette_20,
        imagenette_80,
        imagenette_200,
        coco_ssdlite,
        voc_deeplab,
        shapes_classify,
        shapes_detect,
        shapes_segment,
    )
}


def find(name: str) -> Recipe:
    """The recipe called `name`. Raises UsageError with the nearest names if there is none."""
    if name not in RECIPES:
        raise UsageError(unknown_name("recipe", name, RECIPES))
    return RECIPES[name]()
