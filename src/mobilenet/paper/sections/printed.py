"""Numbers as papers print them: ``3.4M``, ``0.35B``, ``94.86 %``; and whether another number is the same, rounded."""

from __future__ import annotations

import math
import re

UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "%": 1.0, "x": 1.0, "ms": 1.0}
PATTERN = re.compile(r"([\d,]+(?:\.(\d+))?)\s*(K|M|B|%|x|ms|)")


def parts(printed: str) -> tuple[float, float]:
    """(value, what its last digit is worth) of a printed number."""
    match = PATTERN.fullmatch(printed)
    assert match, f"{printed!r} is no printed number"
    unit = UNITS[match[3]]
    return float(match[1].replace(",", "")) * unit, unit * 10.0 ** -len(match[2] or "")


def value(printed: str) -> float:
    return parts(printed)[0]


def agree(printed: str, ours: float, last: float | None = None) -> bool:
    """Whether `ours`, rounded or cut off after as many digits, is what is printed; `last` is the worth of the last one."""
    number, smallest = parts(printed)
    last = last or smallest
    digits = round(number / last)
    return digits in (math.floor(ours / last + 1e-9), math.floor(ours / last + 0.5))


def difference(printed: str, ours: float) -> float:
    """`ours` divided by what is printed, minus 1."""
    return ours / value(printed) - 1
