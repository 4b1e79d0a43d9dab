"""OpenVINO on the graph of `exports.onnx`. Needs the extra ``[openvino]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov

from ..errors import UsageError
from ..exports.openvino_file import core
from ..network.cost import cost
from .graphs import Graphs

if TYPE_CHECKING:
    from ..network.layers import Network, Resolution
    from ..tensors import Floats, Plain

HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


class OpenVino:
    """A network on OpenVINO, as a `backends.Runtime`. Several threads may call it at once.

    Args:
        threads: that work on one image; by default as many as OpenVINO takes.
        device: "cpu", "gpu", "gpu.1", "npu", "auto", as OpenVINO calls it, in any case.
        num_callers: how many calls it works on at once; more wait for each other.
        precision: "fp32"; or "fp16" or "bf16", in which it computes where that is faster.

    Raises:
        UsageError: OpenVINO has no such device here.
    """

    def __init__(
        self,
        network: Network,
        tensors: Mapping[str, Floats],
        threads: int | None,
        device: str = "cpu",
        num_callers: int = 1,
        precision: str = "fp32",
    ) -> None:
        self.network, self.tensors, self.threads, self.precision = network, tensors, threads, precision
        self.device, self.num_callers = device, num_callers
        self.name = "openvino" if device == "cpu" else f"openvino on {device}"
        check_device(device)
        self.graphs = Graphs(network, tensors, self.requests)
        self.graphs((1, 3, *network.resolution))  # errors come now, not with the first image

    def requests(self, graph: bytes) -> tuple[ov.CompiledModel, list[ov.InferRequest]]:
        """The compiled graph, and its idle requests: each serves one caller at a time."""
        settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": HINTS[self.precision]}
        if self.device == "cpu":
            settings["NUM_STREAMS"] = self.num_callers
            if self.threads is not None:
                settings["INFERENCE_NUM_THREADS"] = self.threads * self.num_callers
        return core().compile_model(core().read_model(graph, b""), self.device.upper(), settings), []

    def __call__(self, images: Plain) -> dict[str, Floats]:
        """(N, 3, H, W) float32 -> each output by name."""
        x = np.ascontiguousarray(images)
        compiled, idle = self.graphs(x.shape)
        try:
            request = idle.pop()  # append and pop are atomic
        except IndexError:
            request = compiled.create_infer_request()
        request.set_input_tensor(ov.Tensor(x, shared_memory=True))
        request.infer()
        outputs = {name: np.array(request.get_tensor(name).data) for name in self.network.outputs}
        idle.append(request)
        return outputs

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image, layer by layer: what OpenVINO plans is not known."""
        return cost(self.network, resolution).layerwise_bytes

    def __reduce__(self) -> tuple[object, ...]:
        return OpenVino, (self.network, self.tensors, self.threads, self.device, self.num_callers, self.precision)


def check_device(device: str) -> None:
    known = [*core().available_devices, "AUTO"]
    if device.upper() not in known:
        names = ", ".join(name.lower() for name in known)
        raise UsageError(f"device {device!r}: OpenVINO sees {names} here; choose one of them, or leave the device out")
