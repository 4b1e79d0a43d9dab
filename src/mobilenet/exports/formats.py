"""The formats that a model can be exported to: a closed set, one value for each.

To add one, write its module (see ``docs/how-to/export.md``), its value in `FORMATS` and a case of `exporter`, which imports the
module.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import UsageError, assert_never, unknown_name
from ..values import Value

if TYPE_CHECKING:
    from .exporter import Exporter

FormatName = Literal["onnx", "openvino", "torch", "executorch", "litert", "coreml", "ncnn", "mnn", "c", "web"]
Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class Format(Value):
    """A format, without any of its packages imported.

    Attributes:
        suffix: what a default name ends in, of a file or of a folder.
        parts: the files of a format that is a folder; empty for a single file.
        packages: what writing needs, by the names they are imported with.
        runtime: what running needs beside them.
        extra: of mobilenet, that brings both.
        precisions: of weights and arithmetic.
        whole: whether preprocessing and decoding can be inside.
        systems: names of `sys.platform` on which its runtime exists; empty for all.
        winograd: whether its runtime may compute 3x3 convolutions by Winograd's algorithm, which loses a digit.
        programs: on PATH that running needs.
        page: whether a page that shows the model at work can be beside it.
        in_place: whether integer weights can be used where they lie.
        published_integers: whether it takes the integers of TensorFlow's models beside our own.
    """

    name: FormatName
    title: str
    suffix: str
    packages: tuple[str, ...]
    runtime: tuple[str, ...]
    extra: str
    precisions: tuple[Precision, ...] = ("fp32",)
    whole: bool = False
    parts: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    page: bool = False
    winograd: bool = False
    published_integers: bool = False
    in_place: bool = False

    def missing(self, packages: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the packages that are not installed."""
        return tuple(package for package in packages if importlib.util.find_spec(package) is None)


PAGE = (
    "answers.js", "camera.js", "cat.jpg", "coffee.jpg", "drawing.js", "icon.svg", "index.html", "main.js", "offline.js",
    "palette.json", "rocket.jpg", "style.css",
)  # fmt: skip
"""The files of the page that an export for the browser may hold."""

FORMATS: dict[FormatName, Format] = {
    each.name: each
    for each in (
        Format(
            "onnx", "ONNX", ".onnx", ("onnx",), ("onnxruntime",), "onnxruntime",
            precisions=("fp32", "fp16", "int8"), whole=True, winograd=True,
        ),
        Format(
            "litert", "LiteRT", ".tflite", ("flatbuffers",), ("ai_edge_litert",), "litert",
            precisions=("fp32", "fp16", "int8"), whole=True, winograd=True, published_integers=True,
        ),
        Format(
            "openvino", "OpenVINO", "-openvino", ("onnx", "openvino"), (), "openvino",
            precisions=("fp32", "fp16", "int8"), whole=True, winograd=True, parts=("model.xml", "model.bin"),
        ),
        Format(
            "ncnn", "ncnn", "-ncnn", ("onnx", "pnnx"), ("ncnn",), "ncnn",
            precisions=("fp32", "fp16"), winograd=True, parts=("model.ncnn.param", "model.ncnn.bin"),
        ),
        Format("mnn", "MNN", ".mnn", ("onnx", "MNN"), (), "mnn", winograd=True),
        Format("torch", "torch.export", ".pt2", ("torch",), (), "train", winograd=True),
        Format("executorch", "ExecuTorch", ".pte", ("torch", "executorch"), (), "executorch"),
        Format(
            "coreml", "Core ML", ".mlpackage", ("coremltools",), ("coremltools",), "coreml",
            precisions=("fp32", "fp16", "int8"), whole=True, parts=("Manifest.json", "Data"), systems=("darwin",),
            winograd=True, published_integers=True,
        ),
        Format(
            "c", "the C interface", "-c", (), (), "",
            precisions=("fp32", "fp16", "int8"), parts=("model.program", "model.weights"), published_integers=True,
            in_place=True,
        ),
        Format(
            "web", "the browser", "-web", (), (), "", precisions=("fp32", "fp16", "int8"), published_integers=True,
            parts=("model.json", "model.program", "model.weights", "mobilenet", *PAGE), programs=("node",), page=True,
        ),
    )
}  # fmt: skip
"""Every format that can be written, by name."""


def format_of(name: str) -> Format:
    """The format of a name. Raises UsageError, with the nearest names, if there is none."""
    for each in FORMATS.values():
        if each.name == name:
            return each
    raise UsageError(unknown_name("format", name, FORMATS))


def format_of_file(path: str) -> Format | None:
    """The format of an exported file by the end of its name, or None."""
    return next((each for each in FORMATS.values() if path.rstrip("/\\").endswith(each.suffix)), None)


def exporter(kind: Format) -> Exporter:
    """What writes and runs a format. Raises UsageError if a package that writing needs is not installed."""
    if lacking := kind.missing(kind.packages):
        raise UsageError(f"format {kind.name}: {' and '.join(lacking)} not installed; pip install 'mobilenet[{kind.extra}]'")
    match kind.name:
        case "onnx":
            from .onnx_file import OnnxExporter

            return OnnxExporter()
        case "litert":
            from .litert_file import LiteRTExporter

            return LiteRTExporter()
        case "openvino":
            from .openvino_file import OpenVinoExporter

            return OpenVinoExporter()
        case "ncnn":
            from .ncnn_file import NcnnExporter

            return NcnnExporter()
        case "mnn":
            from .mnn_file import MnnExporter

            return MnnExporter()
        case "torch":
            from .torch_file import TorchExporter

            return TorchExporter()
        case "executorch":
            from .executorch_file import ExecuTorchExporter

            return ExecuTorchExporter()
        case "coreml":
            from .coreml_file import CoreMLExporter

            return CoreMLExporter()
        case "c":
            from .c_file import CExporter

            return CExporter()
        case "web":
            from .web_file import WebExporter

            return WebExporter()
        case _:
            assert_never(kind.name)
