"""An integer network of our own in torch: it computes the very integers of `engine.reference_grid`, and learns through them.

A tensor holds integers less their zero point, as float32: sums stay below 2^24, so convolutions of such numbers are exact in
any order. Every rounding passes gradients on as if it were not there (straight-through, arXiv 1308.3432); a value outside its
range passes none. Ranges and multipliers stay what they are; weights and biases learn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import UsageError, assert_never
from ..network.grid import (
    ADD_SHIFT,
    BLEND_SHIFT,
    MAX_SUM,
    ONE,
    SHIFT,
    GridQuantization,
    add_multipliers,
    blend_taps,
    limits,
    mean_multiplier,
    ratio,
    real_outputs,
    shortcuts,
    sum_bounds,
)
from ..network.layers import Activation, Add, Concat, Conv, Corners, GlobalPool, Layer, Linear, Network, Resize
from ..network.quantization import Affine, weighted
from .blocks import ConvNorm
from .network import TorchNetwork, fresh_part

if TYPE_CHECKING:
    from ..tensors import Array, Floats

CHUNK = 2**18
"""Numbers that are rounded at once."""
LIMIT = 127
"""The largest magnitude of a weight."""


class IntegerNetwork(TorchNetwork):
    """Runs the integers of `network`; parameters are real numbers, rounded to integers in every call.

    Input and outputs are those of `TorchNetwork`. Precision is always float32, under autocast too.

    Args:
        network: without batch normalization.
        parts: as for `TorchNetwork`.
        quantization: of the network.
    """

    def __init__(
        self,
        network: Network,
        parts: Mapping[str, nn.Module],
        quantization: GridQuantization,
        dropout: float = 0.2,
        named: bool = False,
    ) -> None:
        super().__init__(network, parts, dropout, named)
        self.shortcuts, self.real = shortcuts(network), real_outputs(network)
        self.conv_of = {shortcut.add: conv for conv, shortcut in self.shortcuts.items()}
        self.stems = {layer.name: stem for layer, stem in weighted(network)}
        self.quantization = quantization
        self.constants: dict[tuple[str, torch.device], Tensor] = {}

    @classmethod
    def of(
        cls, network: Network, weights: Mapping[str, Floats], quantization: GridQuantization, dropout: float
    ) -> IntegerNetwork:
        """A network whose parameters are `weights`: real numbers by name, those that the integers stand for or nearby."""
        parts = {layer.name: fresh_part(layer, network.padding, 0.1) for layer, _ in weighted(network)}
        net = cls(network, parts, quantization, dropout)
        net.load_arrays(weights)
        return net

    def taps(self, *names: str) -> IntegerNetwork:
        """The network with its outputs by name; UsageError for any other tap, whose rounding would be another."""
        if names != self.network.outputs:
            raise UsageError(
                f"taps {', '.join(names)}: an integer network has only its outputs, {', '.join(self.network.outputs)}"
            )
        return IntegerNetwork(self.network, self.parts(), self.quantization, self.dropout, named=True).train(self.training)

    # Running ---------------------------------------------------------------------------------------------------------

    def forward(self, images: Tensor) -> Tensor | dict[str, Tensor]:
        values: dict[str, Tensor] = {"input": images}
        with torch.autocast(images.device.type, enabled=False):
            for index, layer in enumerate(self.network.layers):
                values[layer.name] = self.run_layer(layer, values)
                for name in layer.inputs:  # free each tensor after its last use
                    if self.last_use[name] == index:
                        values.pop(name, None)
            layers = {name: self.network[name] for name in self.network.outputs}
            outputs = {name: self.real_numbers(layer, values[layer.name]) for name, layer in layers.items()}
        return outputs if self.named or len(outputs) > 1 else next(iter(outputs.values()))

    def run_layer(self, layer: Layer, values: Mapping[str, Tensor]) -> Tensor:
        """The layer's integers less their zero point; or its sums, if it is a real output or an addition continues them."""
        activations, x = self.quantization.activations, values[layer.inputs[0]]
        match layer:
            case Conv() | Linear():
                sums = self.sums(layer, x)
                if layer.name in self.shortcuts or layer.name in self.real:
                    return sums
                activation = layer.activation if isinstance(layer, Conv) else "linear"
                return rounded(sums, self.multiplier(layer), activations[layer.name], activation)
            case Add() if layer.name in self.conv_of:
                conv = self.network[self.conv_of[layer.name]]
                residual = values[self.shortcuts[conv.name].residual]
                sums = values[conv.name] + residual * self.residual_multiplier(layer, conv)
                return rounded(sums, self.multiplier(conv), activations[layer.name])
            case Add():
                a, b = add_multipliers([activations[name] for name in layer.inputs], activations[layer.name])
                return rounded(a * x + b * values[layer.inputs[1]], 2.0**-ADD_SHIFT, activations[layer.name])
            case Concat():
                return torch.cat([self.rescaled(values[name], name, layer.name) for name in layer.inputs], 1)
            case Resize():
                zero_point = activations[layer.inputs[0]].zero_point
                sums = blended(x + zero_point, values[layer.inputs[1]].shape[2:], layer.corners)
                if layer.name in self.real:
                    return sums - (zero_point << (2 * BLEND_SHIFT))
                return rounded(sums, 2.0 ** (-2 * BLEND_SHIFT), Affine(1.0, 0)) - zero_point
            case GlobalPool():
                k, shift = mean_multiplier(activations[layer.inputs[0]], activations[layer.name], x.shape[2] * x.shape[3])
                sums = x.sum((2, 3), keepdim=True, dtype=torch.float64)
                return rounded(sums, k / 2.0**shift, activations[layer.name])
            case _:
                assert_never(layer)

    def real_numbers(self, layer: Layer, integers: Tensor) -> Tensor:
        if layer.name not in self.real:
            return integers * float(self.quantization.activations[layer.name].scale)
        if isinstance(layer, Resize):
            return integers * float(self.quantization.activations[layer.inputs[0]].scale / 2 ** (2 * BLEND_SHIFT))
        scales = self.quantization.scales[f"{self.stems[layer.name]}.weight"]
        shape = (-1,) if isinstance(layer, Linear) else (-1, 1, 1)
        return integers * self.constant(f"{layer.name} scales", lambda: scales.reshape(shape))

    def sums(self, layer: Conv | Linear, x: Tensor) -> Tensor:
        """bias + the sum of weight * input."""
        weight, bias = self.integers(layer)
        if layer.inputs[0] == "input":
            x = self.pixels(x)
        if isinstance(layer, Linear):
            return F.linear(F.dropout(x.flatten(1), self.dropout, self.training), weight, bias)
        if layer.name in self.dropped:
            x = F.dropout(x, self.dropout, self.training)
        part = cast(ConvNorm, self.get_submodule(layer.name))
        sums: Tensor = part.conv._conv_forward(part.padded(x), weight, bias)
        return sums

    def pixels(self, images: Tensor) -> Tensor:
        """Real images -> bytes less their zero points: RNE(x * factor + offset) in float64, from 0 to 255."""
        pixels = self.quantization.pixels
        numbers = self.constant("pixels", lambda: np.array([*pixels, pixels.zero_points], np.float64)[:, :, None, None])
        factor, offset, zero_points = numbers
        bytes_ = torch.round(images.double() * factor + offset).clamp(0, 255)
        return torch.sub(bytes_, zero_points).float()

    def rescaled(self, x: Tensor, source: str, result: str) -> Tensor:
        """The same real numbers on another scale."""
        before, after = self.quantization.activations[source], self.quantization.activations[result]
        return x if before == after else rounded(x, ratio(before, after) / ONE, after)

    # Integers and their factors --------------------------------------------------------------------------------------

    def integers(self, layer: Conv | Linear) -> tuple[Tensor, Tensor]:
        """Weight and bias as float32 integers, for inputs less their zero point."""
        name, part = layer.name, self.get_submodule(layer.name)
        owner = part.conv if isinstance(part, ConvNorm) else cast(nn.Linear, part)
        steps, of_image = self.steps(layer), layer.inputs[0] == "input"
        source = 1.0 if of_image else self.quantization.activations[layer.inputs[0]].scale
        factor, offset, zero_points = (
            np.array(part) for part in (*self.quantization.pixels, self.quantization.pixels.zero_points)
        )

        def weight_factor() -> NDArray[np.float64]:
            values = 1 / steps.reshape(-1, *(1,) * (owner.weight.dim() - 1))
            return values / factor[:, None, None] if of_image else values

        weight = Rounded.apply(owner.weight, self.constant(f"{name} weight", weight_factor), -LIMIT, LIMIT)
        bias = cast(Tensor, owner.bias).double() * self.constant(f"{name} bias", lambda: 1 / (steps * source))
        if of_image:  # real 0 lies between two pixels
            between = self.constant("pixels between", lambda: zero_points - offset)
            bias = bias + (weight.double().sum((2, 3)) * between).sum(1)
        return weight, Rounded.apply(bias, 1.0, -MAX_SUM, MAX_SUM)

    def steps(self, layer: Conv | Linear) -> NDArray[np.float64]:
        """(out,) the real number that 1 in a weight stands for."""
        return self.quantization.weight_scales(layer, self.stems[layer.name], self.shortcuts.get(layer.name))

    def multiplier(self, layer: Layer) -> Tensor:
        """(out, 1, 1) of the layer's sums, k / 2^22; (out,) of a linear layer."""
        values = self.quantization.multipliers[f"{self.stems[layer.name]}.weight"]
        shape = (-1,) if isinstance(layer, Linear) else (-1, 1, 1)
        return self.constant(f"{layer.name} multiplier", lambda: values.reshape(shape) / 2.0**SHIFT)

    def residual_multiplier(self, add: Add, conv: Layer) -> Tensor:
        """(out, 1, 1) of the other input of an addition, in the sums of `conv`."""
        activations, weight = self.quantization.activations, f"{self.stems[conv.name]}.weight"
        pair = activations[self.shortcuts[conv.name].residual], activations[add.name]
        return self.constant(
            f"{add.name} residual",
            lambda: self.quantization.residual_multipliers(weight, *pair).astype(np.float32)[:, None, None],
        )

    def constant(self, name: str, make: Callable[[], Array]) -> Tensor:
        """An array as a tensor where the parameters are, made once."""
        device = next(self.parameters()).device
        if (name, device) not in self.constants:
            with torch.inference_mode(False):  # or training could not use what scoring made
                self.constants[name, device] = torch.from_numpy(np.ascontiguousarray(make())).to(device)
        return self.constants[name, device]

    # The model file --------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """Weights int8 and biases int32 as a model file has them: biases with the inputs' zero points folded in."""
        arrays: dict[str, Array] = {}
        for layer, stem in weighted(self.network):
            arrays[f"{stem}.weight"], arrays[f"{stem}.bias"] = self.layer_arrays(layer)
        return {name: arrays[name] for name in self.network.tensors()}

    @torch.no_grad()
    def layer_arrays(self, layer: Conv | Linear) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        weight, bias = (each.cpu().numpy().astype(np.int64) for each in self.integers(layer))
        taps = weight.reshape(*weight.shape[:2], -1).sum(axis=2)
        if layer.inputs[0] == "input":
            zero_points = np.array(self.quantization.pixels.zero_points)
        else:
            zero_points = np.array([self.quantization.activations[layer.inputs[0]].zero_point])
        return weight.astype(np.int8), (bias - (taps * zero_points).sum(axis=1)).astype(np.int32)

    def keep_bounds(self) -> None:
        """Makes the steps of channels larger whose weights have grown so much that a sum could reach 2^24.

        UsageError if a multiplier would exceed its largest value.
        """
        for layer, stem in weighted(self.network):
            while (reach := self.reach(layer)).max() > MAX_SUM:
                grown = np.where(reach > MAX_SUM, np.maximum(reach / MAX_SUM, 1.0) * 1.02, 1.0)
                self.enlarge(layer, f"{stem}.weight", grown)

    def reach(self, layer: Conv | Linear) -> NDArray[np.float64]:
        """(out,) the largest magnitude of a sum."""
        stem = self.stems[layer.name]
        low, high = sum_bounds(*self.layer_arrays(layer))
        shortcut = self.shortcuts.get(layer.name)
        if shortcut is not None:
            activations = self.quantization.activations
            residual = activations[shortcut.residual]
            factor = self.quantization.residual_multipliers(f"{stem}.weight", residual, activations[shortcut.add])
            low, high = low - factor * residual.zero_point, high + factor * (255 - residual.zero_point)
        return np.maximum(np.abs(low), np.abs(high)).astype(np.float64)

    def enlarge(self, layer: Conv | Linear, weight: str, factors: NDArray[np.float64]) -> None:
        quantization = self.quantization
        if weight in quantization.scales:
            scales = {**quantization.scales, weight: (quantization.scales[weight] * factors).astype(np.float32)}
            self.quantization = replace(quantization, scales=scales)
        else:
            multiplier = np.where(
                factors > 1, np.ceil(quantization.multipliers[weight] * factors), quantization.multipliers[weight]
            )
            if multiplier.max() > ONE:
                raise UsageError(
                    f"layer {layer.name!r}: its weights have grown too large for its integers; train with a smaller lr"
                )
            multipliers = {**quantization.multipliers, weight: multiplier.astype(np.int32)}
            self.quantization = replace(quantization, multipliers=multipliers)
        self.constants.clear()

    def load_arrays(self, tensors: Mapping[str, Floats]) -> None:
        """Copies every parameter from `tensors`, real numbers; the quantization stays."""
        state = {name: torch.from_numpy(np.array(tensors[name])) for name in self.network.tensors()}
        self.load_state_dict({**state, "_extra_state": self.get_extra_state()})

    # A checkpoint ----------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Tensor:
        """The quantization as bytes of JSON, so that a checkpoint holds it."""
        factors = {kind: {name: values.tolist() for name, values in getattr(self.quantization, kind).items()} for kind in KINDS}
        text = json.dumps({"quantization": self.quantization.to_json(), **factors})
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        self.quantization = quantization_of(state)
        self.constants.clear()


KINDS: dict[str, type[np.generic]] = {"multipliers": np.int32, "scales": np.float32}


def quantization_of(state: Tensor) -> GridQuantization:
    """The reverse of `IntegerNetwork.get_extra_state`."""
    data = json.loads(bytes(state.cpu().numpy()))
    multipliers, scales = ({name: np.array(values, kind) for name, values in data[key].items()} for key, kind in KINDS.items())
    return GridQuantization.from_json(data["quantization"], multipliers, scales)


class Rounded(torch.autograd.Function):
    """clamp(RNE(x * factor)) in float64, as float32. The gradient is that of x * factor, and 0 where the clamp changes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor | float, low: float, high: float) -> Tensor:
        exact = factor if isinstance(factor, Tensor) else torch.tensor([factor], dtype=torch.float64, device=x.device)
        result, inside = torch.empty_like(x, dtype=torch.float32), torch.empty_like(x, dtype=torch.bool)
        of_rows = exact.dim() == x.dim() > 1  # a factor for each row of a weight
        rows = len(x) if of_rows else max(CHUNK // max(x[0].numel(), 1), 1)
        for row in range(0, len(x), rows):  # what the cache holds at once
            whole = torch.mul(x[row : row + rows], exact).round_()
            limited = whole.clamp(low, high)
            result[row : row + rows] = limited
            inside[row : row + rows] = limited == whole
        ctx.save_for_backward(inside)
        ctx.factor, ctx.dtype = factor, x.dtype
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        factor = ctx.factor.to(gradient.dtype) if isinstance(ctx.factor, Tensor) else ctx.factor
        return (gradient * factor * inside).to(ctx.dtype), None, None, None


def rounded(sums: Tensor, factor: Tensor | float, result: Affine, activation: Activation = "linear") -> Tensor:
    """Sums as bytes less their zero point: clamp(RNE(sum * factor)), the limits being the activation's."""
    low, high = limits(activation, result)
    return cast(Tensor, Rounded.apply(sums, factor, low - result.zero_point, high - result.zero_point))


def blended(x: Tensor, size: torch.Size, corners: Corners) -> Tensor:
    """Bilinearly, times 2^16: first the rows, then the columns, each a blend of two neighbors in 256ths."""
    for axis, target in zip((2, 3), size, strict=True):
        before, after, weights = blend_taps(x.shape[axis], target, corners)
        share = torch.tensor(weights, dtype=x.dtype, device=x.device).reshape((-1, 1) if axis == 2 else (-1,))
        first, second = (x.index_select(axis, torch.tensor(taps, device=x.device)) for taps in (before, after))
        x = first * ((1 << BLEND_SHIFT) - share) + second * share
    return x
