"""Initial weights from a known model or a model file.

A model whose batch norm is folded into its convolutions gets it back as the identity, so that the network gives the answers of
the model before the first step. The rows of the classes that both know come along: by id, by name, or by another name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...images.preprocessing import Preprocessing
from ...modelfile import ModelFile
from ...network.layers import Conv, Linear, Network
from ...nn import TorchNetwork
from ...tasks.labels import same_name
from ...zoo.load import load_model

MEAN = ".running_mean"
Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Start:
    """What a network took from another.

    Attributes:
        model: the other, with float weights.
        message: a sentence for the user.
        unknown: the classes, as indices, whose rows are still random.
        norms: the names of the batch norms that are those of the other.
    """

    model: ModelFile
    message: str
    unknown: tuple[int, ...]
    norms: frozenset[str]


def copy_weights(
    net: TorchNetwork, source: str, labels: tuple[str, ...], ids: tuple[str, ...], preprocessing: Preprocessing
) -> Start:
    """Copies into `net` every tensor of `source` with the same name.

    Of the layers whose outputs are classes, the rows of the classes that `source` has too are copied; all of them if the labels
    are the same. The other rows stay random.

    Raises UsageError if the two networks differ in something that no shape shows (padding, epsilon, normalization of the
    images), if a shape differs, or if no name agrees.
    """
    model = load_model(source).dequantized()
    check_compatible(net, model, source, preprocessing)
    shapes, tensors = net.network.tensors(), with_norms(model, net.network)
    heads = {f"{name}.{part}" for name in net.network.heads.classes for part in ("weight", "bias", "conv.weight", "conv.bias")}
    copied = {name: value for name, value in tensors.items() if name in shapes and name not in heads}
    for name, value in copied.items():
        if value.shape != shapes[name]:
            raise UsageError(
                f"network.start {source!r}: its tensor {name!r} has shape {value.shape}, must be {shapes[name]}; "
                "start from a model of the same width"
            )
    if not copied:
        raise UsageError(
            f"network.start {source!r}: none of its tensors has a name of {net.network.architecture}; "
            "start from a model of the same family"
        )
    initial = net.arrays()
    pairs = shared_classes(labels, ids, model)
    unknown = tuple(sorted(set(range(len(labels))) - pairs.keys()))
    rows = head_rows(net.network, initial, model.network, tensors, pairs)
    message = f"{len(copied) + len(rows)} of {len(shapes)} tensors start as those of {source!r}, the others at random"
    if rows and unknown:
        message += f"; it knows {len(pairs)} of {len(labels)} classes"
    net.load_arrays({**initial, **copied, **rows})
    norms = frozenset(name.removesuffix(MEAN) for name in copied if name.endswith(MEAN))
    return Start(model, message, unknown, norms)


def with_norms(model: ModelFile, network: Network) -> Arrays:
    """The model's tensors as `network` has them: where it has batch norm that the model has folded, norms that change nothing.

    Such a norm has the mean 0, a variance that is 1 with epsilon, the scale 1, and the convolution's bias as its shift.
    """
    tensors = dict(model.tensors)
    for layer in network.layers:
        folded = f"{layer.name}.conv.bias"
        if isinstance(layer, Conv) and layer.epsilon is not None and folded in tensors:
            bias = np.asarray(tensors.pop(folded))
            tensors[f"{layer.name}.norm.weight"] = np.ones_like(bias)
            tensors[f"{layer.name}.norm.bias"] = bias
            tensors[f"{layer.name}.norm.running_mean"] = np.zeros_like(bias)
            tensors[f"{layer.name}.norm.running_var"] = np.full_like(bias, 1 - layer.epsilon)
    return tensors


def head_rows(
    network: Network, initial: Arrays, other: Network, tensors: Arrays, pairs: Mapping[int, int]
) -> dict[str, NDArray[np.float32]]:
    """The tensors of the layers whose outputs are classes: `initial`, with the other network's rows of the classes in `pairs`.

    A detector's predictor has for each default box a row of the background, which is copied too, and one of each class. Empty
    if the other network has other heads, or if no class is shared.
    """
    rows: dict[str, NDArray[np.float32]] = {}
    if not pairs or network.task != other.task:
        return rows
    boxes = 1 if network.task == "detection" else 0  # the background's rows
    own, theirs = ([0] * boxes + [boxes + pair[side] for pair in pairs.items()] for side in (0, 1))
    for layer in network.layers:
        if not isinstance(layer, (Conv, Linear)) or layer.name not in network.heads.classes:
            continue
        for name, shape in layer.parameters():
            if name not in tensors or tensors[name].shape[1:] != shape[1:]:
                return {}
            before = initial[name].reshape(-1, (network.settings.classes or 0) + boxes, *shape[1:])
            known = np.asarray(tensors[name]).reshape(-1, (other.settings.classes or 0) + boxes, *shape[1:])
            if len(before) != len(known):  # another number of default boxes
                return {}
            before = before.copy()
            before[:, own] = known[:, theirs]
            rows[name] = before.reshape(shape)
    return rows


def shared_classes(labels: tuple[str, ...], ids: tuple[str, ...], model: ModelFile) -> dict[int, int]:
    """The index in the model of each class that both have, by its index among `labels`.

    A class is found by its id, by its label, or by another name of the same thing (`tasks.labels.same_name`). A name that the
    model has twice identifies no class: ImageNet has two classes named "crane". Neither does an id that is a number: the first
    category of every COCO file has the id 1.
    """
    if labels == model.labels:
        return {index: index for index in range(len(labels))}
    ids = ids or labels
    found: dict[int, int] = {}
    for names in ((model.label_ids, ids), (model.labels, labels), (plain(model.labels), plain(labels))):
        counts = Counter(names[0])
        indices = {name: index for index, name in enumerate(names[0]) if counts[name] == 1}
        for index, name in enumerate(names[1]):
            if name in indices and not (names[0] is model.label_ids and name.isdigit()):
                found.setdefault(index, indices[name])
    return dict(sorted(found.items()))


def plain(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(same_name(label) for label in labels)


def check_compatible(net: TorchNetwork, model: ModelFile, source: str, preprocessing: Preprocessing) -> None:
    """Raises UsageError if padding, epsilon or the images' normalization differ."""
    for key in ("padding", "epsilon"):
        own, other = getattr(net.network.settings, key), getattr(model.network.settings, key)
        folded = key == "epsilon" and other is None  # `with_norms` undoes this
        if own != other and not folded:
            raise UsageError(
                f"network.start {source!r} has {key} {other!r}, the recipe {own!r}: they must agree; "
                f"give --set network.settings.{key}={other}"
            )
    for key in ("mean", "std"):
        own, other = getattr(preprocessing, key), getattr(model.preprocessing, key)
        if own != other:
            raise UsageError(
                f"network.start {source!r} was trained on images of {key} {other}, the recipe has {own}: "
                f"they must agree; give --set preprocessing.{key}={list(other)}"
            )
