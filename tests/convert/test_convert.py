"""Recognizing weights: what fits nothing, or only nearly, is refused by the names that stand in the way."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.weights import random_tensors

from mobilenet.convert.convert import convert
from mobilenet.convert.libraries import LAYOUTS
from mobilenet.convert.naming import LayoutError, problems
from mobilenet.convert.readers.keras import KerasError
from mobilenet.modelfile import ModelFileError
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.tasks import labels


def stored(layout, network) -> dict[str, np.ndarray]:
    """Random tensors of `network` as a file of `layout` would hold them."""
    tensors = random_tensors(network)
    origins = layout.origins(network)
    return {s.source: np.ascontiguousarray(tensors[s.canonical].transpose(np.argsort(s.axes))) for s in origins}


def named(name: str, architecture: str = "mobilenet_v2"):
    return next(layout for layout in LAYOUTS if (layout.name, layout.architecture) == (name, architecture))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.name}-{layout.architecture}")
@pytest.mark.parametrize("width", [0.25, 1.0, 0.63])
@pytest.mark.parametrize("classes", [1001, 7, None])
def test_every_layout_recognizes_itself_at_any_width(layout, width, classes, tmp_path):
    build = mobilenet_v1 if layout.architecture == "mobilenet_v1" else mobilenet_v2
    network = build(width, classes=classes, **layout.settings, **layout.variants[0])
    assert sum(other.mark in stored(layout, network) for other in LAYOUTS[:2]) <= 1
    path = tmp_path / "weights.safetensors"
    save_file(stored(layout, network), path)
    names = [f"class {i}" for i in range(classes)] if classes == 7 else None
    conversion = convert(path, labels=names)
    assert conversion.layout == layout
    found = conversion.model.network.at(224).description
    assert {k: found[k] for k in ("classes", *layout.settings)} == {"classes": classes, **layout.settings}
    for name, value in random_tensors(network).items():
        np.testing.assert_array_equal(conversion.model.tensors[name], value, err_msg=name)


def test_labels_follow_the_number_of_outputs(tmp_path):
    path = tmp_path / "w.safetensors"
    for classes, first, background in ((1000, "tench", None), (1001, "background", 0)):
        save_file(stored(named("torchvision"), mobilenet_v2(0.35, classes=classes)), path)
        model = convert(path).model
        assert (model.labels[0], model.background, len(model.label_ids)) == (first, background, classes)
    save_file(stored(named("torchvision"), mobilenet_v2(0.35, classes=3)), path)
    assert convert(path, labels=["a", "b", "c"]).model.labels == ("a", "b", "c")
    with pytest.raises(ModelFileError, match="3 outputs and no labels"):
        convert(path)
    with pytest.raises(ModelFileError, match="2 labels for a classifier of 3"):
        convert(path, labels=["a", "b"])


def test_labels_are_imagenets(shared):
    lines = (shared / "data" / "imagenet_classes.tsv").read_text().splitlines()[1:]
    names, ids = labels.imagenet()
    assert ids == tuple(line.split("\t")[1] for line in lines)
    # two names say more than the list's, which has "crane" and "maillot" twice
    assert sum(a != line.split("\t")[2] for a, line in zip(names, lines, strict=True)) == 2
    assert len(set(names)) == len(set(ids)) == 1000


def test_gaps_leftovers_and_wrong_shapes_are_named(tmp_path):
    path, layout, network = tmp_path / "w.safetensors", named("torchvision"), mobilenet_v2(0.5)
    good = stored(layout, network)

    def refusal(tensors) -> str:
        save_file(tensors, path)
        with pytest.raises(LayoutError) as error:
            convert(path, settings={"width": 0.5})
        return str(error.value)

    save_file({k: v for k, v in good.items() if k != "features.3.conv.2.weight"}, path)
    with pytest.raises(LayoutError) as error:  # among networks of every width
        convert(path)
    gap = str(error.value)
    assert "no tensor 'features.3.conv.2.weight'" in gap
    assert "'layer_4.project.conv.weight'" in gap
    assert "width 0.5" in gap
    assert "tensor 'extra.weight' (2,) is left over" in refusal({**good, "extra.weight": np.zeros(2, np.float32)})
    wrong = refusal({**good, "features.18.0.weight": np.zeros((1280, 161, 1, 1), np.float32)})
    assert "'features.18.0.weight' is (1280, 161, 1, 1), must be (1280, 160, 1, 1) for 'layer_19.conv.weight'" in wrong
    assert "'features.0.0.weight' holds NaN" in refusal({**good, "features.0.0.weight": np.full((16, 3, 3, 3), np.nan, "f4")})
    assert "is int32" in refusal({**good, "classifier.1.bias": np.zeros(1000, np.int32)})
    assert "names fit no known layout" in refusal({"conv.kernel": np.zeros(3, np.float32)})
    assert "torchvision mobilenet_v2" in refusal({"conv.kernel": np.zeros(3, np.float32)})
    assert problems(layout, network, good) == []


def test_settings_win_and_unknown_ones_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(stored(named("torchvision"), mobilenet_v2(0.35)), path)
    model = convert(path, settings={"padding": "tensorflow", "output_stride": 16}, resolution=(96, 128)).model
    assert (model.network.padding, model.network.resolution) == ("tensorflow", (96, 128))
    assert model.preprocessing.size == (96, 128)
    with pytest.raises(ValueError, match="called 'pading'; nearest: padding"):
        convert(path, settings={"pading": "tensorflow"})
    with pytest.raises(LayoutError, match=r"nearest mobilenet_v2 \(width 1.0\)"):
        convert(path, settings={"width": 1.0})


def test_provenance_says_where_a_model_comes_from(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(stored(named("timm"), mobilenet_v2(0.35)), path)
    provenance = convert(path, provenance={"licence": "MIT"}).model.provenance
    assert provenance["layout"] == "timm"
    assert provenance["licence"] == "MIT"
    assert len(provenance["sha256"]) == 64


def test_files_that_are_no_weights(tmp_path):
    path = tmp_path / "thing"
    for content, words in (
        (b"", "no known weight file"),
        (b"GIF89a" + bytes(30), "no known weight file"),
        (b"\x1c\0\0\0TFL3" + bytes(30), "no sound TFLite model"),
        (struct.pack("<Q", 2) + b"{}", "holds no tensors"),
        (struct.pack("<Q", 2**60) + b"{}", "not a safetensors file"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words) as error:
            convert(path)
        assert type(error.value) is not ValueError, "damage is told apart from wrong usage by the error's class"
    with pytest.raises(ModelFileError, match="cannot be read"):
        convert(tmp_path / "missing.pth")
    with pytest.raises(ModelFileError, match="cannot be read"):
        convert(tmp_path)


def test_damaged_configuration_beside_the_weights(tmp_path):
    save_file(stored(named("timm"), mobilenet_v2(0.35)), tmp_path / "model.safetensors")
    for text, words in (
        ("{", "cannot be read as JSON"),
        (json.dumps({"architecture": "mobilenetv2_035", "pretrained_cfg": {"crop_pct": 0}}), "does not parse"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ModelFileError, match=words):
            convert(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet50", "pretrained_cfg": 7}))
    convert(tmp_path / "model.safetensors")  # another model's configuration does not concern us


class TestKeras:
    def write(self, path, change=lambda file: None):
        h5py = pytest.importorskip("h5py")
        layout = named("keras")
        with h5py.File(path, "w") as file:
            for name, value in stored(layout, mobilenet_v2(0.35)).items():
                layer, variable = name.split("/")
                file[f"{layer}/{layer}/{variable}:0"] = value
            change(file)
        return path

    def test_plain(self, tmp_path):
        model = convert(self.write(tmp_path / "w.h5")).model
        assert model.network.settings.width == 0.35
        assert model.preprocessing.fit == "central_fraction"

    def test_truncated(self, tmp_path):
        whole = self.write(tmp_path / "w.h5").read_bytes()
        for cut in (8, 100, 5000, len(whole) // 2, len(whole) - 1):
            (tmp_path / "cut.h5").write_bytes(whole[:cut])
            with pytest.raises(KerasError, match=r"cut\.h5"):
                convert(tmp_path / "cut.h5")

    def test_links_out_of_the_file_are_not_followed(self, tmp_path):
        h5py = pytest.importorskip("h5py")
        secret = tmp_path / "secret.h5"
        with h5py.File(secret, "w") as file:
            file["x"] = np.zeros((3, 3, 3, 16), np.float32)

        def link(file):
            del file["Conv1/Conv1/kernel:0"]
            file["Conv1/Conv1/kernel:0"] = h5py.ExternalLink(str(secret), "x")

        with pytest.raises(LayoutError):
            convert(self.write(tmp_path / "w.h5", link))

        def external(file):
            del file["Conv1/Conv1/kernel:0"]
            size = 3 * 3 * 3 * 16 * 4
            file["Conv1/Conv1"].create_dataset("kernel:0", (3, 3, 3, 16), "f4", external=[(str(secret), 0, size)])

        with pytest.raises(KerasError, match="not a plain array of floats in the file"):
            convert(self.write(tmp_path / "w.h5", external))

    def test_bombs(self, tmp_path):
        def bomb(file):
            file.create_dataset("zeros/kernel:0", (2**36,), "f4", chunks=(2**16,), compression="gzip")

        with pytest.raises(KerasError, match="past the limit max_tensor_bytes"):
            convert(self.write(tmp_path / "w.h5", bomb))

    def test_two_arrays_of_one_name(self, tmp_path):
        with pytest.raises(KerasError, match="two arrays are called 'Conv1/kernel'"):
            convert(self.write(tmp_path / "w.h5", lambda file: file.create_dataset("x/Conv1/kernel", (1,), "f4")))

    def test_without_h5py(self, tmp_path, monkeypatch):
        path = self.write(tmp_path / "w.h5")
        monkeypatch.setitem(__import__("sys").modules, "h5py", None)
        with pytest.raises(KerasError, match=r"pip install 'mobilenet\[keras\]'"):
            convert(path)
