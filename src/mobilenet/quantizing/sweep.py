"""One sweep through a network, layer by layer, with the integers that the layers before really give.

A layer's weights are rounded for these inputs, and its bias takes up what rounding and saturation have shifted so far: the mean
of each output channel is again that of the float network (arXiv 1906.04721, section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..engine.reference_grid import GridReference
from ..network.grid import GridQuantization, Pixels, real_outputs, shortcuts
from ..network.layers import Conv, Linear
from ..network.quantization import Affine, weighted
from .draft import Draft
from .observe import Observed
from .weights import Integers, Source, integers

if TYPE_CHECKING:
    from ..tensors import Floats


class Sweep:
    """Makes the integers of `draft` for the activations' affines, with the pixels of some images."""

    def __init__(
        self, draft: Draft, activations: Mapping[str, Affine], observed: Mapping[str, Observed], pixels: Pixels
    ) -> None:
        self.draft, self.activations, self.observed, self.pixels = draft, dict(activations), observed, pixels
        self.shortcuts, self.real = shortcuts(draft.network), real_outputs(draft.network)
        self.stems = {layer.name: stem for layer, stem in weighted(draft.network)}
        self.tensors: dict[str, NDArray[Any]] = {}
        self.multipliers: dict[str, NDArray[np.int32]] = {}
        self.scales: dict[str, NDArray[np.float32]] = {}
        self.quantization = GridQuantization(pixels, self.activations, self.multipliers, self.scales)

    def run(self, images: Sequence[Floats]) -> tuple[dict[str, NDArray[Any]], GridQuantization]:
        """The tensors and the quantization of a model file, from (1, 3, H, W) inputs."""
        network = self.draft.network
        reference, last_use = GridReference(network, {}, self.quantization), network.last_use()
        values: dict[str, list[NDArray[Any]]] = {"input": [reference.pixels(image) for image in images]}
        for index, layer in enumerate(network.layers):
            if isinstance(layer, Conv | Linear):
                self.finish(layer, values[layer.inputs[0]])
                reference.weights[layer.name] = reference.prepared(layer, self.tensors)
            if layer.name not in self.real:
                sources = [values[name] for name in layer.inputs]
                values[layer.name] = [reference.run_layer(layer, list(inputs)) for inputs in zip(*sources, strict=True)]
            values = {name: value for name, value in values.items() if last_use.get(name, -1) > index}
        return {name: self.tensors[name] for name in network.tensors()}, self.quantization

    def finish(self, layer: Conv | Linear, inputs: list[NDArray[np.uint8]]) -> None:
        """Makes the integers of `layer`, whose input over all images is `inputs`."""
        name = f"{self.stems[layer.name]}.weight"
        made = self.made(layer, inputs)
        self.tensors[name], self.tensors[name.removesuffix("weight") + "bias"] = made.weight, made.bias
        if made.multiplier is not None:
            self.multipliers[name] = made.multiplier
        else:
            source = 1.0 if layer.inputs[0] == "input" else self.activations[layer.inputs[0]].scale
            self.scales[name] = (made.step * source).astype(np.float32)

    def made(self, layer: Conv | Linear, inputs: list[NDArray[np.uint8]]) -> Integers:
        weight, bias = self.draft.weights[layer.name], self.draft.biases[layer.name]
        shortcut = self.shortcuts.get(layer.name)
        result = None if layer.name in self.real else self.activations[layer.name if shortcut is None else shortcut.add]
        residual = None if shortcut is None else self.activations[shortcut.residual]
        mean = np.mean([x.mean(axis=(0, 2, 3), dtype=np.float64) for x in inputs], axis=0)
        if layer.inputs[0] == "input":
            factor, offset = np.array(self.pixels.factor), np.array(self.pixels.offset)
            square = np.mean([(x.astype(np.float64) ** 2).mean(axis=(0, 2, 3)) for x in inputs], axis=0)
            weight = weight / factor[:, None, None]
            source, importance = Source(1.0, offset), square - 2 * mean * offset + offset**2
            expected = mean = mean - offset
        else:
            scale, zero_point = self.activations[layer.inputs[0]]
            source = Source(scale, np.array([float(zero_point)]))
            observed = self.observed[layer.inputs[0]]
            expected, mean = observed.means[: len(inputs)].mean(axis=0), (mean - zero_point) * scale
            importance = observed.square
        depthwise = isinstance(layer, Conv) and layer.depthwise
        importance = (importance[:, None] if depthwise else importance[None, :]) + 1e-12
        made = integers(weight, bias, importance, source, result, residual)
        rounded = made.weight.reshape(*weight.shape[:2], -1).sum(axis=2, dtype=np.float64) * made.step[:, None]
        exact = weight.reshape(*weight.shape[:2], -1).sum(axis=2)
        if depthwise:
            mean, expected = mean[:, None], expected[:, None]
        shift = (rounded * mean - exact * expected).sum(axis=1)
        return integers(weight, bias - shift, importance, source, result, residual)
