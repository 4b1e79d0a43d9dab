"""Keras ``.h5`` weights, read as plain arrays. Needs the extra ``[keras]`` (h5py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**30  # bytes all tensors together; the largest published file of the family holds 25 MB


class KerasError(ValueError):
    """A file that is not readable Keras weights; the message names file, rule and remedy."""


def read_keras(path: Path) -> dict[str, NDArray[Any]]:
    """{"Conv1/kernel": array, ...} from an HDF5 file as `save_weights` or `save` of Keras 2 and 3 wrote it.

    Only arrays stored in the file itself are read: links and external storage are refused, and sizes are summed before
    anything is decompressed.
    """
    try:
        import h5py
    except ImportError as error:
        raise KerasError(f"{path}: reading Keras weights needs h5py; pip install 'mobilenet[keras]'") from error
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            found: list[tuple[str, Any]] = []
            root.visititems(lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None)
            if sum(item.size * item.dtype.itemsize for _, item in found) > LARGEST:
                raise KerasError(f"{path}: claims more than {LARGEST} bytes of weights; this is no MobileNet")
            for name, item in found:
                if item.external or item.is_virtual or item.dtype.kind != "f":
                    raise KerasError(f"{path}: {name!r} is not a plain array of floats in the file; save the weights again")
                layer, variable = name.split("/")[-2:] if "/" in name else ("", name)
                variable = variable.partition(":")[0].replace("depthwise_kernel", "kernel")  # Keras 2 and 3
                key = f"{layer}/{variable}"
                if key in arrays:
                    raise KerasError(f"{path}: two arrays are called {key!r}; save the weights again as .h5")
                arrays[key] = np.asarray(item[...])
    except (OSError, RuntimeError, KeyError, TypeError, MemoryError) as error:
        raise KerasError(f"{path}: not a readable HDF5 file ({error}); fetch it again") from error
    return arrays
