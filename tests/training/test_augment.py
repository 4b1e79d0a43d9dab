"""Boxes and masks move with the pixels; colors are what their formulas say; randomness depends on its seed alone."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from torchvision import tv_tensors

from mobilenet.data.seeds import derived_seed
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.tasks.results import VOID
from mobilenet.training.input.augment import (
    ClassificationAugmentation,
    DetectionAugmentation,
    SegmentationAugmentation,
    _InceptionColor as InceptionColor,
    _saturated as saturated,
    drawing_from,
    evaluation_image,
    training,
)
from mobilenet.training.input.loading import normalized, one_thread
from mobilenet.training.input.mix import mix
from mobilenet.training.input.samples import to_image, to_tensor

SQUASH = Preprocessing((60, 80), "squash", mean=(0, 0, 0), std=(1, 1, 1))
PAD = Preprocessing((60, 80), "pad", fill=127)


@pytest.fixture(autouse=True)
def _quick():
    with one_thread():
        yield


COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def rectangles(height=90, width=120):
    """A white image with three rectangles of pure colors; its boxes and its mask."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    frames = [(4, 6, 40, 30), (50, 10, 110, 50), (20, 55, 70, 85)]
    for number, (x0, y0, x1, y1) in enumerate(frames):
        pixels[y0:y1, x0:x1], mask[y0:y1, x0:x1] = COLORS[number], number + 1
    image = tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1))
    boxes = tv_tensors.BoundingBoxes(torch.tensor(frames, dtype=torch.float32), format="XYXY", canvas_size=(height, width))
    target = {"boxes": boxes, "labels": torch.arange(3), "crowd": torch.tensor([False, True, False])}
    return image, target, tv_tensors.Mask(torch.from_numpy(mask))


def has_color(image, number):
    """Where the image has (nearly) the color of rectangle `number`: (H, W) bool."""
    color = torch.tensor(COLORS[number])[:, None, None]
    return ((image.as_subclass(torch.Tensor).int() - color).abs() < 100).all(dim=0)


def extent(where):
    rows, columns = where.any(dim=1).nonzero(), where.any(dim=0).nonzero()
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


@pytest.mark.parametrize("seed", range(30))
def test_boxes_move_with_the_pixels(seed):
    image, target, _ = rectangles()
    change = training(DetectionAugmentation(distortion=0), SQUASH)
    with drawing_from(seed):
        seen, objects = change(image, target)
    assert seen.shape == (3, 60, 80)
    assert seen.dtype == torch.uint8
    assert len(objects["boxes"]) == len(objects["labels"]) == len(objects["crowd"]) >= 1
    for box, label, crowd in zip(objects["boxes"].tolist(), objects["labels"].tolist(), objects["crowd"].tolist(), strict=True):
        assert crowd == (label == 1)
        where = has_color(seen, label)
        if where.any():  # a thin strip that was shrunk may lose its pure color
            # resizing blurs an edge over a pixel on both sides; half of it keeps within the color's tolerance
            assert np.abs(np.array(box) - extent(where)).max() <= 2
        else:
            assert min(box[2] - box[0], box[3] - box[1]) < 4
    assert target["labels"].tolist() == [0, 1, 2]  # the dataset's own is unchanged


def test_the_random_changes_of_a_detector_all_happen():
    image, target, _ = rectangles()
    change = training(DetectionAugmentation(), SQUASH)
    seen = set()
    for seed in range(60):
        with drawing_from(seed):
            _, objects = change(image, target)
        box = objects["boxes"][0].tolist()
        seen |= {"lost"} if len(objects["boxes"]) < 3 else set()
        seen |= {"smaller"} if len(objects["boxes"]) == 3 and box[2] - box[0] < 14 else set()
    assert seen == {"lost", "smaller"}


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 64)])
def test_images_without_objects_and_tiny_images_pass(size):
    empty = {
        "boxes": tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=size),
        "labels": torch.zeros(0, dtype=torch.int64),
        "crowd": torch.zeros(0, dtype=torch.bool),
    }
    frame = tv_tensors.BoundingBoxes(torch.tensor([[0.0, 0, size[1], size[0]]]), format="XYXY", canvas_size=size)
    full = {"boxes": frame, "labels": torch.tensor([4]), "crowd": torch.tensor([False])}
    image = tv_tensors.Image(torch.zeros(3, *size, dtype=torch.uint8))
    for seed in range(8):
        with drawing_from(seed):
            seen, objects = training(DetectionAugmentation(), SQUASH)(image, empty)
            assert seen.shape == (3, 60, 80)
            assert objects["boxes"].shape == (0, 4)
            assert training(DetectionAugmentation(), SQUASH)(image, full)[0].shape == (3, 60, 80)
            assert training(SegmentationAugmentation(), PAD)(image, tv_tensors.Mask(image[0]))[0].shape == (3, 60, 80)


@pytest.mark.parametrize("scale_of", ["image", "fitted"])
def test_masks_move_with_the_pixels(scale_of):
    image, _, mask = rectangles()
    change = training(SegmentationAugmentation(scale_of=scale_of), PAD)
    padded = 0
    for seed in range(40):
        with drawing_from(seed):
            seen, truth = change(image, mask)
        assert seen.shape == (3, 60, 80)
        assert truth.shape == (60, 80)
        assert truth.dtype == torch.uint8
        void = truth == VOID
        padded += bool(void.any())
        assert (seen.as_subclass(torch.Tensor)[:, void] == 127).all()
        white = (seen.as_subclass(torch.Tensor) > 200).all(dim=0)
        assert not (truth[white & ~edges(truth)]).any()
        for number in range(3):
            inner = (truth == number + 1) & ~edges(truth)
            assert has_color(seen, number)[inner].all()
    assert 0 < padded < 40


def edges(mask):
    """Pixels within two of another class, which may have been cut off: resizing mixes colors there."""
    x = torch.nn.functional.pad(mask.as_subclass(torch.Tensor).float(), (2, 2, 2, 2), value=-1)[None, None]
    grown = torch.nn.functional.max_pool2d(x, 5, 1)
    shrunk = -torch.nn.functional.max_pool2d(-x, 5, 1)
    return (grown != shrunk)[0, 0]


def test_the_scales_are_the_steps_of_the_range():
    image = tv_tensors.Image(torch.arange(3 * 40 * 40).reshape(3, 40, 40).to(torch.uint8))
    mask = tv_tensors.Mask(torch.ones(40, 40, dtype=torch.uint8))
    change = training(SegmentationAugmentation(), Preprocessing((100, 100), "pad", fill=127))
    sides = set()
    for seed in range(80):
        with drawing_from(seed):
            _, truth = change(image, mask)
        sides.add(round(float((truth == 1).sum()) ** 0.5))
    assert sides == {20, 30, 40, 50, 60, 70, 80}


# Evaluation and classification -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "preprocessing",
    [
        SQUASH,
        PAD,
        Preprocessing((60, 80), "center_crop", resize=90),
        Preprocessing((60, 80), "central_fraction", fraction=0.875),
    ],
)
def test_evaluation_is_the_preprocessing_to_the_last_bit(preprocessing):
    original = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    image = to_tensor(original)
    for opened in (original, to_image(image), to_image(image.contiguous())):
        seen = evaluation_image(opened, preprocessing)
        assert np.array_equal(normalized(seen[None], preprocessing)[0].numpy(), preprocessing(original))


@pytest.mark.parametrize(
    "augmentation",
    [
        ClassificationAugmentation(brightness=32 / 255, saturation=(0.5, 1.5)),
        ClassificationAugmentation(jitter=(0.4, 0.4, 0.4, 0.1), erasing=0.5),
        ClassificationAugmentation(policy="randaugment", magnitude=7),
        ClassificationAugmentation(policy="trivial"),
        DetectionAugmentation(),
        SegmentationAugmentation(jitter=(0.4, 0.4, 0.4, 0.0), step=0),
    ],
    ids=lambda a: type(a).__name__,
)
def test_a_change_is_a_function_of_its_seed(augmentation):
    image, target, mask = rectangles()
    target_of_task = {"classification": 3, "detection": target, "segmentation": mask}[augmentation.task]
    change = training(augmentation, SQUASH)

    def result(seed):
        with drawing_from(7, 1, seed):
            return change(image, target_of_task)[0]

    outside = torch.default_generator.get_state()
    first = [result(seed) for seed in range(5)]
    np.random.seed(1)  # only torch's generator matters
    assert all(torch.equal(a, result(seed)) for seed, a in enumerate(first))
    assert len({a.numpy().tobytes() for a in first}) > 1
    assert torch.equal(torch.default_generator.get_state(), outside)
    assert torch.equal(image, rectangles()[0])


def test_derived_seeds_are_pinned():
    """A checkpoint's run must go on alike with any later version."""
    assert [derived_seed(0), derived_seed(0, 1), derived_seed(1, 0), derived_seed(0, 0, 1)] == PINNED
    assert len({derived_seed(0, epoch, index) for epoch in range(20) for index in range(500)}) >= 9998


PINNED = [613549620, 4001049575, 519560524, 918361880]


def test_random_resized_crop_and_flip_are_used_as_set():
    image = tv_tensors.Image(torch.arange(80, dtype=torch.uint8).expand(3, 60, 80).contiguous())
    kept = training(ClassificationAugmentation(scale=(1, 1), ratio=(4 / 3, 4 / 3), flip=0), SQUASH)
    mirrored = training(ClassificationAugmentation(scale=(1, 1), ratio=(4 / 3, 4 / 3), flip=1), SQUASH)
    assert torch.equal(kept(image, 0)[0], image)
    assert torch.equal(mirrored(image, 0)[0], image.flip(2))


def test_erasing_paints_the_color_that_normalizes_to_nothing():
    preprocessing = replace(SQUASH, mean=(0.5, 0.25, 0.75))
    image = tv_tensors.Image(torch.zeros(3, 60, 80, dtype=torch.uint8))
    with drawing_from(1):
        seen, _ = training(ClassificationAugmentation(erasing=1.0), preprocessing)(image, 0)
    painted = seen.as_subclass(torch.Tensor)[:, seen[0] > 0]
    assert painted.shape[1] > 50
    assert (torch.tensor([128, 64, 191], dtype=torch.uint8) == painted.T).all()


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(0, 3))
def test_saturation_is_that_of_hsv(color, factor):
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in color))
    expected = np.array(colorsys.hsv_to_rgb(hue, min(saturation * factor, 1), value)) * 255
    seen = saturated(torch.tensor(color, dtype=torch.float32)[:, None, None], factor)[:, 0, 0]
    assert seen.numpy() == pytest.approx(expected, abs=1e-3)


def test_inception_brightness_adds_at_most_its_share():
    image = tv_tensors.Image(torch.full((3, 8, 8), 128, dtype=torch.uint8))
    shifts = []
    for seed in range(300):
        with drawing_from(seed):
            shifts.append(int(InceptionColor(32 / 255, (0.5, 1.5))(image)[0, 0, 0]) - 128)
    assert -32 <= min(shifts) <= -30
    assert 30 <= max(shifts) <= 32


# Mixing ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("count", [1, 6, 7])
def test_labels_weigh_what_the_pixels_show(kind, count):
    levels = torch.arange(count, dtype=torch.float32) * 10
    images = levels[:, None, None, None].expand(count, 3, 20, 20).contiguous()
    labels = torch.arange(count)
    for seed in range(20):
        mixed, soft = mix(images, labels, count, ClassificationAugmentation(**{kind: 0.8}), (seed,))
        assert soft.sum(dim=1).numpy() == pytest.approx(1, abs=1e-6)
        assert mixed.mean(dim=(1, 2, 3)).numpy() == pytest.approx((soft @ levels).numpy(), abs=1e-4)
        for first in range(0, count - 1, 2):
            assert set(soft[first].nonzero()[:, 0].tolist()) <= {first, first + 1}
        if count % 2:
            assert soft[-1, -1] == 1
        assert torch.equal(images, levels[:, None, None, None].expand(count, 3, 20, 20))


def test_a_batch_divided_at_even_places_is_mixed_as_if_it_were_whole():
    images, labels = torch.rand(8, 3, 6, 6), torch.arange(8) % 3
    both = ClassificationAugmentation(mixup=0.2, cutmix=1.0)
    kinds = set()
    for seed in range(12):
        whole = mix(images, labels, 3, both, (seed, 1))
        parts = [mix(images[i : i + 4], labels[i : i + 4], 3, both, (seed, 1)) for i in (0, 4)]
        assert torch.equal(whole[0], torch.cat([part[0] for part in parts]))
        assert torch.equal(whole[1], torch.cat([part[1] for part in parts]))
        kinds.add(bool((whole[0] == images).any(dim=1).any()))
    assert kinds == {True, False}  # pixels of its own stay in CutMix only


# Settings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassificationAugmentation(scale=(0.5, 0.1)), r"scale \(0.5, 0.1\): must be from and to"),
        (lambda: ClassificationAugmentation(brightness=32), "divide by 255"),
        (lambda: ClassificationAugmentation(policy="autoaugment"), "must be 'none' or 'randaugment' or 'trivial'"),
        (lambda: ClassificationAugmentation(magnitude=5), "magnitude 5: must be absent except for randaugment"),
        (lambda: ClassificationAugmentation(flip=True), "flip True: must be a number"),
        (lambda: DetectionAugmentation(zoom=(0.5, 2.0)), r"zoom \(0.5, 2.0\)"),
        (lambda: SegmentationAugmentation(step=-1), "step -1"),
        (lambda: SegmentationAugmentation(crop=1.5), "crop 1.5"),
        (lambda: SegmentationAugmentation(jitter=(0, 0, 0, 0.6)), "the last at most 0.5"),
        (lambda: training(DetectionAugmentation(), PAD), "fit 'pad' must be 'squash'"),
        (lambda: training(ClassificationAugmentation(), replace(SQUASH, interpolation="lanczos")), "interpolation 'lanczos'"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
