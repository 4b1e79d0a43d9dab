"""Quantizes the float models with several settings on several draws of calibration images, scores each result on images that
none of them saw, and appends a row for each to results/quantizing.jsonl.

    python tools/measure_quantizing.py FOLDER [MODEL ...]

FOLDER holds ``imagenette160``, ``imagenet100``, ``coco`` and ``voc2012``. The settings were once chosen on images that also
scored them. On images that they were not chosen on, the simpler one should win if both are as good.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet.bench import history
from mobilenet.modelfile import ModelFile
from mobilenet.predict.evaluate import records_for, score_of, scored_truth
from mobilenet.predict.predictor import Predictor
from mobilenet.quantizing import equalize, observe
from mobilenet.quantizing.quantize import quantize
from mobilenet.runtimes.backends import Runtime, choose
from mobilenet.zoo.load import load_model

ROOT = Path(__file__).resolve().parents[1]
DRAWS = 3
SETTINGS = {"usual range": (True, False), "headroom": (True, False)}
"""Equalize a trunk by the range of nearly all values, not of all; let a ReLU6 saturate at 1.5 times the largest value seen, not
at that value."""


@contextmanager
def settings(usual: bool, headroom: bool) -> Iterator[None]:
    shipped = observe.MARGIN, equalize.HEADROOM
    observe.MARGIN, equalize.HEADROOM = shipped[0] if usual else 1e9, shipped[1] if headroom else 1.0
    try:
        yield
    finally:
        observe.MARGIN, equalize.HEADROOM = shipped


class Recorder:
    """A runtime that keeps its outputs."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.outputs = runtime, list[np.ndarray]()
        self.name, self.precision, self.threads = runtime.name, runtime.precision, runtime.threads

    def __call__(self, images: Any) -> Mapping[str, Any]:
        outputs = self.runtime(images)
        self.outputs.append(
            np.concatenate(
                [
                    np.asarray(value).ravel()[:: 7 if len(outputs) > 1 or np.asarray(value).ndim > 2 else 1]
                    for value in outputs.values()
                ]
            )
        )
        return outputs

    def planned_bytes(self, resolution: Any) -> int:
        return self.runtime.planned_bytes(resolution)


def scored(model: ModelFile, data: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Metrics, and the outputs for each image."""
    recorder = Recorder(choose(model, "native", 1))
    predictor = Predictor(model, recorder)
    records = records_for(model, data)
    score = score_of(records)
    for index, record in enumerate(records):
        score.add(predictor.predict(record.open()), scored_truth(record.truth, index))
    return score.metrics(), recorder.outputs


def draws(images: list[Path], count: int) -> dict[str, list[Path]]:
    return {str(seed): random.Random(seed).sample(images, min(count, len(images) * 2 // 3)) for seed in range(DRAWS)}


def subset(source: Path, count: int, folder: Path) -> Path:
    """A folder of links to `count` images of class folders, evenly spread."""
    for label in sorted(source.iterdir()):
        files = sorted(label.iterdir())
        (folder / label.name).mkdir(parents=True)
        for number in range(count // 10):
            path = files[number * len(files) // (count // 10)]
            (folder / label.name / path.name).symlink_to(path.resolve())
    return folder


def cases(data: Path, scratch: Path) -> dict[str, tuple[dict[str, list[Path]], dict[str, Path]]]:
    """By model: draws of calibration images, and labeled images to score on."""
    imagenette = subset(data / "imagenette160" / "val", 500, scratch / "imagenette")
    train = (data / "voc2012" / "ImageSets" / "Segmentation" / "train.txt").read_text().split()
    return {
        "imagenet": (
            draws(sorted((data / "imagenette160" / "train").glob("*/*")), 64),
            {"imagenet100": data / "imagenet100", "imagenette160 val, 500": imagenette},
        ),
        "coco": (draws(sorted((data / "coco" / "train2017").iterdir()), 64), {"coco val2017": data / "coco"}),
        "voc-small": (
            draws([data / "voc2012" / "JPEGImages" / f"{name}.jpg" for name in train], 64),
            {"voc2012 val": data / "voc2012"},
        ),
        "voc-small by voc_boxes": (  # neither calibrated nor scored on what the settings were chosen on
            draws(sorted((data / "voc_boxes" / "images" / "train").iterdir()), 64),
            {"voc2012 train": scored_as_val(data / "voc2012", train, scratch / "voc2012")},
        ),
    }


def scored_as_val(source: Path, names: list[str], folder: Path) -> Path:
    """A data set in VOC's layout whose validation part is `names`."""
    (folder / "ImageSets" / "Segmentation").mkdir(parents=True)
    for part in ("JPEGImages", "SegmentationClass"):
        (folder / part).symlink_to((source / part).resolve())
    for split in ("train", "val"):
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


def main() -> None:
    data, names = Path(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as scratch:
        for name, (calibrations, labeled) in cases(data, Path(scratch)).items():
            if names and name not in names:
                continue
            model = load_model(name.split()[0])
            floats = {title: scored(model, folder) for title, folder in labeled.items()}
            for draw, images in calibrations.items():
                for usual in SETTINGS["usual range"]:
                    for headroom in SETTINGS["headroom"]:
                        with settings(usual, headroom):
                            integers = quantize(model, [str(path) for path in images], threads=1).model
                        for title, folder in labeled.items():
                            history.append(ROOT, "quantizing", [{
                                **history.origin(ROOT), "model": name.split()[0], "draw": draw, "calibrated": len(images),
                                "usual_range": usual, "headroom": headroom, "data": title,
                                **compared(floats[title], scored(integers, folder), model.network.task),
                            }])  # fmt: skip
                        print(name, draw, usual, headroom, flush=True)


def compared(
    floats: tuple[dict[str, Any], list[np.ndarray]], integers: tuple[dict[str, Any], list[np.ndarray]], task: str
) -> dict[str, Any]:
    """Metrics of both, the images of the same first answer, and signal to noise of the outputs in dB."""
    pairs = list(zip(floats[1], integers[1], strict=True))
    signal = sum(float((a.astype(np.float64) ** 2).sum()) for a, _ in pairs)
    noise = sum(float(((a.astype(np.float64) - b) ** 2).sum()) for a, b in pairs)
    same = sum(int(a.argmax() == b.argmax()) for a, b in pairs) if task == "classification" else None
    return {
        "images": len(pairs), "float": floats[0], "integers": integers[0], "same_first": same,
        "snr_db": round(float(10 * np.log10(signal / noise)), 3),
    }  # fmt: skip


if __name__ == "__main__":
    main()
