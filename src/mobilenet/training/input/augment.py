"""Random changes of images for training, boxes and masks with them: torchvision's transforms, combined for each task.

All randomness is torch's, and `drawing_from` makes it a function of given numbers alone. Images stay uint8; normalization and
mixing follow by the batch, in `loading` and `mix`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from ...data.seeds import derived_seed
from ...errors import UsageError, assert_never
from ...images.preprocessing import Preprocessing
from ...settings import Rules, Settings
from ...tasks.results import VOID
from .samples import DetectionTarget, MaskTarget, Target

Policy = Literal["none", "randaugment", "trivial"]
ScaleOf = Literal["image", "fitted"]
Range = tuple[float, float]
Jitter = tuple[float, float, float, float]


class ClassificationAugmentation(Settings):
    """Random resized crop, mirror image, color, erasing; mixing of the batch's images.

    Attributes:
        scale: share of the image's area that the crop has, from and to.
        ratio: width over height of the crop, from and to.
        flip: probability of the mirror image.
        brightness: the largest amount added to or subtracted from all values, as a share of their range; 32 / 255 in
            Inception's preprocessing, with which the paper's networks were trained.
        saturation: factor on HSV's saturation, from and to; 0.5 to 1.5 in Inception's. (1, 1) changes nothing.
        jitter: torchvision's ColorJitter, after these: brightness, contrast, saturation, hue.
        policy: "randaugment", or "trivial" for TrivialAugmentWide; "none".
        operations, magnitude: of "randaugment".
        erasing: probability that a rectangle is filled with the mean color.
        mixup: alpha of mixup's Beta(alpha, alpha), 0 for none.
        cutmix: alpha of CutMix's Beta, 0 for none; with both, each batch gets one of them, with equal probability.

    Raises UsageError that names the field if one is out of range.
    """

    scale: Range = (0.08, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    flip: float = 0.5
    brightness: float = 0.0
    saturation: Range = (1.0, 1.0)
    jitter: Jitter = (0.0, 0.0, 0.0, 0.0)
    policy: Policy = "none"
    operations: int = 2
    magnitude: int = 9
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    noun = "augmentation"
    task = "classification"

    def rules(self) -> Rules:
        yield "scale", _is_range(self.scale, 0.001, 1), "from and to, within 0.001 to 1"
        yield "ratio", _is_range(self.ratio, 0.01, 100), "from and to, within 0.01 to 100"
        yield "flip", 0 <= self.flip <= 1, "a probability"
        yield "brightness", 0 <= self.brightness <= 1, "from 0 to 1; divide by 255 if it is on the pixels' scale"
        yield "saturation", _is_range(self.saturation, 0, 10), "from and to, within 0 to 10"
        yield _jitter_rule(self.jitter)
        yield "operations", 1 <= self.operations <= 10, "from 1 to 10"
        yield "magnitude", 0 <= self.magnitude <= 30, "from 0 to 30"
        yield "operations", self.policy == "randaugment" or self.operations == 2, "absent except for randaugment"
        yield "magnitude", self.policy == "randaugment" or self.magnitude == 9, "absent except for randaugment"
        yield "erasing", 0 <= self.erasing <= 1, "a probability"
        yield "mixup", 0 <= self.mixup <= 100, "from 0 to 100"
        yield "cutmix", 0 <= self.cutmix <= 100, "from 0 to 100"


class DetectionAugmentation(Settings):
    """SSD's (arXiv 1512.02325, section 2.2): photometric distortion, zoom out, IoU crop, mirror image; then the whole image is
    squashed to the input's size.

    Attributes:
        distortion: probability with which each of brightness, contrast, saturation, hue and order of channels changes.
        zoom_out: probability that the image is placed on a larger canvas of the mean color.
        zoom: sides of the canvas over the image's, from and to.
        iou_crop: crop a part that overlaps some object by at least a random IoU, and drop objects whose center is cut off.
            Images without objects stay whole.
        flip: probability of the mirror image.

    Raises UsageError that names the field if one is out of range.
    """

    distortion: float = 0.5
    zoom_out: float = 0.5
    zoom: Range = (1.0, 4.0)
    iou_crop: bool = True
    flip: float = 0.5

    noun = "augmentation"
    task = "detection"

    def rules(self) -> Rules:
        yield "distortion", 0 <= self.distortion <= 1, "a probability"
        yield "zoom_out", 0 <= self.zoom_out <= 1, "a probability"
        yield "zoom", _is_range(self.zoom, 1, 16), "from and to, within 1 to 16"
        yield "flip", 0 <= self.flip <= 1, "a probability"


class SegmentationAugmentation(Settings):
    """DeepLab's: a random scale, a random crop of the input's size (padded if the image is too small), mirror image.

    Attributes:
        scale: from and to.
        step: between the scales; 0 allows any.
        scale_of: the meaning of scale 1: "image", the image's own pixels (DeepLab), or "fitted", the whole image as large
            as fits the input, as the preprocessing "pad" shows it at evaluation.
        flip: probability of the mirror image.
        jitter: torchvision's ColorJitter: brightness, contrast, saturation, hue.
        crop: side of the crop over that of the input.

    Raises UsageError that names the field if one is out of range.
    """

    scale: Range = (0.5, 2.0)
    step: float = 0.25
    scale_of: ScaleOf = "image"
    flip: float = 0.5
    jitter: Jitter = (0.0, 0.0, 0.0, 0.0)
    crop: float = 1.0

    noun = "augmentation"
    task = "segmentation"

    def rules(self) -> Rules:
        yield "scale", _is_range(self.scale, 0.05, 16), "from and to, within 0.05 to 16"
        yield "step", 0 <= self.step <= 16, "from 0 to 16"
        yield "crop", 0.1 <= self.crop <= 1, "from 0.1 to 1"
        yield "flip", 0 <= self.flip <= 1, "a probability"
        yield _jitter_rule(self.jitter)


def _is_range(pair: Range, low: float, high: float) -> bool:
    return low <= pair[0] <= pair[1] <= high


def _jitter_rule(jitter: Jitter) -> tuple[str, bool, str]:
    holds = all(0 <= share <= 1 for share in jitter) and jitter[3] <= 0.5
    return "jitter", holds, "four numbers from 0 to 1, the last at most 0.5"


Augmentation = ClassificationAugmentation | DetectionAugmentation | SegmentationAugmentation

Change = Callable[[Any, Any], tuple[Any, Any]]
"""(image, target) -> (image, target), as in `samples.Sample`, the image of the input's size. (torchvision's are untyped.)"""


def training(augmentation: Augmentation, preprocessing: Preprocessing) -> Change:
    """The random change of a sample for training; the image comes out at the preprocessing's size, uint8.

    Raises UsageError for a detector whose preprocessing does not squash (its boxes would lie elsewhere than in evaluation),
    and for an interpolation that torchvision does not have for tensors.
    """
    match augmentation:
        case ClassificationAugmentation():
            return _Classification(augmentation, preprocessing)
        case DetectionAugmentation():
            if preprocessing.fit != "squash":
                raise UsageError(f"preprocessing: fit {preprocessing.fit!r} must be 'squash' to train a detector")
            return _Detection(augmentation, preprocessing)
        case SegmentationAugmentation():
            return _Segmentation(augmentation, preprocessing)
        case _:
            assert_never(augmentation)


def evaluation_image(image: Image.Image, preprocessing: Preprocessing) -> Tensor:
    """An RGB image as evaluation shows it: (3, H, W) uint8 of the input's size, the pixels of `images.preprocessing`."""
    return torch.from_numpy(np.array(preprocessing.resize_and_crop(image))).permute(2, 0, 1)


@contextmanager
def drawing_from(*numbers: int) -> Iterator[None]:
    """Inside, torch's CPU generator starts from `numbers` alone; afterwards it is where it was. CUDA's is left alone."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(derived_seed(*numbers))
    try:
        yield
    finally:
        generator.set_state(before)


# Image and target ------------------------------------------------------------------------------------------------------


class _Classification:
    def __init__(self, settings: ClassificationAugmentation, preprocessing: Preprocessing) -> None:
        resample = _mode(preprocessing)
        steps: list[Any] = [
            v2.RandomResizedCrop(preprocessing.size, settings.scale, settings.ratio, interpolation=resample, antialias=True)
        ]
        steps += [v2.RandomHorizontalFlip(settings.flip)] * (settings.flip > 0)
        if settings.brightness or settings.saturation != (1, 1):
            steps.append(_InceptionColor(settings.brightness, settings.saturation))
        steps += _jitter(settings.jitter)
        if settings.policy == "randaugment":
            steps.append(v2.RandAugment(settings.operations, settings.magnitude, interpolation=resample))
        elif settings.policy == "trivial":
            steps.append(v2.TrivialAugmentWide(interpolation=resample))
        steps += [v2.RandomErasing(settings.erasing, value=mean_color(preprocessing))] * (settings.erasing > 0)
        self.steps = steps

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        for step in self.steps:  # a class does not change with the pixels
            image = step(image)
        return image, target


class _Detection:
    def __init__(self, settings: DetectionAugmentation, preprocessing: Preprocessing) -> None:
        fill = mean_color(preprocessing)
        self.distort = v2.RandomPhotometricDistort(p=settings.distortion) if settings.distortion else None
        self.zoom = v2.RandomZoomOut(fill, settings.zoom, settings.zoom_out) if settings.zoom_out else None
        self.crop = v2.RandomIoUCrop() if settings.iou_crop else None
        self.finish = v2.Compose(
            [
                v2.RandomHorizontalFlip(settings.flip),
                v2.Resize(preprocessing.size, _mode(preprocessing), antialias=True),
                v2.SanitizeBoundingBoxes(min_size=1, labels_getter=_by_box),
            ]
        )

    def __call__(self, image: Tensor, target: DetectionTarget) -> tuple[Tensor, DetectionTarget]:
        target = target.copy()  # no step may change the target that the dataset keeps
        if self.distort is not None:
            image = self.distort(image)
        if self.zoom is not None:
            image, target = self.zoom(image, target)
        if self.crop is not None and len(target["boxes"]) and min(image.shape[-2:]) >= 4:  # of fewer pixels no crop is left
            image, target = self.crop(image, target)
        image, target = self.finish(image, target)
        return image, target


class _Segmentation:
    def __init__(self, settings: SegmentationAugmentation, preprocessing: Preprocessing) -> None:
        self.settings, self.preprocessing, self.resample = settings, preprocessing, _mode(preprocessing)
        fill = {tv_tensors.Image: mean_color(preprocessing), tv_tensors.Mask: VOID}
        size = tuple(max(round(side * settings.crop), 1) for side in preprocessing.size)
        self.finish = v2.Compose(
            [
                v2.RandomCrop(size, pad_if_needed=True, fill=fill),
                v2.RandomHorizontalFlip(settings.flip),
                *_jitter(settings.jitter),
            ]
        )

    def __call__(self, image: Tensor, target: MaskTarget) -> tuple[Tensor, MaskTarget]:
        (low, high), step = self.settings.scale, self.settings.step
        if step:
            scale = low + step * int(torch.randint(int((high - low) / step + 1e-6) + 1, ()))
        else:
            scale = low + (high - low) * float(torch.rand(()))
        rows, columns = image.shape[-2:]
        if self.settings.scale_of == "fitted":
            height, width = self.preprocessing.size
            scale *= min(height / rows, width / columns)
        size = [max(round(rows * scale), 1), max(round(columns * scale), 1)]
        if size != [rows, columns]:
            image = v2.functional.resize(image, size, self.resample, antialias=True)
            target = v2.functional.resize(target, size, v2.InterpolationMode.NEAREST_EXACT)
        image, target = self.finish(image, target)
        return image, target


class _InceptionColor:
    """Inception's ``distort_color`` in its fast mode: brightness added, HSV's saturation multiplied, in either order."""

    def __init__(self, brightness: float, saturation: Range) -> None:
        self.brightness, self.saturation = brightness * 255, saturation

    def __call__(self, image: Tensor) -> Tensor:
        order, shift, factor = torch.rand(3).tolist()
        x = image.as_subclass(Tensor).float()
        shift = (2 * shift - 1) * self.brightness
        factor = self.saturation[0] + factor * (self.saturation[1] - self.saturation[0])
        x = _saturated(x + shift, factor) if order < 0.5 else _saturated(x, factor) + shift
        colored: Tensor = tv_tensors.Image(x.round_().clamp_(0, 255).to(torch.uint8))
        return colored


def _saturated(x: Tensor, factor: float) -> Tensor:
    """(3, H, W) with HSV's saturation multiplied, limited to 1; hue and value stay.

    Saturation is (maximum - minimum) / maximum, so each channel's distance from the maximum grows by the factor, until the
    minimum reaches 0.
    """
    maximum, minimum = x.amax(0), x.amin(0)
    growth = torch.clamp(maximum / (maximum - minimum).clamp_min(1e-6), min=0, max=factor)
    return maximum - (maximum - x) * growth


def mean_color(preprocessing: Preprocessing) -> list[int]:
    """Red, green and blue that normalization makes (nearly) 0; for the fit "pad" its fill value."""
    if preprocessing.fill is not None:
        return [preprocessing.fill] * 3
    return [round(255 * mean) for mean in preprocessing.mean]


def _mode(preprocessing: Preprocessing) -> Any:
    if preprocessing.interpolation not in ("nearest", "bilinear", "bicubic"):
        raise UsageError(
            f"preprocessing: interpolation {preprocessing.interpolation!r} must be nearest, bilinear or bicubic to train with"
        )
    return v2.InterpolationMode(preprocessing.interpolation)


def _jitter(jitter: Jitter) -> list[Any]:
    return [v2.ColorJitter(*jitter)] if any(jitter) else []


def _by_box(inputs: Any) -> tuple[Tensor, Tensor]:
    """Labels and crowds of (image, target), which are dropped with their boxes."""
    return inputs[1]["labels"], inputs[1]["crowd"]
