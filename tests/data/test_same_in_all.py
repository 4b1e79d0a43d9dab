"""The same tiny data set in every layout gives the same images, labels, boxes and masks."""

from __future__ import annotations

import numpy as np
import pytest
from support.layouts import CLASSES, ENTRIES, LAYOUTS, image_of, label_of, mask_of

from mobilenet.data import open_records, open_training

CASES = [(task, write) for task, writers in LAYOUTS.items() for write in writers]


def red(image):
    """What the images differ in; JPEG changes it by a little."""
    return round((image.getpixel((20, 15))[0] - 10) / 40)


@pytest.mark.parametrize(("task", "write"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_the_same_samples(task, write, tmp_path):
    write(tmp_path / "set")
    training, validation = open_training(tmp_path / "set", task)
    assert tuple(training.labels)[-2:] == CLASSES
    assert training.labels == validation.labels
    for records, part in ((training, "train"), (validation, "val")):
        entries = {red(image_of(entry)): entry for entry in ENTRIES if entry.part == part}
        for record in records:
            image = record.open()
            entry = entries.pop(red(image))
            assert image.size == image_of(entry).size
            if task == "classification":
                assert records.labels[record.truth] == label_of(entry)
            elif task == "detection":
                expected = sorted(entry.boxes)
                order = sorted(zip(record.truth.labels.tolist(), record.truth.boxes.tolist(), strict=True))
                found = [box for _, box in order]
                assert [label for label, _ in order] == [label for label, *_ in expected]
                assert np.allclose(np.reshape(found, (-1, 4)), np.reshape([box for _, *box in expected], (-1, 4)), atol=1e-9)
                assert not record.truth.crowd.any()
            else:
                assert np.array_equal(record.truth.read(), mask_of(entry))
        assert not entries, f"lost: {entries}"
    given = open_records(tmp_path / "set", task, None, training.labels)
    assert [record.name for record in given] == [record.name for record in validation]
