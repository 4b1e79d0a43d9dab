"""Letters: those of many scripts in the font that is shipped, others in fonts of the system, or escaped; never wrong ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mobilenet.drawing import fonts
from mobilenet.drawing.fonts import NO_CHARACTER, SHIPPED, font_of, open_font
from mobilenet.drawing.text import ELLIPSIS, Line, drawable, runs


@pytest.fixture
def no_system_fonts(monkeypatch):
    """As on a machine without fonts."""
    monkeypatch.setattr(fonts, "font_folders", list)
    monkeypatch.delenv(fonts.VARIABLE, raising=False)
    forget()
    yield
    forget()


def forget():
    for cached in (fonts.font_of, fonts.system_fonts, drawable, runs):
        cached.cache_clear()


@pytest.mark.parametrize(
    "text",
    ["Straße, Kätzchen, crème brûlée", "Łódź őűšș ğı", "Tiếng Việt: con mèo", "γάτα Ώ", "кошка, ґедзь, ђ", "≤ 1 €…"],
)
def test_scripts_of_the_shipped_font(text, no_system_fonts):
    assert drawable(text) == text
    assert runs(text) == ((SHIPPED, text),)
    unknown = bytes(open_font(SHIPPED, 24).getmask(NO_CHARACTER))
    assert all(bytes(open_font(SHIPPED, 24).getmask(letter)) != unknown for letter in text.replace(" ", ""))


def test_decomposed_letters_are_composed(no_system_fonts):
    assert drawable("cre\u0300me") == "crème"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("猫 cat", "\\u732b cat"),
        ("\U0001f431", "\\ud83d\\udc31"),
        ("a\x1b[31m", "a\\u001b[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("lone \udcff", "lone \\udcff"),
        ("two\n lines\t", "two lines"),
    ],
)
def test_what_no_font_has_is_escaped(text, shown, no_system_fonts):
    assert drawable(text) == shown


def test_a_font_that_is_named_is_asked_too(no_system_fonts, monkeypatch, tmp_path):
    """A copy of a whole DejaVu Sans, which matplotlib brings, has Arabic and Georgian letters."""
    matplotlib = pytest.importorskip("matplotlib")
    whole = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setenv(fonts.VARIABLE, f"{tmp_path}{fonts.os.pathsep}{whole}")
    forget()
    assert font_of("ქ") == whole
    assert runs("a ქა b") == ((SHIPPED, "a "), (whole, "ქა"), (SHIPPED, " b"))
    assert font_of("猫") is None


def test_lines_are_measured_and_shortened():
    line = Line("Egyptian cat 71 %", 20)
    image = Image.new("RGB", (400, 60))
    line.draw(ImageDraw.Draw(image), 7, 5, (255, 255, 255))
    left, top, right, bottom = image.getbbox()
    assert left >= 7
    assert right <= 7 + line.width
    assert 5 <= top < bottom <= 5 + line.height
    for room in range(0, line.width + 10, 7):
        short = line.shortened(room)
        assert short.width <= room or not short.text
        assert short.text in ("", line.text) or short.text.endswith(ELLIPSIS)
    assert np.diff([line.shortened(room).width for room in range(0, line.width, 5)]).min() >= 0


def test_long_text_is_cut():
    assert len(drawable("x" * 10_000)) == 200
