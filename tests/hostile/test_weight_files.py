"""Weight files that try to take time, memory or other files: each is refused in one line, within a bound.

Every generator writes one file (or folder) and says in its docstring what the file tries.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.hostile import assert_refusal, outcomes
from support.limits import bounded

from mobilenet import limits
from mobilenet.convert.convert import convert
from mobilenet.convert.libraries import LAYOUTS
from mobilenet.limits import Limits
from mobilenet.network.mobilenet import mobilenet_v2

SAME = {"padding": {"s": "U0FNRQ=="}}
MEGABYTE = 2**20


def refusal(path: Path, seconds: float, max_bytes: int) -> str:
    """The error of `convert`, which must be one short line."""
    with bounded(seconds, max_bytes), pytest.raises(ValueError) as error:  # noqa: PT011
        convert(path)
    assert type(error.value) is not ValueError
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    return str(error.value)


def tfjs_model(folder: Path, nodes: list[object], manifest: list[object]) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": manifest}))
    return path


def node(op: str, name: str, *inputs: str, **attributes: object) -> dict[str, object]:
    return {"op": op, "name": name, "input": list(inputs), "attr": attributes}


def weight(name: str, *shape: int) -> dict[str, object]:
    return {"name": name, "shape": list(shape), "dtype": "float32"}


def tfjs_circle(folder: Path) -> Path:
    """Two Mul nodes behind a convolution read each other, so a reader that follows the chain never ends.

    One of them is named like a weight: as the second input of the other it counts as a constant.
    """
    nodes = [
        node("Placeholder", "image"),
        node("Const", "kernel"),
        node("Const", "scale"),
        node("Conv2D", "conv", "image", "kernel", **SAME),
        node("Mul", "first", "conv", "second"),
        node("Mul", "second", "first", "scale"),
    ]
    (folder / "shard").write_bytes(np.full(3 * 8 + 8 + 8, 1e10, np.float32).tobytes())
    weights = [weight("kernel", 1, 1, 3, 8), weight("scale", 8), weight("second", 8)]
    return tfjs_model(folder, nodes, [{"paths": ["shard"], "weights": weights}])


def tfjs_long_tail(folder: Path) -> Path:
    """10,000 nodes scale one convolution of 100,000 channels: each step is cheap, all take minutes."""
    channels, length = 100_000, 10_000
    nodes = [
        node("Placeholder", "image"),
        node("Const", "kernel"),
        node("Const", "scale"),
        node("Conv2D", "mul0", "image", "kernel", **SAME),
    ]
    nodes += [node("Mul", f"mul{i + 1}", f"mul{i}", "scale") for i in range(length)]
    (folder / "shard").write_bytes(np.ones(2 * channels, np.float32).tobytes())
    weights = [weight("kernel", 1, 1, 1, channels), weight("scale", channels)]
    return tfjs_model(folder, nodes, [{"paths": ["shard"], "weights": weights}])


def tfjs_shared_kernel(folder: Path) -> Path:
    """2,000 convolutions read one kernel of 1 MB: a folded copy for each takes 2 GB."""
    nodes = [node("Placeholder", "image"), node("Const", "kernel")]
    nodes += [node("Conv2D", f"conv{i}", "image", "kernel", **SAME) for i in range(2000)]
    (folder / "shard").write_bytes(bytes(MEGABYTE))
    return tfjs_model(folder, nodes, [{"paths": ["shard"], "weights": [weight("kernel", 1, 1, 2**9, 2**9)]}])


def tfjs_channels_from_nothing(folder: Path) -> Path:
    """A kernel of shape (1, 1, 0, 2**28) holds no bytes, but its scale and bias for each channel take 4 GB."""
    nodes = [node("Placeholder", "image"), node("Const", "kernel"), node("Conv2D", "conv", "image", "kernel", **SAME)]
    (folder / "shard").write_bytes(b"")
    return tfjs_model(folder, nodes, [{"paths": ["shard"], "weights": [weight("kernel", 1, 1, 0, 2**28)]}])


def tfjs_groups_of_one_shard(folder: Path) -> Path:
    """200 groups name the same shard of 1 MB: each keeps a copy."""
    (folder / "shard").write_bytes(bytes(MEGABYTE))
    groups = [{"paths": ["shard"], "weights": [weight(f"w{i}", MEGABYTE // 4)]} for i in range(200)]
    return tfjs_model(folder, [node("Const", f"w{i}") for i in range(200)], groups)


def tfjs_empty_shards(folder: Path) -> Path:
    """An empty shard is named 500,000 times: opening it each time takes minutes."""
    (folder / "shard").write_bytes(b"")
    return tfjs_model(folder, [], [{"paths": ["shard"] * 500_000, "weights": []}])


def tfjs_json(folder: Path) -> Path:
    """48 MB of empty lists, which Python holds as 1 GB of objects."""
    path = folder / "model.json"
    path.write_text('{"x": [' + "[]," * (16 * MEGABYTE) + "[]]}")
    return path


TFJS = (
    (tfjs_circle, "over 8 nodes scale", 5 * MEGABYTE),
    (tfjs_long_tail, "over 8 nodes scale", 100 * MEGABYTE),
    (tfjs_shared_kernel, "two convolutions read the same weights", 50 * MEGABYTE),
    (tfjs_channels_from_nothing, "have no elements", 5 * MEGABYTE),
    (tfjs_groups_of_one_shard, "names a shard twice", 20 * MEGABYTE),
    (tfjs_empty_shards, "must be plain names", 100 * MEGABYTE),
    (tfjs_json, "past the limit max_json_bytes", 20 * MEGABYTE),
)


@pytest.mark.parametrize(("generator", "words", "max_bytes"), TFJS)
def test_tfjs(tmp_path, generator, words, max_bytes):
    assert words in refusal(generator(tmp_path), 10, max_bytes)


def test_tfjs_groups_share_one_limit(tmp_path, monkeypatch):
    """Groups that each stay below the limit, and together pass it."""
    monkeypatch.setattr(limits, "_in_force", [Limits(max_tensor_bytes=100)])
    groups = [{"paths": [f"shard{i}"], "weights": [weight(f"w{i}", 20)]} for i in range(2)]
    for i in range(2):
        (tmp_path / f"shard{i}").write_bytes(bytes(80))
    path = tfjs_model(tmp_path, [], groups)
    assert "160 is past the limit max_tensor_bytes of 100" in refusal(path, 5, 5 * MEGABYTE)


def unmatched_tensors(folder: Path, count: int = 60_000) -> Path:
    """Many tensors beside those of a network: a message for each and each member of the family takes minutes."""
    layout = LAYOUTS[0]
    tensors = {o.source: np.zeros(o.shape, np.float32) for o in layout.origins(mobilenet_v2(0.35, classes=10))}
    tensors.update({f"extra.{i}": np.zeros(1, np.float32) for i in range(count)})
    save_file(tensors, folder / "w.safetensors")
    return folder / "w.safetensors"


def test_unmatched_tensors(tmp_path):
    path = unmatched_tensors(tmp_path, 4_000)
    assert "tensor 'extra.0' (1,) is left over" in (error := refusal(path, 15, 50 * MEGABYTE))
    assert "and 3997 more" in error


def test_a_large_configuration(tmp_path):
    """A config.json of 20 MB beside honest weights: 20 MB of empty lists take 500 MB."""
    network = mobilenet_v2(0.35, classes=10)
    save_file({o.source: np.zeros(o.shape, np.float32) for o in LAYOUTS[0].origins(network)}, tmp_path / "w.safetensors")
    (tmp_path / "config.json").write_text("[" + "[]," * (7 * MEGABYTE) + "[]]")
    assert "past the limit max_json_bytes" in refusal(tmp_path / "w.safetensors", 10, 50 * MEGABYTE)


def keras_external_group(h5py, file, folder: Path) -> None:
    """``model_weights`` is a link into another file: its names and values would come back."""
    with h5py.File(folder / "secret.h5", "w") as other:
        other["secret/kernel"] = np.zeros(3, np.float32)
    file["model_weights"] = h5py.ExternalLink(str(folder / "secret.h5"), "/")


def keras_soft_group(h5py, file, folder: Path) -> None:
    """``model_weights`` is a link within the file."""
    file["elsewhere/kernel"] = np.zeros(3, np.float32)
    file["model_weights"] = h5py.SoftLink("/elsewhere")


def keras_unwritten(h5py, file, folder: Path) -> None:
    """1 GiB of an array that was never written, in a file of 2 kB."""
    file.create_dataset("zeros/kernel:0", (2**28,), "f4", chunks=(2**16,), compression="gzip")


def keras_inflated(h5py, file, folder: Path) -> None:
    """Compressed chunks: a megabyte of them can hold a gigabyte."""
    file.create_dataset("Conv1/kernel:0", data=np.zeros(2**16, np.float32), compression="gzip")


def keras_weights_are_an_array(h5py, file, folder: Path) -> None:
    """``model_weights`` is an array where a group must be."""
    file["model_weights"] = np.zeros(3, np.float32)


def keras_odd_float(h5py, file, folder: Path) -> None:
    """A float of a layout that numpy does not have."""
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(31, 20, 11, 0, 20)
    space = h5py.h5s.create_simple((3,))
    h5py.h5d.create(file.create_group("Conv1").id, b"kernel:0", kind, space)


def keras_odd_name(h5py, file, folder: Path) -> None:
    """A name that is no UTF-8."""
    file.create_group("x").create_dataset(b"\xff\xfe", data=np.zeros(3, np.float32))


def keras_circle(h5py, file, folder: Path) -> None:
    """A group that holds itself four times: its paths have no end, and there are 4**n of length n."""
    group = file.create_group("x")
    for name in "abcd":
        group[name] = group


KERAS = (
    (keras_external_group, "its model_weights is no group of its own"),
    (keras_soft_group, "its model_weights is no group of its own"),
    (keras_unwritten, "claims more than"),
    (keras_inflated, "is not a plain array of floats in the file"),
    (keras_weights_are_an_array, "its model_weights is no group of its own"),
    (keras_odd_float, "w.h5"),
    (keras_odd_name, "w.h5"),
    (keras_circle, "this is no MobileNet"),
)


def keras_file(generator, folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "w.h5", "w") as file:
        generator(h5py, file, folder)
    return folder / "w.h5"


@pytest.mark.parametrize(("generator", "words"), KERAS)
def test_keras(tmp_path, generator, words):
    pytest.importorskip("h5py")
    keras_file(generator, tmp_path)
    assert words in refusal(tmp_path / "w.h5", 20, 20 * MEGABYTE)


def test_as_commands(tmp_path):
    """The same files as a user meets them: one line, under 3 s each, and all in one process under 400 MB."""
    cases = [(words, generator, generator) for generator, words, _ in TFJS]
    if importlib.util.find_spec("h5py"):
        cases += [(words, generator, functools.partial(keras_file, generator)) for generator, words in KERAS]
    cases += [("is left over", unmatched_tensors, unmatched_tensors)]
    paths = []
    for _, generator, make in cases:
        (folder := tmp_path / generator.__name__).mkdir()
        paths.append(make(folder))
    results = outcomes(["convert", path, "--out", tmp_path / "o.safetensors"] for path in paths)
    assert len(results) == len(cases)
    for (words, *_), result in zip(cases, results, strict=True):
        assert_refusal(words, result)
    assert sum(result.megabytes for result in results) < 400
