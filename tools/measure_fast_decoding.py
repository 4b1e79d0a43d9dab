"""Scores the published classifier and detector on enlarged photos, decoded as a whole and at a reduced scale; appends rows to
results/fast_decoding.jsonl.

    python tools/measure_fast_decoding.py FOLDER [MEGAPIXELS]

FOLDER holds ``imagenet100`` (class folders) and ``coco``. Each image is enlarged to 12 megapixels (or MEGAPIXELS)
and saved as a JPEG of quality 90, as a phone would have taken it.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path

from PIL import Image

from mobilenet.bench import history
from mobilenet.predict.evaluate import records_for, score_of, scored_truth
from mobilenet.predict.load import load
from mobilenet.predict.predictor import Predictor
from mobilenet.values import replace

ROOT = Path(__file__).resolve().parents[1]
RUNS = (("imagenet", "imagenet100"), ("coco", "coco"))


def main() -> None:
    data, megapixels = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 12.0
    for name, folder in RUNS:
        fast = load(name, threads=1)
        whole = Predictor(fast.model, fast.runtime, fast_decoding=False)
        records = records_for(fast.model, data / folder)
        scores = {"whole": score_of(records), "fast": score_of(records)}
        for index, record in enumerate(records):
            image, truth = record.open(), scored_truth(record.truth, index)
            factor = max((megapixels * 1e6 / (image.width * image.height)) ** 0.5, 1.0)
            with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
                size = round(image.width * factor), round(image.height * factor)
                image.resize(size, Image.Resampling.BICUBIC).save(file.name, quality=90)
                for way, predictor in (("whole", whole), ("fast", fast)):
                    found = predictor(file.name)
                    if fast.task == "detection":  # truths are in the small image's pixels
                        across, down = image.width / size[0], image.height / size[1]
                        found = replace(found, boxes=found.boxes * (across, down, across, down))
                    scores[way].add(found, truth)
        for way, score in scores.items():
            row = {
                **history.origin(ROOT),
                "machine": platform.machine(),
                "model": name,
                "data": folder,
                "images": len(records),
                "megapixels": megapixels,
                "decoding": way,
                "metrics": score.metrics(),
            }
            history.append(ROOT, "fast_decoding", [row])
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
