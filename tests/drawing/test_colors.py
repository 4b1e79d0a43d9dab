"""Colors of classes differ, measured in CIELAB while they were chosen in OKLab."""

from __future__ import annotations

import class_colors as tool
import numpy as np
import pytest

from mobilenet.images.palette import SHADES, class_color, file_colors, luminance, shade, text_color


def lab(colors):
    """(N, 3) sRGB from 0 to 255 -> CIELAB with the white of D65 (CIE 15, IEC 61966-2-1)."""
    values = np.asarray(colors, float) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
    xyz = linear @ to_xyz.T / (0.95047, 1, 1.08883)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def distances(count):
    """CIE76 distances between the colors of the first classes."""
    points = lab([class_color(index) for index in range(count)])
    table = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(table, np.inf)
    return table


def test_classes_differ():
    """The least distances before were 2.6 among COCO's 80 classes, 9.1 among VOC's 20."""
    assert distances(12).min() > 24
    assert distances(21).min() > 19, "VOC's"
    assert distances(80).min() > 9, "COCO's"
    assert distances(256).min() > 6
    table = distances(256)
    assert min(table[index, index + 1] for index in range(255)) > 18, "neighbors"
    car, person = 7, 15
    assert distances(21)[car, person] > 60, "VOC's"
    assert distances(80)[0, 2] > 60, "COCO's person and car"


def test_the_table_is_made_by_the_tool():
    assert tool.class_colors(40) == [class_color(index) for index in range(40)]
    assert class_color(256) == class_color(0)


def test_colors_stand_out():
    for index in range(256):
        levels = [luminance(class_color(index)), luminance(text_color(class_color(index)))]
        assert (max(levels) + 0.05) / (min(levels) + 0.05) >= 4.5, "WCAG's contrast of a tag's text"


@pytest.mark.parametrize("index", [0, 2, 9, 33])
def test_objects_of_a_class_differ(index):
    shades = [shade(class_color(index), number) for number in range(len(SHADES))]
    assert shades[0] == class_color(index) == shade(class_color(index), len(SHADES))
    points = lab(shades)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(len(SHADES), 1)]
    assert apart.min() > 2.3, "just noticeable"
    hue = np.arctan2(points[:, 2], points[:, 1])
    assert np.abs(np.angle(np.exp(1j * (hue - hue[0])))).max() < 0.5, "of one hue"


def test_files_have_the_colors_of_drawings():
    colors = file_colors(0)
    assert colors[:6] == [0, 0, 0, *class_color(1)]
    assert file_colors(None)[:3] == list(class_color(0))
    assert colors[-3:] == [224, 224, 192]
