"""How long drawing an answer on a large photo takes; appends a row for each task to results/drawing.jsonl.

    python tools/measure_drawing.py FOLDER [--images 10] [--megapixels 12] [--rounds 9] [--dry]

The photos of FOLDER are enlarged. A photo's time is the least of some rounds: of copying it and drawing, without
decoding, the network and saving. A row has the median and the most of all photos.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from mobilenet.bench import history
from mobilenet.drawing.draw import draw
from mobilenet.images.open import open_image
from mobilenet.predict.load import load

if TYPE_CHECKING:
    from mobilenet.tasks.results import Result

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", nargs="+", default=["imagenet", "coco", "voc-small"])
    parser.add_argument("--dry", action="store_true", help="only print the rows")
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.jpg"))
    paths = paths[:: max(len(paths) // options.images, 1)][: options.images]
    for name in options.models:
        predictor = load(name, threads=1)
        times = []
        for path in paths:
            image = open_image(path)
            factor = (options.megapixels * 1e6 / (image.width * image.height)) ** 0.5
            image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
            result = predictor(image)
            times.append(min(seconds(image, result) for _ in range(options.rounds)))
        row = {
            **history.origin(ROOT),
            "model": name,
            "megapixels": options.megapixels,
            "images": len(times),
            "median_ms": round(1000 * statistics.median(times), 1),
            "most_ms": round(1000 * max(times), 1),
        }
        print(json.dumps(row), flush=True)
        if not options.dry:
            history.append(ROOT, "drawing", [row])


def seconds(image: Image.Image, result: Result) -> float:
    start = time.perf_counter()
    draw(image, result)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
