"""Logits to probabilities, and the decoder on arrays as on memoryviews."""

from __future__ import annotations

import numpy as np

from mobilenet.tasks.classification import ClassificationDecoder, softmax


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
