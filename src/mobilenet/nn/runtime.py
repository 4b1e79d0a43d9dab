"""torch as a runtime, on the processor or another device. Needs the extra ``[train]``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import UsageError
from ..network.cost import cost
from .network import module

if TYPE_CHECKING:
    from ..modelfile import ModelFile
    from ..network.layers import Network, Resolution
    from ..tensors import Floats, Plain


class TorchRuntime:
    """A network on torch's kernels, as a `runtimes.backends.Runtime`.

    Args:
        threads: of torch on the processor, for all of the process; None leaves them as they are. A forked child has one.
        device: as `torch.device` takes it: "cpu", "cuda", "cuda:1", "mps", "xpu".

    Raises:
        UsageError: torch has no such device here.
    """

    precision = "fp32"

    def __init__(
        self, network: Network, tensors: Mapping[str, Floats], threads: int | None = None, device: str = "cpu"
    ) -> None:
        self.network, self.tensors, self.threads = network, tensors, threads
        self.device = checked_device(device)
        self.name = "torch" if self.device.type == "cpu" else f"torch on {self.device}"
        if threads is not None:
            torch.set_num_threads(threads)
        net = module(network)
        net.load_arrays(tensors)
        self.process = os.getpid()
        self.net = net.eval().taps(*network.outputs).to(self.device)

    def __call__(self, images: Plain) -> dict[str, NDArray[np.float32]]:
        """(N, 3, H, W) float32 -> each output by name."""
        if self.process != os.getpid():  # a forked child, which would wait forever for the threads of its parent
            torch.set_num_threads(1)
            self.process, self.threads = os.getpid(), 1
        x = torch.from_numpy(np.asarray(images))
        exact: AbstractContextManager[None] = nullcontext()
        if self.device.type == "cuda":  # whose convolutions would otherwise round their inputs to 10 bits
            exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            return {name: value.cpu().numpy() for name, value in self.net(x.to(self.device)).items()}

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image, layer by layer: torch plans nothing."""
        return cost(self.network, resolution).layerwise_bytes

    def __reduce__(self) -> tuple[object, ...]:
        return TorchRuntime, (self.network, self.tensors, self.threads, str(self.device))


def checked_device(name: str) -> torch.device:
    """The device of that name. Raises UsageError if torch does not know it or cannot use it here."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # its own types differ by device
        usable = ["cpu", *(kind for kind in ("cuda", "mps", "xpu") if getattr(torch, kind).is_available())]
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise UsageError(
            f"device {name!r}: torch {torch.__version__} cannot use it here ({reason}); choose {' or '.join(usable)}, or leave "
            "the device out"
        ) from None
    return device


def executor(model: ModelFile) -> TorchRuntime:
    """A model's torch runtime, for ``mobilenet.load(model, mobilenet.nn.executor)``; a quantized model runs in float32."""
    return TorchRuntime(model.network, model.dequantized().tensors)
