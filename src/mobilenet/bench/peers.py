"""The runtimes that a benchmark compares: how each loads a network, and why one cannot take part.

Every runtime is called with the same (1, 3, H, W) float32 array and returns an array, so conversions count alike; of several
outputs the first counts. Other runtimes get the ONNX graph of `export.onnx`, PyTorch the twin of `nn`. To add one, write its
loader and a row of `RUNTIMES`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import UsageError, unknown_name
from ..network.layers import Network

if TYPE_CHECKING:
    from ..tensors import Floats

Run = Callable[["Floats"], "Floats"]
"""(1, 3, H, W) float32 to the first output."""

Load = Callable[[Network, Mapping[str, "Floats"], int], Run]
"""A network, its tensors and a number of threads to a `Run`."""


def load_native(network: Network, tensors: Mapping[str, Floats], threads: int) -> Run:
    from ..engine import backends

    runtime = backends.native(network, tensors, threads)
    runtime.planned_bytes(network.resolution)  # plans now, as the others do when they load
    return lambda images: np.asarray(next(iter(runtime(images).values())))


def load_onnxruntime(network: Network, tensors: Mapping[str, Floats], threads: int) -> Run:
    import onnxruntime as ort

    from ..export.onnx import to_onnx

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = to_onnx(network, tensors).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"input": images})[0])


def load_openvino(network: Network, tensors: Mapping[str, Floats], threads: int) -> Run:
    import openvino as ov

    from ..export.onnx import to_onnx

    core = ov.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(to_onnx(network, tensors).SerializeToString(), b""), "CPU", settings)
    requests: list[ov.InferRequest] = []

    def run(images: Floats) -> Floats:
        if not requests:
            requests.append(compiled.create_infer_request())
        requests[0].set_input_tensor(ov.Tensor(images, shared_memory=True))
        requests[0].infer()
        return np.array(requests[0].get_output_tensor(0).data)

    return run


def load_torch(network: Network, tensors: Mapping[str, Floats], threads: int) -> Run:
    import torch

    from ..nn.network import module

    torch.set_num_threads(threads)
    net = module(network)
    net.load_arrays(tensors)
    net.eval()

    def run(images: Floats) -> Floats:
        with torch.inference_mode():
            outputs = net(torch.from_numpy(images))
        return np.asarray((next(iter(outputs.values())) if isinstance(outputs, dict) else outputs).numpy())

    return run


class Peer(NamedTuple):
    """A runtime: its loader, the packages that it needs, the extra of mobilenet that brings them."""

    load: Load
    packages: tuple[str, ...] = ()
    extra: str = "bench"


RUNTIMES = {
    "native": Peer(load_native),
    "onnxruntime": Peer(load_onnxruntime, ("onnx", "onnxruntime")),
    "openvino": Peer(load_openvino, ("onnx", "openvino")),
    "torch": Peer(load_torch, ("torch",), "train"),
}
PEERS = [name for name in RUNTIMES if name != "native"]
UNABLE = {
    "ncnn": "it reads its own format only, and the converter from ONNX is a program that its package does not bring",
    "litert": "it reads .tflite only, which nothing here writes",
}


def unavailable(name: str) -> str | None:
    """Why a runtime cannot take part, in one line, or None.

    Raises:
        UsageError: no runtime has this name; names the nearest.
    """
    if name in UNABLE:
        return f"{name}: {UNABLE[name]}"
    if name not in RUNTIMES:
        raise UsageError(unknown_name("engine", name, (*RUNTIMES, *UNABLE)))
    if name == "native" and importlib.util.find_spec("mobilenet._core") is None:
        return "native: the core was not built; install a C++20 compiler, then reinstall mobilenet"
    peer = RUNTIMES[name]
    missing = [package for package in peer.packages if importlib.util.find_spec(package) is None]
    return f"{name}: {' and '.join(missing)} not installed; pip install 'mobilenet[{peer.extra}]'" if missing else None
