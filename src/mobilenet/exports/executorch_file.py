"""Programs of ExecuTorch, PyTorch's runtime for phones and boards, with XNNPACK. They need the extra ``[executorch]``."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

from .exporter import Content, Exporter, ExportError, Opened, PlainFile
from .metadata import texts
from .torch_file import torch_program

if TYPE_CHECKING:
    from pathlib import Path

    from ..modelfile import ModelFile
    from ..tensors import Floats

TEXTS = "mobilenet"
"""The method of a program that returns `metadata.texts` as JSON."""


class ExecuTorchExporter(Exporter):
    """One image at a time. Outputs are known by their place: the order of the network's."""

    def write(self, content: Content, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of ExecuTorch's own calls
            path.write_bytes(lowered(content))

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "this API is experimental"
            from executorch.runtime import Runtime

        try:
            forward = Runtime.get().load_program(path).load_method("forward")
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"{path}: ExecuTorch refuses it ({error})") from error
        names = list(model.network.outputs)

        def run(image: Floats) -> dict[str, Floats]:
            found = forward.execute((torch.from_numpy(image),))
            return {name: output.numpy().copy() for name, output in zip(names, found, strict=True)}

        return PlainFile(f"executorch {version()}", "fp32", model.network, run, None)


def lowered(content: Content) -> bytes:
    """The program of a file: its method ``forward`` takes (1, 3, H, W) float32."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    constants = {TEXTS: json.dumps(texts(content))}
    edge = to_edge_transform_and_lower(
        torch_program(content, any_batch=False), partitioner=[XnnpackPartitioner()], constant_methods=constants
    )
    return bytes(edge.to_executorch().buffer)


def version() -> str:
    from importlib.metadata import version as of

    return of("executorch")
