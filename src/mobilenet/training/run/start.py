"""Where a run's weights come from when they are not random: a known model or a model file."""

from __future__ import annotations

from collections import Counter

from ...images.preprocessing import Preprocessing
from ...modelfile import ModelFile
from ...network.layers import Conv, Linear, decides
from ...nn import TorchNetwork
from ...zoo.load import load_model


def take_weights(
    net: TorchNetwork, source: str, labels: tuple[str, ...], ids: tuple[str, ...], preprocessing: Preprocessing
) -> str:
    """Copies into `net` every tensor of `source` that has its name; says how many of them, in a sentence.

    The layers that decide between classes are copied where the labels are the same. Otherwise they begin at random, but for
    the rows of a classifier's classes that `source` knows too, by id or by label.

    ValueError where the two networks differ in what no shape shows (padding, epsilon, normalisation of pictures), where a
    shape differs, or nothing fits.
    """
    model = load_model(source)
    check_alike(net, model, source, preprocessing)
    deciding = [
        layer for layer in net.network.layers if isinstance(layer, (Conv, Linear)) and decides(layer) and labels != model.labels
    ]
    fresh = {name for layer in deciding for name, _ in layer.parameters()}
    wanted = net.network.tensors()
    taken = {name: value for name, value in model.tensors.items() if name in wanted and name not in fresh}
    for name, value in taken.items():
        if value.shape != wanted[name]:
            raise ValueError(
                f"network.start {source!r}: its tensor {name!r} is {value.shape}, must be {wanted[name]}; "
                "start from a model of the same width"
            )
    if not taken or model.quantization is not None:
        reason = "it is quantised" if taken else f"none of its tensors has a name of {net.network.architecture}"
        raise ValueError(f"network.start {source!r}: {reason}; start from a float model of the same family")
    said = f"{len(taken)} of {len(wanted)} tensors begin as those of {source!r}, the others at random"
    begun = net.arrays()
    mine, theirs = known_classes(labels, ids, model)
    for layer in deciding if mine else ():
        if isinstance(layer, Linear):
            for name, _ in layer.parameters():
                taken[name] = begun[name].copy()
                taken[name][mine] = model.tensors[name][theirs]
            said += f", but for {len(mine)} of {len(labels)} classes, which it knows"
    net.load_arrays({**begun, **taken})
    return said


def known_classes(labels: tuple[str, ...], ids: tuple[str, ...], model: ModelFile) -> tuple[list[int], list[int]]:
    """The places of classes that both have: among `labels`, and in the model. ImageNet has two cranes; neither is meant."""
    counts = Counter(model.labels)
    theirs = {label: place for place, label in enumerate(model.labels) if counts[label] == 1}
    theirs |= {each: place for place, each in enumerate(model.label_ids)}
    names = [next((name for name in both if name in theirs), None) for both in zip(ids or labels, labels, strict=True)]
    pairs = [(place, theirs[name]) for place, name in enumerate(names) if name is not None]
    return [mine for mine, _ in pairs], [their for _, their in pairs]


def check_alike(net: TorchNetwork, model: ModelFile, source: str, preprocessing: Preprocessing) -> None:
    for key in ("padding", "epsilon"):
        mine, theirs = net.network.settings.get(key), model.network.settings.get(key)
        if mine != theirs:
            raise ValueError(
                f"network.start {source!r} has {key} {theirs!r}, the recipe {mine!r}: they must agree; "
                f"give --set network.settings.{key}={theirs}"
            )
    for key in ("mean", "std"):
        mine, theirs = getattr(preprocessing, key), getattr(model.preprocessing, key)
        if mine != theirs:
            raise ValueError(
                f"network.start {source!r} was trained on pictures of {key} {theirs}, the recipe has {mine}: "
                f"they must agree; give --set preprocessing.{key}={list(theirs)}"
            )
