"""Programs of ``torch.export``, run by torch. Needs the extra ``[train]``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .exporter import Content, Exporter, ExportError, Opened, PlainFile
from .metadata import texts

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ..modelfile import ModelFile
    from ..tensors import Floats

INFO = "mobilenet.json"
"""The extra file with `metadata.texts` in the archive."""


def torch_program(content: Content, any_batch: bool = True) -> torch.export.ExportedProgram:
    """A program from (N, 3, H, W) float32 to the network's outputs by name; N is free, or 1."""
    import torch

    from ..nn.network import module

    network = content.network
    net = module(network)
    net.load_arrays(content.model.tensors)
    example = torch.zeros(2 if any_batch else 1, 3, *network.resolution)
    shapes = ({0: torch.export.Dim("batch", min=1, max=4096)},) if any_batch else None
    return torch.export.export(net.eval().taps(*network.outputs), (example,), dynamic_shapes=shapes)


class TorchExporter(Exporter):
    """Any number of images at once."""

    def write(self, content: Content, path: Path) -> None:
        import torch

        torch.export.save(torch_program(content), path, extra_files={INFO: json.dumps(texts(content))})

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        import torch

        try:
            program = torch.export.load(path).module()
        except (RuntimeError, ValueError, OSError) as error:
            raise ExportError(f"{path}: torch.export refuses it ({error})") from error

        def run(images: Floats) -> dict[str, Floats]:
            with torch.inference_mode():
                found: dict[str, torch.Tensor] = program(torch.from_numpy(images))
            return {name: output.numpy() for name, output in found.items()}

        return PlainFile(f"torch {torch.__version__}", "fp32", model.network, run, None)
