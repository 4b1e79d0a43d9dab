"""Keras ``.h5`` weights, read as plain arrays. Needs the extra ``[keras]`` (h5py).

Only arrays that lie in the file itself are read: no link is followed, and arrays that are compressed, chunked, virtual or
stored in another file are refused, as Keras writes none of them. So all arrays together take at most `MAX_COPIES` times the
file's size and `SPARE` bytes, which is checked before the first one is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import MobilenetError
from ...limits import check_limit

if TYPE_CHECKING:
    import h5py

MAX_COPIES = 2  # times the file's size that all arrays take; honest files stay below 1
SPARE = 2**20  # bytes beside that, for small files
MAX_OBJECTS = 10_000  # groups and arrays; the family's largest file has under 1,000
MAX_DEPTH = 16  # of groups in groups; Keras 3 takes 5


class KerasError(MobilenetError):
    """A file is not readable Keras weights; the message names file, rule and remedy."""


def read_keras(path: Path) -> dict[str, NDArray[np.generic]]:
    """{"Conv1/kernel": array, ...} from an HDF5 file that `save_weights` or `save` of Keras 2 or 3 wrote.

    Raises:
        KerasError: the file is no such file, or h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise KerasError(f"{path}: reading Keras weights needs h5py; pip install 'mobilenet[keras]'") from error
    try:
        budget = MAX_COPIES * path.stat().st_size + SPARE
        with h5py.File(path, "r") as file:
            return arrays(file, path, budget)
    except KerasError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, MemoryError, OverflowError) as error:
        fault = " ".join(str(error).split())
        raise KerasError(f"{path}: not a readable HDF5 file ({fault:.200}); fetch it again") from error


def arrays(file: h5py.File, path: Path, budget: int) -> dict[str, NDArray[np.generic]]:
    datasets = dict(stored(file, path))
    size = sum(item.size * item.dtype.itemsize for item in datasets.values())
    check_limit("max_tensor_bytes", size, f"{path}, bytes of weights", KerasError)
    if size > budget:
        raise KerasError(f"{path}: claims more than {budget} bytes of weights, far more than the file holds; fetch it again")
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, item in datasets.items():
        if item.external or item.is_virtual or item.chunks is not None or item.dtype.kind != "f":
            raise KerasError(f"{path}: {name!r:.80} is not a plain array of floats in the file; save the weights again")
        layer, variable = name.split("/")[-2:] if "/" in name else ("", name)
        variable = variable.partition(":")[0].replace("depthwise_kernel", "kernel")  # Keras 2 and 3
        key = f"{layer}/{variable}"
        if key in tensors:
            raise KerasError(f"{path}: two arrays are called {key!r:.80}; save the weights again as .h5")
        tensors[key] = np.asarray(item[...])
    return tensors


def stored(file: h5py.File, path: Path) -> Iterator[tuple[str, h5py.Dataset]]:
    """The arrays under ``model_weights``, or of the whole file, by name; links are passed over."""
    import h5py

    root = "model_weights"
    if root in file and not (isinstance(file.get(root, getlink=True), h5py.HardLink) and isinstance(file[root], h5py.Group)):
        raise KerasError(f"{path}: its {root} is no group of its own; save the weights again")
    groups = [("", 0, file.get(root, file))]
    objects = 0
    while groups:
        prefix, depth, group = groups.pop()
        for name in group:
            objects += 1
            if objects > MAX_OBJECTS or depth > MAX_DEPTH:
                raise KerasError(f"{path}: has over {MAX_OBJECTS} objects or groups {MAX_DEPTH} deep; this is no MobileNet")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append((f"{prefix}{name}/", depth + 1, item))
            elif isinstance(item, h5py.Dataset):
                yield f"{prefix}{name}", item
