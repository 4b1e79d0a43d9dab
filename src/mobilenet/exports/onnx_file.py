"""ONNX files, run by ONNX Runtime. Needs the extra ``[onnxruntime]``; writing alone needs ``[onnx]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ..network.grid import GridQuantization
from .exporter import Content, Exporter, ExportError, Opened, PlainFile, WholeFile
from .metadata import texts
from .onnx import to_onnx

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from ..modelfile import ModelFile
    from ..tensors import Floats
    from .exporter import WholeAnswer


def onnx_model(content: Content, batch: int | None = None) -> onnx.ModelProto:
    """The graph of a content, in its precision and whole if it is, with `metadata.texts`.

    A network alone reads ``input`` (N, 3, H, W) float32 and gives its outputs by name, float32; see `onnx_whole.whole` for the
    other.

    Args:
        batch: images at once, or None for any number; a whole graph takes one.

    Raises:
        ExportError: the format has no such weight or filter.
    """
    network, model, batch = content.network, content.model, 1 if content.whole else batch
    if content.precision == "int8":
        from .qdq import to_qdq

        assert isinstance(model.quantization, GridQuantization)
        made = to_qdq(network, model.tensors, model.quantization, batch=batch)
    else:
        made = to_onnx(network, model.tensors, batch=batch)
    if content.precision == "fp16":
        from .onnx_half import halved

        made = halved(made)
    if content.whole:
        from .onnx_whole import whole

        made = whole(made, model)
    for key, value in texts(content).items():
        made.metadata_props.add(key=key, value=value)
    return made


class OnnxExporter(Exporter):
    """Any number of images at once."""

    def write(self, content: Content, path: Path) -> None:
        path.write_bytes(onnx_model(content).SerializeToString(deterministic=True))

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
        precision = session.get_modelmeta().custom_metadata_map.get("precision", "fp32")
        title = f"onnxruntime {ort.__version__}"

        def run(images: Floats) -> dict[str, Floats]:
            return dict(zip(names, session.run(names, {"input": images}), strict=True))

        def answer(image: NDArray[np.uint8]) -> WholeAnswer:
            return cast("WholeAnswer", dict(zip(names, session.run(names, {"image": image}), strict=True)))

        if session.get_inputs()[0].name == "image":
            return WholeFile(title, precision, answer)
        return PlainFile(title, precision, model.network, run, threads)
