"""MNN's file, made of the ONNX graph by its converter and run by MNN. Needs the extra ``[mnn]``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .exporter import Content, Exporter, ExportError, Opened, PlainFile
from .onnx_file import onnx_model

if TYPE_CHECKING:
    from ..modelfile import ModelFile
    from ..tensors import Floats


class MnnExporter(Exporter):
    """Names of inputs and outputs are the network's. There is float32 alone: with the converter's float16 weights outputs of
    `coco` leave the bound."""

    def write(self, content: Content, path: Path) -> None:
        graph = onnx_model(content, batch=1)
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "model.onnx", Path(folder) / "model.mnn"
            source.write_bytes(graph.SerializeToString())
            command = [sys.executable, "-c", "from MNN.tools import mnnconvert; mnnconvert.main()", "-f", "ONNX"]
            command += ["--modelFile", str(source), "--MNNModel", str(target), "--bizCode", "mobilenet"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
            if not target.exists():
                raise ExportError(
                    f"MNN's converter failed with status {done.returncode}: {(done.stderr or done.stdout)[-200:]}"
                )
            path.write_bytes(target.read_bytes())

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        import MNN

        network = model.network.at(model.preprocessing.size)
        names, shapes = list(network.outputs), network.shapes()
        manager = MNN.nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": threads or 1},))
        module = MNN.nn.load_module_from_file(str(path), ["input"], names, runtime_manager=manager)
        planar = MNN.expr.data_format.NCHW

        def run(image: Floats) -> dict[str, Floats]:
            found = module.forward([MNN.expr.const(image, list(image.shape), planar)])
            outputs = {}
            for name, value in zip(names, found, strict=True):
                size = (1, *shapes[network[name].name])
                numbers = np.array(MNN.expr.convert(value, planar).read(), np.float32)
                outputs[name] = numbers.reshape(size[:2] if network.task == "classification" else size)
            return outputs

        return PlainFile(f"MNN {MNN.version()}", "fp32", network, run, threads)
