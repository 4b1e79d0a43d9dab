"""A network on its way to integers: without batch normalization, in float64, its weights still free to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..engine.fold import fold
from ..errors import MobilenetError, UsageError
from ..network.layers import Network
from ..network.quantization import weighted

if TYPE_CHECKING:
    from ..modelfile import ModelFile
    from ..tensors import Array, Floats

Reals = NDArray[np.float64]


@dataclass
class Draft:
    """Attributes:
    network: every convolution has a bias and no batch normalization.
    weights, biases: by layer; (out, in / groups, k, k) or (out, in), and (out,).
    """

    network: Network
    weights: dict[str, Reals]
    biases: dict[str, Reals]

    def tensors(self) -> dict[str, Floats]:
        """The weights as a model file has them."""
        tensors = {}
        for layer, stem in weighted(self.network):
            tensors[f"{stem}.weight"] = self.weights[layer.name].astype(np.float32)
            tensors[f"{stem}.bias"] = self.biases[layer.name].astype(np.float32)
        return tensors


def draft_of(model: ModelFile) -> Draft:
    """The draft of a float model. UsageError for a model that has integers already."""
    if model.quantization is not None:
        raise UsageError(f"{model.network.architecture}: the model has integers already; give the float model it was made from")
    return folded(model.network, model.tensors)


def folded(network: Network, tensors: Mapping[str, Array]) -> Draft:
    """`network` with its batch normalization folded into the convolutions, as the engine folds it.

    MobilenetError if a weight overflows float32 on the way.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        parts = fold(network, tensors)
    for name, part in parts.items():
        if not (np.isfinite(part.weight).all() and np.isfinite(part.bias).all()):
            raise MobilenetError(f"layer {name!r}: its folded weights overflow float32; the training diverged, train it again")
    epsilons = {name: None for name in ("epsilon", "head_epsilon") if hasattr(network.settings, name)}
    plain = network.settings.changed(**epsilons).build()
    return Draft(
        plain,
        {name: part.weight.astype(np.float64) for name, part in parts.items()},
        {name: part.bias.astype(np.float64) for name, part in parts.items()},
    )
