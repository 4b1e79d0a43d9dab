"""A model by name or by path."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from .. import modelfile
from ..files import WriteError, remove_leftovers
from ..modelfile import ModelFile, ModelFileError
from .cache import Report, converted_file
from .published import Published

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".safetensors"
FOREIGN = (".pth", ".pt", ".bin", ".ckpt", ".h5", ".keras", ".tflite", ".onnx")
"""Suffixes of other libraries' weights."""


def is_file(source: str | Path) -> bool:
    """Whether `source` is a model file's path. A text is one only if it looks like one, whatever lies in the working folder:
    it ends in .safetensors, or it has a separator and is not the name of a hub's model.

    >>> is_file("imagenet"), is_file("./imagenet"), is_file("imagenet.safetensors"), is_file("hf://user/name")
    (False, True, True, False)
    """
    if is_on_hub(source):
        return False
    if not isinstance(source, str) or source.endswith((SUFFIX, *FOREIGN)):
        return True
    if os.sep not in source and (os.altsep is None or os.altsep not in source):
        return False
    from .published import models

    return source not in models() and (source.startswith((".", "~")) or os.path.isabs(source) or os.path.exists(source))


def is_on_hub(source: str | Path) -> bool:
    """Whether `source` is an address of the Hugging Face hub, ``hf://user/name``."""
    return isinstance(source, str) and source.startswith("hf://")


def load_model(source: str | Path, report: Report = lambda line: None) -> ModelFile:
    """The content of a model file, of a known model, or of one of the hub (``hf://user/name``, see `hub`): fetched, verified
    and converted on first use, then cached.

    A name always means the known model, and a file in the working folder is given as ``./file`` (see `is_file`).

    Raises:
        MobilenetError: an unknown name, a damaged file, a failed download.
    """
    if is_file(source):
        if str(source).endswith(FOREIGN) and os.path.isfile(source):
            target = f"{os.path.splitext(source)[0]}{SUFFIX}"
            raise ModelFileError(f"{source}: no model file; make one with 'mobilenet convert {source} --out {target}'")
        return modelfile.read(source)
    if is_on_hub(source):
        from .hub import load_from_hub

        return load_from_hub(str(source), report)
    from ..zoo import published

    entry = published.find(str(source))
    converted = cached_file(entry)
    if os.path.exists(converted):
        try:
            return modelfile.read(converted)
        except ModelFileError as error:
            report(f"{entry.name}: the cached model file is damaged ({error}); making it again")
    from pathlib import Path

    model = convert_published(entry, report)
    converted = cached_file(entry)  # a file without a published sha256 is pinned now
    try:
        folder = Path(converted).parent
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        modelfile.write(model, converted)
    except (OSError, WriteError) as error:  # a cache that somebody else filled, or a full disk
        reason = " ".join(str(error).split())
        warnings.warn(f"{entry.name} will be converted again next time: {reason}; or set MOBILENET_CACHE", stacklevel=2)
        return model
    return modelfile.read(converted)


def fetch(name: str) -> str:
    """The path of a known model's file in the cache; the model is fetched, verified and converted if it is not there.

    Raises:
        MobilenetError: an unknown name, a failed download, or a cache that cannot be written.
    """
    from . import published

    entry = published.find(name)
    load_model(name)
    path = cached_file(entry)
    if not os.path.exists(path):
        raise ModelFileError(f"{path}: the model could not be written there; set MOBILENET_CACHE to a folder with room")
    return path


def cached_file(entry: Published) -> str:
    from .pins import FULL, pinned

    file = entry.files[0]
    return converted_file(entry.name, file.sha256 if len(file.sha256) == FULL else pinned(entry).files[0].sha256)


def convert_published(entry: Published, report: Report) -> ModelFile:
    """Fetches a known model and converts it; the provenance says where it comes from."""
    from ..convert.convert import convert
    from ..zoo.carriers import fetch

    brought = fetch(entry, report)
    file = entry.files[0]
    provenance: dict[str, object] = {
        "name": entry.name,
        "title": entry.title,
        "licence": entry.licence,
        "official": file.url,
        "published": dict(entry.accuracy),
    }
    return convert(brought.folder / file.name, provenance=provenance, resolution=entry.resolution, resize=entry.resize).model
