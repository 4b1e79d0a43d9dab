"""ncnn's two files, made of the ONNX graph by pnnx and run by ncnn. Needs the extra ``[ncnn]``."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..network.layers import Resize
from ..values import replace
from .exporter import Content, Exporter, ExportError, Opened, PlainFile
from .onnx_file import onnx_model

if TYPE_CHECKING:
    from ..modelfile import ModelFile
    from ..tensors import Floats

FILES = ("model.ncnn.param", "model.ncnn.bin")


class NcnnExporter(Exporter):
    """A folder of two files: ``in0`` is the input, ``out0`` and on are the network's outputs in their order.

    float16 is that of the weights. ncnn takes one image, without the axis of the batch.
    """

    def write(self, content: Content, path: Path) -> None:
        import pnnx

        resizes = [layer.name for layer in content.network.layers if isinstance(layer, Resize)]
        if resizes:
            raise ExportError(f"layer {resizes[0]!r}: pnnx knows no resize of ONNX with aligned corners; choose another format")
        graph = onnx_model(replace(content, precision="fp32"), batch=1)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "model.onnx").write_bytes(graph.SerializeToString())
            half = f"fp16={int(content.precision == 'fp16')}"
            command = [pnnx.EXEC_PATH, "model.onnx", half]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
            made = [Path(folder) / name for name in FILES]
            if done.returncode or not all(each.exists() for each in made):
                raise ExportError(f"pnnx failed with status {done.returncode}: {(done.stderr or done.stdout).strip()[-200:]}")
            path.mkdir()
            for each in made:
                shutil.copy(each, path / each.name)

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        import ncnn

        net = ncnn.Net()
        net.opt.num_threads = threads or 1
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(net.opt, option, False)  # computes in float32, whatever the weights are stored in
        if net.load_param(str(path / FILES[0])) or net.load_model(str(path / FILES[1])):
            raise ExportError(f"{path}: ncnn refuses it; write it again")
        network = model.network.at(model.preprocessing.size)
        shapes = network.shapes()
        sizes: list[tuple[int, ...]] = [(1, *shapes[network[name].name]) for name in network.outputs]
        if network.task == "classification":
            sizes = [size[:2] for size in sizes]

        def run(image: Floats) -> dict[str, Floats]:
            with net.create_extractor() as extractor:
                extractor.input("in0", ncnn.Mat(image[0]).clone())
                found = {}
                for number, (name, size) in enumerate(zip(network.outputs, sizes, strict=True)):
                    status, value = extractor.extract(f"out{number}")
                    if status:
                        raise ExportError(f"{path}: ncnn has no output out{number}; write it again")
                    found[name] = np.array(value, np.float32).reshape(size)
                return found

        return PlainFile(f"ncnn {ncnn.__version__}", "fp32", network, run, threads)
