"""Data without a validation part is divided by content."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mobilenet.data import Divided, open_records, open_training
from mobilenet.errors import UsageError


def pets(root, counts, seed=0):
    random = np.random.default_rng(seed)
    for label, count in counts.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(root / label / f"{number:03}.png")
    return root


def contents(records):
    return sorted(record.open().tobytes() for record in records)


def test_each_class_is_divided_and_copies_stay_together(tmp_path):
    root = pets(tmp_path / "pets", {"cat": 40, "dog": 10, "eel": 2})
    for number in range(10):
        shutil.copy(root / "cat" / f"{number:03}.png", root / "cat" / f"copy{number}.png")
    training, validation = open_training(root, "classification")
    counts = Counter(validation.labels[record.truth] for record in validation)
    assert counts["dog"] == 2
    assert counts["eel"] == 1
    assert 8 <= counts["cat"] <= 12
    assert len(training) + len(validation) == 62
    assert not set(contents(training)) & set(contents(validation))
    assert isinstance(validation, Divided)
    assert validation.share == 0.2


def test_names_order_and_place_do_not_matter(tmp_path):
    root = pets(tmp_path / "pets", {"cat": 20, "dog": 20})
    other = tmp_path / "other"
    for number, path in enumerate(sorted(root.rglob("*.png"), key=lambda path: path.name[::-1])):
        (other / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, other / path.parent.name / f"x{number * 7 % 40}.png")
    halves = [open_training(each, "classification") for each in (root, other)]
    assert contents(halves[0][1]) == contents(halves[1][1])
    assert halves[0][1].fingerprint == halves[1][1].fingerprint
    assert len(open_training(root, "classification", share=0.5)[1]) == 20


def test_a_model_remembers_what_it_has_not_seen(tmp_path):
    from support.models import toy

    from mobilenet.predict.evaluate import evaluate, records_for
    from mobilenet.values import replace

    root = pets(tmp_path / "pets", {"a": 10, "b": 10})
    _, validation = open_training(root, "classification")
    model = replace(
        toy(), labels=("a", "b", "c"), provenance={"held_out": {"share": 0.2, "fingerprint": validation.fingerprint}}
    )
    assert contents(records_for(model, root)) == contents(validation)
    assert len(records_for(replace(model, provenance={}), root)) == 20
    Image.new("RGB", (8, 8)).save(root / "a" / "more.png")
    assert len(records_for(model, root)) == 21, "other data is scored whole"
    (root / "a" / "more.png").unlink()
    import mobilenet

    assert evaluate(mobilenet.load(model), root).notes == [
        "scored on the 4 images that the model's training held out of this data"
    ]


def test_what_cannot_be_divided(tmp_path):
    root = pets(tmp_path / "pets", {"cat": 1})
    shutil.copy(root / "cat" / "000.png", root / "cat" / "copy.png")
    with pytest.raises(UsageError, match="2 images, 1 of them different: too few"):
        open_training(root, "classification")
    with pytest.raises(UsageError, match=r"share 1.0 .* must be above 0 and below 1"):
        open_training(root, "classification", share=1.0)
    assert len(open_records(root, "classification", "train")) == 2
