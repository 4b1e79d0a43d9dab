"""The integers of every layer of a draft, put together as a model file has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..network.grid import GridQuantization, Pixels, real_outputs, shortcuts
from ..network.layers import Conv
from ..network.quantization import Affine, weighted
from .draft import Draft
from .observe import Observed
from .weights import Source, integers

if TYPE_CHECKING:
    from ..tensors import Array


def assemble(
    draft: Draft, activations: Mapping[str, Affine], observed: Mapping[str, Observed], pixels: Pixels
) -> tuple[dict[str, Array], GridQuantization]:
    """The tensors and the quantization of a model file."""
    network = draft.network
    continued, real = shortcuts(network), real_outputs(network)
    tensors: dict[str, Array] = {}
    multipliers: dict[str, NDArray[np.int32]] = {}
    scales: dict[str, NDArray[np.float32]] = {}
    for layer, stem in weighted(network):
        weight, bias = draft.weights[layer.name], draft.biases[layer.name]
        shortcut = continued.get(layer.name)
        result = None if layer.name in real else activations[layer.name if shortcut is None else shortcut.add]
        residual = None if shortcut is None else activations[shortcut.residual]
        seen = observed[layer.inputs[0]]
        if layer.inputs[0] == "input":  # weights of an image multiply pixels, which are x * factor + offset
            factor, offset = np.array(pixels.factor), np.array(pixels.offset)
            weight = weight / factor[:, None, None]
            source = Source(1.0, offset, seen.square * factor**2, seen.means.mean(axis=0) * factor)
        else:
            scale, zero_point = activations[layer.inputs[0]]
            source = Source(scale, np.array([float(zero_point)]), seen.square, seen.means.mean(axis=0))
        made = integers(weight, bias, isinstance(layer, Conv) and layer.depthwise, source, result, residual)
        tensors[f"{stem}.weight"], tensors[f"{stem}.bias"] = made.weight, made.bias
        if made.multiplier is None:
            scales[f"{stem}.weight"] = (made.step * source.scale).astype(np.float32)
        else:
            multipliers[f"{stem}.weight"] = made.multiplier
    quantization = GridQuantization(pixels, dict(activations), multipliers, scales)
    return {name: tensors[name] for name in network.tensors()}, quantization
