"""Exports every kind of model to every format and appends a row for each to results/exports.jsonl: verified, or why not.

    python tools/measure_exports.py [--to FORMAT ...] [--models NAME ...] [--dry]

The images are the 21 that mobilenet brings. Integer models are calibrated with the photos of MOBILENET_SHARED, and are left out
where there are none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mobilenet
from mobilenet.bench import history
from mobilenet.errors import MobilenetError
from mobilenet.exports.formats import FORMATS, Format, Precision
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.values import replace
from mobilenet.zoo.load import load_model

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "exports.jsonl"


def models() -> Iterator[tuple[str, ModelFile]]:
    """Published models, and random ones of the kinds that fine-tuning and other settings make."""
    sys.path[:0] = [str(ROOT / "tests")]
    from support.weights import random_tensors

    def of_random(network: mobilenet.network.layers.Network) -> ModelFile:
        labels = tuple(f"class {i}" for i in range(network.settings.classes or 0))
        return ModelFile(network, random_tensors(network), labels, Preprocessing(network.resolution, "squash"))

    imagenet = load_model("imagenet")
    yield "imagenet", imagenet
    yield "coco", load_model("coco")
    yield "voc-small", load_model("voc-small")
    yield "7 classes", with_head_of(imagenet, ("tabby", "tiger cat", "Egyptian cat", "lynx", "missile", "espresso", "cup"))
    yield "MobileNetV1", of_random(mobilenet.mobilenet_v1(0.5, 160))
    yield "width 0.35", of_random(mobilenet.mobilenet_v2(0.35, 96))
    size = (193, 161)
    yield (
        "193 x 161 px",
        replace(
            imagenet, network=imagenet.network.at(size), preprocessing=replace(imagenet.preprocessing.at(size), resize=200)
        ),
    )


def with_head_of(model: ModelFile, labels: tuple[str, ...]) -> ModelFile:
    """A classifier as fine-tuning on these classes begins: it keeps their rows of its last layer."""
    network = mobilenet.mobilenet_v2(classes=len(labels))
    rows = [model.labels.index(label) for label in labels]
    tensors = {name: tensor[rows] if name.startswith("classifier.") else tensor for name, tensor in model.tensors.items()}
    return replace(model, network=network, tensors=tensors, labels=labels, label_ids=())


def integers_of(model: ModelFile) -> ModelFile | None:
    """The model quantized with real photos, or None where there are none."""
    shared = os.environ.get("MOBILENET_SHARED")
    photos = sorted(Path(shared, "data", "imagenet100").glob("*/*"))[::4] if shared else []
    return mobilenet.quantize(model, photos).model if photos else None


def measured(kind: Format, name: str, model: ModelFile, precision: Precision, whole: bool) -> dict[str, object]:
    row: dict[str, object] = {"format": kind.name, "model": name, "precision": precision, "whole": whole}
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = mobilenet.export(model, kind.name, Path(folder) / f"m{kind.suffix}", precision=precision, whole=whole)
        except MobilenetError as error:
            return {**row, "verified": False, "reason": str(error).replace(f"{folder}/", "")}
    row |= {"verified": done.comparison is not None, "reason": done.unverified, "bytes": done.bytes, "seconds": done.seconds}
    if done.comparison is not None:
        found, worst = done.comparison, done.comparison.largest
        row |= {"images": found.images, "runtime": found.b.title, "milliseconds": found.b.milliseconds}
        row |= {"agreement": found.agreement.share, "largest_score": found.agreement.largest_score}
        row |= {"relative": worst and worst.relative, "noise": found.noisiest and found.noisiest.noise_ratio}
    return row


def cells(kinds: list[Format], names: list[str]) -> Iterator[tuple[Format, str, ModelFile, Precision, bool]]:
    for name, model in models():
        if names and name not in names:
            continue
        in_integers = integers_of(model) if any("int8" in kind.precisions for kind in kinds) else None
        for kind in kinds:
            for precision in kind.precisions:
                content = in_integers if precision == "int8" else model
                if content is None:
                    continue
                for whole in (False, True)[: 1 + kind.whole]:
                    yield kind, name, content, precision, whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", nargs="+", choices=list(FORMATS), default=list(FORMATS), help="formats; by default all")
    parser.add_argument("--models", nargs="+", default=[], help="names of models as the rows have them; by default all")
    parser.add_argument("--dry", action="store_true", help="only print")
    arguments = parser.parse_args()
    kinds = [FORMATS[name] for name in arguments.to]
    for kind in kinds:
        if lacking := kind.missing(kind.packages):
            sys.exit(f"{kind.name}: {' and '.join(lacking)} not installed")
    origin = history.engine_origin(ROOT, "")
    for cell in cells(kinds, arguments.models):
        row = measured(*cell)
        print(json.dumps(row), flush=True)
        if not arguments.dry:
            with RESULTS.open("a") as file:
                file.write(json.dumps({**origin, **row}) + "\n")


if __name__ == "__main__":
    main()
