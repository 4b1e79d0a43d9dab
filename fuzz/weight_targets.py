"""Targets that read weights, model files and descriptions of networks."""

from __future__ import annotations

import functools
import io
import json
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mutators import SHARD


def small_network():
    from mobilenet.network.mobilenet import mobilenet_v1

    return mobilenet_v1(0.25, 32, classes=2, epsilon=None, padding="tensorflow", rows=((1, 64), (2, 128)))


# Model files ------------------------------------------------------------------------------------------------------------


def read_model(path: Path) -> None:
    from mobilenet import modelfile

    modelfile.read(path)


def model_seeds() -> Iterator[bytes]:
    from support.quantized import quantized
    from support.weights import random_tensors

    from mobilenet import modelfile
    from mobilenet.images.preprocessing import Preprocessing
    from mobilenet.modelfile import ModelFile

    network = small_network()
    preprocessing = Preprocessing(size=(32, 32), fit="squash")
    tensors, quantization = quantized(network, "int8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "toy.safetensors"
        for model in (
            ModelFile(network, random_tensors(network), ("cat", "dog"), preprocessing, provenance={"licence": "MIT"}),
            ModelFile(network, tensors, ("cat", "dog"), preprocessing, quantization=quantization),
        ):
            modelfile.write(model, path)
            yield path.read_bytes()


# Weights of other libraries ---------------------------------------------------------------------------------------------


def tensors(path: Path) -> None:
    from mobilenet.convert.convert import read_tensors

    read_tensors(path, None)


def graph(path: Path) -> None:
    """A graph's nodes, weights and wires; not the search for the network that they make, which takes too long for fuzzing."""
    from mobilenet.convert.convert import read_graph
    from mobilenet.convert.readers.tflite import TFLiteGraph
    from mobilenet.convert.tfjs_wiring import tfjs_wiring
    from mobilenet.convert.tflite_wiring import tflite_wiring

    found = read_graph(path)
    if found is not None:
        wiring = tflite_wiring(found, path.name) if isinstance(found, TFLiteGraph) else tfjs_wiring(found, path.name)
        wiring.tensors()


def pth_seeds() -> Iterator[bytes]:
    """Both containers of a state dict of two tensors, and one in a checkpoint."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06tQ"
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0(K\x02K\x03t(K\x03K\x01t\x89ccollections\nOrderedDict\n)RtR"
    )
    state = b"}(X\x01\0\0\0a" + tensor + b"X\x01\0\0\0b" + tensor + b"u"
    six = struct.pack("<6f", *range(6))
    for root in (state, b"}(X\x0a\0\0\0state_dict" + state + b"X\x05\0\0\0epochK\x03u"):
        program = b"\x80\x02" + root + b"."
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (("any/data.pkl", program), ("any/data/0", six), ("any/version", b"3\n")):
                archive.writestr(name, content)
        yield file.getvalue()
        head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
        yield b"".join([*head, program, pickle.dumps(["0"], 2), (6).to_bytes(8, "little") + six])


def safetensors_seeds() -> Iterator[bytes]:
    import numpy as np
    from safetensors.numpy import save

    yield save({"features.0.0.weight": np.zeros((2, 3, 3, 3), np.float32), "b": np.ones(4, np.float16)}, {"a": "b"})
    yield save({"x": np.zeros(0, np.float32)})


def keras_seeds() -> Iterator[bytes]:
    try:
        import h5py
    except ImportError:
        return
    import numpy as np

    for place in ("", "model_weights/"):
        file = io.BytesIO()
        with h5py.File(file, "w", libver="earliest" if place else "latest") as content:
            content[f"{place}Conv1/Conv1/kernel:0"] = np.zeros((3, 3, 3, 2), np.float32)
            content[f"{place}bn_Conv1/bn_Conv1/gamma:0"] = np.ones(2, np.float32)
        yield file.getvalue()


def tflite_seeds() -> Iterator[bytes]:
    from support.quantized import quantized
    from support.tflite_writer import write
    from support.weights import random_tensors  # noqa: F401

    network = small_network()
    yield write(network, *quantized(network, "int8"))[0]
    yield write(network, *quantized(network, "uint8"))[0]


def tfjs(path: Path) -> None:
    """The model.json, and behind `SHARD` the bytes of its only shard."""
    model, _, shard = path.read_bytes().partition(SHARD)
    path.write_bytes(model)
    (path.parent / "shard").write_bytes(shard)
    graph(path)


def tfjs_seeds() -> Iterator[bytes]:
    """A convolution with its batch norm folded in part, a depthwise one, and every form of an attribute."""

    def node(op: str, name: str, *inputs: str, **attributes: object) -> dict[str, object]:
        return {"op": op, "name": name, "input": list(inputs), "attr": attributes}

    same, strides = {"s": "U0FNRQ=="}, {"list": {"i": ["1", "2", "2", "1"]}}
    scope = "FeatureExtractor/MobilenetV2/Conv"
    shapes = {"w": [3, 3, 3, 2], "scale": [2], "shift": [2], "d": [3, 3, 2, 1], "size": [2]}
    nodes = [
        node("Placeholder", "image"),
        node("Sub", "Preprocessor/sub", "image"),
        *(node("Const", name) for name in shapes),
        node("Conv2D", f"{scope}/BatchNorm/mul_1", "Preprocessor/sub", "w", strides=strides, padding=same),
        node("Mul", f"{scope}/mul", f"{scope}/BatchNorm/mul_1", "scale"),
        node("Add", f"{scope}/add", "shift", f"{scope}/mul"),
        node("Relu6", f"{scope}/Relu6", f"{scope}/add"),
        node("DepthwiseConv2dNative", "dw", f"{scope}/Relu6:0", "d", strides=strides, padding={"s": list(b"SAME")}),
        node("FusedBatchNorm", "bn", "dw", "scale", "shift", "shift", "scale", epsilon={"f": 0.001}),
        node("AddN", "sum", "bn", "bn"),
        node("ConcatV2", "concat", "sum", "bn"),
    ]
    sizes = {name: functools.reduce(lambda a, b: a * b, shape) for name, shape in shapes.items()}
    weights = [{"name": n, "shape": s, "dtype": "int32" if n == "size" else "float32"} for n, s in shapes.items()]
    model = {"modelTopology": {"node": nodes}, "weightsManifest": [{"paths": ["shard"], "weights": weights}]}
    yield json.dumps(model).encode() + SHARD + struct.pack(f"<{sum(sizes.values())}f", *([0.5] * sum(sizes.values())))


# Descriptions -----------------------------------------------------------------------------------------------------------


def description(path: Path) -> None:
    """JSON with a network's description, or another value of a model file's metadata under its name."""
    from mobilenet.images.preprocessing import Preprocessing
    from mobilenet.limits import parse_limits
    from mobilenet.network import catalog
    from mobilenet.tasks.detection import Decoding

    try:
        data = json.loads(path.read_bytes().decode())
    except (ValueError, RecursionError):
        return
    match data:
        case {"preprocessing": value}:
            Preprocessing.from_json(value)
        case {"decoding": value}:
            Decoding.from_json(value)
        case {"limits": str(value)}:
            parse_limits(value)
        case dict():
            network = catalog.from_description(data)
            if len(network.layers) < 500:
                network.shapes()


def description_seeds() -> Iterator[bytes]:
    from mobilenet.images.preprocessing import Preprocessing
    from mobilenet.network import catalog
    from mobilenet.tasks.detection import TENSORFLOW

    for name in catalog.ARCHITECTURES:
        yield json.dumps(catalog.build(name, resolution=64).description).encode()
    yield json.dumps({"preprocessing": Preprocessing(size=(32, 32), fit="squash").to_json()}).encode()
    yield json.dumps({"decoding": TENSORFLOW.to_json()}).encode()
    yield b'{"limits": "max_side=100, max_madds=7"}'


def recipe(path: Path) -> None:
    from mobilenet.training.recipes.builtin import find
    from mobilenet.training.recipes.recipe import Recipe, with_settings

    try:
        data = json.loads(path.read_bytes().decode())
    except (ValueError, RecursionError):
        return
    match data:
        case [str(name), dict() as changes]:
            with_settings(find(name), {key: str(value) for key, value in changes.items()})
        case _:
            Recipe.from_json(data)


def recipe_seeds() -> Iterator[bytes]:
    from mobilenet.training.recipes.builtin import RECIPES, find

    for name in RECIPES:
        yield json.dumps(find(name).to_json()).encode()
    yield b'["finetune", {"lr": "0.5", "optimizer": "adamw", "optimizer.betas": "[0.8, 0.9]", "schedule.final": "0.1"}]'
    yield b'["imagenette", {"sizes": "[[0, 64], [0.5, 96]]", "network.settings.min_depth": "16", "resolution": "96"}]'


TARGETS = (
    ("model", "toy.safetensors", read_model, model_seeds),
    ("pth", "weights.pth", tensors, pth_seeds),
    ("safetensors", "weights.safetensors", tensors, safetensors_seeds),
    ("keras", "weights.h5", tensors, keras_seeds, "h5py"),
    ("tflite", "model.tflite", graph, tflite_seeds),
    ("tfjs", "model.json", tfjs, tfjs_seeds),
    ("description", "description.json", description, description_seeds),
    ("recipe", "recipe.json", recipe, recipe_seeds, "torch"),
)
