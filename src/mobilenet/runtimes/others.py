"""The runtimes of other libraries: which there are, what each needs, and how one is made.

To add one, write its module (see ``docs/how-to/runtime.md``), a row of `OTHERS` and a case of `make`, which imports the module.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from ..network.layers import Network
    from ..tensors import Floats
    from .backends import Runtime


class Other(NamedTuple):
    """A row: the packages that a runtime needs, and the extra of mobilenet that brings them."""

    packages: tuple[str, ...]
    extra: str


OTHERS = {
    "onnxruntime": Other(("onnx", "onnxruntime"), "onnxruntime"),
    "openvino": Other(("onnx", "openvino"), "openvino"),
    "torch": Other(("torch",), "train"),
}


def make(
    name: str,
    network: Network,
    tensors: Mapping[str, Floats],
    threads: int | None = None,
    device: str | None = None,
    num_callers: int = 1,
) -> Runtime:
    """The runtime `name` for a network with float32 tensors.

    Args:
        threads: that work on one image; None leaves it to the library.
        device: "cpu", or another that the library knows, such as "cuda" or "cuda:1"; by default the processor.
        num_callers: how many threads will call it at once, which only OpenVINO has to know.

    Raises:
        UsageError: a package is missing, or the library has no such device.
    """
    if reason := missing(name):
        raise UsageError(f"backend {reason}")
    where = device or "cpu"
    match name:
        case "onnxruntime":
            from .onnx_runtime import OnnxRuntime

            return OnnxRuntime(network, tensors, threads, where)
        case "openvino":
            from .openvino_runtime import OpenVino

            return OpenVino(network, tensors, threads, where, num_callers)
        case _:
            from ..nn.runtime import TorchRuntime

            return TorchRuntime(network, tensors, threads, where)


def missing(name: str) -> str | None:
    """What a runtime lacks and how to get it, in one line, or None."""
    lacking = [package for package in OTHERS[name].packages if importlib.util.find_spec(package) is None]
    if not lacking:
        return None
    return f"{name}: {' and '.join(lacking)} not installed; pip install 'mobilenet[{OTHERS[name].extra}]'"


def with_extras() -> str:
    """All names, each with the extra that it needs and whether that is there."""
    rows = OTHERS.items()
    return ", ".join(f"{name} (extra [{row.extra}], {'not ' if missing(name) else ''}installed)" for name, row in rows)
