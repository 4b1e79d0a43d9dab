"""The tables about integers: what quantizing costs, settings that were tried, speed beside other runtimes."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from markdown_table import markdown

from mobilenet.bench import history

ROOT = Path(__file__).resolve().parents[1]
METRICS = ("top1", "mAP", "mIoU")
CALIBRATED = {
    "imagenet100": "Imagenette's training images",
    "imagenette160 val, 500": "Imagenette's training images",
    "coco val2017": "COCO's train2017",
    "voc2012 val": "VOC 2012's train",
    "voc2012 train": "other photos of VOC",
}


def grouped(rows: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """By model and data: the last row of each draw."""
    last = {(row["model"], row["data"], row["draw"]): row for row in rows}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (model, data, _), row in last.items():
        groups.setdefault((model, data), []).append(row)
    return groups


def quantizing() -> str:
    """What integers cost, over draws of calibration images."""
    table = []
    for (model, data), rows in grouped([row for row in history.rows(ROOT, "quantizing") if "headroom" not in row]).items():
        name = next(name for name in METRICS if name in rows[0]["float"])
        random = "random" in model
        same = ", ".join(str(row["same_first"]) for row in rows) if rows[0]["same_first"] is not None else ""
        table.append(
            (
                model if random else f"`{model}`",
                f"{rows[0]['calibrated']} of {CALIBRATED[data]}",
                f"{data}: {rows[0]['images']} images, {name}",
                "" if random else f"{rows[0]['float'][name]:.4f}",
                "" if random else ", ".join(f"{row['integers'][name]:.4f}" for row in rows),
                same,
                ", ".join(f"{row['snr_db']:.1f}" for row in rows),
            )
        )
    header = ("model", "calibrated with", "scored on", "floats", "integers", "same first answer", "signal to noise, dB")
    return markdown(header, table)


def quantizing_settings() -> str:
    """Two settings that equalizing had, on images on which they were not chosen, and where they were."""
    tried = [row for row in history.rows(ROOT, "quantizing") if "headroom" in row]
    ways = {"both": (True, True), "usual range": (True, False), "headroom": (False, True), "neither": (False, False)}
    table = []
    for data in dict.fromkeys(row["data"] for row in tried):
        cells = []
        for way in ways.values():
            rows = [row for row in tried if row["data"] == data and (row["usual_range"], row["headroom"]) == way]
            name = next(name for name in METRICS if name in rows[0]["float"])
            change = [row["integers"][name] - row["float"][name] for row in rows]
            noise = [row["snr_db"] for row in rows]
            cells.append(f"{statistics.mean(noise):.1f} dB; {min(change):+.4f} to {max(change):+.4f}")
        table.append((f"{data}, {name}", *cells))
    return markdown(("scored on", *ways), table)


def bench_integers() -> str:
    """The last record of every size, number of threads and instruction set: integers beside those of other runtimes."""
    if not (ROOT / "results" / "bench_integers.jsonl").exists():
        return "Not recorded yet."
    groups: dict[tuple[Any, ...], dict[tuple[str, str], dict[str, Any]]] = {}
    for row in history.rows(ROOT, "bench_integers"):
        key = row["model"], row["resolution"][0], row["threads"], row["isa"]
        groups.setdefault(key, {})[row["engine"], row["file"]] = row
    table = []
    for (model, side, threads, isa), files in sorted(groups.items()):
        best: dict[str, dict[str, Any]] = {}
        for (engine, _), row in files.items():
            if engine not in best or row["median_ms"] < best[engine]["median_ms"]:
                best[engine] = row
        ours = best["native"]
        held = f", oneDNN up to {ours['onednn_isa']}" if ours["onednn_isa"] else ""
        peers = [best[engine] for engine in ("onnxruntime", "openvino", "litert") if engine in best]
        table.append(
            (
                f"`{model}` at {side} px, {threads} thread{'s' * (threads > 1)}, {isa}{held}",
                *(cell(best.get(engine)) for engine in ("native", "onnxruntime", "openvino", "litert")),
                f"{ours['median_ms'] / min(row['median_ms'] for row in peers):.2f}" if peers else "",
                f"{ours['planned_bytes'] / 2**20:.2f}" if ours["planned_bytes"] else "",
                ", ".join(mebibytes(best.get(engine)) for engine in ("native", "onnxruntime", "openvino", "litert")),
                ", ".join(share(best.get(engine)) for engine in ("native", "onnxruntime", "openvino")),
            )
        )
    header = ("", "native ms", "ONNX Runtime ms", "OpenVINO ms", "LiteRT ms", "native / best", "planned MiB", "growth MiB",
              "floats' answers")  # fmt: skip
    return markdown(header, table) + (
        "\n\nMedian (least) of interleaved runs in one process, each library with its fastest file: the model's integers as "
        f"QDQ (Q), the same with additions rounded (R), its own quantization (O), a published file (P). {history_of(ours)}"
    )


def history_of(row: dict[str, Any]) -> str:
    return f"{row['processor']}, {row['date']}."


def cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    letters = {"model file": "", "QDQ": " Q", "QDQ, additions rounded": " R", "its own quantization": " O"}
    return f"{row['median_ms']:.2f} ({row['min_ms']:.2f}){letters.get(row['file'], ' P')}"


def mebibytes(row: dict[str, Any] | None) -> str:
    return f"{row['peak_rss_delta_bytes'] / 2**20:.2f}" if row and row["peak_rss_delta_bytes"] is not None else "-"


def share(row: dict[str, Any] | None) -> str:
    return f"{row['agreement']:.1%}" if row and row["agreement"] is not None else "-"


FUNCTIONS = (bench_integers, quantizing, quantizing_settings)
