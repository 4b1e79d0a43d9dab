"""Writes the tables of the README and of docs/ from results/ and from the cost model. `--check` only compares."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cluster_tables
import export_tables
import integer_tables
import serving_tables
import training_tables
import trust_tables
from markdown_table import markdown
from training_tables import processor

from mobilenet.bench import history
from mobilenet.network.cost import cost
from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssdlite_mobilenet_v2
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2

ROOT = Path(__file__).resolve().parents[1]
REACHED = ROOT / "src" / "mobilenet" / "training" / "recipes" / "reached.json"


def install() -> str:
    """The last measured installation."""
    row = history.rows(ROOT, "install")[-1]
    sizes = sorted(row["bytes"].items(), key=lambda item: -item[1])
    rows = [(f"{name} {row['versions'][name]}", f"{size / 1e6:.1f}") for name, size in sizes]
    table = markdown(("package", "MB"), [*rows, ("together", f"{sum(row['bytes'].values()) / 1e6:.1f}")])
    start, package, help_ = (f"{row[key] * 1e3:.0f} ms" for key in ("python_start_s", "import_s", "help_s"))
    return (
        f"{table}\n\n`import mobilenet` takes {package} and `mobilenet --help` {help_}, of which Python's own start is {start} "
        f"(medians of whole processes; Python {row['python']}, {processor(row)}, {row['date']})."
    )


def ledger() -> str:
    """Published members of the family, computed now."""
    members = [("MobileNetV2", w, r, mobilenet_v2) for w, r in ((1.4, 224), (1.0, 224), (0.75, 160), (0.5, 160), (0.35, 96))]
    members += [("MobileNetV1", w, r, mobilenet_v1) for w, r in ((1.0, 224), (0.25, 128))]
    rows = []
    for name, width, side, build in members:
        member = cost(build(width, side))
        rows.append(
            (
                f"{name} {width} at {side} px",
                f"{member.params:,}",
                f"{member.madds:,}",
                f"{member.layerwise_bytes / 1024:,.0f}",
                f"{member.split_bytes(4) / 1024:,.0f}",
                f"{member.blockwise_bytes / 1024:,.0f}",
            )
        )
    return markdown(("network", "parameters", "MAdds", "layer by layer", "split 4 ways", "blocks whole"), rows)


def costs() -> str:
    """The ledger in short: one network of each kind, computed now."""
    networks = [
        ("MobileNetV2 1.0, classifier", mobilenet_v2(1.0, 224)),
        ("MobileNetV2 0.35, classifier", mobilenet_v2(0.35, 96)),
        ("SSDLite on MobileNetV2, detector", ssdlite_mobilenet_v2()),
        ("DeepLabv3 on MobileNetV2, segmenter", deeplabv3_mobilenet_v2()),
    ]
    rows = []
    for name, network in networks:
        total = cost(network)
        side = total.resolution[0]
        rows.append((name, f"{side} px", f"{total.params / 1e6:.2f} M", f"{total.madds / 1e6:,.0f} M"))
    return markdown(("network", "image side", "parameters", "MAdds"), rows)


def vision(headline: bool = False) -> str:
    """The last score of every model and backend on the development data, beside what independent code scored there."""
    last = {(row["model"], row["backend"]): row for row in history.rows(ROOT, "vision")}
    table = []
    for key, (title, metrics) in SCORED.items():
        if key in last:
            scores = last[key]["metrics"]
            table += [
                (title, str(last[key]["images"]), name, f"{scores[name]:.4f}", theirs)
                for name, theirs in metrics.items()
                if not headline or name in ("mAP", "mIoU")
            ]
    return markdown(("model", "images", "metric", "here", "reference"), table)


def scores() -> str:
    """The headline metric of every model."""
    return vision(headline=True)


SCORED = {
    ("coco", "reference"): ("`coco`", {"mAP": "0.323", "mAP50": "0.501", "mAP75": "0.335"}),
    ("voc", "reference"): ("`voc`, integers", {"mIoU": "0.7376", "pixel_accuracy": "0.9533"}),
    ("voc", "dequantized"): ("`voc`, dequantized", {"mIoU": "0.7376", "pixel_accuracy": "0.9533"}),
    ("voc-small", "reference"): ("`voc-small`", {"mIoU": "0.556", "pixel_accuracy": "0.9075"}),
}
"""Model and backend: what it is called, and what independent code scored with the same weights (LiteRT for `voc`)."""


def bench_rows(precision: str) -> Iterator[dict[str, Any]]:
    """The rows of all comparisons in which the engine computed in `precision`. Each begins with the engine's own row."""
    current = "fp32"
    for row in history.rows(ROOT, "bench"):
        if row["engine"] == "native":
            current = row["precision"]
        if current == precision:
            yield row


def bench() -> str:
    """The last record of every size and number of threads: the engine beside its peers."""
    last: dict[tuple[str, int, int], dict[str, dict[str, Any]]] = {}
    for row in bench_rows("fp32"):
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
        f"{processor(ours)}, {ours['isa']}, {ours['date']}."
    )


def bench_bf16() -> str:
    """bfloat16: the last record of every size and number of threads, beside the better of OpenVINO's two hints."""
    last: dict[tuple[str, int, int], dict[tuple[str, str], dict[str, Any]]] = {}
    for row in bench_rows("bf16"):
        last.setdefault((row["model"], row["resolution"][0], row["threads"]), {})[row["engine"], row["precision"]] = row
    rows = []
    for (model, side, threads), runs in sorted(last.items()):
        each = [runs["native", "bf16"], runs["openvino", "bf16"], runs["openvino", "fp16"]]
        best = min(row["median_ms"] for row in each[1:])
        times = (f"{row['median_ms']:.2f} ({row['min_ms']:.2f})" for row in each)
        growth = (f"{row['peak_rss_delta_bytes'] / 2**20:.1f}" for row in each)
        errors = (f"{row['max_abs_error']:.2f}" for row in each)
        label = f"`{model}` at {side} px, {threads} thread{'s' * (threads > 1)}"
        rows.append((label, *times, f"{each[0]['median_ms'] / best:.2f}", ", ".join(growth), ", ".join(errors)))
    header = ("", "native ms", "OpenVINO bf16, ms", "OpenVINO f16, ms", "native / best", "MiB", "largest error")
    return markdown(header, rows) + (
        "\n\nMedian (least) of interleaved runs in one process; growth of the process, and the largest difference of the "
        "outputs from the numpy reference in float32, in the order of the times. "
        f"{processor(each[0])}, {each[0]['isa']}, {each[0]['date']}."
    )


def speed() -> str:
    """The bench in short: real models on one thread."""
    last: dict[tuple[str, int], dict[str, dict[str, Any]]] = {}
    for row in bench_rows("fp32"):
        if row["threads"] == 1:
            last.setdefault((row["model"], row["resolution"][0]), {})[row["engine"]] = row
    rows = []
    for model, side in (("imagenet", 224), ("imagenet", 1024), ("coco", 300), ("voc-small", 257)):
        engines = [last[model, side][name] for name in ("native", "onnxruntime", "openvino")]
        times = (f"{row['median_ms']:.1f}" for row in engines)
        growth = (f"{row['peak_rss_delta_bytes'] / 2**20:.1f}" for row in engines)
        rows.append((f"`{model}`, {side} px", *(f"{ms} ms, {mib} MiB" for ms, mib in zip(times, growth, strict=True))))
    return markdown(("model, image side", "this engine", "ONNX Runtime", "OpenVINO"), rows) + (
        f"\n\nMedian time of one image on one thread, and how far the process grows while it runs. {processor(engines[0])}, "
        f"{engines[0]['isa']}, {engines[0]['date']}."
    )


STARTED = {
    "mobilenet predict": "`mobilenet predict`",
    "import mobilenet": "`import mobilenet` and a call",
    "onnxruntime": "ONNX Runtime, numpy, Pillow",
}


def start() -> str:
    """The last measured starts of a process, to its answer on one photo."""
    row = history.rows(ROOT, "start")[-1]
    theirs, rows = row["onnxruntime"], []
    for name, title in STARTED.items():
        measured = row[name]
        times = (f"{measured[key]['median']:.0f} ({measured[key]['min']:.0f})" for key in ("answer_ms", "end_ms", "cpu_ms"))
        shares = (f"{measured[key]['median'] / theirs[key]['median']:.2f}" for key in ("answer_ms", "end_ms", "cpu_ms"))
        rows.append((title, *times, f"{measured['peak_rss_bytes'] / 2**20:.0f}", ", ".join(shares)))
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    header = ("one photo, 1 thread", "to the answer ms", "to the end ms", "processor ms", "MiB", "of ONNX Runtime's")
    return markdown(header, rows) + (
        f"\n\nMedian (least) of {row['pairs']} processes each, in turns, from their start on a warm disk, Python's own "
        f"{row['python']['answer_ms']['median']:.0f} ms included; the most memory they held. {processor(row)}, {row['isa']}, "
        f"{versions}, {row['date']}."
    )


def photo() -> str:
    """The starts in short."""
    row = history.rows(ROOT, "start")[-1]
    rows = [
        (title, f"{row[name]['answer_ms']['median']:.0f} ms", f"{row[name]['peak_rss_bytes'] / 2**20:.0f} MiB")
        for name, title in STARTED.items()
    ]
    return markdown(("one photo, from process start", "to the answer", "peak memory"), rows)


def download() -> str:
    """The size of an installation, in a sentence."""
    sizes = history.rows(ROOT, "install")[-1]["bytes"]
    return (
        f"`pip install .` brings {sum(sizes.values()) / 1e6:.0f} MB: numpy {sizes['numpy'] / 1e6:.0f} MB, "
        f"Pillow {sizes['pillow'] / 1e6:.0f} MB, and {len(sizes) - 2} small packages; `mobilenet` itself is "
        f"{sizes['mobilenet'] / 1e6:.1f} MB."
    )


def whole() -> str:
    """The last record of every model and size: file to answer, beside ONNX Runtime with its users' usual code."""
    last: dict[tuple[str, float], dict[str, dict[str, Any]]] = {}
    for row in history.rows(ROOT, "whole"):
        last.setdefault((row["model"], row["megapixels"]), {})[row["engine"]] = row
    rows, measured = [], list[dict[str, Any]]()
    for (model, megapixels), engines in sorted(last.items()):
        measured = [engines[name] for name in ("native", "native, whole JPEG", "onnxruntime")]
        times = (f"{row['median_ms']:.1f} ({row['min_ms']:.1f})" for row in measured)
        growth = (f"{(row['peak_rss_delta_bytes'] or 0) / 2**20:.0f}" for row in measured)
        share = f"{measured[0]['median_ms'] / measured[2]['median_ms']:.2f}"
        agreement = (f"{row['agreement']:.1%}" for row in (measured[0], measured[2]))
        rows.append((f"`{model}`, {megapixels:g} MP", *times, share, *growth, *agreement))
    header = ("", "ms", "all pixels, ms", "ONNX Runtime, ms", "share", "MiB", "MiB", "MiB", "agreement", "theirs")
    return markdown(header, rows) + (
        "\n\nMedian (least) of interleaved calls on one thread; growth of the process in a call, in the same order; agreement "
        f"with this project's answer to all pixels. {measured[0]['machine']}, {measured[0]['isa']}, {measured[0]['date']}."
    )


def fast_decoding() -> str:
    """The last scores of every model with all pixels decoded, and with reduced decoding."""
    last = {(row["model"], row["decoding"]): row for row in history.rows(ROOT, "fast_decoding")}
    rows = []
    for model in dict.fromkeys(model for model, _ in last):
        every, fast = (last[model, way] for way in ("whole", "fast"))
        for name in ("top1", "top5", "mAP", "mAP50"):
            if name in every["metrics"]:
                scored = (f"{row['metrics'][name]:.4f}" for row in (every, fast))
                rows.append((f"`{model}`, {every['images']} images of {every['megapixels']:g} MP", name, *scored))
    return markdown(("model", "metric", "all pixels", "reduced"), rows)


def views() -> str:
    """The last scores of every model on one view of each image and on several, with what that takes."""
    last = {
        (row["model"], row["data"], row["views"]): row
        for row in history.rows(ROOT, "views")
        if row.get("output_stride", 8) == 8
    }  # as published; the paper's Figure 8 has the other
    rows = []
    for (model, data, text), row in last.items():
        one, metrics = last[model, data, "1"], row["metrics"]
        name = next(name for name in ("top1", "mAP", "mIoU") if name in metrics)
        taken = f"{row['processor_s'] / one['processor_s']:.1f}"
        images = f"{row['images']:,} images of {data}"
        rows.append((f"`{model}`", images, f"`{text}`", name, f"{metrics[name]:.4f}", taken))
    return markdown(("model", "data", "`--views`", "metric", "score", "time"), rows)


FUNCTIONS = (
    *cluster_tables.FUNCTIONS,
    *export_tables.FUNCTIONS,
    *integer_tables.FUNCTIONS,
    *serving_tables.FUNCTIONS,
    *training_tables.FUNCTIONS,
    *trust_tables.FUNCTIONS,
    bench, bench_bf16, costs, download, fast_decoding, install, ledger, photo, scores, speed, start,
    views, vision, whole,
)  # fmt: skip
TABLES: dict[str, Callable[[], str]] = {function.__name__: function for function in FUNCTIONS}
FILES = ("README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")))


def filled(text: str) -> str:
    def block(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n{TABLES[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->\n.*?<!-- end -->", block, text, flags=re.DOTALL)


def main() -> None:
    if "--check" not in sys.argv:
        REACHED.write_text(training_tables.reached())
    elif REACHED.read_text() != training_tables.reached():
        sys.exit(f"{REACHED.name}: is not made of results/training.jsonl; run make figures")
    for name in FILES:
        text = (ROOT / name).read_text()
        if "--check" not in sys.argv:
            (ROOT / name).write_text(filled(text))
        elif filled(text) != text:
            sys.exit(f"{name}: its tables are not those of results/; run make figures")


if __name__ == "__main__":
    main()
