"""Scores the published models on one view and on several of each image; appends rows to results/views.jsonl.

    python tools/measure_views.py FOLDER [MODEL ...]

FOLDER holds ``imagenet100`` (class folders), ``coco`` and ``voc2012``. The segmenter is scored at output stride 8, with which
it was published, and with the same weights at 16 (Figure 8 of the MobileNetV2 paper).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from mobilenet.bench import history
from mobilenet.engine.native import Native
from mobilenet.predict.evaluate import evaluate
from mobilenet.predict.predictor import Predictor
from mobilenet.tasks.views import Views
from mobilenet.values import replace
from mobilenet.zoo.load import load_model

ROOT = Path(__file__).resolve().parents[1]
MASK_VIEWS = ("1", "flip", "0.75,1,1.25", "0.75,1,1.25,1.5,flip")
RUNS: tuple[tuple[str, str, int | None, tuple[str, ...]], ...] = (
    ("imagenet", "imagenet100", None, ("1", "flip", "1,1.143,flip")),
    ("coco", "coco", None, ("1", "flip", "1,2", "1,2,flip", "1,1.2,1.4,2,flip")),
    ("voc-small", "voc2012", 8, MASK_VIEWS),
    ("voc-small", "voc2012", 16, MASK_VIEWS),
)
"""Model, folder, output stride of a segmenter, views."""


def predictor_at(name: str, stride: int | None, views: str) -> Predictor:
    model = load_model(name)
    if stride is not None:
        model = replace(model, network=model.network.settings.changed(output_stride=stride).build())
    return Predictor(model, Native(model.network, model.tensors, 1), Views.parse(views))


def main() -> None:
    data, models = Path(sys.argv[1]), sys.argv[2:]
    for model, folder, stride, choices in RUNS:
        if models and model not in models:
            continue
        for text in choices:
            predictor = predictor_at(model, stride, text)
            start = time.process_time()
            result = evaluate(predictor, data / folder)
            row = {
                **history.origin(ROOT),
                "model": model,
                "data": folder,
                "images": result.images,
                **({"output_stride": stride} if stride else {}),
                "views": text,
                "processor_s": round(time.process_time() - start, 1),
                "metrics": result.metrics,
            }
            history.append(ROOT, "views", [row])
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
