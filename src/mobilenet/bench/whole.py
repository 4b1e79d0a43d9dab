"""From an image file to an answer: this project beside ONNX Runtime with the steps around it as its users write them.

The other side is Pillow, numpy and ONNX Runtime, as in the usual examples: decode, convert, resize, normalize, run; then
softmax, or boxes above 0.5 and their suppression (torchvision's if it is there, else numpy's), or the likeliest class of each
pixel, enlarged to the image by nearest neighbor. Both sides get the same file, weights and threads, in turns.
"""

from __future__ import annotations

import ctypes
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..errors import UsageError
from ..images.open import open_image
from ..modelfile import ModelFile
from ..predict.predictor import Predictor
from ..runtimes.backends import choose
from ..tasks import boxes as box_math
from ..tasks.detection import Detections, default_boxes, logits_and_codes, probabilities
from . import history
from .measure import status_bytes
from .peers import unavailable

if TYPE_CHECKING:
    from ..tensors import Floats

    Answer = Callable[[str], Any]

MEGAPIXELS = (0.1, 1.0, 12.0)
THRESHOLD = 0.5
"""The least score of a box, on both sides."""


@dataclass(frozen=True)
class WholeTime:
    """One side's row.

    Attributes:
        megapixels: of the JPEG, made from a photo at quality 90.
        median_ms, min_ms, p90_ms: from the file's path to the answer.
        peak_rss_delta_bytes: how far the process grows at most during a call; None outside Linux.
        agreement: with this project's answer to the fully decoded image: 1 or 0 for the first label, the share of both answers'
            boxes that overlap one of the other's of the same class by more than 0.5, the share of pixels of the same class.
    """

    engine: str
    megapixels: float
    threads: int
    median_ms: float
    min_ms: float
    p90_ms: float
    peak_rss_delta_bytes: int | None
    agreement: float


def bench_whole(
    model: ModelFile, photo: Path, threads: int, seconds: float, sizes: Sequence[float] = MEGAPIXELS
) -> list[WholeTime]:
    """Rows of this project, of the same without fast decoding, and of ONNX Runtime, for each size.

    Args:
        photo: the image that is enlarged or reduced to each number of megapixels and saved as JPEG.
        seconds: spent on each side and size; at least 5 calls.

    Raises:
        UsageError: ONNX Runtime is not installed.
    """
    if reason := unavailable("onnxruntime"):
        raise UsageError(f"engine {reason}")
    runtime = choose(model, "native", threads)
    ours, exact = Predictor(model, runtime), Predictor(model, runtime, fast_decoding=False)
    sides: dict[str, Answer] = {
        "native": lambda path: ours(path, threshold=THRESHOLD if ours.task == "detection" else None),
        "native, whole JPEG": lambda path: exact(path, threshold=THRESHOLD if ours.task == "detection" else None),
        "onnxruntime": as_users_write_it(model, threads),
    }
    rows = []
    for megapixels in sizes:
        with jpeg(photo, megapixels) as path:
            expected = plain(sides["native, whole JPEG"](path))
            times, growths = interleaved(sides, path, seconds), {name: growth(answer, path) for name, answer in sides.items()}
            for name, answer in sides.items():
                found = plain(answer(path))
                rows.append(
                    WholeTime(
                        engine=name,
                        megapixels=megapixels,
                        threads=threads,
                        median_ms=1e3 * statistics.median(times[name]),
                        min_ms=1e3 * min(times[name]),
                        p90_ms=1e3 * float(np.percentile(times[name], 90)),
                        peak_rss_delta_bytes=growths[name],
                        agreement=agreement(expected, found),
                    )
                )
    return rows


@contextmanager
def jpeg(photo: Path, megapixels: float) -> Iterator[str]:
    """The path of a JPEG of that size, in the photo's proportions."""
    image = open_image(photo)
    scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    size = round(image.width * scale), round(image.height * scale)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        image.resize(size, Image.Resampling.LANCZOS).save(path, quality=90)
        yield str(path)


def interleaved(sides: dict[str, Answer], path: str, seconds: float) -> dict[str, list[float]]:
    """Seconds of each call, in turns, after one call of each."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for answer in sides.values():
        answer(path)
    while min(map(len, times.values())) < 5 or sum(map(sum, times.values())) < seconds * len(sides):
        for name, answer in sides.items():
            before = time.perf_counter()
            answer(path)
            times[name].append(time.perf_counter() - before)
    return times


def growth(answer: Answer, path: str) -> int | None:
    """How far the process grows at most during a call."""
    clear = Path("/proc/self/clear_refs")
    if not clear.exists():
        return None
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # memory that earlier calls freed would hide the growth
    before = status_bytes("VmRSS")
    clear.write_text("5")  # the peak starts from here
    answer(path)
    return status_bytes("VmHWM") - before


# The other side ------------------------------------------------------------------------------------------------------


def as_users_write_it(model: ModelFile, threads: int) -> Answer:
    """ONNX Runtime and the code around it."""
    import onnxruntime as ort

    from ..exports.onnx import to_onnx

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    graph = to_onnx(model.network, model.tensors).SerializeToString()
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    mean, std = (np.array(each, np.float32) for each in (model.preprocessing.mean, model.preprocessing.std))

    def run(image: Image.Image) -> list[Any]:
        x = np.asarray(image, np.float32) / 255.0
        x = (x - mean) / std
        return list(session.run(None, {"input": np.ascontiguousarray(x.transpose(2, 0, 1)[None])}))

    match model.network.task:
        case "classification":
            return lambda path: classify(model, run, path)
        case "detection":
            return detector(model, run)
        case _:
            return lambda path: segment(model, run, path)


def classify(model: ModelFile, run: Callable[[Image.Image], list[Any]], path: str) -> list[tuple[str, float]]:
    policy = model.preprocessing
    assert policy.resize is not None
    image = Image.open(path).convert("RGB")
    scale = policy.resize / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    (height, width) = policy.size
    left, top = (image.width - width) // 2, (image.height - height) // 2
    (logits,) = run(image.crop((left, top, left + width, top + height)))[0]
    powers = np.exp(logits - logits.max())
    scores = powers / powers.sum()
    return [(model.labels[i], float(scores[i])) for i in np.argsort(-scores)[:5]]


def detector(model: ModelFile, run: Callable[[Image.Image], list[Any]]) -> Answer:
    defaults, decoding = default_boxes(model.network), model.decoding
    assert decoding is not None
    suppress: Any = suppression()

    def answer(path: str) -> tuple[Floats, Floats, list[str]]:
        image = Image.open(path).convert("RGB")
        outputs = run(image.resize(model.preprocessing.size[::-1], Image.Resampling.BILINEAR))
        logits, codes = logits_and_codes(dict(zip(model.network.outputs, outputs, strict=True)), model.network)
        scores = probabilities(logits, decoding.scores)
        rows, classes = np.nonzero(scores > THRESHOLD)
        codes = codes[rows][:, (1, 0, 3, 2)] if decoding.codes == "yxhw" else codes[rows]
        width, height = image.size
        boxes = np.clip(box_math.decode(codes, defaults[rows]), 0, 1) * (width, height, width, height)
        boxes, best = boxes.astype(np.float32), scores[rows, classes]
        kept = suppress(boxes, best, classes, decoding.iou)
        return boxes[kept], best[kept], [model.labels[i] for i in classes[kept]]

    return answer


def suppression() -> Callable[[Floats, Floats, Any, float], Any]:
    """torchvision's NMS, or numpy's."""
    try:
        import torch
        from torchvision.ops import batched_nms
    except ImportError:
        return box_math.nms_by_class

    def by_torchvision(boxes: Floats, scores: Floats, classes: Any, iou: float) -> Any:
        return batched_nms(*(torch.from_numpy(each) for each in (boxes, scores, classes)), iou).numpy()

    return by_torchvision


def segment(model: ModelFile, run: Callable[[Image.Image], list[Any]], path: str) -> Any:
    policy = model.preprocessing
    image = Image.open(path).convert("RGB")
    columns, rows = policy.content(image.size)
    canvas = Image.new("RGB", policy.size[::-1], (policy.fill or 0,) * 3)
    canvas.paste(image.resize((columns, rows), Image.Resampling.BILINEAR))
    (logits,) = run(canvas)[0]
    winner = logits[:, :rows, :columns].argmax(axis=0).astype(np.uint8)
    return np.asarray(Image.fromarray(winner).resize(image.size, Image.Resampling.NEAREST))


# Answers -------------------------------------------------------------------------------------------------------------


def plain(answer: Any) -> Any:
    """An answer of either side as plain values: the first label, (boxes, scores, labels), or a mask."""
    if isinstance(answer, Detections):
        return answer.boxes, answer.scores, [answer.labels[i] for i in answer.classes]
    if hasattr(answer, "mask"):
        return answer.mask
    return answer.top(1)[0].label if hasattr(answer, "top") else answer[0][0] if isinstance(answer, list) else answer


def agreement(expected: Any, found: Any) -> float:
    """See `WholeTime.agreement`."""
    if isinstance(expected, str):
        return float(expected == found)
    if isinstance(expected, np.ndarray):
        return float((expected == found).mean())
    same = np.reshape(expected[2], (-1, 1)) == np.reshape(found[2], (1, -1))
    matched = (box_math.iou(expected[0], found[0]) > 0.5) & same
    total = sum(matched.shape)
    return float(matched.any(axis=0).sum() + matched.any(axis=1).sum()) / total if total else 1.0


def append_rows(rows: Sequence[WholeTime], model: str, photo: Path, checkout: Path) -> Path:
    """Appends the rows, with date, commit and machine, to results/whole.jsonl of a checkout."""
    conditions = {**history.engine_origin(checkout, model), "photo": photo.name}
    return history.append(checkout, "whole", [{**conditions, **asdict(row)} for row in rows])
