"""Scores the published detector and segmenters on the development data and appends a row for each to results/vision.jsonl.

    python tools/measure_vision.py FOLDER [NAME=FILE ...]

FOLDER holds ``coco`` (COCO's layout) and ``voc2012`` (VOC's). ``voc=deeplab.tflite`` gives weights by hand, for a model that no
carrier brings; without them such a model is named and left out.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path

from mobilenet.bench import history
from mobilenet.convert.convert import convert
from mobilenet.modelfile import ModelFile
from mobilenet.predict.evaluate import evaluate
from mobilenet.predict.load import load
from mobilenet.zoo.carriers import FetchError
from mobilenet.zoo.load import load_model

ROOT = Path(__file__).resolve().parents[1]
RUNS = (("coco", "reference", "coco"), ("voc", "reference", "voc2012"), ("voc", "dequantized", "voc2012"),
        ("voc-small", "reference", "voc2012"))  # fmt: skip


def model(name: str, files: dict[str, str]) -> ModelFile:
    """The model in the file given for `name`, or the published one."""
    return convert(files[name]).model if name in files else load_model(name)


def main() -> None:
    data, files = Path(sys.argv[1]), dict(item.split("=", 1) for item in sys.argv[2:])
    for name, backend, folder in RUNS:
        try:
            predictor = load(model(name, files), backend)
        except FetchError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        start = time.perf_counter()
        score = evaluate(predictor, data / folder)
        row = {
            **history.origin(ROOT),
            "machine": platform.machine(),
            "model": name,
            "backend": backend,
            "data": folder,
            "images": score.images,
            "seconds": round(time.perf_counter() - start, 1),
            "metrics": score.metrics,
            "failed": score.failed,
        }
        history.append(ROOT, "vision", [row])
        print(json.dumps(row))


if __name__ == "__main__":
    main()
