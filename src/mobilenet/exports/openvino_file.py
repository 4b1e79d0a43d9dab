"""OpenVINO's intermediate representation, made from the ONNX graph and run by OpenVINO. Needs the extra ``[openvino]``."""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING, cast

import numpy as np
import openvino as ov

from ..values import replace
from .exporter import Content, Exporter, ExportError, Opened, PlainFile, WholeFile
from .metadata import texts
from .onnx_file import onnx_model
from .onnx_whole import RESIZED

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..modelfile import ModelFile
    from ..tensors import Floats
    from .exporter import WholeAnswer

INFO = "mobilenet"
"""Where `metadata.texts` stand in the file's runtime information."""


class OpenVinoExporter(Exporter):
    """A folder of ``model.xml`` and ``model.bin``. float16 is that of the weights: the plugin chooses what it computes in."""

    def write(self, content: Content, path: Path) -> None:
        graph = onnx_model(replace(content, precision="fp32") if content.precision == "fp16" else content)
        model = core().read_model(graph.SerializeToString(), b"")
        if content.whole:
            resize_as_pillow(model, content.model.preprocessing.interpolation)
        for number, each in enumerate(model.get_ordered_ops()):  # names of OpenVINO's own count what the process has made
            if re.fullmatch(r"[A-Za-z]+_\d+", each.get_friendly_name()):
                each.set_friendly_name(f"{each.get_type_name()}_{number}")
        for key, value in texts(content).items():
            model.set_rt_info(value, [INFO, key])
        path.mkdir()
        ov.save_model(model, path / "model.xml", compress_to_fp16=content.precision == "fp16")

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": "f32"}  # else bfloat16, where the processor has AMX
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            read = core().read_model(path / "model.xml")
            compiled = core().compile_model(read, "CPU", settings)
        except RuntimeError as error:
            raise ExportError(f"{path}: OpenVINO refuses it ({error})") from error
        precision = str(read.get_rt_info([INFO, "precision"]).value) if read.has_rt_info([INFO, "precision"]) else "fp32"
        title = f"openvino {ov.__version__.partition('-')[0]}"
        names = [output.get_any_name() for output in compiled.outputs]

        def run(images: Floats) -> dict[str, Floats]:
            found = compiled(images)
            return {name: np.array(found[i]) for i, name in enumerate(names)}

        def answer(image: NDArray[np.uint8]) -> WholeAnswer:
            found = compiled({"image": image})
            return cast("WholeAnswer", {name: np.array(found[i]) for i, name in enumerate(names)})

        if compiled.inputs[0].get_any_name() == "image":
            return WholeFile(title, precision, answer)
        return PlainFile(title, precision, model.network, run, threads)


def resize_as_pillow(model: ov.Model, interpolation: str) -> None:
    """Puts OpenVINO's own form of Pillow's filters in the place of the ONNX resize, which it computes otherwise."""
    from openvino import opset11 as operations

    mode = {"bilinear": "bilinear_pillow", "bicubic": "bicubic_pillow"}.get(interpolation)
    resize = next((each for each in model.get_ordered_ops() if each.get_friendly_name() == RESIZED), None)
    if mode is None or resize is None:  # of nearest there is one form only
        return

    def numbers(*values: int) -> ov.Node:
        return operations.constant(np.array(values, np.int64))

    sides = operations.slice(resize.input_value(1), numbers(2), numbers(4), numbers(1))
    settings = {"axes": numbers(2, 3), "cube_coeff": -0.5}
    resized = operations.interpolate(resize.input_value(0), sides, mode, "sizes", **settings)
    for reader in resize.output(0).get_target_inputs():
        reader.replace_source_output(resized.output(0))


def core() -> ov.Core:
    """OpenVINO's core: one for the whole process, never freed.

    Where the processor has AMX, a core replaces the signal stack of its thread and restores the old one when it is
    freed. Two cores freed in the order they were made leave a stack that is gone; the next signal (Ctrl-C, the end of a
    child) then ends the process.
    """
    return core_of(os.getpid())  # the threads of a core do not cross a fork


@functools.cache
def core_of(process: int) -> ov.Core:
    return ov.Core()
