"""Losses against torch, torchvision, numpy and closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision import tv_tensors
from torchvision.models.detection import _utils, ssd

from mobilenet.images.preprocessing import Preprocessing
from mobilenet.network.heads import ssdlite_mobilenet_v2
from mobilenet.nn import ssdlite_mobilenet_v2 as torch_ssdlite
from mobilenet.tasks import boxes, detection
from mobilenet.tasks.results import VOID
from mobilenet.training import losses
from mobilenet.training.objectives import objective_of
from mobilenet.training.recipes.recipe import CrossEntropy, PixelCrossEntropy, Teacher

K, SIZE = 5, (128, 128)
NETWORK = ssdlite_mobilenet_v2(width=0.35, resolution=SIZE, classes=K, anchors="torchvision")
DEFAULTS = detection.default_boxes(NETWORK)
CORNERS = boxes.to_corners(DEFAULTS.astype(np.float32))
"""In float32 with images of 128 pixels: several default boxes may overlap a small object equally, and rounding must not decide
which is best. With a power of two, shares convert to pixels exactly."""


def random_targets(seed, counts):
    generator = np.random.default_rng(seed)
    targets = []
    for count in counts:
        corner = generator.uniform(0, 0.8, (count, 2))
        corners = np.concatenate([corner, corner + generator.uniform(0.05, 0.2, (count, 2))], axis=1) * (128, 128, 128, 128)
        targets.append(
            {
                "boxes": torch.from_numpy(corners.astype(np.float32)),
                "labels": torch.from_numpy(generator.integers(0, K, count)),
                "crowd": torch.zeros(count, dtype=torch.bool),
            }
        )
    return targets


def random_outputs(seed, count, defaults=DEFAULTS):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, len(defaults), K + 1, generator=generator) * 2
    codes = torch.randn(count, len(defaults), 4, generator=generator)
    return logits.requires_grad_(), codes.requires_grad_()


# Classification --------------------------------------------------------------------------------------------------------


def test_cross_entropy_in_closed_form():
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    powers = [math.exp(2), 1, math.exp(-1)]
    log = [math.log(p / sum(powers)) for p in powers]
    assert losses.cross_entropy(logits, torch.tensor([0]))["total"] == pytest.approx(-log[0], rel=1e-6)
    smooth = losses.cross_entropy(logits, torch.tensor([0]), smoothing=0.1)
    assert smooth["total"] == pytest.approx(-0.9 * log[0] - 0.1 / 3 * sum(log), rel=1e-6)
    soft = losses.cross_entropy(logits, torch.tensor([[0.3, 0.7, 0.0]]))
    assert soft["total"] == pytest.approx(-0.3 * log[0] - 0.7 * log[1], rel=1e-6)
    assert set(soft) == {"cross_entropy", "total"}
    with pytest.raises(ValueError, match="smoothing 1"):
        CrossEntropy(smoothing=1)


def test_soft_targets_of_one_class_are_the_class():
    logits, labels = torch.randn(6, K), torch.arange(6) % K
    for smoothing in (0.0, 0.1):
        hard, soft = (losses.cross_entropy(logits, t, smoothing)["total"] for t in (labels, F.one_hot(labels, K).float()))
        assert hard.item() == pytest.approx(soft.item(), rel=1e-5)


def test_half_precision_is_computed_in_single():
    logits = torch.randn(4, K)
    half = losses.cross_entropy(logits.bfloat16(), torch.arange(4))["total"]
    assert half.dtype == torch.float32
    assert half == losses.cross_entropy(logits.bfloat16().float(), torch.arange(4))["total"]


def test_distillation_in_closed_form():
    student = torch.randn(3, K, requires_grad=True)
    teacher, labels = torch.randn(3, K, requires_grad=True), torch.arange(3)
    parts = losses.distillation(student, teacher, labels, weight=0.7, temperature=3.0)
    p, q = (torch.softmax(x.detach().double() / 3, 1) for x in (teacher, student))
    divergence = 9 * (p * (p.log() - q.log())).sum() / 3
    truth = F.cross_entropy(student, labels)
    assert parts["teacher"].item() == pytest.approx(divergence.item(), rel=1e-5)
    assert parts["total"].item() == pytest.approx(0.3 * truth.item() + 0.7 * divergence.item(), rel=1e-5)
    parts["total"].backward()
    assert teacher.grad is None
    expected = 0.3 * (torch.softmax(student.detach(), 1) - F.one_hot(labels, K)) / 3 + 0.7 * 3 * (q - p) / 3
    assert torch.allclose(student.grad, expected.float(), atol=1e-6)
    assert losses.distillation(student, student, labels, weight=1.0)["total"].item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match=r"weight 1.5"):
        Teacher("imagenet", weight=1.5)


# Segmentation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(), (0.5, 1.0, 2.0, 0.0, 3.0)])
def test_pixel_cross_entropy_is_torchs_without_void(weights):
    logits = torch.randn(2, K, 6, 7, requires_grad=True)
    masks = torch.randint(0, K, (2, 6, 7), dtype=torch.uint8)
    masks[:, 2] = VOID
    parts = losses.pixel_cross_entropy(logits, masks, weights)
    scale = torch.tensor(weights) if weights else None
    expected = F.cross_entropy(logits, masks.long(), scale, ignore_index=VOID)
    assert parts["total"].item() == pytest.approx(expected.item(), rel=1e-6)
    parts["total"].backward()
    assert not logits.grad[:, :, 2].any()


def test_masks_of_only_void_have_no_loss():
    logits = torch.randn(1, K, 3, 3, requires_grad=True)
    parts = losses.pixel_cross_entropy(logits, torch.full((1, 3, 3), VOID, dtype=torch.uint8))
    parts["total"].backward()
    assert parts["total"] == 0
    assert not logits.grad.any()
    with pytest.raises(ValueError, match=r"loss\.weights: 2 for 5 classes"):
        objective_of(PixelCrossEntropy((1.0, 2.0)), NETWORK, Preprocessing(size=(64, 64), fit="squash"), tuple("abcde"))


def test_processes_that_divide_by_the_mean_count_get_the_loss_of_all_pixels():
    logits = torch.randn(2, K, 4, 4)
    masks = torch.randint(0, K, (2, 4, 4), dtype=torch.uint8)
    masks[0, :3] = VOID
    whole = losses.pixel_cross_entropy(logits, masks)["total"]
    mean = (masks != VOID).sum().float() / 2
    parts = [losses.pixel_cross_entropy(logits[i : i + 1], masks[i : i + 1], average=lambda _: mean)["total"] for i in (0, 1)]
    assert (sum(parts) / 2).item() == pytest.approx(whole.item(), rel=1e-6)


# Detection -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(3, 1, 8), (0, 4), (0, 0), (30,)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_torchvisions_form_is_torchvisions(counts, seed):
    targets, (logits, codes) = random_targets(seed, counts), random_outputs(seed, len(counts))
    parts = losses.ssd(logits, codes, targets, DEFAULTS, SIZE, losses.TORCHVISION)

    anchors = torch.from_numpy(CORNERS) * 128
    theirs = [{"boxes": t["boxes"], "labels": t["labels"] + 1} for t in targets]
    matched = []
    for target in theirs:
        if len(target["boxes"]):
            matched.append(_utils.SSDMatcher(0.5)(ssd.box_ops.box_iou(target["boxes"], anchors)))
        else:
            matched.append(torch.full((len(anchors),), -1))
    stand_in = type("Stand", (), {"box_coder": _utils.BoxCoder((10.0, 10.0, 5.0, 5.0)), "neg_to_pos_ratio": 3})()
    outputs = {"bbox_regression": codes, "cls_logits": logits}
    expected = ssd.SSD.compute_loss(stand_in, theirs, outputs, [anchors] * len(counts), matched)
    assert parts["boxes"].item() == pytest.approx(expected["bbox_regression"].item(), rel=1e-4)
    assert parts["classes"].item() == pytest.approx(expected["classification"].item(), rel=1e-5)
    mine = torch.autograd.grad(parts["total"], (logits, codes), retain_graph=True)
    wanted = torch.autograd.grad(sum(expected.values()), (logits, codes))
    for a, b in zip(mine, wanted, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def tensorflow_in_numpy(logits, codes, targets, matching):
    """The object detection API's loss, image by image and box by box: argmax matcher, sigmoid, hard example miner."""
    matches, class_sum, box_sum = 0, 0.0, 0.0
    for number, target in enumerate(targets):
        frames = target["boxes"].numpy() / np.float32(128)
        holds = np.full(len(CORNERS), -1)
        if len(frames):
            overlap = boxes.iou(frames, CORNERS)
            holds = np.where(overlap.max(axis=0) >= 0.5, overlap.argmax(axis=0), -1)
            best = overlap.argmax(axis=1)
            for j in reversed(range(len(frames))):
                holds[best[j]] = j
        x = logits[number].double().numpy()
        truth = np.zeros_like(x)
        truth[np.arange(len(x)), np.where(holds >= 0, target["labels"].numpy()[holds] + 1 if len(frames) else 0, 0)] = 1
        class_loss = (np.maximum(x, 0) - x * truth + np.log1p(np.exp(-np.abs(x)))).sum(axis=1)
        order = np.argsort(-class_loss, kind="stable")
        if matching.duplicates is not None:
            decoded = boxes.decode(codes[number].double().numpy()[:, (1, 0, 3, 2)], DEFAULTS)
            order = boxes.nms(decoded, class_loss, matching.duplicates)
        positives = sum(holds[i] >= 0 for i in order)
        negatives = max(matching.min_negatives, int(positives * matching.negatives))
        for i in order:
            if holds[i] >= 0:
                code = boxes.encode(frames[holds[i]], DEFAULTS[i])[[1, 0, 3, 2]]
                distance = np.abs(codes[number, i].double().numpy() - code)
                box_sum += np.where(distance < 1, distance**2 / 2, distance - 0.5).sum()
                class_sum += class_loss[i]
            elif negatives > 0:
                negatives -= 1
                class_sum += class_loss[i]
        matches += (holds >= 0).sum()
    return class_sum / max(matches, 1), box_sum / max(matches, 1)


@pytest.mark.parametrize("duplicates", [None, 0.99, 0.5])
@pytest.mark.parametrize("counts", [(3, 1, 8), (0, 4), (0, 0)])
def test_tensorflows_form_is_its_loops_in_numpy(counts, duplicates):
    targets, (logits, codes) = random_targets(4, counts), random_outputs(4, len(counts))
    matching = replace(losses.TENSORFLOW, duplicates=duplicates)
    parts = losses.ssd(logits, codes, targets, DEFAULTS, SIZE, matching)
    class_part, box_part = tensorflow_in_numpy(logits.detach(), codes.detach(), targets, matching)
    assert parts["classes"].item() == pytest.approx(class_part, rel=1e-5)
    assert parts["boxes"].item() == pytest.approx(box_part, rel=1e-4, abs=1e-9)
    assert parts["total"].item() == pytest.approx(class_part + box_part, rel=1e-4)


def test_images_without_objects_count_their_hardest_negatives():
    logits, codes = random_outputs(0, 2)
    empty = random_targets(0, (0, 0))
    parts = losses.ssd(logits, codes, empty, DEFAULTS, SIZE, losses.TENSORFLOW)
    parts["total"].backward()
    assert parts["boxes"] == 0
    assert (logits.grad.abs().sum(dim=2) > 0).sum(dim=1).tolist() == [3, 3]
    assert not codes.grad.any()
    assert losses.ssd(*random_outputs(0, 2), empty, DEFAULTS, SIZE, losses.TORCHVISION)["total"] == 0


@pytest.mark.parametrize("matching", [losses.TENSORFLOW, losses.TORCHVISION])
def test_crowd_regions_match_nothing(matching):
    target = random_targets(3, (4,))[0]
    crowd = {**target, "crowd": torch.tensor([False, True, False, True])}
    single = {key: value[[0, 2]] for key, value in target.items()}
    with_crowd, without = (losses.ssd(*random_outputs(1, 1), [t], DEFAULTS, SIZE, matching)["total"] for t in (crowd, single))
    assert with_crowd == without


@pytest.mark.parametrize("matching", [losses.TENSORFLOW, losses.TORCHVISION])
def test_perfect_outputs_have_no_loss(matching):
    target = random_targets(5, (3,))[0]
    scaled = target["boxes"] / 128
    centered = torch.from_numpy(DEFAULTS).float()
    holds = losses.match(scaled, torch.from_numpy(CORNERS), matching)
    assert set(holds.tolist()) == {-1, 0, 1, 2}
    codes = losses.encode(scaled[holds.clamp_min(0)], centered)
    codes = codes[:, (1, 0, 3, 2)] if matching.codes == "yxhw" else codes
    classes = torch.where(holds >= 0, target["labels"][holds.clamp_min(0)] + 1, 0)
    logits = (F.one_hot(classes, K + 1).float() - 0.5) * 80
    parts = losses.ssd(logits[None], codes[None], [target], DEFAULTS, SIZE, replace(matching, duplicates=None))
    assert parts["total"].item() == pytest.approx(0, abs=1e-6)
    found = detection.detect(
        logits.numpy(), codes.numpy(), DEFAULTS,
        detection.Decoding(matching.scores, matching.codes, threshold=0.5, iou=0.95), (128, 128), (0, 0, 128, 128), ("x",) * K,
    )  # fmt: skip
    for box, label in zip(target["boxes"].numpy(), target["labels"].tolist(), strict=True):
        near = np.abs(found.boxes - box).max(axis=1) < 0.01
        assert label in found.classes[near]


def test_the_best_box_of_two_objects_is_matched_to_the_first_or_the_last():
    frame = torch.tensor([[0.1, 0.1, 0.11, 0.11], [0.1, 0.1, 0.11, 0.11]])
    corners = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    assert losses.match(frame, corners, losses.TENSORFLOW).tolist() == [0, -1]
    assert losses.match(frame, corners, losses.TORCHVISION).tolist() == [1, -1]


def test_boxes_in_torch_are_those_in_numpy():
    generator = np.random.default_rng(0)
    corner = generator.uniform(0, 0.7, (len(DEFAULTS), 2))
    frames = np.concatenate([corner, corner + generator.uniform(0.05, 0.3, corner.shape)], axis=1)
    codes = losses.encode(torch.from_numpy(frames), torch.from_numpy(DEFAULTS))
    assert np.allclose(codes.numpy(), boxes.encode(frames, DEFAULTS), rtol=1e-12, atol=1e-12)
    assert np.allclose(losses.decode(codes, torch.from_numpy(DEFAULTS)).numpy(), frames, rtol=0, atol=1e-12)
    nothing = losses.encode(torch.zeros(len(DEFAULTS), 4), torch.from_numpy(DEFAULTS).float())
    assert torch.isfinite(nothing).all()


def test_hard_negatives_by_hand():
    values = torch.tensor([[5.0, 1, 4, 3, 9, 2], [1, 1, 1, 1, 1, 1]])
    positive = torch.tensor([[False, False, False, False, True, False], [False] * 6])
    chosen = losses.hard_negatives(
        values, ~positive, positive, losses.Matching("softmax", "xywh", "last", negatives=2.0, min_negatives=1)
    )
    assert chosen.tolist() == [[True, False, True, False, False, False], [True] + [False] * 5]


def test_a_detectors_outputs_are_ordered_as_its_decoding_orders_them():
    net = torch_ssdlite(width=0.35, resolution=SIZE, classes=K, anchors="torchvision").eval()
    with torch.no_grad():
        outputs = net(torch.randn(2, 3, *SIZE))
    logits, codes = losses.split_outputs(outputs, net.network)
    for number in range(2):
        expected = detection.logits_and_codes({name: value.numpy() for name, value in outputs.items()}, net.network, number)
        assert np.array_equal(logits[number].numpy(), expected[0])
        assert np.array_equal(codes[number].numpy(), expected[1])


def test_targets_of_a_dataset_fit_as_they_are():
    target = random_targets(1, (2,))[0]
    wrapped = {**target, "boxes": tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=SIZE)}
    totals = [losses.ssd(*random_outputs(2, 1), [t], DEFAULTS, SIZE)["total"] for t in (target, wrapped)]
    assert totals[0] == totals[1]


def test_matching_out_of_range_is_rejected():
    with pytest.raises(ValueError, match=r"matching\.threshold 0\.0: must be above 0 and at most 1"):
        losses.Matching("sigmoid", "yxhw", "first", threshold=0)


def test_boxes_are_measured_in_the_inputs_own_pixels():
    square, outputs = random_targets(6, (4,)), random_outputs(6, 1)
    flat = [{**square[0], "boxes": square[0]["boxes"] * torch.tensor((1, 0.75, 1, 0.75))}]
    for matching in (losses.TENSORFLOW, losses.TORCHVISION):
        expected = losses.ssd(*outputs, square, DEFAULTS, (128, 128), matching)["total"]
        assert losses.ssd(*outputs, flat, DEFAULTS, (96, 128), matching)["total"].item() == pytest.approx(
            expected.item(), rel=1e-4
        )
