"""Compares images/s of `mobilenet train` and torchvision's reference loop on the same network, images, crops, batch, precision.

    python tools/measure_training.py --data IMAGENETTE160 [--precision bf16-mixed] [--batch 64] [--steps 120] [--pairs 3]

Both run as whole processes in turns. `--reference` runs only torchvision's side: the loop of its
references/classification/train.py, with its transforms, loader, loss, optimizer and running accuracy, written briefly. The
first window of 20 steps is the warm-up and does not count. Appends one row to results/training_speed.jsonl; run nothing
else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mobilenet.bench import history

ROOT = Path(__file__).resolve().parents[1]
WINDOW = 20
LR = 0.05


def reference(data: Path, precision: str, batch: int, side: int, steps: int, workers: int, accelerator: str) -> None:
    """Prints a JSON line for every window: images_per_second, data_share, loss."""
    import torch
    import torchvision
    from torchvision.transforms import functional, transforms

    device = torch.device(accelerator)
    change = transforms.Compose([
        transforms.RandomResizedCrop(side, interpolation=functional.InterpolationMode.BILINEAR),
        transforms.RandomHorizontalFlip(0.5),
        transforms.PILToTensor(),
        transforms.ConvertImageDtype(torch.float),
        transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    ])  # fmt: skip
    images = torchvision.datasets.ImageFolder(str(data / "train"), change)
    loader = torch.utils.data.DataLoader(
        images,
        batch_size=batch,
        sampler=torch.utils.data.RandomSampler(images),
        num_workers=workers,
        pin_memory=accelerator != "cpu",
    )
    model = torchvision.models.mobilenet_v2(num_classes=len(images.classes)).to(device).train()
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=4e-5)
    start, waited, losses, begin_wait = time.perf_counter(), 0.0, list[float](), time.perf_counter()
    for step, (read, labels) in enumerate(loader, 1):
        image, target = read.to(device), labels.to(device)
        waited += time.perf_counter() - begin_wait
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
            output = model(image)
            loss = criterion(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        output.topk(5, 1)[1].eq(target[:, None]).float().sum(0).tolist()  # its meters read loss and accuracy in each step
        losses.append(loss.item())
        if step % WINDOW == 0:
            seconds = time.perf_counter() - start
            print(json.dumps({"images_per_second": WINDOW * batch / seconds, "data_share": waited / seconds,
                              "loss": statistics.mean(losses)}), flush=True)  # fmt: skip
            start, waited, losses = time.perf_counter(), 0.0, []
        if step == steps:
            return
        begin_wait = time.perf_counter()


def measured(command: list[str]) -> tuple[str, int]:
    """What a process prints, and its maximum resident memory in bytes (forked processes are not included)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit status {process.returncode} of {' '.join(command)}")
    return printed, usage.ru_maxrss * 1024


def summary(windows: list[dict[str, Any]], peak: list[int]) -> dict[str, Any]:
    rates = sorted(window["images_per_second"] for window in windows)
    return {
        "images_per_second": round(statistics.median(rates), 1),
        "least": round(rates[0], 1),
        "most": round(rates[-1], 1),
        "data_share": round(statistics.median(window["data_share"] for window in windows), 4),
        "last_loss": round(windows[-1]["loss"], 3),
        "peak_rss_bytes": max(peak),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--precision", choices=("bf16-mixed", "32-true"), default="bf16-mixed")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--reference", action="store_true", help="run only torchvision's side, in this process")
    arguments = parser.parse_args()
    if arguments.reference:
        reference(
            arguments.data,
            arguments.precision,
            arguments.batch,
            arguments.side,
            arguments.steps,
            arguments.workers,
            arguments.accelerator,
        )
        return
    settings: dict[str, object] = {
        "epochs": 1, "batch": arguments.batch, "limit": arguments.batch * arguments.steps, "lr": LR,
        "precision": arguments.precision,
        "schedule": "constant", "weight_decay": 4e-5, "decayed": "all", "optimizer": "sgd", "averaging": None,
        "sizes": [], "resolution": arguments.side, "preprocessing.size": [arguments.side, arguments.side],
        "augmentation.scale": [0.08, 1.0], "dropout": 0.2, "in_memory": False, "workers": arguments.workers,
    }  # fmt: skip
    runs: dict[str, tuple[list[dict[str, Any]], list[int]]] = {"mobilenet": ([], []), "torchvision": ([], [])}
    reference_command = [sys.executable, __file__, "--reference", "--data", str(arguments.data),
                         "--precision", arguments.precision,
              "--batch", str(arguments.batch), "--side", str(arguments.side), "--steps", str(arguments.steps),
              "--workers", str(arguments.workers), "--accelerator", arguments.accelerator]  # fmt: skip
    for _ in range(arguments.pairs):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "mobilenet", "train", "imagenette", "--data", str(arguments.data), "--out", folder]
            command += [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
            _, peak = measured(command)
            lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
        runs["mobilenet"][0].extend([line for line in lines if "images_per_second" in line][1:])
        runs["mobilenet"][1].append(peak)
        printed, peak = measured(reference_command)
        runs["torchvision"][0].extend([json.loads(line) for line in printed.splitlines()][1:])
        runs["torchvision"][1].append(peak)
    import torch

    sides = {name: summary(*each) for name, each in runs.items()}
    row = {
        **history.origin(ROOT),
        "torch": torch.__version__, "accelerator": arguments.accelerator,
        "cores": os.cpu_count(), "precision": arguments.precision,
        "batch": arguments.batch, "side": arguments.side, "workers": arguments.workers, "steps": arguments.steps,
        "pairs": arguments.pairs, **sides,
        "ratio": round(sides["mobilenet"]["images_per_second"] / sides["torchvision"]["images_per_second"], 3),
    }  # fmt: skip
    history.append(ROOT, "training_speed", [row])
    print(json.dumps(row, indent=2))


if __name__ == "__main__":
    main()
