"""The checkpoint of a training as a model, without torch: the network as it was, with the labels and all that a model needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from ..modelfile import ModelFile, ModelFileError, model_of
from ..tensors import Tensors, plain
from ..values import replace
from .readers.pth import read_pth

MAGIC = b"mobilenet checkpoint 1\n"
"""How a checkpoint begins; the sha256 of what `torch.save` wrote follows, then that."""
LENGTH = len(MAGIC) + 32
RESULT, HEADER = "result", "header"
"""The entry that a model can be made of, and in it, as bytes of JSON, what a model file says beside its tensors."""


def read_checkpoint(path: Path) -> ModelFile:
    """The model in a checkpoint: the average of the weights if the run keeps one, not scored.

    Raises ModelFileError if the file is damaged or holds no model.
    """
    content = path.read_bytes()
    if hashlib.sha256(content[LENGTH:]).digest() != content[len(MAGIC) : LENGTH]:
        raise ModelFileError(f"{path}: is damaged or cut short; take model.safetensors or last.safetensors of the run")
    if RESULT.encode() not in content[LENGTH:]:
        raise ModelFileError(
            f"{path}: holds no float model, being of an earlier version or of a run that trains integers; "
            "take model.safetensors or last.safetensors of the run"
        )
    arrays = read_pth(path, RESULT, LENGTH)
    header = json.loads(arrays.pop(HEADER).tobytes())
    metadata: Mapping[str, str] = header["metadata"]
    model = model_of(path, Tensors(plain(arrays)), metadata)
    return replace(model, provenance={**model.provenance, "step": header["step"]})
