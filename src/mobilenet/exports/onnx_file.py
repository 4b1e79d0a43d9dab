"""ONNX files, run by ONNX Runtime. Needs the extra ``[onnxruntime]``; writing alone needs ``[onnx]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .exporter import Content, Exporter, ExportError, Opened, PlainFile
from .metadata import texts
from .onnx import to_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from ..modelfile import ModelFile
    from ..tensors import Floats


class OnnxExporter(Exporter):
    """Float32 in and out, ``input`` and the network's outputs by name, any number of images at once."""

    def write(self, content: Content, path: Path) -> None:
        model = to_onnx(content.network, content.model.tensors, batch=None)
        for key, value in texts(content.model).items():
            model.metadata_props.add(key=key, value=value)
        path.write_bytes(model.SerializeToString(deterministic=True))

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.inter_op_num_threads, options.log_severity_level = 1, 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # classes of its own, each derived from Exception
            raise ExportError(f"{path}: ONNX Runtime refuses it ({error})") from error
        names = [output.name for output in session.get_outputs()]

        def run(images: Floats) -> dict[str, Floats]:
            return dict(zip(names, session.run(names, {"input": images}), strict=True))

        return PlainFile(f"onnxruntime {ort.__version__}", "fp32", model.network, run, threads)
