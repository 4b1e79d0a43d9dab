"""Initial weights from another model: all tensors, or the rows of the classes that both have."""

from __future__ import annotations

import numpy as np
import pytest
from support.weights import random_tensors, tolerance

from mobilenet import modelfile
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.network.mobilenet import mobilenet_v2

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import tiny  # noqa: E402

from mobilenet import nn  # noqa: E402
from mobilenet.nn.blocks import FixedNorm, replace_norms  # noqa: E402
from mobilenet.training.recipes.recipe import NetworkSpec  # noqa: E402
from mobilenet.training.run.start import copy_weights  # noqa: E402

PREPROCESSING = Preprocessing(size=(32, 32), fit="squash")


def settings(classes: int) -> dict:
    return {"width": 0.35, "resolution": 32, "classes": classes, "rows": [[1, 8, 1, 1], [6, 8, 2, 2]]}


@pytest.mark.parametrize(
    ("labels", "ids", "rows", "source_rows"),
    [
        (("dog", "crane", "cup"), (), [0, 2], [1, 0]),  # by label, where that says which
        (("n3", "n9", "n0"), ("n3", "n9", "n0"), [0, 2], [3, 0]),  # folders named by id
        (("a cup", "other"), ("n0", "n7"), [0], [0]),  # by id where the labels are written otherwise
        (("wolf", "ant"), (), [], []),
    ],
)
def test_shared_classes_keep_their_rows(tmp_path, labels, ids, rows, source_rows):
    network = mobilenet_v2(**settings(4))
    source = ModelFile(
        network=network, tensors=random_tensors(network), labels=("cup", "dog", "crane", "crane"),
        label_ids=("n0", "n1", "n2", "n3"), background=None, preprocessing=PREPROCESSING,
    )  # fmt: skip
    modelfile.write(source, tmp_path / "source.safetensors")
    net = nn.module(mobilenet_v2(**settings(len(labels))))
    before = net.arrays()
    start = copy_weights(net, str(tmp_path / "source.safetensors"), labels, ids, PREPROCESSING)
    after = net.arrays()
    assert (f"{len(rows)} of {len(labels)} classes" in start.message) == bool(rows)
    assert list(start.unknown) == [place for place in range(len(labels)) if place not in rows]
    for part in ("weight", "bias"):
        name = f"classifier.{part}"
        assert np.array_equal(after[name][rows], source.tensors[name][source_rows])
        others = [place for place in range(len(labels)) if place not in rows]
        assert np.array_equal(after[name][others], before[name][others])
    for name, value in after.items():
        assert name.startswith("classifier.") or np.array_equal(value, source.tensors[name]), name


def test_fixed_norms_keep_their_statistics_and_learn_their_scale():
    net = nn.module(mobilenet_v2(**settings(3)), dropout=0.0)
    network = net.network
    net.load_arrays(random_tensors(network))
    replace_norms(net, FixedNorm.like)
    images, before = torch.randn(2, 3, 32, 32), net.arrays()
    expected = net.eval()(images)
    answers = net.train()(images)
    torch.testing.assert_close(answers, expected, rtol=0, atol=tolerance(network, float(expected.detach().abs().max())))
    answers.square().sum().backward()
    after = net.arrays()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    scales = [p for name, p in net.named_parameters() if name.endswith("norm.weight")]
    assert scales
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in scales)


def test_fixed_norms_without_a_start_are_rejected():
    for given, said in (({}, "network.start"), ({"start": "imagenet", "norm_momentum": 0.01}, "norm_momentum")):
        with pytest.raises(ValueError, match=said):
            NetworkSpec(fixed_norms=True, **given)
    with pytest.raises(ValueError, match="sync_norm"):
        tiny(network=NetworkSpec(settings={"width": 0.35}, start="imagenet", fixed_norms=True), sync_norm=True)
