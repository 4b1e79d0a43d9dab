"""Trains `finetune` as the command ships it on sets of other people's images, and appends a row for each run.

    python tools/measure_finetune.py --data DATA [--work WORK] [--only SET]... [--seeds 0,1,2] [--note TEXT]

DATA has the folders imagenette160, cifar10_small, voc_boxes and camvid; parts of them and other layouts are made in WORK.
Each run is a process of its own, two threads, `--seed` the only setting. Rows go to results/finetune.jsonl. What is there
already for the same recipe is skipped, and a run that was stopped goes on, so the table can be made in several sessions.

The processor time is that of the whole command with its workers. On a machine that does nothing else, the seconds are about
half of it; on a busy one the seconds mean little.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from record_training import finetune_row

from mobilenet.bench import history
from mobilenet.data import Objects, Shapes
from mobilenet.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
Make = Callable[[Path, Path, int], Path]
"""(DATA, the folder to make, seed) -> the folder to train on."""


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        make: writes the set.
        metric, target: the score that is asked for.
        limit: seconds that a run may take on two idle cores.
        knew: what the start knew of the set.
    """

    make: Make
    metric: str
    target: float
    limit: int
    knew: str


def link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.is_symlink():
        place.symlink_to(source.resolve())


def drawn(folder: Path, count: int | None, seed: int) -> list[Path]:
    """`count` files of a folder, or all."""
    files = sorted(folder.iterdir())
    random.Random(seed).shuffle(files)
    return files[:count]


def whole(name: str) -> Make:
    return lambda data, _out, _seed: data / name


def class_folders(name: str, count: int | None = None, share: float = 1.0, named: str | None = None) -> Make:
    """`count` training images of each class, or a share of them, and all validation images."""

    def make(data: Path, out: Path, seed: int) -> Path:
        for number, folder in enumerate(sorted(path for path in (data / name / "train").iterdir() if path.is_dir())):
            label = folder.name if named is None else f"{named} {number}"
            all_of = len(list(folder.iterdir()))
            for file in drawn(folder, count or round(all_of * share), seed):
                link(file, out / "train" / label / file.name)
            for file in (data / name / "val" / folder.name).iterdir():
                link(file, out / "val" / label / file.name)
        return out

    return make


def yolo(name: str, count: int | None = None, renamed: bool = False) -> Make:
    """A set in YOLO's layout: `count` of its training images, or all; its classes renamed w0, w1 and so on."""

    def make(data: Path, out: Path, seed: int) -> Path:
        source = data / name
        for split, size in (("train", count), ("val", None)):
            for file in drawn(source / "images" / split, size, seed):
                link(file, out / "images" / split / file.name)
                label = source / "labels" / split / f"{file.stem}.txt"
                if label.exists():
                    link(label, out / "labels" / split / label.name)
        before, _, names = (source / "data.yaml").read_text().partition("names:")
        classes = json.loads(names)
        chosen = [f"w{number}" for number in range(len(classes))] if renamed else classes
        (out / "data.yaml").write_text(f"{before}names: {json.dumps(chosen)}\n")
        return out

    return make


def roboflow_shapes(_: Path, out: Path, seed: int, size: int = 256, counts: tuple[int, int] = (200, 100)) -> Path:
    """Generated shapes as Roboflow writes COCO: ``train`` and ``valid``, each with images and annotations."""
    for split, folder, count in (("train", "train", counts[0]), ("val", "valid", counts[1])):
        records = Shapes("detection", split, count, size, seed)
        (out / folder).mkdir(parents=True, exist_ok=True)
        images, annotations = list[dict[str, object]](), list[dict[str, object]]()
        for index in range(count):
            record, name = records.record(index), f"{index}_png.rf.{index:08x}.png"
            record.open().save(out / folder / name)
            images.append({"id": index, "file_name": name, "width": size, "height": size})
            assert isinstance(record.truth, Objects)
            for (x0, y0, x1, y1), label in zip(record.truth.boxes.tolist(), record.truth.labels.tolist(), strict=True):
                box = [x0, y0, x1 - x0, y1 - y0]
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": index,
                        "category_id": label + 1,
                        "bbox": box,
                        "area": box[2] * box[3],
                        "iscrowd": 0,
                    }
                )
        categories = [{"id": number, "name": label} for number, label in enumerate(("shapes", *records.labels))]
        text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
        (out / folder / "_annotations.coco.json").write_text(text)
    return out


NAMES, LOOKS, NOTHING = "all classes by name", "all classes, under other names", "one class of five as a thing, none by name"
CASES: dict[str, Case] = {
    "cifar_3": Case(class_folders("cifar10_small", 3), "top1", 0.60, 180, "kinds of most classes; 1 of 10 names"),
    "cifar_10": Case(class_folders("cifar10_small", 10), "top1", 0.73, 180, "kinds of most classes; 1 of 10 names"),
    "imagenette_5": Case(class_folders("imagenette160", share=0.05), "top1", 0.95, 120, NAMES),
    "imagenette_5_renamed": Case(class_folders("imagenette160", share=0.05, named="kind"), "top1", 0.93, 120, LOOKS),
    "cifar": Case(whole("cifar10_small"), "top1", 0.85, 180, "kinds of most classes; 1 of 10 names"),
    "shapes_200": Case(roboflow_shapes, "mAP50", 0.85, 300, "nothing but edges and corners"),
    "voc_boxes_50": Case(yolo("voc_boxes", 50), "mAP50", 0.697, 1200, NAMES),
    "camvid": Case(whole("camvid"), "mIoU", 0.58, 900, "cars, bicycles and people of 11 classes, by other names"),
    "voc_boxes": Case(whole("voc_boxes"), "mAP50", 0.74, 1200, NAMES),
    "voc_boxes_renamed": Case(yolo("voc_boxes", renamed=True), "mAP50", 0.60, 1200, LOOKS),
}
"""By the time that they take."""


def measure(case: Case, data: Path, work: Path, seed: int) -> dict[str, object] | None:
    """The row of a run, or None if the same recipe was recorded already."""
    name = next(name for name, each in CASES.items() if each is case)
    folder = case.make(data, work / "data" / f"{name}-{seed}", seed)
    command = [sys.executable, "-m", "mobilenet", "train", "finetune", "--data", str(folder), "--set", f"seed={seed}"]
    printed = subprocess.run([*command, "--print"], capture_output=True, text=True, check=True).stdout
    recipe = hashlib.sha256("".join(line for line in printed.splitlines() if "seed" not in line).encode()).hexdigest()[:12]
    for row in history.rows(ROOT, "finetune") if (ROOT / "results" / "finetune.jsonl").exists() else ():
        if (row["data"], row["seed"], row["recipe"]) == (name, seed, recipe):
            return None
    out = work / "runs" / f"{name}-{seed}-{recipe}"
    spent = out.with_suffix(".json")
    before = json.loads(spent.read_text()) if spent.exists() else {"seconds": 0.0, "processor_seconds": 0.0}
    print(f"{name}, seed {seed}:", flush=True)
    start, processor = time.perf_counter(), processor_seconds()
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    try:
        code = subprocess.run([*command, "--out", str(out), "--resume"], env=os.environ | threads, check=False).returncode
    finally:  # also after Ctrl-C or SIGTERM: the run goes on later, and its time with it
        after = {
            "seconds": round(before["seconds"] + time.perf_counter() - start, 1),
            "processor_seconds": round(before["processor_seconds"] + processor_seconds() - processor, 1),
        }
        write_atomically(spent, json.dumps(after).encode())
    if code:
        sys.exit(code)
    origin = {**history.origin(ROOT), "machine": f"{platform.machine()}, {os.cpu_count()} cores", "torch": torch.__version__}
    threads_used = {"threads": int(threads["OMP_NUM_THREADS"])}
    asked = {"metric": case.metric, "target": case.target, "limit_seconds": case.limit, "knew": case.knew}
    return {**origin, "data": name, "seed": seed, "recipe": recipe, **asked, **threads_used, **after, **finetune_row(out)}


def processor_seconds() -> float:
    """Of all processes that this one has started and waited for, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "finetune")
    parser.add_argument("--only", action="append", choices=CASES, help="again for more; default all")
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--note", help="what a reader must know, for example other work on the machine")
    parser.add_argument("--keep", action="store_true", help="keep the folders of finished runs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    for seed in arguments.seeds:
        for name in arguments.only or CASES:
            row = measure(CASES[name], arguments.data, arguments.work, seed)
            if row is None:
                print(f"{name}, seed {seed}: recorded already")
                continue
            history.append(ROOT, "finetune", [row | ({"note": arguments.note} if arguments.note else {})])
            print(json.dumps(row, indent=1), flush=True)
            if not arguments.keep:
                shutil.rmtree(arguments.work / "runs" / f"{name}-{seed}-{row['recipe']}")


if __name__ == "__main__":
    main()
