"""The check that comes with a file that cannot be run here: a script with images and the engine's outputs inside.

It needs numpy and the format's own runtime, not mobilenet.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files import write_atomically
from ..runtimes.backends import choose

if TYPE_CHECKING:
    from ..exports.bounds import Bound
    from ..modelfile import ModelFile
    from .looks import Look

MAX_IMAGES = 3
MAX_VALUES = 4096
"""Of each output that the script compares: evenly spread over all of them."""

TEMPLATE = '''"""Checks {name}: its outputs for {count} images are compared with those of mobilenet's engine.

Run it where the file's runtime exists: python {script} [path of {name}]
"""
import base64
import json
import pathlib
import sys
import zlib

import numpy as np

{opened}

def unpacked(text, dtype):
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), dtype)


DATA = json.loads({data!r})
path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).with_name({name!r})
run = opened(path)
mean, std = (np.array(DATA[part], np.float32).reshape(3, 1, 1) for part in ("mean", "std"))
largest, signal, noise = {{}}, {{}}, {{}}
for item in DATA["images"]:
    pixels = unpacked(item["pixels"], np.uint8).reshape(DATA["shape"])
    image = ((pixels.transpose(2, 0, 1) / np.float32(255) - mean) / std).astype(np.float32)
    found = run(np.ascontiguousarray(image[None]))
    for name, text in item["outputs"].items():
        expected = unpacked(text, np.float32)
        values = np.asarray(found[name], np.float32).ravel()
        if values.size != DATA["sizes"][name]:
            sys.exit(f"wrong: output {{name!r}} has {{values.size}} numbers, must have {{DATA['sizes'][name]}}")
        difference = values[:: DATA["steps"][name]].astype(np.float64) - expected
        ratio = float(np.abs(difference).max() / np.abs(expected).max())
        largest[name] = max(largest.get(name, 0.0), ratio if np.isfinite(ratio) else float("inf"))
        signal[name] = signal.get(name, 0.0) + float((expected.astype(np.float64) ** 2).sum())
        noise[name] = noise.get(name, 0.0) + float((difference**2).sum())
if DATA["kind"] == "largest":
    measured = largest
else:
    measured = {{name: (noise[name] / signal[name]) ** 0.5 for name in noise}}
worst = max(measured, key=measured.get)
verdict = "right" if all(value <= DATA["limit"] for value in measured.values()) else "wrong"
what = "largest difference" if DATA["kind"] == "largest" else "noise"
print(f"{{verdict}}: {{what}} of output {{worst!r}} is {{measured[worst]:.2g}} of its magnitude, limit {{DATA['limit']:.2g}}")
sys.exit(verdict != "right")
'''


def write_script(path: Path, file: Path, opened: str, model: ModelFile, looks: Sequence[Look], limit: Bound) -> None:
    """Writes the script that checks `file`, a network alone.

    Args:
        opened: lines that define ``opened(path)``, see `Exporter.script`.
        limit: what the outputs must keep.
    """
    engine, still = choose(model, threads=1), model.preprocessing.as_it_is
    images: list[dict[str, object]] = []
    sizes: dict[str, int] = {}
    for look in spread(looks):
        image = model.preprocessing.resize_and_crop(look.open())
        found = {name: np.asarray(value, np.float32).ravel() for name, value in engine(still(image)[None]).items()}
        sizes = {name: value.size for name, value in found.items()}
        outputs = {name: packed(value[:: step_of(value.size)]) for name, value in found.items()}
        images.append({"pixels": packed(np.asarray(image)), "outputs": outputs})
    data = {
        "images": images,
        "shape": [*model.preprocessing.size, 3],
        "mean": model.preprocessing.mean,
        "std": model.preprocessing.std,
        "sizes": sizes,
        "steps": {name: step_of(size) for name, size in sizes.items()},
        "kind": limit.kind,
        "limit": limit.limit,
    }
    text = TEMPLATE.format(
        name=file.name, script=path.name, count=len(images), opened=opened.strip("\n"), data=json.dumps(data)
    )
    write_atomically(path, text.encode())


def spread(looks: Sequence[Look]) -> list[Look]:
    """At most `MAX_IMAGES` of the images, evenly spread."""
    count = min(len(looks), MAX_IMAGES)
    return [looks[index * len(looks) // count] for index in range(count)]


def step_of(size: int) -> int:
    return -(-size // MAX_VALUES)


def packed(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    return base64.b85encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()
