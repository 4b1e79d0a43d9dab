"""Makes src/mobilenet/drawing/DejaVuSans.ttf, the font of labels, from a whole DejaVu Sans. Needs fonttools.

    python tools/label_font.py /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf

It keeps Latin with diacritics (also Vietnamese and Pinyin), Greek, Cyrillic and usual signs, without hints and layout tables.
"""

from __future__ import annotations

import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "src" / "mobilenet" / "drawing" / "DejaVuSans.ttf"
RANGES = (
    (0x20, 0x7E), (0xA0, 0x17F), (0x18F, 0x18F), (0x1A0, 0x1A1), (0x1AF, 0x1B0), (0x1CD, 0x1DC), (0x1E6, 0x1EB), (0x1F4, 0x1F5),
    (0x1FA, 0x21B), (0x226, 0x233), (0x254, 0x254), (0x256, 0x257), (0x259, 0x259), (0x25B, 0x25B), (0x263, 0x263),
    (0x26F, 0x26F), (0x272, 0x272), (0x28B, 0x28B), (0x2BB, 0x2BD), (0x2C6, 0x2C7), (0x2D8, 0x2DD), (0x300, 0x304),
    (0x306, 0x30C), (0x31B, 0x31B), (0x323, 0x328), (0x331, 0x331), (0x374, 0x3E1), (0x400, 0x45F), (0x48A, 0x52F),
    (0x1E00, 0x1E9B), (0x1E9E, 0x1E9E), (0x1EA0, 0x1EF9), (0x2010, 0x2015), (0x2018, 0x201E), (0x2020, 0x2022),
    (0x2026, 0x2026), (0x2030, 0x2033), (0x2039, 0x203A), (0x2044, 0x2044), (0x20AC, 0x20AC), (0x20BD, 0x20BD),
    (0x2116, 0x2116), (0x2122, 0x2122), (0x2190, 0x2193), (0x2212, 0x2212), (0x2248, 0x2248), (0x2260, 0x2260),
    (0x2264, 0x2265), (0x25CF, 0x25CF),
)  # fmt: skip


def main(source: str) -> None:
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    font = TTFont(source)
    options = Options(
        hinting=False, layout_features=[], drop_tables=[*Options().drop_tables, "FFTM", "GDEF", "GPOS", "GSUB", "MATH"]
    )
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=[code for first, last in RANGES for code in range(first, last + 1)])
    subsetter.subset(font)
    font.save(TARGET)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes, {len(font.getBestCmap())} characters")


if __name__ == "__main__":
    main(sys.argv[1])
