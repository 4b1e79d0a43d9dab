"""The color of each class: one fixed list for boxes, masks, legends and files.

The list is made by ``tools/class_colors.py``: farthest-point sampling in OKLab. The colors of the first classes differ
most, and those of near numbers differ much.
"""

from __future__ import annotations

COLORS = bytes.fromhex(
    "284bf087f50afa0a3200e1fff064ff556e0affc873964673a0a0ffffa0c8b45f0a821ed700c3820069a5e10091b9d700"
    "be002d05b9fa919128c869d7007d006978ffff7d87ff960073509b6eebcd00fa82aa1e78f0d200a04137f5006987b955"
    "e6a5ffb955ff0087eb5f3ce1ff6400ff5fd200b9b4c38c28963c9b05d219c869821982509beb968278cdbe005a2891c8"
    "915affcd410aff8ce6285acdffa578b905b450af0ac8b441b469a500f5b4ff5f962da57d69a5fab482ff7341bec86450"
    "5064af0073ffaa28d27dd74bd2dc78649100cd3caaf0af00e17db9ff5569b48ce119afcde17d3c5f5acdaf3c5a9b4bc8"
    "0fcd5f73d29b379b4be141d2aab400e15aa5eb87ffa06e005f87d2f064508c73f5e6a5559b64b900dcd75ae687ff9b96"
    "b441bedc3764b94b8cff4baacd73ff5a5afff53c05788cf5ffaff064b473c87dcdaad764ff8764af0091c8464bff82af"
    "d73782cd46e65acdfa00d7af5073dc825fc8915091e169c887b900e18273009b23d705001ea5ff9623afdc5a82ebcd5a"
    "6e9b4b0a6ec8c8aaff78f564b955afdc5f0064c869ff78f5a064ebeb32b98246aae68296c8cd3cb49600a54100cd87f0"
    "a5eb3241822de6414128b455ff73c37855e14b87ff9b41e100f5d2b4c364ff288caf2d1ee196d7af6edc787800dc6469"
    "e10046fa7d004650dc32c8d7872dbe73f0b46455af41be9b9b378255aae6b955e16edc0ab4555a9b82ebcd00a57837eb"
    "8ca00a9650009beb73dc8700c3007800b900a53269dc5fe12df0505febf57373e1af379b967d05a5aa4164aa3c96cd7d"
    "c3783c91afff4669f5327dc300dc96c34173785fffdc006edcdc00ff285acd64aaffc828d2a01e4be15f8296e6b94b32"
    "3c91e14b3cebaf5578b9234b910ac8f5964bff8ccdaa55befa4678e182e155c82d2873e6c83c91d7be05fa5aeb8241d7"
    "78b9ffb496ffdc6e9bffb44b465abecd55c3fa9bffa0199b7d64b4e13ca0d25fffbe50005f46cd69872800aa69f56482"
    "e1b95a005ae6ff96aac8506932cdb99b78cd00a5dca500b9af5a37645feba5c832e16e463c965fc82d28646ec85096fa"
)
"""Red, green and blue of 256 classes."""

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

BLACK: Color = (0, 0, 0)
VOID_COLOR: Color = (224, 224, 192)  # as in VOC's masks
SHADES = (0.0, 0.12, -0.12, 0.06, -0.06)
"""What is added to OKLab's lightness, 0 to 1, for the first, second ... object of a class; the sixth looks like the first."""


def class_color(index: int) -> Color:
    """The color of the class `index`. After 256 classes the colors begin again."""
    red, green, blue = COLORS[3 * (index % 256) : 3 * (index % 256) + 3]
    return red, green, blue


def shade(color: Color, number: int) -> Color:
    """The color of the object `number` of a class, counted from 0: the class's own, or a little lighter or darker."""
    offset = SHADES[number % len(SHADES)]
    return lightened(color, offset) if offset else color


def lightened(color: Color, offset: float) -> Color:
    """The color with `offset` added to its lightness in OKLab (Ottosson, 2020), at the nearest that sRGB has."""
    red, green, blue = (_linear(value / 255) for value in color)
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3) + offset
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3) + offset
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3) + offset
    long, medium, short = long**3, medium**3, short**3
    return (
        _encoded(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _encoded(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _encoded(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def luminance(color: Color) -> float:
    """Relative luminance of WCAG 2, 0 to 1."""
    red, green, blue = (_linear(value / 255) for value in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_color(background: Color) -> Color:
    """Black or white, whichever has the higher contrast on `background`: at least 4.5 to 1, as WCAG asks for."""
    return BLACK if luminance(background) > 0.179 else (255, 255, 255)


def file_colors(background: int | None) -> list[int]:
    """The 768 values of a mask file's palette: classes as they are drawn, the background black, void as in VOC's masks."""
    colors = bytearray(COLORS)
    colors[3 * 255 :] = bytes(VOID_COLOR)
    if background is not None:
        colors[3 * background : 3 * background + 3] = bytes(BLACK)
    return list(colors)


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _encoded(value: float) -> int:
    value = min(max(value, 0.0), 1.0)
    return round(255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))
