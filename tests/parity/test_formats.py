"""Every export format: written, run by its own runtime, and refused if it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.models import detector, segmenter, toy

import mobilenet
from mobilenet.exports.formats import FORMATS, exporter
from mobilenet.modelfile import ModelFile
from mobilenet.parity.gate import ParityError
from mobilenet.values import replace


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three images of different shapes; random weights need no photos."""
    path = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number, size in enumerate(((40, 50), (64, 33), (33, 33))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).resize((90, 70)).save(path / f"{number}.png")
    return path


MODELS = {
    "v1": lambda: toy(7),
    "odd, tensorflow": lambda: at(toy(5, padding="tensorflow"), (35, 47)),
    "boxes": detector,
    "softmax boxes": lambda: detector(anchors="torchvision"),
    "masks": segmenter,
}


def at(model: ModelFile, size: tuple[int, int]) -> ModelFile:
    return replace(model, network=model.network.at(size), preprocessing=model.preprocessing.at(size))


def needs(kind):
    if lacking := kind.missing((*kind.packages, *kind.runtime)):
        pytest.skip(f"{' and '.join(lacking)} not installed")


CASES = [
    (kind, name, precision)
    for kind in FORMATS.values()
    for name in MODELS
    for precision in kind.precisions
    if precision != "int8"
]


@pytest.mark.parametrize(("kind", "name", "precision"), CASES, ids=lambda value: getattr(value, "name", value))
def test_an_export_is_proved_by_its_own_runtime(kind, name, precision, folder, tmp_path):
    needs(kind)
    out = tmp_path / f"m{kind.suffix}"
    done = mobilenet.export(MODELS[name](), kind.name, out, precision=precision, data=folder)
    assert out.exists()
    assert done.comparison is not None
    assert done.comparison.images == 3
    assert [each.name for each in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("kind", FORMATS.values(), ids=FORMATS)
def test_a_transposed_kernel_is_caught(kind, folder, tmp_path, monkeypatch):
    needs(kind)
    model, writer = toy(), type(exporter(kind))
    kernels = [name for name, tensor in model.tensors.items() if tensor.ndim == 4]
    tensors = {name: np.ascontiguousarray(model.tensors[name].swapaxes(2, 3)) for name in kernels}
    wrong, write = replace(model, tensors={**model.tensors, **tensors}), writer.write
    monkeypatch.setattr(writer, "write", lambda self, content, path: write(self, replace(content, model=wrong), path))
    with pytest.raises(ParityError, match=r"not written: the largest difference of output 'classifier' is "):
        mobilenet.export(model, kind.name, tmp_path / f"m{kind.suffix}", data=folder)
    assert not list(tmp_path.iterdir())
