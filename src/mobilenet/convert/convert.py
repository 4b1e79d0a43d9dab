"""Weights from elsewhere to one model file: recognize the container, the layout and the member of the family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..files import digest
from ..images.preprocessing import Preprocessing
from ..modelfile import ModelFile, ModelFileError, write
from ..network.layers import Network, Resolution, checked_resolution
from ..network.quantization import Quantization
from ..tasks import detection, labels as known_labels
from ..tensorfile import read_safetensors
from ..values import replace as replace_value
from . import libraries, slim
from .checkpoints import MAGIC, read_checkpoint
from .config import Config, config_labels, config_preprocessing, config_settings, read_config
from .naming import Array, LayoutError, Origin, Settings, SourceLayout, canonical, match, recognize
from .readers.keras import read_keras
from .readers.pth import read_pth
from .readers.tfjs import TfjsGraph, read_tfjs
from .readers.tflite import TFLiteGraph, read_tflite
from .tfjs_wiring import tfjs_wiring
from .tflite_wiring import is_quantized, quantization_of, tflite_wiring
from .wiring import match_wires

HDF5, ZIP, PICKLE, TFLITE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80\x02", b"TFL3"
CHECKPOINT = "mobilenet train"
COUNTERS = "num_batches_tracked"  # of PyTorch's batch norm; no weights


@dataclass(frozen=True)
class Conversion:
    """A model, the layout it was read from, and the origin of each tensor."""

    model: ModelFile
    layout: SourceLayout
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class Match:
    """What a file holds: a member of the family, its tensors under the file's names, and what the file says beside them."""

    layout: SourceLayout
    network: Network
    tensors: Mapping[str, Array]
    preprocessing: Preprocessing
    config: Config
    quantization: Quantization | None = None


def convert_weights(source: str | Path, out: str | Path | None = None, labels: Sequence[str] | None = None) -> ModelFile:
    """The model in a file of another library (see `convert`, and ``mobilenet convert``), which `mobilenet.load` takes.

    Args:
        source: ``.pth``, ``.safetensors``, Keras ``.h5``, ``.tflite``, or the ``model.json`` of tfjs.
        out: where to write it as a model file.
        labels: a name for each output; by default those of the data set with as many classes.

    Raises:
        MobilenetError: the file is damaged or holds no network of this family; it cannot be written.
    """
    model = convert(source, labels=labels).model
    if out is not None:
        write(model, out)
    return model


def convert(
    source: str | Path,
    *,
    labels: Sequence[str] | None = None,
    resolution: Resolution | None = None,
    entry: str | None = None,
    settings: Settings | None = None,
    provenance: Mapping[str, object] | None = None,
    resize: int | None = None,
) -> Conversion:
    """Reads weights of torchvision, timm, transformers, Keras, d-li14 or TensorFlow's exported graphs into a model.

    The tensors say the width, the depth and the number of classes. The library, or timm's and transformers' ``config.json``
    beside the file, says padding, epsilon and preprocessing. A graph (TFLite, tfjs) also says its output stride, its resolution
    and, if it is quantized, all scales and zero points: integers stay integers.

    Args:
        source: ``.pth`` (both forms), ``.safetensors``, Keras ``.h5``, ``.tflite``, or the ``model.json`` of tfjs with its
            shards beside it; recognized by content.
        labels: a name for each output. The default for a classifier of 1000 outputs is ImageNet's names, of 1001 the same after
            a background class; COCO's for a detector of 80 or 90 classes, VOC's for a segmenter of 21.
        resolution: of the images, in pixels; default the library's 224, or the graph's.
        entry: key of the state dict in a checkpoint that holds several.
        settings: of the architecture, if neither the tensors nor the library tell (``padding``, ``output_stride``).
        provenance: stored in the model file beside the file's name, sha256 and layout.
        resize: shorter side before the center crop in pixels, default the library's.

    Raises:
        MobilenetError: one of its subclasses for every kind of bad file, with the tensor or the file named.
    """
    path = Path(source)
    if first_bytes(path, len(MAGIC)) == MAGIC:
        return checkpoint_conversion(path, labels, provenance)
    graph = read_graph(path)
    if graph is None:
        matched = match_tensors(path, read_tensors(path, entry), settings or {})
    else:
        matched = match_graph(path, graph, settings or {})
    preprocessing = matched.preprocessing
    if resize is not None:
        preprocessing = replace(preprocessing, resize=resize)
    if resolution is not None:
        preprocessing = preprocessing.at(checked_resolution(resolution))
    network = matched.network.at(preprocessing.size)
    names, ids = label_names(labels, matched.config, network, path)
    model = ModelFile(
        network=network,
        tensors=canonical(matched.layout, network, matched.tensors),
        labels=names,
        label_ids=ids,
        background=0 if names[:1] == ("background",) else None,
        preprocessing=preprocessing,
        provenance={"file": path.name, "sha256": digest(path), "layout": matched.layout.name, **(provenance or {})},
        decoding=detection.TENSORFLOW if graph is not None and network.task == "detection" else None,
        quantization=matched.quantization,
    )
    return Conversion(model, matched.layout, tuple(matched.layout.origins(network)))


def checkpoint_conversion(path: Path, labels: Sequence[str] | None, provenance: Mapping[str, object] | None) -> Conversion:
    """The checkpoint of a training, which says all of its model itself."""
    model = read_checkpoint(path)
    facts = {"file": path.name, "sha256": digest(path), "layout": CHECKPOINT, **(provenance or {})}
    model = replace_value(model, provenance={**model.provenance, **facts}, labels=tuple(labels or model.labels))
    layout = SourceLayout(CHECKPOINT, model.network.architecture, "", lambda network: iter(()), {})
    origins = (Origin(name, name, shape, tuple(range(len(shape)))) for name, shape in model.network.tensors().items())
    return Conversion(model, layout, tuple(origins))


def match_tensors(path: Path, tensors: Mapping[str, Array], settings: Settings) -> Match:
    """The member of the family in a file of tensors: their names and shapes say which."""
    layout = recognize(tensors, path.name, libraries.LAYOUTS)
    config = read_config(path)
    network = match(layout, tensors, path.name, {**config_settings(config), **settings})
    return Match(layout, network, tensors, config_preprocessing(config, path, layout.preprocessing), config)


def match_graph(path: Path, graph: TFLiteGraph | TfjsGraph, settings: Settings) -> Match:
    """The member of the family in a graph: names say which layers its operations are, and the wires are checked."""
    wiring = tflite_wiring(graph, path.name) if isinstance(graph, TFLiteGraph) else tfjs_wiring(graph, path.name)
    tensors = wiring.tensors()
    layout = recognize(tensors, path.name, slim.LAYOUTS)
    stride = {"output_stride": wiring.output_stride} if "deeplab" in layout.architecture else {}
    network = match(layout, tensors, path.name, {**stride, **settings})
    keys = match_wires(layout, network, wiring, path.name)
    preprocessing, quantization = layout.preprocessing.at(wiring.resolution), None
    if isinstance(graph, TFLiteGraph) and is_quantized(graph):
        quantization = quantization_of(graph, network, keys, path.name)
        mean, std = quantized_range(quantization)
        preprocessing = replace(preprocessing, mean=(mean,) * 3, std=(std,) * 3)
    return Match(layout, network, tensors, preprocessing, {}, quantization)


def quantized_range(quantization: Quantization) -> tuple[float, float]:
    """The mean and standard deviation that turn a pixel's integer into the very integer that the network was trained on."""
    scale, zero_point = quantization.activations["input"]
    return (zero_point - quantization.range[0]) / 255, 1 / (255 * scale)


def first_bytes(path: Path, count: int = 16) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(count)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); give the path of a weight file") from error


def read_graph(path: Path) -> TFLiteGraph | TfjsGraph | None:
    """The graph in a file, if it is a TFLite model or a tfjs model.json."""
    start = first_bytes(path)
    try:
        if start[4:8] == TFLITE:
            return read_tflite(path)
        if start.lstrip().startswith(b"{"):
            return read_tfjs(path)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); give the path of a weight file") from error
    return None


def read_tensors(path: Path, entry: str | None) -> dict[str, Array]:
    """Every array of a weight file by its name there, without counters. All are floats, and all are finite."""
    start = first_bytes(path)
    if start.startswith(HDF5):
        tensors = read_keras(path)
    elif start[8:9] == b"{":  # before the others: a safetensors file may begin with any length
        arrays, metadata = read_safetensors(path)
        if "mobilenet" in metadata:
            raise LayoutError(f"{path}: is a model file already; use it as it is")
        tensors = dict(arrays)
    elif start.startswith((ZIP, PICKLE)):
        tensors = read_pth(path, entry)
    else:
        known = ".pth, .safetensors, Keras .h5, .tflite, tfjs model.json"
        raise LayoutError(f"{path}: no known weight file (it begins {start[:8]!r}); known: {known}")
    tensors = {name: array for name, array in tensors.items() if not name.endswith(COUNTERS)}
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            raise LayoutError(f"{path}: tensor {name!r:.80} is {array.dtype}; only floating-point weights are read here")
        if not np.isfinite(array).all():
            raise LayoutError(
                f"{path}: tensor {name!r:.80} holds NaN or infinity; the file is damaged or its training diverged"
            )
    if not tensors:
        raise LayoutError(f"{path}: holds no tensors")
    return tensors


def label_names(labels: Sequence[str] | None, config: Config, network: Network, path: Path) -> known_labels.Labels:
    """(names, ids) for every output: the user's, else those of a well-known set of this size, else the configuration's."""
    classes = network.settings.classes or 0
    if labels is not None:
        return known_labels.Labels(tuple(labels))
    if classes == 0:
        return known_labels.Labels(())
    if (known := known_labels.known(network.task, classes)) is not None:
        return known
    if len(names := config_labels(config)) == classes:
        return known_labels.Labels(tuple(names))
    raise ModelFileError(f"{path}: {classes} outputs and no labels for them; give a file with a line for each (--labels FILE)")
