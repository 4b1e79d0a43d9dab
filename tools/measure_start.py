"""Time from the start of a process to its answer on one photo: mobilenet, and ONNX Runtime with numpy and Pillow, in turns.

Each does the same: one thread, the same weights (exported to ONNX), the photo resized and cropped as torchvision does, the
five best labels printed. The disk is warm. Appends one row to results/start.jsonl; on a busy machine read the minima:

    python tools/measure_start.py [--pairs 31] [--dry]

With ``--instructions`` it prints the instructions of each instead, as valgrind counts them: these hardly vary, so two
versions can be compared on a busy machine.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "photos" / "cat.jpg"

LIBRARY = """
import mobilenet
for p in mobilenet.load("imagenet", threads=1)({photo!r}).top(5):
    print(f"{{p.score:.3f}} {{p.label}}")
"""

PEER = """
import json, numpy as np, onnxruntime as ort
from PIL import Image
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = ort.InferenceSession({folder!r} + "/model.onnx", options, providers=["CPUExecutionProvider"])
image = Image.open({photo!r}).convert("RGB")
w, h = image.size
image = image.resize((256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256), Image.Resampling.BILINEAR)
left, top = (image.width - 224) // 2, (image.height - 224) // 2
image = image.crop((left, top, left + 224, top + 224))
x = np.asarray(image, dtype=np.float32) / 255 - np.array([0.485, 0.456, 0.406], np.float32)
x /= np.array([0.229, 0.224, 0.225], np.float32)
(logits,) = session.run(None, {{"input": np.ascontiguousarray(x.transpose(2, 0, 1)[None])}})[0]
p = np.exp(logits - logits.max())
p /= p.sum()
labels = json.load(open({folder!r} + "/labels.json"))
for i in np.argsort(-p)[:5]:
    print(f"{{p[i]:.3f}} {{labels[i]}}")
"""


def run(command: list[str], environment: dict[str, str], expected: str) -> dict[str, Any]:
    """Runs one process: seconds until it has printed `expected`, seconds to its end, seconds of CPU time, peak bytes."""
    reading, writing = os.pipe()
    start = time.perf_counter()
    redirect = [(os.POSIX_SPAWN_DUP2, writing, 1), (os.POSIX_SPAWN_CLOSE, reading)]
    child = os.posix_spawn(command[0], command, environment, file_actions=redirect)
    os.close(writing)
    text = ""
    while expected not in text:
        block = os.read(reading, 1 << 16)
        if not block:
            raise SystemExit(f"{command} printed {text!r}, not {expected!r}")
        text += block.decode()
    answer = time.perf_counter() - start
    _, status, usage = os.wait4(child, 0)
    end = time.perf_counter() - start
    os.close(reading)
    if status:
        raise SystemExit(f"{command} failed")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"answer": answer, "end": end, "cpu": usage.ru_utime + usage.ru_stime, "peak": peak}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"peak_rss_bytes": max(r["peak"] for r in runs)}
    for name in ("answer", "end", "cpu"):
        values = sorted(1e3 * r[name] for r in runs)
        quantiles = statistics.quantiles(values, n=10)
        row[f"{name}_ms"] = {
            "median": round(statistics.median(values), 2),
            "min": round(values[0], 2),
            "p10": round(quantiles[0], 2),
            "p90": round(quantiles[-1], 2),
        }
    return row


def prepared(folder: Path) -> dict[str, Any]:
    """Writes the files of the runs into `folder`, and returns the commands and the label that each must print."""
    import mobilenet
    from mobilenet.exports.onnx import to_onnx

    compileall.compile_dir(str(Path(mobilenet.__file__).parent), quiet=1)  # as pip has done for the others
    predict = mobilenet.load("imagenet", threads=1)
    model = predict.model
    (folder / "model.onnx").write_bytes(to_onnx(model.network, model.tensors).SerializeToString())
    (folder / "labels.json").write_text(json.dumps(model.labels))
    (folder / "library.py").write_text(LIBRARY.format(photo=str(PHOTO)))
    (folder / "peer.py").write_text(PEER.format(folder=str(folder), photo=str(PHOTO)))
    start = "from mobilenet.__main__ import run; run()"  # the installed command
    return {
        "top1": predict(PHOTO).top(1)[0].label,
        "commands": {
            "mobilenet predict": [sys.executable, "-c", start, "predict", str(PHOTO), "--model", "imagenet"],
            "import mobilenet": [sys.executable, str(folder / "library.py")],
            "onnxruntime": [sys.executable, str(folder / "peer.py")],
            "python": [sys.executable, "-c", "print()"],
        },
    }


def measured(job: dict[str, Any], pairs: int) -> dict[str, Any]:
    """Runs the commands in turns. Call it in a small process: a child's peak memory counts what its parent held at the fork."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in job["commands"]}
    for turn in range(pairs + 1):
        for name, command in job["commands"].items():
            times = run(command, environment, "\n" if name == "python" else job["top1"])
            if turn:  # the first warms the disk
                runs[name].append(times)
    return {name: summary(each) for name, each in runs.items()}


def instructions(command: list[str]) -> int:
    """Instructions of one process, as valgrind counts them."""
    counter = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    process = subprocess.run([*counter, *command], env=environment, capture_output=True, text=True, check=True)
    (line,) = [line for line in process.stderr.splitlines() if " refs:" in line]
    return int(line.rpartition(":")[2].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=31, help="runs of each, in turns")
    parser.add_argument("--dry", action="store_true", help="only print the row")
    parser.add_argument("--instructions", action="store_true", help="only count instructions, with valgrind")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(json.dumps(measured(json.loads(options.job), options.pairs)))
        return
    with tempfile.TemporaryDirectory() as folder:
        job = prepared(Path(folder))
        if options.instructions:
            print(json.dumps({name: instructions(command) for name, command in job["commands"].items()}, indent=2))
            return
        command = [sys.executable, __file__, "--pairs", str(options.pairs), "--job", json.dumps(job)]
        runs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    from mobilenet.bench import history  # not in the process that measures, which stays small

    versions = {name: importlib.metadata.version(name) for name in ("onnxruntime", "numpy", "pillow", "click")}
    row = {
        **history.engine_origin(ROOT, "imagenet"),
        "versions": {"python": platform.python_version(), **versions},
        "pairs": options.pairs,
        "top1": job["top1"],
        **runs,
    }
    if not options.dry:
        history.append(ROOT, "start", [row])
    print(json.dumps(row, indent=2))


if __name__ == "__main__":
    main()
