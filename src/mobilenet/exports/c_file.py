"""The engine's own files: a program and its weights, run without Python by the C interface (native/include/mobilenet.h)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from ..network.layers import Shape, output_shape
from .exporter import Content, Exporter, ExportError, Opened, PlainFile
from .weights_bytes import IN_PLACE, program_bytes, weights_bytes

if TYPE_CHECKING:
    from ..modelfile import ModelFile
    from ..tensors import Floats

PROGRAM, WEIGHTS = "model.program", "model.weights"


class CExporter(Exporter):
    """A folder of two files, for images of one size and one thread.

    Outputs have the engine's bits in float32 and in integers. With fp16 weights are stored in half the bytes, and computed with
    in float32. Weights to be used in place are packed for the portable kernels, which every build has.
    """

    def write(self, content: Content, path: Path) -> None:
        path.mkdir()
        (path / PROGRAM).write_bytes(program_bytes(content))
        (path / WEIGHTS).write_bytes(weights_bytes(content))

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        weights = (path / WEIGHTS).read_bytes()
        packed = int.from_bytes(weights[8:12], "little") != 0
        isa = IN_PLACE if packed else _core.isa(os.environ.get("MOBILENET_ISA", ""))
        try:
            program = _core.linked((path / PROGRAM).read_bytes(), weights, isa)
        except ValueError as error:
            raise ExportError(f"{path}: {error}") from None
        network, runner = model.network, _core.Runner(program.threads)

        def run(image: Floats) -> dict[str, Floats]:
            outputs = {}
            for name, shape in zip(network.outputs, program.outputs, strict=True):
                outputs[name] = np.empty((1, *output_shape(network[name], Shape(*shape))), np.float32)
            runner.run(program, image, list(outputs.values()))
            return outputs

        precision = "int8" if model.quantization is not None else "fp32"
        return PlainFile(f"the C interface, {isa}", precision, network, run, program.threads)
