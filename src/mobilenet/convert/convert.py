"""Weights from elsewhere to one model file: recognise the container, the layout and the member of the family."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import digest
from ..images.preprocessing import Interpolation, Preprocessing
from ..modelfile import ModelFile, ModelFileError, read_safetensors
from ..network.layers import Network, Resolution, checked_resolution
from ..network.quantization import Quantization
from ..tasks import detection
from ..tasks import labels as known_labels
from . import slim
from .layouts import Layout, LayoutError, Step, canonical, match, recognise
from .readers.keras import read_keras
from .readers.pth import read_pth
from .readers.tfjs import TfjsGraph, read_tfjs
from .readers.tflite import Graph, read_tflite
from .tfjs_wiring import tfjs_wiring
from .tflite_wiring import is_quantized, quantization_of, tflite_wiring
from .wiring import wires

RESAMPLE: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
HDF5, ZIP, PICKLE, TFLITE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80\x02", b"TFL3"


@dataclass(frozen=True)
class Conversion:
    """A model, the layout it was read from, and where each tensor came from."""

    model: ModelFile
    layout: Layout
    steps: tuple[Step, ...]


def convert(
    source: str | Path,
    *,
    labels: Sequence[str] | None = None,
    resolution: Resolution | None = None,
    entry: str | None = None,
    settings: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    resize: int | None = None,
) -> Conversion:
    """Reads weights of torchvision, timm, transformers, Keras, d-li14 or TensorFlow's exported graphs into a model.

    Width, depth and number of classes are found from the tensors; padding, epsilon and preprocessing are the library's
    own, or those of a ``config.json`` beside the file (timm's and transformers'). A graph (TFLite, tfjs) also says its
    output stride, its resolution and, where it is quantised, all scales and zero points: integers stay integers.

    Args:
        source: ``.pth`` (both forms), ``.safetensors``, Keras ``.h5``, ``.tflite``, or the ``model.json`` of tfjs with its
            shards beside it; recognised by content.
        labels: a name for each output; default ImageNet's for 1000 outputs of a classifier, and with a background class for
            1001, COCO's for 80 or 90 classes of a detector, VOC's for 21 of a segmenter.
        resolution: of the pictures, default the library's 224.
        entry: key of the state dict in a checkpoint that holds several.
        settings: of the architecture, where the tensors and the library do not tell (``padding``, ``output_stride``).
        provenance: kept in the model file beside the file's name, sha256 and layout.
        resize: shorter side before the centre crop, default the library's.

    Raises:
        ValueError: one of its subclasses for every kind of bad file, with the tensor or the file named.
    """
    path = Path(source)
    graph = read_graph(path)
    if graph is not None:
        return convert_graph(path, graph, labels, resolution, settings or {}, provenance or {})
    tensors = read_tensors(path, entry)
    layout = recognise(list(tensors), path.name)
    config = read_config(path)
    chosen = {**config_settings(config), **(settings or {})}
    network = match(layout, tensors, path.name, chosen)
    preprocessing = config_preprocessing(config, path, layout.preprocessing)
    if resize is not None:
        preprocessing = replace(preprocessing, resize=resize)
    if resolution is not None:
        preprocessing = preprocessing.at(checked_resolution(resolution))
    network = network.at(preprocessing.size)
    names, ids = label_names(labels, config, network, path)
    model = ModelFile(
        network=network,
        tensors=canonical(layout, network, tensors),
        labels=names,
        label_ids=ids,
        background=0 if names[:1] == ("background",) else None,
        preprocessing=preprocessing,
        provenance={"file": path.name, "sha256": digest(path), "layout": layout.name, **(provenance or {})},
    )
    return Conversion(model, layout, tuple(layout.steps(network)))


def read_graph(path: Path) -> Graph | TfjsGraph | None:
    """The graph in a file, where it is a TFLite model or a tfjs model.json."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
        if start[4:8] == TFLITE:
            return read_tflite(path)
        if start.lstrip().startswith(b"{"):
            return read_tfjs(path)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); give the path of a weight file") from error
    return None


def convert_graph(
    path: Path,
    graph: Graph | TfjsGraph,
    labels: Sequence[str] | None,
    resolution: Resolution | None,
    settings: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> Conversion:
    """A model from a graph: names say which layers its operations are, wires prove it."""
    wiring = tflite_wiring(graph, path.name) if isinstance(graph, Graph) else tfjs_wiring(graph, path.name)
    tensors = wiring.tensors()
    layout = recognise(list(tensors), path.name, slim.LAYOUTS)
    found = {"output_stride": wiring.output_stride} if "deeplab" in layout.architecture else {}
    network = match(layout, tensors, path.name, {**found, **settings})
    keys = wires(layout, network, wiring, path.name)
    preprocessing = layout.preprocessing.at(wiring.resolution if resolution is None else checked_resolution(resolution))
    quantization = None
    if isinstance(graph, Graph) and is_quantized(graph):
        quantization = quantization_of(graph, network, keys, path.name)
        mean, std = quantized_range(quantization)
        preprocessing = replace(preprocessing, mean=(mean,) * 3, std=(std,) * 3)
    network = network.at(preprocessing.size)
    names, ids = label_names(labels, {}, network, path)
    model = ModelFile(
        network=network,
        tensors=canonical(layout, network, tensors),
        labels=names,
        label_ids=ids,
        background=0 if names[:1] == ("background",) else None,
        preprocessing=preprocessing,
        provenance={"file": path.name, "sha256": digest(path), "layout": layout.name, **provenance},
        decoding=detection.TENSORFLOW if network.task == "detection" else None,
        quantization=quantization,
    )
    return Conversion(model, layout, tuple(layout.steps(network)))


def quantized_range(quantization: Quantization) -> tuple[float, float]:
    """Mean and standard deviation with which a pixel becomes the very integer the network was trained on: itself."""
    scale, zero_point = quantization.activations["input"]
    return (zero_point - quantization.range[0]) / 255, 1 / (255 * scale)


def read_tensors(path: Path, entry: str | None) -> dict[str, NDArray[Any]]:
    """Every array of a weight file by its name there, without counters and wrappers' prefixes."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); give the path of a weight file") from error
    if start.startswith(HDF5):
        tensors = read_keras(path)
    elif start[8:9] == b"{":  # before the others: a safetensors file may begin with any length
        found, metadata = read_safetensors(path)
        tensors = dict(found)
        if "mobilenet" in metadata:
            raise LayoutError(f"{path}: is a model file already; use it as it is")
    elif start.startswith((ZIP, PICKLE)):
        tensors = read_pth(path, entry)
    else:
        known = ".pth, .safetensors, Keras .h5, .tflite, tfjs model.json"
        raise LayoutError(f"{path}: no known weight file (it begins {start[:8]!r}); known: {known}")
    tensors = {name: array for name, array in tensors.items() if not name.endswith("num_batches_tracked")}
    for family in ("v1", "v2"):  # the bare model of transformers leaves its own name out
        mark = {"v1": "conv_stem.convolution.weight", "v2": "conv_stem.first_conv.convolution.weight"}[family]
        if mark in tensors:
            tensors = {
                name if name.startswith("classifier") else f"mobilenet_{family}.{name}": a for name, a in tensors.items()
            }
    for name, array in tensors.items():
        if array.dtype.kind != "f":
            raise LayoutError(f"{path}: tensor {name!r} is {array.dtype}; only floating-point weights are read here")
        if not np.isfinite(array).all():
            raise LayoutError(f"{path}: tensor {name!r} holds NaN or infinity; the file is damaged or its training diverged")
    if not tensors:
        raise LayoutError(f"{path}: holds no tensors")
    return tensors


def read_config(path: Path) -> dict[str, Any]:
    """timm's or transformers' ``config.json`` beside the weights; empty where there is none of this family."""
    config = read_json(path.with_name("config.json"))
    names = str(config.get("model_type", "")) + str(config.get("architecture", ""))
    return config if "mobilenet" in names else {}


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: cannot be read as JSON ({error}); mend it or move it away") from error
    return content if isinstance(content, dict) else {}


def config_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What transformers' configuration says of the network beyond its tensors."""
    if "model_type" not in config:
        return {}
    settings: dict[str, Any] = {}
    if "tf_padding" in config:
        settings["padding"] = "tensorflow" if config["tf_padding"] else "pytorch"
    if "layer_norm_eps" in config:
        settings["epsilon"] = config["layer_norm_eps"]
    if "output_stride" in config:
        settings["output_stride"] = config["output_stride"]
    if "hidden_act" in config:
        settings["activation"] = config["hidden_act"]
    if "min_depth" in config:
        settings["min_depth"] = config["min_depth"]
    return settings


def config_preprocessing(config: Mapping[str, Any], path: Path, default: Preprocessing) -> Preprocessing:
    """timm's ``pretrained_cfg``, or transformers' ``preprocessor_config.json``, over the layout's own."""
    try:
        if timm := config.get("pretrained_cfg"):
            size = int(timm["input_size"][-2]), int(timm["input_size"][-1])
            return Preprocessing(
                size=size,
                fit="center_crop",
                resize=int(min(size) / timm["crop_pct"]),
                interpolation=timm["interpolation"],
                mean=tuple(timm["mean"]),
                std=tuple(timm["std"]),
            )
        if "model_type" in config and (content := read_json(path.with_name("preprocessor_config.json"))):
            crop = content["crop_size"]
            return replace(
                default,
                size=(crop["height"], crop["width"]),
                resize=content["size"]["shortest_edge"],
                interpolation=RESAMPLE[content.get("resample", 2)],
                mean=tuple(content["image_mean"]),
                std=tuple(content["image_std"]),
            )
    except (KeyError, TypeError, IndexError, ZeroDivisionError) as error:
        raise ModelFileError(
            f"{path.parent}: configuration beside the weights does not parse ({error!r}); move it away"
        ) from error
    return default


def label_names(given: Sequence[str] | None, config: Mapping[str, Any], network: Network, path: Path) -> known_labels.Labels:
    """(names, ids) for every output: the user's, then those of a well-known set by their number, then the configuration's."""
    outputs = network.settings["classes"] or 0
    if given is not None:
        return tuple(given), ()
    if outputs == 0:
        return (), ()
    if (labels := known_labels.known(network.task, outputs)) is not None:
        return labels
    listed = config.get("id2label") or config.get("label_names") or {}
    names = list(listed.values()) if isinstance(listed, dict) else list(listed)
    if len(names) == outputs:
        return tuple(str(name) for name in names), ()
    raise ModelFileError(f"{path}: {outputs} outputs and no labels for them; give a file with a line for each (--labels FILE)")
