"""Batches do not depend on how the work is divided: workers, processes, an interruption. No sample counts twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from support.datasets import open_dataset, shapes

from mobilenet.images.preprocessing import Preprocessing
from mobilenet.training.input import (
    ClassificationAugmentation,
    DetectionAugmentation,
    ImagesLost,
    InMemory,
    Loader,
    LoaderSettings,
    SegmentationAugmentation,
)
from mobilenet.training.input.loading import one_thread

P = Preprocessing((32, 32), "squash")


def loader(dataset, augmentation, preprocessing, *settings, **others):
    return Loader(dataset, augmentation, preprocessing, LoaderSettings(*settings, **others))


@pytest.fixture(autouse=True)
def _quick():
    with one_thread():
        yield


AUGMENTATIONS = {
    "classification": ClassificationAugmentation(brightness=0.1, mixup=0.2, cutmix=1.0),
    "detection": DetectionAugmentation(),
    "segmentation": SegmentationAugmentation(),
}


def plain(value):
    """A batch as something that == compares."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.dtype, value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def batches(dataset, augmentation, batch=6, workers=0, **others):
    return [plain(b) for b in loader(dataset, augmentation, P, batch, workers, seed=3, epoch=others.pop("epoch", 1), **others)]


@pytest.mark.parametrize("task", list(AUGMENTATIONS))
def test_workers_and_interruptions_change_nothing(task):
    dataset, augmentation = shapes(task, count=20, size=40), AUGMENTATIONS[task]
    outside = torch.get_rng_state()
    expected = batches(dataset, augmentation)
    assert len(expected) == 4
    for workers in (1, 2):
        assert batches(dataset, augmentation, workers=workers) == expected
    assert batches(dataset, augmentation, skip=2) == expected[2:]
    assert batches(dataset, augmentation, skip=4) == []
    assert batches(InMemory(dataset), augmentation, workers=1) == expected
    assert batches(dataset, augmentation, epoch=2) != expected
    assert batches(dataset, augmentation, drop_last=True) == expected[:3]
    assert torch.equal(torch.get_rng_state(), outside)


def test_the_parts_of_all_processes_together_are_the_whole_batch():
    dataset, augmentation = shapes("classification", count=22, size=40), AUGMENTATIONS["classification"]
    whole = list(loader(dataset, augmentation, P, 8, 0, 0, 0))
    parts = [list(loader(dataset, augmentation, P, 8, 0, 0, 0, rank=rank, world=2)) for rank in range(2)]
    for step, batch in enumerate(whole):
        for key in ("image", "target", "index"):
            assert torch.equal(batch[key], torch.cat([part[step][key] for part in parts]))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_every_sample_once_for_any_number_of_processes(count, world, each, trains):
    dataset = shapes("segmentation", count=count, size=32)
    augmentation = SegmentationAugmentation() if trains else None
    rest = count % (world * each)
    if trains and rest and rest <= (world - 1) * -(-rest // world):
        with pytest.raises(ValueError, match="too few for"):
            loader(dataset, augmentation, P, world * each, 0, 0, 0, 0, world)
        return
    loaders = [loader(dataset, augmentation, P, world * each, 0, 0, 0, rank, world) for rank in range(world)]
    indices = [index for each in loaders for step in each.steps for index, _ in step]
    assert sorted(indices) == list(range(count))
    if trains:  # every process must make as many steps
        assert len({len(each) for each in loaders}) == 1
    else:
        steps = [x.steps[step] for step in range(len(loaders[0])) for x in loaders if step < len(x)]
        assert [index for step in steps for index, _ in step] == list(range(count))


def test_evaluation_is_in_order_and_leaves_the_target_unchanged():
    dataset = shapes("detection", count=7, size=48)
    (first, second) = loader(dataset, None, P, 4, 0, 0, 0)
    assert first["index"].tolist() + second["index"].tolist() == list(range(7))
    assert first["image"].shape == (4, 3, 32, 32)
    assert first["size"] == [(48, 48)] * 4
    assert torch.equal(first["target"][2]["boxes"], dataset[2]["target"]["boxes"].as_subclass(torch.Tensor))
    image = Image.fromarray(dataset[5]["image"].permute(1, 2, 0).numpy())
    assert np.array_equal(second["image"][1].numpy(), P(image))


def test_a_batch_has_the_documented_types_and_shapes():
    (batch,) = loader(
        shapes("classification", count=4, size=32), AUGMENTATIONS["classification"], P, 4, 0, 0, 0, channels_last=True
    )
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert batch["image"].dtype == torch.float32
    assert batch["target"].shape == (4, 5)
    (batch,) = loader(shapes("classification", count=4, size=32), ClassificationAugmentation(), P, 4, 0, 0, 0)
    assert batch["target"].dtype == torch.int64
    (batch,) = loader(shapes("detection", count=4, size=32), DetectionAugmentation(), P, 4, 0, 0, 0)
    assert {key: value.dtype for key, value in batch["target"][0].items()} == {
        "boxes": torch.float32, "labels": torch.int64, "crowd": torch.bool,
    }  # fmt: skip
    assert all(type(value) is torch.Tensor for value in batch["target"][0].values())
    (batch,) = loader(shapes("segmentation", count=4, size=32), SegmentationAugmentation(), P, 4, 0, 0, 0)
    assert (batch["target"].shape, batch["target"].dtype) == ((4, 32, 32), torch.uint8)


def folder(root, counts):
    for name, count in counts.items():
        (root / name).mkdir()
        for number in range(count):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(root / name / f"{number:02}.png")
    return open_dataset(root, "classification", None)


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_images_are_named_here_even_if_a_worker_read_them(tmp_path, workers):
    dataset = folder(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "01.png").write_bytes(b"no image")
    seen = list(loader(dataset, ClassificationAugmentation(), P, 3, workers, 0, 0))
    assert sum(len(batch["index"]) for batch in seen) == 6
    assert list(dataset.failed) == [str(tmp_path / "a" / "01.png")]
    assert "damaged" in dataset.failed[str(tmp_path / "a" / "01.png")]
    dataset.failed.clear()
    scored = [index for batch in loader(dataset, None, P, 2, workers, 0, 0) for index in batch["index"].tolist()]
    assert scored == [0, 2, 3, 4, 5]  # the image that replaces it is scored under its own index
    assert len(dataset.failed) == 1
    (tmp_path / "a" / "00.png").unlink()
    assert [len(batch["index"]) for batch in loader(dataset, None, P, 2, workers, 0, 0)] == [2, 2]


@pytest.mark.parametrize("workers", [0, 1])
def test_lost_data_ends_the_epoch_with_its_own_error(tmp_path, workers):
    dataset = folder(tmp_path, {"a": 2})
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    with pytest.raises(ImagesLost, match="check that the data is still there") as caught:
        list(loader(dataset, ClassificationAugmentation(), P, 2, workers, 0, 0))
    assert "\n" not in str(caught.value)


def test_balanced_draws_every_class_equally_often_with_different_augmentations(tmp_path):
    dataset = folder(tmp_path, {"many": 20, "few": 2, "some": 8})
    keys = [key for step in loader(dataset, ClassificationAugmentation(), P, 4, 0, 0, 0, balanced=True).steps for key in step]
    labels = [int(dataset.targets[index]) for index, _ in keys]
    assert [labels.count(label) for label in range(3)] == [10, 10, 10]
    assert len(set(keys)) == 30  # a repeated image has another number, and so another augmentation
    few = [key for key in keys if dataset.targets[key[0]] == dataset.labels.index("few")]
    assert sorted(repeat for _, repeat in few) == sorted([*range(5)] * 2)
    seen = batches(dataset, ClassificationAugmentation(), balanced=True)
    assert seen == batches(dataset, ClassificationAugmentation(), balanced=True, workers=2)


@pytest.mark.parametrize(
    ("task", "augmentation", "others", "message"),
    [
        ("detection", ClassificationAugmentation(), {}, "ClassificationAugmentation must be the one for detection"),
        ("detection", DetectionAugmentation(), {"balanced": True}, "balanced True must be False except"),
        ("classification", None, {"balanced": True}, "balanced True must be False except"),
        ("classification", ClassificationAugmentation(), {"batch": 5, "world": 2}, "batch 5: must be a multiple of the 2"),
        ("classification", ClassificationAugmentation(mixup=1), {"batch": 6, "world": 2}, "is odd on each"),
        ("classification", ClassificationAugmentation(), {"rank": 1}, "rank 1: must be from 0 to 0"),
        ("classification", ClassificationAugmentation(), {"skip": 6}, "skip 6 must be at most the epoch's 5"),
        ("classification", ClassificationAugmentation(), {"batch": 6, "world": 3, "rank": 2}, "last batch of 2, too few for 3"),
        ("classification", ClassificationAugmentation(), {"workers": -1}, "workers -1"),
    ],
)
def test_contradictory_settings_are_refused(task, augmentation, others, message):
    arguments = {"batch": 4, "workers": 0, "seed": 0, "epoch": 0, **others}
    with pytest.raises(ValueError, match=message):
        loader(shapes(task, count=20, size=32), augmentation, P, **arguments)
