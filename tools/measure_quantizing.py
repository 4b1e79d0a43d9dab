"""Quantizes float models by several draws of calibration images, and scores each result on images that none of them saw.

Appends a row for each to results/quantizing.jsonl.

    python tools/measure_quantizing.py FOLDER [MODEL ...]

FOLDER holds ``imagenette160``, ``imagenet100``, ``coco``, ``voc2012`` and ``voc_boxes``.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mobilenet.bench import history
from mobilenet.modelfile import ModelFile
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.predict.evaluate import records_for, score_of, scored_truth
from mobilenet.predict.predictor import Predictor
from mobilenet.quantizing.quantize import quantize
from mobilenet.runtimes.backends import Runtime, choose
from mobilenet.values import replace
from mobilenet.zoo.load import load_model

ROOT = Path(__file__).resolve().parents[1]
DRAWS = 3
RANDOM = "mobilenet_v2 0.35, random weights"


class Recorder:
    """A runtime that keeps its outputs."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.outputs = runtime, list[np.ndarray]()
        self.name, self.precision, self.threads = runtime.name, runtime.precision, runtime.threads

    def __call__(self, images: Any) -> Mapping[str, Any]:
        outputs = self.runtime(images)
        values = [np.asarray(value).ravel() for value in outputs.values()]
        self.outputs.append(np.concatenate([value[:: 7 if value.size > 10_000 else 1] for value in values]))  # some of many
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
    imagenette_train = sorted((data / "imagenette160" / "train").glob("*/*"))
    train = (data / "voc2012" / "ImageSets" / "Segmentation" / "train.txt").read_text().split()
    return {
        "imagenet": (
            draws(imagenette_train, 64),
            {"imagenet100": data / "imagenet100", "imagenette160 val, 500": imagenette},
        ),
        RANDOM: (draws(imagenette_train, 64), {"imagenet100": data / "imagenet100"}),
        "coco": (draws(sorted((data / "coco" / "train2017").iterdir()), 64), {"coco val2017": data / "coco"}),
        "voc-small": (
            draws([data / "voc2012" / "JPEGImages" / f"{name}.jpg" for name in train], 64),
            {"voc2012 val": data / "voc2012"},
        ),
        "voc-small by voc_boxes": (
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
            model = model_of(name)
            floats = {title: scored(model, folder) for title, folder in labeled.items()}
            for draw, images in calibrations.items():
                integers = quantize(model, [str(path) for path in images], threads=1).model
                for title, folder in labeled.items():
                    row = {
                        **history.origin(ROOT), "model": name.split(" by ")[0], "draw": draw, "calibrated": len(images),
                        "data": title, **compared(floats[title], scored(integers, folder), model.network.task),
                    }  # fmt: skip
                    history.append(ROOT, "quantizing", [row])
                print(name, draw, flush=True)


def model_of(name: str) -> ModelFile:
    """A published model, or a narrow network with random weights and the labels of one."""
    if name != RANDOM:
        return load_model(name.split(maxsplit=1)[0])
    import torch

    from mobilenet import nn

    torch.manual_seed(0)
    network, like = mobilenet_v2(0.35), load_model("imagenet")
    return replace(like, network=network, tensors=nn.module(network).arrays(), metrics={}, provenance={})


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
