"""Label files that are made to crash, to hang or to take memory: small ones, refused or read within bounds."""

from __future__ import annotations

import os

import numpy as np
import pytest
from support.limits import bounded

from mobilenet.data.layout import DataError
from mobilenet.data.outlines import MAX_CROSSINGS, Polygon, RunLengths, coco_counts
from mobilenet.data.text import check_regular, peek, read_text, read_xml, read_yaml

MEGABYTE = 2**20


def refused(read, path, content: bytes) -> str:
    path.write_bytes(content)
    with bounded(2, 100 * MEGABYTE), pytest.raises(DataError) as error:
        read(path)
    return str(error.value)


def test_deep_yaml(tmp_path):
    """PyYAML's C loader called itself for each level until the process crashed."""
    pytest.importorskip("yaml")
    for content in (
        b"names: " + b"[" * 200_000,
        b"names: " + b"{a: " * 100_000,
        b"\n".join(b" " * i + b"a:" for i in range(900)),
    ):
        assert "past the limit max_json_depth of 64" in refused(read_yaml, tmp_path / "data.yaml", content)


def test_aliases_of_aliases(tmp_path):
    """Nine lists of nine aliases each are a name of 10^9 characters."""
    pytest.importorskip("yaml")
    lines = [b"a: &a [x, x]", *(b"%c: &%c [*%c, *%c]" % (c + 1, c + 1, c, c) for c in range(ord("a"), ord("z")))]
    assert "has an alias, *a" in refused(read_yaml, tmp_path / "data.yaml", b"\n".join(lines))


@pytest.mark.parametrize("encoding", [b"punycode", b"idna", b"unicode_escape", b"rot13", b"zlib", b"utf-7"])
def test_encodings_that_take_time_or_run_backwards(encoding, tmp_path):
    """Decoding punycode takes time with the square of the length."""
    content = b'<?xml version="1.0" encoding="%s"?>' % encoding + b"a" * 50_000 + b"-" + b"bcdef" * 50_000
    assert "save it as UTF-8" in refused(read_xml, tmp_path / "a.xml", content)


def test_pipes_and_devices(tmp_path):
    """A pipe waits for ever, a device has no end; a link in an unpacked archive may name either."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(DataError, match="no regular file"):
            check_regular(tmp_path / name)
        with pytest.raises(DataError, match="no regular file"):
            read_text(tmp_path / name)
        assert peek(tmp_path / name) == ""


def test_a_number_without_an_end_in_run_lengths():
    with bounded(2, 100 * MEGABYTE), pytest.raises(DataError, match="over 60 bits"):
        coco_counts("o" * 1_000_000)


@pytest.mark.parametrize(
    ("counts", "size"),
    [
        ([2**62, 2**62, 2**62, 2**62 + 100], (10, 10)),  # the sum wraps to 100
        ([2**40], (2**20, 2**20)),
        ([2**62], (2**31, 2**31)),
        ([-1, 101], (10, 10)),
        ([100], (-10, -10)),
        ([0], (0, 10)),
    ],
)
def test_run_lengths_of_impossible_masks(counts, size):
    """Refused at once, or at the latest when they are drawn on the image; no memory is taken for what they claim."""
    with bounded(2, 100 * MEGABYTE), pytest.raises(DataError):
        RunLengths.checked(counts, size).fill(np.zeros((10, 10), np.uint8), 1, (1, 1))


def test_run_lengths_by_rows_take_no_more_than_the_mask():
    """CVAT's rows as columns were a number for every pixel."""
    side, mask = 3000, np.zeros((3000, 3000), np.uint8)
    with bounded(5, 100 * MEGABYTE):
        RunLengths.checked([side] * side, (side, side), by_rows=True).fill(mask, 7, (1, 1))
    assert (mask[::2] == 0).all()
    assert (mask[1::2] == 7).all()


def test_many_edges_that_cross_every_row():
    """The crossings are counted some at a time; the result is that of all at once."""
    chance = np.random.default_rng(0)
    corners = [number for i in range(5_000) for number in (chance.uniform(0, 120), (i % 2) * 400.0)]
    polygon, masks = Polygon.of(corners), []
    for limit in (MAX_CROSSINGS, 50_000):
        masks.append(np.zeros((400, 120), np.uint8))
        with pytest.MonkeyPatch.context() as patch, bounded(10, 120 * MEGABYTE):
            patch.setattr("mobilenet.data.outlines.MAX_CROSSINGS", limit)
            polygon.fill(masks[-1], 1, (1, 1))
    assert masks[0].any()
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])
