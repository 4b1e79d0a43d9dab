"""One file for a model: exact round trips, and a clear refusal of everything that is not one."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import os
import pickle
import random
import stat
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest
from safetensors.numpy import save
from support.small import small
from support.weights import random_tensors

from mobilenet import modelfile, tensors
from mobilenet.files import WriteError, write_atomically
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFileError
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.tensorfile import CHECKSUM, read_safetensors
from mobilenet.tensors import Tensors


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    modelfile.write(small(), path)
    return path.read_bytes()


def test_round_trip(tmp_path):
    modelfile.write(small(), tmp_path / "m.safetensors")
    back = modelfile.read(tmp_path / "m.safetensors")
    assert list(back.tensors) == list(back.network.tensors())
    for name, value in small().tensors.items():
        np.testing.assert_array_equal(back.tensors[name], value)
    for part in ("network", "labels", "preprocessing", "label_ids", "background", "provenance", "metrics"):
        assert getattr(back, part) == getattr(small(), part)


def test_every_setting_of_the_network_travels(tmp_path):
    network = mobilenet_v2(0.35, (33, 47), 4, 16, "tensorflow", 1e-3, shortcut="expansion", projection="relu6", expansion=3,
                           activation="relu", scale_last=True)  # fmt: skip
    model = small(network=network, tensors=random_tensors(network), labels=("a", "b", "c", "d"), label_ids=(), background=None)
    modelfile.write(model, tmp_path / "m.safetensors")
    assert modelfile.read(tmp_path / "m.safetensors").network == network


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ("cat",)}, "1 labels for a classifier of 3 outputs"),
        ({"label_ids": ("n1",)}, "1 label ids for 3 outputs"),
        ({"background": 3}, "background class 3"),
    ],
)
def test_models_that_do_not_fit_together(changes, words):
    with pytest.raises(ModelFileError, match=words):
        small(**changes)


def damaged(change) -> dict:
    tensors = dict(small().tensors)
    change(tensors)
    return tensors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("classifier.bias"), "no tensor 'classifier.bias'"),
        (lambda t: t.update(stranger=np.zeros(1, np.float32)), "tensor 'stranger' has no place in mobilenet_v1"),
        (lambda t: t.update({"classifier.bias": np.zeros(4, np.float32)}), r"'classifier.bias' is \(4,\), must be \(3,\)"),
        (lambda t: t.update({"classifier.bias": np.zeros(3)}), "'classifier.bias' is float64, must be float32"),
        (lambda t: t.update({"classifier.bias": np.array([0, np.nan, 0], np.float32)}), "'classifier.bias' holds NaN"),
        (lambda t: t.update({"layer_0.norm.running_var": -np.ones(8, np.float32)}), "negative variance"),
    ],
)
def test_wrong_tensors_are_named_when_made_and_when_read(change, words, tmp_path, content):
    tensors = damaged(change)
    with pytest.raises(ModelFileError, match=words):
        small(tensors=tensors)
    length = struct.unpack("<Q", content[:8])[0]
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    (tmp_path / "m.safetensors").write_bytes(save(tensors, metadata))
    with pytest.raises(ModelFileError, match=rf"m\.safetensors.*{words}"):
        modelfile.read(tmp_path / "m.safetensors")


def refused(path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as refusal:
        modelfile.read(path)
    message = str(refusal.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_truncation_anywhere(tmp_path, content):
    length = struct.unpack("<Q", content[:8])[0]
    cuts = [0, 1, 7, 8, 9, 100, 8 + length - 1, 8 + length, 8 + length + 1, len(content) // 2, len(content) - 1]
    for cut in cuts:
        refused(tmp_path / "cut.safetensors", content[:cut])


def test_hostile_headers(tmp_path, content):
    path = tmp_path / "hostile.safetensors"
    for length in (2**63, 2**64 - 1, 2**40, len(content), 17 * 2**20):
        assert "not a safetensors file" in refused(path, struct.pack("<Q", length) + content[8:])
    wild = {
        "huge": {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}},
        "outside": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**50]}},
        "backwards": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}},
        "overlap": {k: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for k in "ab"},
        "unknown type": {"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
        "bfloat16": {"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}},
        "list": [1, 2],
        "number": {"a": 7},
        "metadata": {"__metadata__": {"mobilenet": 1}},
    }
    for header in wild.values():
        text = json.dumps(header).encode()
        refused(path, struct.pack("<Q", len(text)) + text + bytes(4))
    deep = b"[" * 100_000
    refused(path, struct.pack("<Q", len(deep)) + deep)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mobilenet", None),
        ("mobilenet", "99"),
        ("network", None),
        ("network", "{"),
        ("network", "[]"),
        ("network", json.dumps({"architecture": "mobilenet_v9"})),
        ("network", json.dumps({"architecture": "mobilenet_v2", "width": 1e9})),
        ("network", json.dumps({"architecture": "mobilenet_v2", "rows": [[6, 10**9, 10**9, 1]]})),
        ("network", json.dumps({"architecture": "mobilenet_v2", "depth": "deep"})),
        ("labels", "7"),
        ("labels", "[1, 2, 3]"),
        ("label_ids", "null"),
        ("background", '"none"'),
        ("background", "1e999"),
        ("preprocessing", "{}"),
        ("preprocessing", json.dumps({**Preprocessing(size=(32, 32), fit="squash").to_json(), "size": [10**9, 1]})),
        ("metrics", "3"),
        ("labels", "[" * 100_000),
    ],
)
def test_hostile_metadata(tmp_path, content, key, value):
    length = struct.unpack("<Q", content[:8])[0]
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    metadata = {k: v for k, v in {**metadata, key: value}.items() if v is not None}
    message = refused(tmp_path / "m.safetensors", save(dict(small().tensors), metadata))
    assert key in message


def test_flipped_bytes_never_escape(tmp_path, content):
    """Every mutation either still reads as a sane model or is refused by name."""
    generator, path = random.Random(0), tmp_path / "flipped.safetensors"
    length = struct.unpack("<Q", content[:8])[0]
    read = 0
    for _ in range(300):
        spoiled = bytearray(content)
        for _ in range(generator.choice((1, 3, 20))):
            spoiled[generator.randrange(8 + length)] = generator.randrange(256)
        path.write_bytes(spoiled)
        try:
            modelfile.read(path)
            read += 1
        except ModelFileError:
            continue
    assert read < 150


def test_other_files(tmp_path):
    refused(tmp_path / "text.safetensors", b"hello, this is no model at all")
    with pytest.raises(ModelFileError, match="No such file"):
        modelfile.read(tmp_path / "missing.safetensors")
    with pytest.raises(ModelFileError, match="directory"):
        modelfile.read(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, content):
    path = tmp_path / "m.safetensors"
    modelfile.write(small(), path)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"m\.safetensors: cannot be written \(No space left on device\)"):
        modelfile.write(small(metrics={}), path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["m.safetensors"]
    with pytest.raises(WriteError, match="cannot be written"):
        modelfile.write(small(), tmp_path / "nowhere" / "m.safetensors")


def test_a_text_that_utf8_cannot_encode_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"holds '\\udcff', which UTF-8 cannot encode"):
        modelfile.write(small(provenance={"source": "\udcff"}), tmp_path / "m.safetensors")


KILLED = """
import os, sys
sys.path[:0] = [{tests!r}]
from support.small import small
from mobilenet import modelfile
replace = os.replace
os.replace = lambda *names: os.kill(os.getpid(), 9)
modelfile.write(small(metrics={{}}), sys.argv[1])
"""


def test_a_kill_in_mid_write_leaves_the_old_file(tmp_path, content):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    code = KILLED.format(tests=os.path.dirname(__file__))
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert path.read_bytes() == content


@pytest.mark.parametrize("core", [True, False])
def test_bounds(monkeypatch, core):
    if not core:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    values = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    for count in (1, 15, 16, 17, 35):
        part = values.ravel()[:count]
        assert tensors.bounds(part) == (part.min(), part.max())
        for place in (0, count - 1):
            for bad in (np.nan, np.inf, -np.inf):
                spoilt = part.copy()
                spoilt[place] = bad
                np.testing.assert_array_equal(tensors.bounds(spoilt), (spoilt.min(), spoilt.max()))


def test_tensors_of_a_file_are_its_memory(tmp_path):
    """Views that arrays share, the same ones at every look."""
    model = tmp_path / "small.safetensors"
    modelfile.write(small(), model)
    tensors = modelfile.read(model).tensors
    assert isinstance(tensors, Tensors)
    name = next(iter(tensors))
    assert tensors.views[name].format == "f"
    tensors[name][:] = 3
    assert (tensors[name] == 3).all()
    assert set(tensors) == set(modelfile.read(model).network.tensors())
    with pytest.raises(KeyError):
        tensors["nothing"]
    read = modelfile.read(model)
    for same in (copy.deepcopy(read), pickle.loads(pickle.dumps(read))):
        assert same.network == read.network
        np.testing.assert_array_equal(same.tensors[name], read.tensors[name])


def test_the_umask_holds_and_no_other_thread_sees_it_change(tmp_path):
    """`os.umask` changes the whole process's: a file that another thread made at that moment was open to everybody."""
    before = os.umask(0o077)
    stop, modes = threading.Event(), set[int]()

    def make_files() -> None:
        while not stop.is_set():
            path = tmp_path / "other"
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
            modes.add(stat.S_IMODE(path.stat().st_mode))
            path.unlink()

    other = threading.Thread(target=make_files)
    other.start()
    try:
        for _ in range(300):
            write_atomically(tmp_path / "file", b"content")
    finally:
        stop.set()
        other.join()
        os.umask(before)
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    write_atomically(tmp_path / "file", b"content")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~before
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_flipped_bit_is_noticed_or_does_no_harm(content, tmp_path):
    """Of the header, of the tensors, of the checksum itself."""
    path, generator = tmp_path / "m.safetensors", random.Random(0)
    length = 8 + int.from_bytes(content[:8], "little")
    places = [*range(8 * 50), *(generator.randrange(8 * length) for _ in range(400))]
    places += [generator.randrange(8 * length, 8 * len(content)) for _ in range(400)]
    for place in places:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            back = modelfile.read(path)
        except ModelFileError:
            continue
        assert place < 8 * (8 + len(CHECKSUM)), "only the name of the checksum may go"
        assert back.labels == small().labels
        assert all(np.array_equal(back.tensors[name], value) for name, value in small().tensors.items())


def test_the_digest_of_the_tensors_is_in_the_file(content, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(content)
    length = int.from_bytes(content[:8], "little")
    _, metadata = read_safetensors(tmp_path / "m.safetensors")
    assert metadata["sha256"] == hashlib.sha256(content[8 + length :]).hexdigest()
    assert metadata["checksum"].encode() == content[8 + len(CHECKSUM) :][:64]


def test_files_of_before_have_no_checksum(content, tmp_path):
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]["checksum"], header["__metadata__"]["sha256"]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    assert modelfile.read(tmp_path / "m.safetensors").labels == small().labels


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 1000])
def test_the_checksum_is_the_same_without_the_core(size, monkeypatch):
    content = random.Random(size).randbytes(size)
    with_core = tensors.checksum(content)
    monkeypatch.setattr(tensors, "built", lambda: False)
    assert tensors.checksum(content) == tensors.checksum(memoryview(content)) == with_core
    if size:
        assert tensors.checksum(content[:-1] + bytes([content[-1] ^ 128])) != with_core
