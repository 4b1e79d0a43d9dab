"""The worst images and the samples, also of several processes."""

from __future__ import annotations

from array import array

import numpy as np

from mobilenet.analysis.study import NUM_SAMPLES, NUM_WORST, Study
from mobilenet.data import ListedRecords
from mobilenet.tasks.classification import Classification

LABELS = ("a", "b")


def study(count: int) -> Study:
    names = [f"{number}.jpg" for number in range(count)]
    return Study(ListedRecords("classification", LABELS, names, names, [0] * count))


def test_the_worst_are_the_surest_mistakes_however_many_processes_count():
    count = 100
    wrong = np.random.default_rng(0).integers(0, 20, count) / 20  # the score of the wrong class, often the same
    whole, parts = study(count), [study(count) for _ in range(3)]
    for index, score in enumerate(wrong.tolist()):
        result = Classification(array("f", [1 - score, score]), LABELS)
        whole.add(index, result, 0)
        parts[index % 3].add(index, result, 0)
    expected = sorted(np.flatnonzero(wrong > 0.5).tolist(), key=lambda index: (-wrong[index], index))[:NUM_WORST]
    assert [case.index for case in whole.worst] == expected
    assert [case.index for case in whole.samples] == [number * count // NUM_SAMPLES for number in range(NUM_SAMPLES)]
    merged = study(count)
    for part in parts:
        merged.merge(part.state())
    assert (merged.worst, merged.samples) == (whole.worst, whole.samples)
    assert merged.analysis(None).to_json()["confused"] == whole.analysis(None).to_json()["confused"]


def test_few_images_are_all_samples():
    few = study(3)
    for index in range(3):
        few.add(index, Classification(array("f", [0.9, 0.1]), LABELS), 0)
    assert [case.index for case in few.samples] == [0, 1, 2]
    assert few.worst == []
