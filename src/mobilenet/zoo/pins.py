"""The sha256s of published files that their publishers do not state, as they were on first use.

They stand in ``pins.json`` in the cache. A pin says that a file is the one that came first, not that it is the publisher's: it
finds a file that changed behind its address, and nobody calls it verified.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from ..files import write_atomically
from ..values import replace
from .cache import cache_folder
from .published import Published, short

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeGuard

    from typing_extensions import Required, TypedDict

    class Pin(TypedDict, total=False):
        sha256: Required[str]
        size: int
        date: str
        url: str


FULL = 64  # digits of a whole sha256


def pins_file() -> str:
    return os.path.join(cache_folder(), "pins.json")


def read_pins() -> dict[str, Pin]:
    """Pins by ``model/file``; none if there is no file yet or it is damaged (the files are then pinned anew)."""
    try:
        with open(pins_file(), encoding="utf-8") as file:
            pins = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: pin for key, pin in pins.items() if is_pin(pin)} if isinstance(pins, dict) else {}


def is_pin(pin: object) -> TypeGuard[Pin]:
    return isinstance(pin, dict) and isinstance(pin.get("sha256"), str) and len(pin["sha256"]) == FULL


def pinned(model: Published) -> Published:
    """The model with the pinned sha256 of each file whose publisher states none, or only its beginning."""
    if all(len(file.sha256) == FULL for file in model.files):
        return model
    pins = read_pins()
    files = []
    for file in model.files:
        pin = pins.get(key := f"{model.name}/{file.name}")
        fits = pin is not None and len(file.sha256) < FULL and file.has(pin["sha256"])
        if pin is None or not fits:
            files.append(file)
            continue
        remedy = f"if the new file is right, take {json.dumps(key)} out of {pins_file()}"
        words = f"had {short(pin['sha256'])} on first use ({pin.get('date')}); {remedy}"
        files.append(replace(file, sha256=pin["sha256"], pinned=words))
    return replace(model, files=tuple(files))


def pin(model: Published, folder: Path, digests: dict[str, str]) -> bool:
    """Writes down the sha256s of the files of `model` that have none yet; whether there were such files.

    Raises WriteError if the cache cannot be written.
    """
    pins = read_pins()
    before = len(pins)
    for file in model.files:
        key = f"{model.name}/{file.name}"
        if len(file.sha256) < FULL and key not in pins:
            size = (folder / file.name).stat().st_size
            date = time.strftime("%Y-%m-%d", time.gmtime())
            pins[key] = {"sha256": digests[file.name], "size": size, "date": date, "url": file.url}
    if len(pins) > before:
        write_atomically(pins_file(), (json.dumps(pins, indent=2) + "\n").encode())
    return len(pins) > before
