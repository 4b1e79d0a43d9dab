"""Scores the published models on one view and on several of each image; appends rows to results/views.jsonl.

    python tools/measure_views.py FOLDER [MODEL ...]

FOLDER holds ``imagenet100`` (class folders), ``coco`` and ``voc2012``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from mobilenet.bench import history
from mobilenet.predict.evaluate import evaluate
from mobilenet.predict.load import load
from mobilenet.tasks.views import Views

ROOT = Path(__file__).resolve().parents[1]
RUNS = (
    ("imagenet", "imagenet100", ("1", "flip", "1,1.143,flip")),
    ("coco", "coco", ("1", "flip", "1,2", "1,2,flip", "1,1.2,1.4,2,flip")),
    ("voc-small", "voc2012", ("1", "flip", "0.75,1,1.25", "0.75,1,1.25,1.5,flip")),
)


def main() -> None:
    data, models = Path(sys.argv[1]), sys.argv[2:]
    for model, folder, choices in RUNS:
        if models and model not in models:
            continue
        for text in choices:
            predictor = load(model, threads=1, views=Views.parse(text))
            start = time.process_time()
            result = evaluate(predictor, data / folder)
            row = {
                **history.origin(ROOT),
                "model": model,
                "data": folder,
                "images": result.images,
                "views": text,
                "processor_s": round(time.process_time() - start, 1),
                "metrics": result.metrics,
            }
            history.append(ROOT, "views", [row])
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
