"""Scores the published detector and segmenters on the development data and appends a row for each to results/vision.jsonl.

    python tools/measure_vision.py FOLDER [NAME=FILE ...]

FOLDER holds ``coco`` (COCO's layout) and ``voc2012`` (VOC's). ``voc=deeplab.tflite`` gives weights by hand where no carrier
has them. A model that cannot be had is named and left out.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from mobilenet.convert.convert import convert
from mobilenet.modelfile import ModelFile
from mobilenet.predict.evaluate import evaluate
from mobilenet.predict.predictor import load
from mobilenet.zoo.carriers import FetchError
from mobilenet.zoo.load import load_model

ROOT = Path(__file__).resolve().parents[1]
RUNS = (("coco", "reference", "coco"), ("voc", "reference", "voc2012"), ("voc", "dequantized", "voc2012"),
        ("voc-small", "reference", "voc2012"))  # fmt: skip


def model(name: str, given: dict[str, str]) -> ModelFile:
    return convert(given[name]).model if name in given else load_model(name)


def main() -> None:
    data, given = Path(sys.argv[1]), dict(item.split("=", 1) for item in sys.argv[2:])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name, backend, folder in RUNS:
        try:
            predictor = load(model(name, given), backend)
        except FetchError as error:
            print(f"{name} left out: {error}", file=sys.stderr)
            continue
        start = time.perf_counter()
        score = evaluate(predictor, data / folder)
        row = {"date": date.today().isoformat(), "commit": commit.stdout.strip(), "machine": platform.machine(), "model": name,
               "backend": backend, "data": folder, "images": score.images, "seconds": round(time.perf_counter() - start, 1),
               "metrics": score.metrics, "failed": score.failed}  # fmt: skip
        with (ROOT / "results" / "vision.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row))


if __name__ == "__main__":
    main()
