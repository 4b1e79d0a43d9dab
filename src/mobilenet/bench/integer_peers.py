"""Files of integers that other runtimes can run, and how each runs them."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _core, modelfile
from ..engine.native import Native
from ..errors import UsageError, unknown_name
from ..exports.onnx import to_onnx
from ..exports.qdq import to_qdq
from ..modelfile import ModelFile
from ..network.grid import GridQuantization
from ..network.layers import Network
from ..runtimes.backends import Runtime, choose
from ..zoo.carriers import fetch
from ..zoo.published import find, models
from .peers import Run

if TYPE_CHECKING:
    from ..tensors import Array, Floats

RUNTIMES = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino"), "litert": ("ai_edge_litert",)}
"""Other runtimes and the packages that they need."""
SAME_SHAPES = "coral/tf2_mobilenet_v2_1.0_224_ptq"
"""The published file that LiteRT runs beside an integer model of ours, if the network is the same."""


class Subject(NamedTuple):
    """A runtime and a file that it can run."""

    engine: str
    file: str
    path: Path


def unavailable(name: str) -> str | None:
    """Why a runtime cannot take part, in one line, or None. UsageError if no runtime has this name."""
    if name not in RUNTIMES:
        raise UsageError(unknown_name("engine", name, RUNTIMES))
    missing = [package for package in RUNTIMES[name] if importlib.util.find_spec(package) is None]
    return f"{name}: {' and '.join(missing)} not installed; pip install 'mobilenet[bench]'" if missing else None


# Files ---------------------------------------------------------------------------------------------------------------


def files(
    name: str,
    integers: ModelFile,
    floats: ModelFile,
    inputs: list[Floats],
    against: Iterable[str],
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[Subject]:
    """Writes what each runtime can run to `folder`."""
    modelfile.write(integers, folder / "model.safetensors")
    yield Subject("native", "model file", folder / "model.safetensors")
    network, tensors, quantization = integers.network, integers.tensors, integers.quantization
    for engine in against:
        if engine == "litert":
            published_name = published_file(name, network)
            if published_name is None:
                say("left out litert: no integer file of this network is published")
                continue
            path = fetch(find(published_name), say).folder / find(published_name).files[0].name
            yield Subject(engine, path.name, path)
        elif not isinstance(quantization, GridQuantization):
            say(f"left out {engine}: {name} is TensorFlow's; only integers of our own become a graph")
        else:
            for title, rounded in (("QDQ", False), ("QDQ, additions rounded", True)):
                path = folder / f"{rounded}.onnx"
                path.write_bytes(to_qdq(network, tensors, quantization, round_shortcuts=rounded).SerializeToString())
                yield Subject(engine, title, path)
            if not inputs:
                say(f"left out {engine}'s own quantization: it needs --calibration IMAGES")
            elif engine == "openvino" and importlib.util.find_spec("nncf") is None:
                say("left out openvino's own quantization: nncf not installed; pip install nncf")
            else:
                graph = to_onnx(floats.network, floats.tensors).SerializeToString()
                (folder / "floats.onnx").write_bytes(graph)
                with silence():
                    path = QUANTIZERS[engine](folder / "floats.onnx", inputs)
                yield Subject(engine, "its own quantization", path)


def published_file(name: str, network: Network) -> str | None:
    """The name of the published TFLite file of a model or, for our own integers, of the same network."""
    if name in models() and find(name).files[0].name.endswith(".tflite"):
        return name
    settings = network.settings
    same = network.architecture == "mobilenet_v2" and network.task == "classification"
    return SAME_SHAPES if same and settings.width == 1.0 and network.resolution == (224, 224) else None


def quantized_by_onnxruntime(graph: Path, inputs: list[Floats]) -> Path:
    """Static quantization as its documentation recommends for x86: QDQ, a scale for each channel of the weights."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            self.left = iter(inputs)

        def get_next(self) -> dict[str, Floats] | None:
            image = next(self.left, None)
            return None if image is None else {"input": image}

    path = graph.with_name("onnxruntime.onnx")
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(str(graph), str(path), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, **types)
    return path


def quantized_by_nncf(graph: Path, inputs: list[Floats]) -> Path:
    """NNCF's quantization with its defaults."""
    import nncf
    import openvino as ov

    from ..exports.openvino_file import core

    path = graph.with_name("openvino.xml")
    model = nncf.quantize(core().read_model(str(graph)), nncf.Dataset(inputs), subset_size=len(inputs))
    ov.save_model(model, str(path), compress_to_fp16=False)
    return path


QUANTIZERS: dict[str, Callable[[Path, list[Floats]], Path]] = {
    "onnxruntime": quantized_by_onnxruntime,
    "openvino": quantized_by_nncf,
}


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """The quantizers print and log; a table or JSON is all that the command prints."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


# Running -------------------------------------------------------------------------------------------------------------


def load(engine: str, path: str, threads: int, output: str) -> Run:
    """A runtime ready to run a file. It computes all outputs and returns one: `output`, or the only one."""
    match engine:
        case "native":
            return load_native(path, threads, output)
        case "onnxruntime":
            return load_onnxruntime(path, threads, output)
        case "openvino":
            return load_openvino(path, threads, output)
        case _:
            return load_litert(path, threads)


def engine(model: ModelFile, threads: int) -> Runtime:
    """The native engine, or the reference of integers that it does not run, which has threads of its own."""
    try:
        return choose(model, "native", threads)
    except UsageError:
        return choose(model)


def load_native(path: str, threads: int, output: str) -> Run:
    model = modelfile.read(path)
    runtime = engine(model, threads)
    runtime.planned_bytes(model.network.resolution)  # plans now, as the others do when they load
    if model.network.task == "segmentation" and isinstance(runtime, Native) and runtime.scaling(output) is not None:
        return partial(classes, runtime, output)
    return lambda images: np.asarray(runtime(images)[output])


def classes(runtime: Native, output: str, images: Floats) -> Array:
    """(N, H, W) uint8: the class of every pixel. So ends the published file of a segmenter, and LiteRT gives nothing else."""
    bytes_of = runtime.in_bytes(images)[output]
    found = np.empty((len(images), *bytes_of.shape[2:]), np.uint8)
    for planes, target in zip(bytes_of, found, strict=True):
        _core.largest(planes, target)
    return found


def load_onnxruntime(path: str, threads: int, output: str) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    place = [each.name for each in session.get_outputs()].index(output)
    return lambda images: np.asarray(session.run(None, {"input": images})[place])


def load_openvino(path: str, threads: int, output: str) -> Run:
    """With its own choice of precision for what is left in floats. If oneDNN is held to older instructions, it is float32:
    OpenVINO asks the processor alone and would choose bfloat16, for which they have no kernels."""
    import openvino as ov

    from ..exports.openvino_file import core

    settings: dict[str, object] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    if os.environ.get("ONEDNN_MAX_CPU_ISA"):
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = core().compile_model(core().read_model(path), "CPU", settings)
    requests: list[Any] = []

    def run(images: Floats) -> Floats:
        if not requests:
            requests.append(compiled.create_infer_request())
        requests[0].set_input_tensor(ov.Tensor(images, shared_memory=True))
        requests[0].infer()
        return np.array(requests[0].get_tensor(output).data)

    return run


def load_litert(path: str, threads: int) -> Run:
    """LiteRT with its default kernels. Its input is made of each image once, because it reads bytes."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    (source,), result = interpreter.get_input_details(), interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    limits = np.iinfo(source["dtype"])
    last: list[Array | None] = [None, None]

    def run(images: Floats) -> Floats:
        if last[0] is not images:
            integers = np.clip(np.rint(images / scale + zero_point), limits.min, limits.max).astype(source["dtype"])
            last[:] = images, np.ascontiguousarray(integers.transpose(0, 2, 3, 1))
        interpreter.set_tensor(source["index"], last[1])
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(result["index"]))

    return run
