"""Charts: saved whole, refused before anything is drawn."""

from __future__ import annotations

import sys

import pytest
from PIL import Image

from mobilenet.charts import SUFFIXES, chart
from mobilenet.errors import UsageError
from mobilenet.files import WriteError


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".PNG"])
def test_a_chart_has_the_format_of_its_suffix(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"chart{suffix}"
    with chart(path, 4, 2) as figure:
        figure.subplots().plot([1, 2])
    assert path.read_bytes().lstrip()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    if suffix == ".png":
        with Image.open(path) as image:
            assert image.size == (480, 240)


def test_an_unknown_suffix_is_refused_before_drawing(tmp_path):
    pytest.importorskip("matplotlib")
    with (
        pytest.raises(UsageError, match=r"chart\.bmp: cannot be drawn; give a path that ends in"),
        chart(tmp_path / "chart.bmp", 1, 1),
    ):
        pytest.fail("drew")


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'mobilenet\[plot\]'"), chart(tmp_path / "chart.png", 1, 1):
        pytest.fail("drew")


def test_a_drawing_that_fails_leaves_no_file(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ZeroDivisionError), chart(tmp_path / "chart.png", 1, 1):
        raise ZeroDivisionError
    with pytest.raises(WriteError, match="cannot be written"), chart(tmp_path / "no" / "chart.png", 1, 1):
        pass
    assert not list(tmp_path.iterdir())
