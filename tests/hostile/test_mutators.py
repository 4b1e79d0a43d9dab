"""What fuzzing changes: the checksums of a changed file are right again, so that a reader looks at the rest of it."""

from __future__ import annotations

import io
import json
import random
import sys
import tarfile
import zipfile

import pytest
from PIL import Image, UnidentifiedImageError
from support.paths import ROOT

from mobilenet import modelfile
from mobilenet.modelfile import ModelFileError

sys.path.insert(0, str(ROOT / "fuzz"))
import blind
import mutators
import targets


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def seed(name: str, number: int = 0) -> bytes:
    return list(targets.named(name).seeds())[number]


def test_model_files(tmp_path):
    data = seed("model")
    damaged = flipped(data, len(data) - 4)  # the last tensor's last number, a little
    path = tmp_path / "m.safetensors"
    path.write_bytes(damaged)
    with pytest.raises(ModelFileError, match="is damaged, its checksum"):
        modelfile.read(path)
    path.write_bytes(mutators.sealed("model", damaged))
    modelfile.read(path)
    assert mutators.sealed("model", data) == data


def test_a_changed_header_is_read_as_far_as_it_is_sound(tmp_path):
    """Of headers with one place changed, some are refused for what that place says, and none for the checksum."""
    data, path, words = seed("model"), tmp_path / "m.safetensors", []
    for number in range(60):
        changed = mutators.changed_header(data, random.Random(number))
        path.write_bytes(mutators.sealed("model", changed))
        try:
            modelfile.read(path)
        except ModelFileError as error:
            words.append(str(error))
        path.unlink()
    assert not [each for each in words if "checksum" in each]
    assert len([each for each in words if "metadata '" in each]) > 5


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip(compression):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("a", b"aaaa")
        archive.writestr("b/c", b"one two")
    data = file.getvalue()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = archive.getinfo("b/c").header_offset + 30 + 3
    wrong = data[: at - 19] + b"\0\0\0\0" + data[at - 15 :]  # the CRC in the head of b/c
    directory = wrong.rindex(b"PK\1\2") + 16
    wrong = wrong[:directory] + b"\0\0\0\0" + wrong[directory + 4 :]
    with zipfile.ZipFile(io.BytesIO(wrong)) as archive:
        assert archive.testzip() == "b/c"
    assert mutators.sealed("pth", wrong) == data
    if compression == zipfile.ZIP_STORED:
        with zipfile.ZipFile(io.BytesIO(mutators.sealed("pth", flipped(data, at)))) as archive:
            assert archive.testzip() is None
            assert archive.read("b/c") == b"nne two"


def test_tar():
    data = seed("shard")
    assert mutators.sealed("shard", data) == data
    with pytest.raises(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(flipped(data, 0))):
        pass
    with tarfile.open(fileobj=io.BytesIO(mutators.sealed("shard", flipped(data, 0)))) as archive:
        assert archive.getnames()[0] == "`.png"


def test_png():
    data = seed("mask")
    at = data.index(b"IHDR") + 7  # the width
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(flipped(data, at)))
    with Image.open(io.BytesIO(mutators.sealed("mask", flipped(data, at)))) as image:
        assert image.width == Image.open(io.BytesIO(data)).width ^ 1
    assert mutators.sealed("mask", data) == data


def test_json_changes_in_one_place():
    before = {"a": [1, 2.0, {"b": "c"}], "d": None}
    for number in range(200):
        text = mutators.changed_json(json.dumps(before), random.Random(number))
        assert isinstance(json.loads(text), dict)
    assert mutators.changed_json("[]", random.Random(0)) is None
    assert mutators.changed_json("[" * 5000, random.Random(0)) is None


def test_a_failure_is_kept_once_and_reported(tmp_path, monkeypatch, capsys):
    """A reader that raises something else than a refusal is found without coverage, and its input is stored."""

    def read(path):
        if len(path.read_bytes()) % 2:
            raise KeyError("odd")

    target = targets.Target("toy", "toy", read, lambda: iter([b"ab"]))
    monkeypatch.setattr(blind, "ROOT", tmp_path)
    watch = blind.fuzz(target, 0.2, seed=1)
    (kept,) = (tmp_path / "build" / "fuzz" / "failures" / "toy").iterdir()
    assert list(watch.failures.values()) == [kept]
    assert len(kept.read_bytes()) % 2 == 1
    assert "KeyError" in capsys.readouterr().err
