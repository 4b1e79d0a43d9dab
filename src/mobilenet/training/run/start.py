"""Initial weights from a known model or a model file."""

from __future__ import annotations

from collections import Counter

from ...errors import UsageError
from ...images.preprocessing import Preprocessing
from ...modelfile import ModelFile
from ...network.layers import Conv, Linear
from ...nn import TorchNetwork
from ...zoo.load import load_model


def copy_weights(
    net: TorchNetwork, source: str, labels: tuple[str, ...], ids: tuple[str, ...], preprocessing: Preprocessing
) -> str:
    """Copies into `net` every tensor of `source` with the same name; a sentence for the user that says how many.

    The layers whose outputs are classes are copied if the labels are the same. Otherwise they keep their random weights, except
    for a classifier's rows of the classes that `source` has too, by id or by label.

    Raises UsageError if the two networks differ in something that no shape shows (padding, epsilon, normalization of the
    images), if a shape differs, or if no name agrees.
    """
    model = load_model(source)
    check_compatible(net, model, source, preprocessing)
    class_names = net.network.heads.classes if labels != model.labels else ()
    class_layers = [layer for layer in net.network.layers if isinstance(layer, (Conv, Linear)) and layer.name in class_names]
    random_names = {name for layer in class_layers for name, _ in layer.parameters()}
    shapes = net.network.tensors()
    copied = {name: value for name, value in model.tensors.items() if name in shapes and name not in random_names}
    for name, value in copied.items():
        if value.shape != shapes[name]:
            raise UsageError(
                f"network.start {source!r}: its tensor {name!r} has shape {value.shape}, must be {shapes[name]}; "
                "start from a model of the same width"
            )
    if not copied or model.quantization is not None:
        reason = "it is quantized" if copied else f"none of its tensors has a name of {net.network.architecture}"
        raise UsageError(f"network.start {source!r}: {reason}; start from a float model of the same family")
    message = f"{len(copied)} of {len(shapes)} tensors start as those of {source!r}, the others at random"
    initial = net.arrays()
    rows, source_rows = shared_classes(labels, ids, model)
    for layer in class_layers if rows else ():
        if isinstance(layer, Linear):
            for name, _ in layer.parameters():
                copied[name] = initial[name].copy()
                copied[name][rows] = model.tensors[name][source_rows]
            message += f", except {len(rows)} of {len(labels)} classes, which it has too"
    net.load_arrays({**initial, **copied})
    return message


def shared_classes(labels: tuple[str, ...], ids: tuple[str, ...], model: ModelFile) -> tuple[list[int], list[int]]:
    """The indices of the classes that both have: among `labels`, and in the model, in the same order.

    A label that the model has twice identifies no class: ImageNet has two classes named "crane".
    """
    counts = Counter(model.labels)
    indices = {label: index for index, label in enumerate(model.labels) if counts[label] == 1}
    indices |= {label_id: index for index, label_id in enumerate(model.label_ids)}
    pairs = []
    for index, names in enumerate(zip(ids or labels, labels, strict=True)):
        name = next((name for name in names if name in indices), None)
        if name is not None:
            pairs.append((index, indices[name]))
    return [index for index, _ in pairs], [index for _, index in pairs]


def check_compatible(net: TorchNetwork, model: ModelFile, source: str, preprocessing: Preprocessing) -> None:
    """Raises UsageError if padding, epsilon or the images' normalization differ."""
    for key in ("padding", "epsilon"):
        own, other = getattr(net.network.settings, key), getattr(model.network.settings, key)
        if own != other:
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
