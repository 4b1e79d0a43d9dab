"""One file for a model: safetensors, with everything needed to run it as JSON in the metadata.

Tensors carry the canonical names of `Network.tensors`, float32. Metadata keys: ``mobilenet`` (the format's version),
``network``, ``labels``, ``label_ids``, ``background``, ``preprocessing``, ``provenance``, ``metrics``, and of a detector
``decoding``. Training writes it, the runtime reads it: there is no export step between the two.

A quantised model has the key ``quantization`` too (`Quantization.to_json`): its weights are int8 or uint8, its biases int32,
and beside each ``x.weight`` stands ``x.weight.scale``, float32, one number or one for each output channel.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import IO, TYPE_CHECKING, Any

from .files import write_atomically
from .images.preprocessing import WHOLE_IMAGE_FITS, Preprocessing
from .network import catalogue
from .network.layers import Network
from .tasks.results import VOID
from .tensors import FORMATS, Tensors, bounds, kind, plain
from .values import Value

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .network.quantization import Quantization
    from .tasks.detection import Decoding

FORMAT = "1"
"""The version of model files."""
LARGEST_HEADER = 16 * 2**20  # bytes; ours are tens of kilobytes
SCALE = ".scale"
SAFETENSORS = {"float32": "F32", "int32": "I32", "int8": "I8", "uint8": "U8"}
CODES = {SAFETENSORS[name]: code for name, code in FORMATS.items()}


class ModelFileError(ValueError):
    """A model file, or what should become one, is not as it must be; the message names file, value, rule and remedy."""


class ModelFile(Value):
    """A model: network, tensors and how to feed and read it.

    Attributes:
        network: the value, with its own resolution.
        tensors: every parameter and running statistic by canonical name; float32, or the integers of a quantised model.
            Those of a file are its own memory, seen as an array when one is asked for (`tensors.Tensors`).
        labels: name of each class, in the order of the outputs (a detector's without its background slot); none for a
            backbone without a head.
        label_ids: an identifier for each label (ImageNet's WordNet ids), or empty.
        background: index of the label that means "nothing known" (TensorFlow's 0 of 1001, VOC's 0), or None.
        preprocessing: how a picture becomes the input.
        provenance: source, licence, sha256, recipe: whatever says where the model comes from. JSON.
        metrics: measured results by name, fractions. JSON.
        decoding: how a detector's outputs are read; None for every other network.
        quantization: scales and zero points of a quantised model, or None.
    """

    network: Network
    tensors: Mapping[str, NDArray[Any]] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    preprocessing: Preprocessing
    label_ids: tuple[str, ...] = field(default=(), repr=False)
    background: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    decoding: Decoding | None = None
    quantization: Quantization | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_tensors(self.network, self.tensors, "model", self.quantization)
        classes = self.network.settings["classes"] or 0
        task = self.network.task
        head = "classifier" if task == "classification" else f"{task} head"
        if len(self.labels) != classes:
            raise ModelFileError(f"{len(self.labels)} labels for a {head} of {classes} outputs; they must be as many")
        if self.label_ids and len(self.label_ids) != classes:
            raise ModelFileError(f"{len(self.label_ids)} label ids for {classes} outputs; give one for each, or none")
        if self.background is not None and not 0 <= self.background < classes:
            raise ModelFileError(f"background class {self.background}: must be an index below {classes}, or None")
        if (self.decoding is not None) != (task == "detection"):
            given = "no decoding" if self.decoding is None else "a decoding"
            raise ModelFileError(f"{given} for {task}: a detector needs one, and nothing else has one")
        if task in ("detection", "segmentation") and self.preprocessing.fit not in WHOLE_IMAGE_FITS:
            raise ModelFileError(
                f"preprocessing fit {self.preprocessing.fit!r} for {task}: the network must see the whole picture; "
                f"choose {' or '.join(WHOLE_IMAGE_FITS)}"
            )
        if task == "detection" and self.preprocessing.size != self.network.resolution:
            expected, maps = (self.network.shapes(size) for size in (self.network.resolution, self.preprocessing.size))
            if any(expected[name] != maps[name] for name in self.network.outputs):
                raise ModelFileError(
                    f"preprocessing size {self.preprocessing.size} for a detector of resolution {self.network.resolution}: its "
                    "maps would not be those of its default boxes; make them equal"
                )
        if task == "segmentation" and classes > VOID:
            raise ModelFileError(f"{classes} classes for a mask of 8 bits, where {VOID} means void; there can be {VOID}")

    def dequantized(self) -> ModelFile:
        """The same model with float32 weights; of a quantised one what its integers stand for, each rounded once."""
        if self.quantization is None:
            return self
        from .network.quantization import dequantized

        return replace(self, tensors=dequantized(self.network, self.quantization, self.tensors), quantization=None)


def check_tensors(
    network: Network, tensors: Mapping[str, NDArray[Any]], source: str, quantization: Quantization | None = None
) -> None:
    """Every tensor the network names and no other, in its shape and type, finite; else ModelFileError names the tensor."""
    expected, found = network.tensors(), plain(tensors)
    if missing := [name for name in expected if name not in found]:
        raise ModelFileError(f"{source}: no tensor {listed(missing)}, which {network.architecture} needs")
    if extra := [name for name in found if name not in expected]:
        raise ModelFileError(f"{source}: tensor {listed(extra)} has no place in {network.architecture}")
    for name, shape in expected.items():
        tensor = found[name]
        if tensor.shape != shape:
            raise ModelFileError(f"{source}: tensor {name!r} is {tensor.shape}, must be {shape}")
        wanted = "float32" if quantization is None else "int32" if name.endswith(".bias") else quantization.dtype
        if kind(tensor) != wanted:
            raise ModelFileError(f"{source}: tensor {name!r} is {kind(tensor)}, must be {wanted}")
        if wanted != "float32":
            continue
        least, largest = bounds(tensor)
        if not (math.isfinite(least) and math.isfinite(largest)):
            raise ModelFileError(f"{source}: tensor {name!r} holds NaN or infinity; the file is damaged or training diverged")
        if name.endswith("running_var") and least < 0:
            raise ModelFileError(f"{source}: tensor {name!r} holds a negative variance; the file is damaged")
    if quantization is not None:
        from .network.quantization import QuantizationError

        try:
            quantization.check(network, tensors)
        except QuantizationError as error:
            raise ModelFileError(f"{source}: {error}") from error


def listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(repr(name) for name in names[:3]) + more


def write(model: ModelFile, path: str | Path) -> None:
    """Writes `model`, whole or not at all: a kill or a full disk in mid-write leaves the old file as it was.

    Raises ModelFileError where the folder is missing, not writable or full.
    """
    metadata = {
        "mobilenet": FORMAT,
        "network": json.dumps(model.network.description),
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "label_ids": json.dumps(model.label_ids),
        "background": json.dumps(model.background),
        "preprocessing": json.dumps(model.preprocessing.to_json()),
        "provenance": json.dumps(model.provenance, ensure_ascii=False),
        "metrics": json.dumps(model.metrics),
    }
    if model.decoding is not None:
        metadata["decoding"] = json.dumps(model.decoding.to_json())
    tensors, order = dict(model.tensors), list(model.network.tensors())
    if model.quantization is not None:
        metadata["quantization"] = json.dumps(model.quantization.to_json())
        scales = {name + SCALE: model.quantization.scales[name] for name in order if name in model.quantization.scales}
        tensors = {**tensors, **scales}
        order = sorted([*order, *scales], key=lambda name: tensors[name].itemsize, reverse=True)  # so that all are aligned
    write_atomically(path, serialised(tensors, metadata, order))


def serialised(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str], order: list[str]) -> bytes:
    """The bytes of a safetensors file. Unlike the library's own writer, equal content gives equal bytes."""
    header: dict[str, Any] = {"__metadata__": metadata}
    start = 0
    for name in order:
        end = start + tensors[name].nbytes
        kind = SAFETENSORS[tensors[name].dtype.name]
        header[name] = {"dtype": kind, "shape": tensors[name].shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data is aligned
    return b"".join([len(text).to_bytes(8, "little"), text, *(little(tensors[name]).tobytes() for name in order)])


def little(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("<"))


def read(path: str | Path) -> ModelFile:
    """The model in `path`. Raises ModelFileError for anything that is not a whole, sane model file."""
    tensors, metadata = read_safetensors(path)
    if metadata.get("mobilenet") != FORMAT:
        found = metadata.get("mobilenet")
        what = "has no mobilenet metadata" if found is None else f"is of format {found!r:.40}, this version reads {FORMAT!r}"
        raise ModelFileError(f"{path}: {what}; make a model file from weights with 'mobilenet convert {path} --out FILE'")

    def entry(key: str, parse: Callable[[Any], Any]) -> Any:
        try:
            return parse(json.loads(metadata[key]))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
            reason = "is missing" if isinstance(error, KeyError) else f"does not parse: {error}"
            raise ModelFileError(f"{path}: metadata {key!r} {reason}; the file is damaged, make it again") from error

    network = entry("network", catalogue.from_description)
    order = {name: i for i, name in enumerate(network.tensors())}  # the file sorts by size and name
    views = {name: tensors.views[name] for name in sorted(tensors, key=lambda name: order.get(name, -1))}
    quantization = decoding = None
    if "quantization" in metadata:
        from .network.quantization import Quantization

        scales = {name.removesuffix(SCALE): tensors[name] for name in tensors if name.endswith(SCALE)}
        views = {name: view for name, view in views.items() if not name.endswith(SCALE)}
        quantization = entry("quantization", lambda value: Quantization.from_json(value, scales))
    if network.task == "detection" or "decoding" in metadata:
        from .tasks.detection import Decoding

        decoding = entry("decoding", Decoding.from_json)
    try:
        return ModelFile(
            network=network,
            tensors=Tensors(views),
            labels=entry("labels", strings),
            label_ids=entry("label_ids", strings),
            background=entry("background", lambda value: value if value is None else int(value)),
            preprocessing=entry("preprocessing", Preprocessing.from_json),
            provenance=entry("provenance", dict),
            metrics=entry("metrics", dict),
            decoding=decoding,
            quantization=quantization,
        )
    except ModelFileError as error:
        message = str(error)
        raise ModelFileError(message if message.startswith(str(path)) else f"{path}: {message}") from error


def strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of strings")
    return tuple(value)


def read_safetensors(path: str | Path) -> tuple[Tensors, dict[str, str]]:
    """Tensors and metadata of any safetensors file; ModelFileError where it is not one.

    A file that is plainly sound is read straight; of every other the library has the word.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = int.from_bytes(file.read(8), "little")
            if size >= 8 and header <= min(size - 8, LARGEST_HEADER) and (found := read_plainly(file, header, size)):
                return found
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); give the path of a model file") from error
    if size < 8 or header > min(size - 8, LARGEST_HEADER):
        raise ModelFileError(
            f"{path}: not a safetensors file, or cut short ({size} bytes, header of {header}); fetch or convert it again"
        )
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as archive:
            return Tensors({name: archive.get_tensor(name) for name in archive.keys()}), archive.metadata() or {}
    except (SafetensorError, OSError, ValueError, TypeError, MemoryError, AttributeError) as error:
        raise ModelFileError(f"{path}: not a readable safetensors file ({error}); fetch or convert it again") from error


def read_plainly(file: IO[bytes], length: int, size: int) -> tuple[Tensors, dict[str, str]] | None:
    """Tensors, all in one piece of memory, and metadata of an open file whose header of `length` bytes comes next.

    The memory is the file's own, mapped: a file in use may be replaced, but not written into. None for whatever is not of the
    usual types, or not exactly as the format wants it: tensors that follow one another without a hole to the file's end.
    """
    tensors: list[tuple[int, int, str, str, tuple[int, ...]]] = []
    try:
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        for name, entry in header.items():
            (begin, end), shape = entry["data_offsets"], tuple(entry["shape"])
            if not all(type(number) is int and number > 0 for number in (begin + 1, end, *shape)):
                return None
            tensors.append((begin, end, name, CODES[entry["dtype"]], shape))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        return None
    tensors.sort(key=lambda tensor: tensor[:2])
    start = 0
    for begin, end, _, code, shape in tensors:
        width = 4 if code in "fi" else 1
        if begin != start or (begin + 8 + length) % width or end - begin != math.prod(shape) * width:
            return None
        start = end
    if start != size - 8 - length or sys.byteorder != "little" or any(len(shape) > 4 for *_, shape in tensors):
        return None
    content: Any = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))[8 + length :]
    return Tensors({name: content[a:b].cast(code, shape) for a, b, name, code, shape in tensors}), metadata
