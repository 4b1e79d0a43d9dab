"""ONNX Runtime on the graph of `exports.onnx`. Needs the extra ``[onnxruntime]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from ..errors import UsageError
from ..network.cost import cost
from .graphs import Graphs

if TYPE_CHECKING:
    from ..network.layers import Network, Resolution
    from ..tensors import Floats, Plain

WITHOUT_TF32 = {"CUDAExecutionProvider": {"use_tf32": "0"}}
"""Options that a provider needs to compute in float32 throughout."""


class OnnxRuntime:
    """A network on ONNX Runtime, as a `backends.Runtime`. Several threads may call it at once.

    Args:
        threads: that work on one image; by default as many as ONNX Runtime takes.
        device: "cpu", "cuda", "cuda:1", or any other of which this build of ONNX Runtime has the execution provider ("coreml",
            "dml", "rocm", ...).

    Raises:
        UsageError: it has none for the device, or the provider does not start.
    """

    precision = "fp32"

    def __init__(self, network: Network, tensors: Mapping[str, Floats], threads: int | None, device: str = "cpu") -> None:
        self.network, self.tensors, self.threads, self.device = network, tensors, threads, device
        self.name = "onnxruntime" if device == "cpu" else f"onnxruntime on {device}"
        self.provider, self.options = provider_of(device)
        self.graphs = Graphs(network, tensors, self.session)
        self.graphs((1, 3, *network.resolution))  # errors come now, not with the first image

    def session(self, graph: bytes) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors alone: they are raised, and warnings are for whoever wrote the graph
        if self.threads is not None:
            options.intra_op_num_threads = self.threads
        session = ort.InferenceSession(graph, options, providers=[(self.provider, self.options)])
        if session.get_providers()[0] != self.provider:  # it falls back to the processor by itself
            raise UsageError(
                f"device {self.device!r}: ONNX Runtime's {self.provider} does not start here; check its driver, or leave the "
                "device out"
            )
        return session

    def __call__(self, images: Plain) -> dict[str, Floats]:
        """(N, 3, H, W) float32 -> each output by name."""
        x = np.ascontiguousarray(images)
        names = list(self.network.outputs)
        return dict(zip(names, self.graphs(x.shape).run(names, {"input": x}), strict=True))

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image, layer by layer: what ONNX Runtime plans is not known."""
        return cost(self.network, resolution).layerwise_bytes

    def __reduce__(self) -> tuple[object, ...]:
        return OnnxRuntime, (self.network, self.tensors, self.threads, self.device)


def provider_of(device: str) -> tuple[str, dict[str, str]]:
    """The execution provider for a device, and its options. Raises UsageError if this build has none."""
    kind, _, number = device.partition(":")
    known = {name.lower(): name for name in ort.get_available_providers()}
    provider = known.get(f"{kind.lower()}executionprovider")
    if provider is None or (number and not number.isdecimal()):
        names = ", ".join(name.removesuffix("executionprovider") for name in known)
        raise UsageError(
            f"device {device!r}: this build of ONNX Runtime has {names}; install the one for your device (onnxruntime-gpu for "
            "cuda), or leave the device out"
        )
    return provider, {**WITHOUT_TF32.get(provider, {}), **({"device_id": number} if number else {})}
