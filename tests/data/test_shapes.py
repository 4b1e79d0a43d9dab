"""Shapes made on the fly: repeatable, the same for all tasks, labels, boxes and masks exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.datasets import shapes

from mobilenet.data import coco_truth


def test_shapes_are_a_function_of_seed_split_and_index():
    first, again = (shapes("detection", count=8, size=64) for _ in range(2))
    for index in (7, 3):
        assert torch.equal(first[index]["image"], again[index]["image"])
        assert torch.equal(first[index]["target"]["boxes"], again[index]["target"]["boxes"])
    for other in (shapes("detection", "val", 8, 64), shapes("detection", count=8, size=64, seed=1)):
        assert not any(torch.equal(first[i]["image"], other[j]["image"]) for i in range(8) for j in range(8))


def test_shapes_of_the_three_tasks_agree():
    boxes, masks = shapes("detection", count=24, size=64), shapes("segmentation", count=24, size=64)
    counts = set()
    for index in range(24):
        sample, mask = boxes[index], masks[index]["target"].numpy()
        assert torch.equal(sample["image"], masks[index]["image"])
        counts.add(len(sample["target"]["boxes"]))
        covered = np.zeros((64, 64), bool)
        for box, label in zip(sample["target"]["boxes"].int().tolist(), sample["target"]["labels"].tolist(), strict=True):
            x0, y0, x1, y1 = box
            part = mask[y0:y1, x0:x1] == label + 1
            assert part[0].any()
            assert part[-1].any()
            assert part[:, 0].any()
            assert part[:, -1].any()
            covered[y0:y1, x0:x1] = True
        assert not mask[~covered].any()
    assert {0, 1} < counts


def test_shapes_for_classification_show_their_kind():
    dataset = shapes("classification", count=500, size=32)
    assert torch.bincount(dataset.targets).min() > 60
    assert dataset[3]["target"] == dataset.targets[3]
    with pytest.raises(ValueError, match="split 'dev'"):
        shapes("classification", "dev")


def test_shapes_have_a_truth_for_the_score():
    dataset = shapes("detection", count=5, size=64)
    truth = coco_truth(dataset.records)
    assert len(truth["annotations"]) == sum(len(dataset[i]["target"]["labels"]) for i in range(5))
