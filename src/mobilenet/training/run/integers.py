"""Where a run's network becomes integers: before the first step, to learn with their roundings, or whenever it is scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor

from ...images.preprocessing import Preprocessing
from ...network.grid import Pixels
from ...nn import IntegerNetwork, TorchNetwork
from ...nn.integers import quantization_of
from ...quantizing.draft import folded
from ...quantizing.quantize import integers_of
from ..input import Dataset
from ..recipes.recipe import Recipe

if TYPE_CHECKING:
    from ...tensors import Floats


def learning_integers(
    fabric: Fabric, net: TorchNetwork, training: Dataset, recipe: Recipe, state: Mapping[str, Tensor] | None
) -> IntegerNetwork:
    """The float network `net` as integers that learn, or those of a checkpoint's `state`.

    Weights begin as the equalized floats, biases with the correction for rounding the weights.
    """
    if state is None:
        return integer_network(fabric, net, training, recipe)
    draft = folded(net.network, net.arrays())
    return IntegerNetwork.of(draft.network, draft.tensors(), quantization_of(state["_extra_state"]), net.dropout)


def scored_net(fabric: Fabric, net: TorchNetwork, training: Dataset, recipe: Recipe) -> TorchNetwork:
    """The network that is scored and stored: in integers if the recipe says so."""
    if recipe.quantize is None:
        return net
    if not isinstance(net, IntegerNetwork):
        return integer_network(fabric, net, training, recipe).to(fabric.device)
    net.keep_bounds()
    return net


def integer_network(fabric: Fabric, net: TorchNetwork, training: Dataset, recipe: Recipe) -> IntegerNetwork:
    """The float network `net` in integers; its ranges are those of training images. The first process makes them for all."""
    assert recipe.quantize is not None
    made: Any = None
    if fabric.is_global_zero:
        draft = folded(net.network, net.arrays())
        inputs = images(training, recipe.preprocessing, recipe.quantize.images)
        pixels = Pixels.of(recipe.preprocessing.mean, recipe.preprocessing.std)
        tensors, quantization = integers_of(draft, inputs, pixels)
        biases = quantization.dequantized(draft.network, tensors)
        weights = {name: biases[name] if name.endswith(".bias") else value for name, value in draft.tensors().items()}
        made = draft.network, weights, quantization
    network, weights, quantization = fabric.broadcast(made)
    return IntegerNetwork.of(network, weights, quantization, net.dropout)


def images(training: Dataset, preprocessing: Preprocessing, count: int) -> list[Floats]:
    """At most `count` training images, evenly spread, as the network's inputs (1, 3, H, W)."""
    count = min(count, len(training))
    places = [number * len(training) // count for number in range(count)]
    return [np.asarray(preprocessing.batch(training.nearest(place, training.open)[0][0])) for place in places]
