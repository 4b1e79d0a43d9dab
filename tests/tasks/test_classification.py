"""Logits to probabilities, and the decoder on arrays as on memoryviews."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from mobilenet.tasks import classification
from mobilenet.tasks.classification import Classification, ClassificationDecoder, softmax
from mobilenet.tensors import built


def test_softmax_of_extreme_logits():
    assert softmax(np.array([1e4, -1e4, 0], np.float32)).tolist() == [1, 0, 0]
    assert softmax(np.array([-1e4, -1e4], np.float32)).tolist() == [0.5, 0.5]


def test_each_image_of_a_batch_has_its_own_result():
    logits = np.random.default_rng(0).standard_normal((3, 4), np.float32)
    decode = ClassificationDecoder(tuple("wxyz"))
    for index in range(3):
        expected = softmax(logits[index].tolist())
        for outputs in (logits, memoryview(logits)):
            assert decode({"classifier": outputs}, index, (1, 1)).probabilities == expected


@pytest.mark.skipif(not built(), reason="the core was not built")
def test_the_core_has_the_bits_of_the_specification(monkeypatch):
    """The sum is exact and rounded once. Equal scores keep their order, and not-a-number is last."""
    rng = np.random.default_rng(0)
    for scale in (0.0, 1e-3, 1.0, 30.0, 300.0) * 6:
        count = int(rng.integers(1, 1200))
        logits = np.round(rng.normal(0, scale, (2, count)), int(rng.integers(0, 9))).astype(np.float32)
        labels = tuple(map(str, range(count)))
        found = ClassificationDecoder(labels)({"classifier": memoryview(logits)}, 1, (1, 1))
        assert found.probabilities == softmax(logits[1].tolist())
        scores = found.probabilities.tolist()
        scores[int(rng.integers(count))] = float("nan")
        result = Classification(array("f", scores), labels)
        tops = [result.top(number, threshold) for number in (0, 1, 5, count + 1) for threshold in (0.0, 0.01)]
        with monkeypatch.context() as patch:
            patch.setattr(classification, "built", lambda: False)
            assert tops == [result.top(number, threshold) for number in (0, 1, 5, count + 1) for threshold in (0.0, 0.01)]


@pytest.mark.skipif(not built(), reason="the core was not built")
def test_the_core_refuses_what_it_cannot_read():
    from mobilenet import _core

    logits, target = np.zeros((2, 3), np.float32), array("f", [0] * 3)
    for values, row, room in ((logits, 2, target), (logits[0], 0, target), (logits, 0, array("f", [0]))):
        with pytest.raises(ValueError, match="must be"):
            _core.softmax(values, row, room)
    with pytest.raises(ValueError, match="finite"):
        _core.softmax(np.full((1, 3), np.nan, np.float32), 0, target)
