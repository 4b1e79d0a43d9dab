"""JSON from strangers and the words of refusals: JSON of any kind is bounded in depth, every message in length."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from mobilenet import limits
from mobilenet.errors import MAX_MESSAGE, MobilenetError, unknown_name
from mobilenet.limits import Limits, parse_json

DEEP = "[" * 65 + "]" * 65  # one more than the default allows, and no problem for Python


def coco(path):
    """COCO's annotations with lists inside lists as a category's name."""
    from mobilenet.data.open import open_records

    folder = path / "annotations"
    folder.mkdir()
    (folder / "instances_val.json").write_text(f'{{"images": [], "annotations": [], "categories": [{DEEP}]}}')
    open_records(folder / "instances_val.json", "detection", None)


def index_page(path):
    """A package index's answer."""
    from mobilenet.zoo.python_index import json_links

    json_links(f'{{"files": [], "more": {DEEP}}}'.encode())


def header(path):
    """A safetensors header, whose tensors are well-formed."""
    from mobilenet.tensorfile import read_safetensors

    text = f'{{"x": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": {DEEP}}}}}'.encode()
    (path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    read_safetensors(path / "x.safetensors")


def metadata(path):
    """A value of a model file's metadata."""
    from mobilenet import modelfile
    from mobilenet.tensorfile import to_safetensors

    content = to_safetensors({"x": np.zeros(1, np.float32)}, {"mobilenet": "1", "network": DEEP}, ["x"])
    (path / "x.safetensors").write_bytes(content)
    modelfile.read(path / "x.safetensors")


def tfjs(path):
    """A graph."""
    from mobilenet.convert.readers.tfjs import read_tfjs

    (path / "model.json").write_text(f'{{"modelTopology": {DEEP}}}')
    read_tfjs(path / "model.json")


def configuration(path):
    """The config.json beside a library's weights."""
    from mobilenet.convert.config import read_json

    (path / "config.json").write_text(DEEP)
    read_json(path / "config.json")


@pytest.mark.parametrize("reader", [coco, index_page, header, metadata, tfjs, configuration])
def test_deep_json(tmp_path, reader):
    with pytest.raises(MobilenetError, match=r"over 64 is past the limit max_json_depth of 64; .*raise it with"):
        reader(tmp_path)


@pytest.mark.parametrize(("depth", "passes"), [(1, True), (3, True), (4, False), (5000, False), (1_000_000, False)])
@pytest.mark.parametrize("kind", ["list", "object"])
def test_depth_is_counted(monkeypatch, depth, passes, kind):
    monkeypatch.setattr(limits, "_in_force", [Limits(max_json_depth=3)])
    begin, end, inner = ("[", "]", "") if kind == "list" else ('{"a":', "}", "1")
    text = begin * depth + inner + end * depth
    if passes:
        assert parse_json(text) == json.loads(text)
    else:
        with pytest.raises(limits.TooLarge, match="past the limit max_json_depth of 3"):
            parse_json(text)


def test_every_message_is_one_line_under_500_characters():
    """With the words that a command puts before it; the ends, where the name and the remedy stand, are kept."""
    message = str(MobilenetError("begin\n" + "x" * 5000 + "\x1b end"))
    assert len(f"mobilenet: {message}") < 500
    assert len(message) <= MAX_MESSAGE
    assert message.startswith("begin\\u000ax")
    assert message.endswith("x\\u001b end")
    assert " ... " in message


@pytest.mark.parametrize(("count", "length"), [(3, 5), (60, 30), (100_000, 5), (50, 100_000)])
def test_unknown_names_list_what_fits(count, length):
    known = [f"{i:x}".rjust(length, "_") for i in range(count)]
    message = str(MobilenetError(unknown_name("thing", "@" * 90_000, known)))
    assert len(message) <= MAX_MESSAGE
    assert " ... " not in message
    assert f"known: {known[0][:80]}" in message
    listed = message.partition("known: ")[2].partition(" and ")[0].split(", ")
    more = count - len(listed)
    assert message.endswith(f" and {more} more" if more else listed[-1])


def test_a_short_list_is_whole():
    assert unknown_name("thing", "@", ["a", "b"]) == "no thing is called '@'; known: a, b"
    assert sys.getsizeof(unknown_name("thing", "@", [])) < 200
