"""The color of each class: one fixed list for boxes, masks, legends and files.

The list is made by ``tools/class_colors.py``: farthest-point sampling in OKLab. The colors of the first classes differ
most, and those of near numbers differ much.
"""

from __future__ import annotations

COLORS = bytes.fromhex(
    "e6323200ff6e0050f0008200ffc3ffcd50f500b4d2e1aa00824b8773f5fad787aa19be008c5a05e1007dc3f0005a73f5"
    "00876eff5f00ff69ff82b4ffffc3879600c300e1beaa9b4baa73aaaf320fff46915adc003c5faf0f96aa1ea02dff96eb"
    "556e28fad205af00879146faf5966e00d7ffb464509b8ce682faaf8cbe7deb3cc30082cdd2b4ff788714c8003ca546a5"
    "6432e6ff6e78dc8700ffaaaaa56effdce69600b491a5c30000a0ff007396e673d2964b55c328c87350bed75f73af7800"
    "00e68778a014827dc35ac8c8c8c873b4a0ff3c9b7dff82b9af3269c35ac3505adcd78273fa0a5f00c8788ceb64649bd2"
    "8264a5d25500d787ff8ce6c3ff9100b45573a041d2cd009be164a5a5aa00e6a0cdc3d73c6e8cff5f6ec319beff6950ff"
    "00fadcffb937c373e63c8c41d23c64af550073aa69d2a05f91d7820087ff8c64cdff4b4b82cdfff58c968c37aac88cd7"
    "d2733cc84b968c732373b932c3463c8cff32006eeb46c8a00078466edce1ff55be8237d7af00afb9b455645a9bb9f082"
    "14b45573d255af5ae15a87dcf07d46c873beffd7739b5a8cffafdceb55e6e6b46e6e965537aaaa195acd14faa08264f5"
    "e63c9b0f96d2c87396aa6ecd9b3782dc9bf073a0f5cdbe0a9b8c197dd2aad21900e1e655e6695ac800692d82aa00d24b"
    "8c78e600ebffc88c5564afe19bd700964b2dafe19b00a5644b46f57dff87ff699b146ec8a55fafb487ffd237b4c89b00"
    "c3736eff7debaa32465a7d00f5afff00beb97deb0069e6a5e6467ddc69ff9ba0e6b9328cffaa823c5fffeb5023aa50ff"
    "64c3e68c50afd741d77355e15ad287e66e8ce1d25faab9ffaf82c8e1004bffa550ff2300e68cd2d25a4b73640000eb5f"
    "5f46cdbe8700559100b45f96f555734b6eaaa0289b55af00aa5046aac85fbe6928dc5abe736edc964b73b93ce1ff9bb9"
    "69be691eaae65587beff826e69c800b932aaf51e82a5691e0a91009155e100918c00d7dcebc30f96af5abe000f4178dc"
    "3ca0befa64dcb446c3aae173b97d46467d467de1ff7d8cdcaf4b87d25fdc784ba0be37557878ffb46982aaf0b964b987"
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
