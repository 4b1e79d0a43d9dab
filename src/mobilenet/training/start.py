"""Where a run's weights come from when they are not random: a known model or a model file."""

from __future__ import annotations

from ..modelfile import ModelFile
from ..network import Conv, Linear, decides
from ..nn import TorchNetwork
from ..predictor import load_model
from ..preprocessing import Preprocessing


def take_weights(net: TorchNetwork, source: str, labels: tuple[str, ...], preprocessing: Preprocessing) -> tuple[int, int]:
    """Copies into `net` every tensor of `source` that has its name; (copied, all).

    The layers that decide between classes are copied only where the labels are the same. ValueError where the two networks
    differ in what no shape shows (padding, epsilon, normalisation of pictures), where a shape differs, or nothing fits.
    """
    model = load_model(source)
    check_alike(net, model, source, preprocessing)
    deciding = {
        name
        for layer in net.network.layers
        if isinstance(layer, (Conv, Linear)) and decides(layer) and labels != model.labels
        for name, _ in layer.parameters()
    }
    wanted = net.network.tensors()
    taken = {name: value for name, value in model.tensors.items() if name in wanted and name not in deciding}
    for name, value in taken.items():
        if value.shape != wanted[name]:
            raise ValueError(
                f"network.start {source!r}: its tensor {name!r} is {value.shape}, must be {wanted[name]}; "
                "start from a model of the same width"
            )
    if not taken or model.quantization is not None:
        reason = "it is quantised" if taken else f"none of its tensors has a name of {net.network.architecture}"
        raise ValueError(f"network.start {source!r}: {reason}; start from a float model of the same family")
    net.load_arrays({**net.arrays(), **taken})
    return len(taken), len(wanted)


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
