"""Images a second on a folder of JPEGs: ``mobilenet predict`` with 1 and 2 workers, and a script on ONNX Runtime and
multiprocessing as its users write it (Pillow, numpy, one session in each process). Whole processes, in turns; medians.

    python tools/measure_folder.py --data ../shared/data/imagenet100 --images 2000
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

PEER = """
import multiprocessing, sys
from pathlib import Path
import numpy as np
import onnxruntime as ort
from PIL import Image

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])

def start(model):
    global session
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

def predict(path):
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    x = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    scores = session.run(None, {"input": ((x - MEAN) / STD).transpose(2, 0, 1)[None]})[0][0]
    return path, scores.argsort()[-5:][::-1]

if __name__ == "__main__":
    folder, model, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with multiprocessing.Pool(workers, start, (model,)) as pool:
        for path, classes in pool.imap(predict, sorted(map(str, Path(folder).glob("*.jpg"))), chunksize=8):
            print(path, *classes)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with JPEGs, which are repeated")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="imagenet")
    parser.add_argument("--dry", action="store_true", help="only print the row")
    options = parser.parse_args()
    sources = sorted(path for path in options.data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    with tempfile.TemporaryDirectory() as name:
        folder, onnx, script = Path(name) / "images", Path(name) / "model.onnx", Path(name) / "peer.py"
        folder.mkdir()
        for index in range(options.images):
            os.symlink(sources[index % len(sources)].resolve(), folder / f"{index:06}.jpg")
        write_onnx(options.model, onnx)
        script.write_text(PEER)
        ours = [sys.executable, "-m", "mobilenet", "predict", str(folder), "--model", options.model, "--format", "jsonl"]
        commands = {f"{count} worker{'s' * (count > 1)}": [*ours, "--workers", str(count)] for count in (1, 2)}
        commands["onnxruntime, 2 processes"] = [sys.executable, str(script), str(folder), str(onnx), "2"]
        seconds: dict[str, list[float]] = {each: [] for each in commands}
        for _ in range(options.rounds):
            for each, command in commands.items():
                begin = time.perf_counter()
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
                seconds[each].append(time.perf_counter() - begin)
    from mobilenet.bench import history

    root = Path(__file__).resolve().parents[1]
    rates = {each: round(options.images / statistics.median(values), 1) for each, values in seconds.items()}
    row = {**history.origin(root), "images": options.images, "model": options.model, "images_per_second": rates}
    print(json.dumps(row, indent=2))
    if not options.dry:
        history.append(root, "folder", [row])


def write_onnx(model: str, path: Path) -> None:
    from mobilenet.exports.onnx import to_onnx
    from mobilenet.zoo.load import load_model

    content = load_model(model)
    path.write_bytes(to_onnx(content.network, content.tensors).SerializeToString())


if __name__ == "__main__":
    main()
