"""A folder for the browser: the engine's program and weights, what is known of the model, and the npm package."""

from __future__ import annotations

import base64
import json
import subprocess
import weakref
from importlib.resources import as_file, files
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from ..network.layers import output_shape
from ..tasks.results import MIN_SHOWN
from ..web.files import PACKAGE, package_files, page
from .c_file import PROGRAM, WEIGHTS
from .exporter import Content, Exporter, ExportError, Opened, PlainFile
from .weights_bytes import program_bytes, weights_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..modelfile import ModelFile
    from ..tensors import Floats

CARD, FORMAT = "model.json", 1
READY = 0x6D626E77  # what outputs.mjs says first


class WebExporter(Exporter):
    """One image size, one thread. With fp16 weights are stored in half the bytes, and computed with in float32.

    It is proved in node, by the module that node can run: outputs have the bits of the portable kernels, or with relaxed SIMD
    those of AVX2 and AVX-512.
    """

    def write(self, content: Content, path: Path) -> None:
        weights = weights_bytes(content)
        name = content.model.provenance.get("name") or path.name.removesuffix("-web")
        card = card_of(content, str(name), len(weights))
        bundle = {CARD: json.dumps(card, ensure_ascii=False).encode(), PROGRAM: program_bytes(content), WEIGHTS: weights}
        bundle |= {f"{PACKAGE}/{name}": file for name, file in package_files().items()}
        if content.page:
            bundle |= page(bundle)
        (path / PACKAGE).mkdir(parents=True)
        for name, file in bundle.items():
            (path / name).write_bytes(file)

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        network = model.network.at(model.preprocessing.size)
        shapes, node = network.shapes(), Node(path)

        def run(image: Floats) -> dict[str, Floats]:
            node.send(np.array([0, image.size], "<u4").tobytes() + image.astype("<f4").tobytes())
            outputs = {}
            for name in network.outputs:
                shape = shapes[network[name].name]
                found = np.frombuffer(node.read(4 * shape.elements), "<f4")
                outputs[name] = found.reshape(1, *output_shape(network[name], shape))
            return outputs

        return PlainFile("WebAssembly in node", "int8" if model.quantization is not None else "fp32", network, run, 1)


class Node:
    """An exported folder run by node. See ``web/outputs.mjs`` for what is sent and read.

    Raises:
        ExportError: node is not installed, or refuses the folder.
    """

    def __init__(self, folder: Path, isa: str = "") -> None:
        with as_file(files("mobilenet.web") / "outputs.mjs") as script:
            command = ["node", "--experimental-wasm-relaxed-simd", str(script), str(folder.absolute()), *([isa] if isa else [])]
            try:
                self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            except FileNotFoundError:
                raise ExportError("format web: node is not installed; it runs the file to prove it") from None
            self._end = weakref.finalize(self, ended, self.process)
            if int.from_bytes(self.read(4), "little") != READY:
                raise ExportError("format web: node does not run the engine; it must be version 18 or newer")

    def send(self, frame: bytes) -> None:
        try:
            self._pipe(self.process.stdin).write(frame)
            self._pipe(self.process.stdin).flush()
        except BrokenPipeError:
            raise self._failure() from None

    def read(self, size: int) -> bytes:
        found = self._pipe(self.process.stdout).read(size)
        if len(found) < size:
            raise self._failure()
        return found

    def predict(self, pixels: bytes, width: int, height: int) -> tuple[dict[str, object], bytes]:
        """The answer for an image of 4 bytes a pixel, and the mask's bytes of a segmenter."""
        self.send(np.array([width, height], "<u4").tobytes() + pixels)
        answer = json.loads(self.read(int.from_bytes(self.read(4), "little")))
        return answer, self.read(width * height) if answer["task"] == "segmentation" else b""

    def close(self) -> None:
        self._end()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    def _failure(self) -> ExportError:
        said = self._pipe(self.process.stderr).read().decode("utf-8", "replace").strip().split("\n")[-1]
        return ExportError(f"format web: node failed: {said}")


def ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def card_of(content: Content, name: str, weights_bytes: int) -> Mapping[str, object]:
    """What the package and the page must know beside the weights' file, as JSON types."""
    model, network = content.model, content.network
    card: dict[str, object] = {
        "format": FORMAT,
        "name": name,
        "task": network.task,
        "architecture": network.architecture,
        "precision": content.precision,
        "resolution": list(model.preprocessing.size),
        "background": model.background if network.task == "segmentation" else None,
        "threshold": MIN_SHOWN[network.task],
        "weights_bytes": weights_bytes,
        "preprocessing": model.preprocessing.to_json(),
        "provenance": dict(model.provenance),
    }
    if network.task == "detection":
        from ..tasks.detection import default_boxes
        from ..tasks.labels import Labels, classes_in_use

        assert model.decoding is not None
        boxes = default_boxes(network).astype("<f8").tobytes()
        heads = {"classes": list(network.heads.classes), "boxes": list(network.heads.boxes)}
        card |= {"decoding": model.decoding.to_json(), "heads": heads, "default_boxes": base64.b64encode(boxes).decode()}
        card["classes"] = classes_in_use(Labels(model.labels, model.label_ids))
    return card
