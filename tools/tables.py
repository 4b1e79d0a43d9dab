"""Writes the tables of the README and of docs/ from results/ and from the ledger: none is typed. `--check` only compares."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mobilenet.network.cost import cost
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2

ROOT = Path(__file__).resolve().parents[1]


def records(name: str) -> list[dict[str, Any]]:
    """The rows of results/`name`.jsonl, oldest first."""
    return [json.loads(line) for line in (ROOT / "results" / f"{name}.jsonl").read_text().splitlines()]


def markdown(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---", *("---:",) * (len(header) - 1)), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def install() -> str:
    """The last measured installation."""
    row = records("install")[-1]
    sizes = sorted(row["bytes"].items(), key=lambda item: -item[1])
    rows = [(f"{name} {row['versions'][name]}", f"{size / 1e6:.1f}") for name, size in sizes]
    table = markdown(("package", "MB"), [*rows, ("together", f"{sum(row['bytes'].values()) / 1e6:.1f}")])
    start, package, help_ = (f"{row[key] * 1e3:.0f} ms" for key in ("python_start_s", "import_s", "help_s"))
    return (
        f"{table}\n\n`import mobilenet` takes {package} and `mobilenet --help` {help_}, of which Python's own start is {start} "
        f"(medians of whole processes; Python {row['python']}, {row['machine']}, {row['date']})."
    )


def ledger() -> str:
    """Published members of the family, computed now."""
    members = [("MobileNetV2", w, r, mobilenet_v2) for w, r in ((1.4, 224), (1.0, 224), (0.75, 160), (0.5, 160), (0.35, 96))]
    members += [("MobileNetV1", w, r, mobilenet_v1) for w, r in ((1.0, 224), (0.25, 128))]
    rows = []
    for name, width, side, build in members:
        found = cost(build(width, side))
        rows.append((f"{name} {width} at {side} px", f"{found.params:,}", f"{found.madds:,}",
                     f"{found.layerwise_bytes / 1024:,.0f}", f"{found.split_bytes(4) / 1024:,.0f}",
                     f"{found.blockwise_bytes / 1024:,.0f}"))  # fmt: skip
    return markdown(("network", "parameters", "MAdds", "layer by layer", "split 4 ways", "blocks whole"), rows)


def vision() -> str:
    """The last score of every model and backend on the development data, beside what independent code scored there."""
    rows = records("vision")
    last = {(row["model"], row["backend"]): row for row in rows}
    table = []
    for key, (title, metrics) in SCORED.items():
        if key in last:
            found = last[key]["metrics"]
            table += [(title, str(last[key]["images"]), name, f"{found[name]:.4f}", theirs) for name, theirs in metrics.items()]
    return markdown(("model", "pictures", "metric", "here", "reference"), table)


SCORED = {
    ("coco", "reference"): ("`coco`", {"mAP": "0.323", "mAP50": "0.501", "mAP75": "0.335"}),
    ("voc", "reference"): ("`voc`, integers", {"mIoU": "0.7376", "pixel_accuracy": "0.9533"}),
    ("voc", "dequantized"): ("`voc`, dequantised", {"mIoU": "0.7376", "pixel_accuracy": "0.9533"}),
    ("voc-small", "reference"): ("`voc-small`", {"mIoU": "0.556", "pixel_accuracy": "0.9075"}),
}
"""Model and backend: what it is called, and what independent code scored with the same weights (LiteRT for `voc`)."""


def bench() -> str:
    """The last record of every size and number of threads: the engine beside its peers."""
    last: dict[tuple[str, int, int], dict[str, dict[str, Any]]] = {}
    for row in records("bench"):
        last.setdefault((row["model"], row["resolution"][0], row["threads"]), {})[row["engine"]] = row
    rows = []
    for (model, side, threads), engines in sorted(last.items()):
        peers = [engines[name] for name in ("onnxruntime", "openvino")]
        ours, best = engines["native"], min(peer["median_ms"] for peer in peers)
        times = (f"{row['median_ms']:.2f} ({row['min_ms']:.2f})" for row in (ours, *peers))
        growth = (f"{row['peak_rss_delta_bytes'] / 2**20:.1f}" for row in (ours, *peers))
        label = f"`{model}` at {side} px, {threads} thread{'s' * (threads > 1)}"
        rows.append((label, *times, f"{ours['median_ms'] / best:.2f}", *growth, f"{ours['max_abs_error']:.0e}"))
    header = ("", "native ms", "ONNX Runtime ms", "OpenVINO ms", "native / best", "MiB", "MiB", "MiB", "native's error")
    return markdown(header, rows) + (
        "\n\nMedian (least) of interleaved runs in one process; growth of the process while each runs in a child of its own, "
        "in the same order; the largest difference of native's outputs from the numpy reference. "
        f"{ours['machine']}, {ours['isa']}, {ours['date']}."
    )


def training() -> str:
    """The last record of every recipe, seed and change of settings."""
    last = {(row["recipe"], json.dumps(row["set"]), row["seed"]): row for row in records("training")}
    rows = []
    for row in last.values():
        name, first, score = next((name, row["first"][name], row["last"][name]) for name in SCORES if name in row["last"])
        rows.append((f"`{row['recipe']}`", str(row["seed"]), str(row["epochs"]), f"{row['seconds_per_epoch']:.0f}",
                     f"{row['images_per_second']:.0f}", f"{row['data_share']:.0%}", f"{row['losses'][0]:.2f}",
                     f"{row['losses'][1]:.2f}", f"{first:.3f} ({row['first']['epoch']:.0f})", f"{name} {score:.3f}",
                     str(row["scored"]), row.get("note", "")))  # fmt: skip
    header = ("recipe", "seed", "epochs", "s / epoch", "images/s", "waiting for data", "first loss", "last loss",
              "first score (epoch)", "last score", "pictures", "conditions")  # fmt: skip
    return markdown(header, rows)


SCORES = ("top1", "mAP50", "mIoU")


def training_speed() -> str:
    """The last measurement of every precision and accelerator: this loop beside torchvision's."""
    last = {(row["accelerator"], row["precision"], row["batch"]): row for row in records("training_speed")}
    rows = []
    for (accelerator, precision, batch), row in last.items():
        for side in ("mobilenet", "torchvision"):
            found = row[side]
            rows.append((f"{side}, {accelerator}, {precision}, batch {batch}", f"{found['images_per_second']:.0f}",
                         f"{found['least']:.0f} to {found['most']:.0f}", f"{found['data_share']:.0%}",
                         f"{found['peak_rss_bytes'] / 2**20:,.0f}", f"{found['last_loss']:.2f}"))  # fmt: skip
    return markdown(("", "images/s", "range", "waiting for data", "peak MiB", "loss at the end"), rows)


STARTED = {"mobilenet predict": "`mobilenet predict`", "import mobilenet": "`import mobilenet` and a call",
           "onnxruntime": "ONNX Runtime, numpy, Pillow"}  # fmt: skip


def start() -> str:
    """The last measured starts of a process, to its answer on one photo."""
    row = records("start")[-1]
    theirs, rows = row["onnxruntime"], []
    for name, title in STARTED.items():
        found = row[name]
        times = (f"{found[key]['median']:.0f} ({found[key]['min']:.0f})" for key in ("answer_ms", "end_ms", "cpu_ms"))
        shares = (f"{found[key]['median'] / theirs[key]['median']:.2f}" for key in ("answer_ms", "end_ms", "cpu_ms"))
        rows.append((title, *times, f"{found['peak_rss_bytes'] / 2**20:.0f}", ", ".join(shares)))
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    header = ("one photo, 1 thread", "to the answer ms", "to the end ms", "processor ms", "MiB", "of ONNX Runtime's")
    return markdown(header, rows) + (
        f"\n\nMedian (least) of {row['pairs']} processes each, in turns, from their start on a warm disk, Python's own "
        f"{row['python']['answer_ms']['median']:.0f} ms included; the most memory they held. {row['machine']}, {row['isa']}, "
        f"{versions}, {row['date']}."
    )


TABLES = {"bench": bench, "install": install, "ledger": ledger, "start": start, "training": training,
          "training_speed": training_speed, "vision": vision}  # fmt: skip
FILES = ("README.md", "docs/training.md")


def filled(text: str) -> str:
    def block(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


def main() -> None:
    for name in FILES:
        text = (ROOT / name).read_text()
        if "--check" not in sys.argv:
            (ROOT / name).write_text(filled(text))
        elif filled(text) != text:
            sys.exit(f"{name}: its tables are not those of results/; run make figures")


if __name__ == "__main__":
    main()
