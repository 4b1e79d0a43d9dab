"""The specification of our own integer networks, against the rules in plain Python integers, one output at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support.grid import gridded

from mobilenet.engine import reference_grid
from mobilenet.engine.reference_grid import GridReference
from mobilenet.images.preprocessing import levels
from mobilenet.network import grid
from mobilenet.network.grid import ONE, GridQuantization
from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssdlite_mobilenet_v2
from mobilenet.network.layers import Add, Concat, Conv, GlobalPool, Linear, Network, Resize, padding_amounts
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.network.quantization import weighted

FOLDED = {"epsilon": None}


def cases() -> list[Network]:
    return [
        mobilenet_v1(0.25, (17, 24), classes=7, convolution="full", padding="tensorflow", **FOLDED),
        mobilenet_v2(0.1, (33, 40), classes=5, rows=((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 2, 1)), **FOLDED),
        mobilenet_v2(0.1, 32, classes=5, rows=((1, 8, 1, 1), (3, 8, 3, 1)), shortcut="expansion", **FOLDED),
        mobilenet_v2(0.1, 32, classes=None, rows=((1, 8, 1, 1), (3, 8, 3, 1)), projection="relu6", activation="relu", **FOLDED),
        ssdlite_mobilenet_v2(0.1, 64, classes=3, padding="tensorflow", **FOLDED),
        deeplabv3_mobilenet_v2(0.1, (37, 41), classes=4, rows=((1, 8, 1, 1), (3, 16, 2, 2), (3, 16, 1, 1)), aspp="separable",
                               head_epsilon=None, **FOLDED),
    ]  # fmt: skip


def expected(network: Network, tensors, quantization: GridQuantization, values, layer, at: tuple[int, int, int]) -> int:
    """The integer at (channel, row, column) of a layer's output, from the outputs before it, in plain Python."""
    channel, row, column = at
    activations, stems = quantization.activations, {one.name: stem for one, stem in weighted(network)}

    def sum_of(conv: Conv | Linear) -> int:
        weight, x = tensors[f"{stems[conv.name]}.weight"], values[conv.inputs[0]]
        total = int(tensors[f"{stems[conv.name]}.bias"][channel])
        if isinstance(conv, Linear):
            return total + sum(int(w) * int(v) for w, v in zip(weight[channel], x.ravel(), strict=True))
        image = conv.inputs[0] == "input"
        size = (x.shape[1], x.shape[2])
        first = [padding_amounts(n, conv.kernel, conv.stride, conv.dilation, network.padding)[0] for n in size]
        for i in range(weight.shape[1]):
            source = channel if conv.depthwise else i
            outside = quantization.pixels.zero_points[i] if image else activations[conv.inputs[0]].zero_point
            for dy in range(conv.kernel):
                for dx in range(conv.kernel):
                    y = row * conv.stride - first[0] + dy * conv.dilation
                    z = column * conv.stride - first[1] + dx * conv.dilation
                    inside = 0 <= y < size[0] and 0 <= z < size[1]
                    total += int(weight[channel, i, dy, dx]) * (int(x[source, y, z]) if inside else outside)
        return total

    shortcuts = {shortcut.add: (conv, shortcut.residual) for conv, shortcut in grid.shortcuts(network).items()}
    result, low, high = activations.get(layer.name), 0, 255
    match layer:
        case Conv() | Linear():
            total = sum_of(layer)
            if layer.name in grid.real_outputs(network):
                return total
            change = Fraction(total * int(quantization.multipliers[f"{stems[layer.name]}.weight"][channel]), ONE)
            low, high = grid.limits(getattr(layer, "activation", "linear"), result)
        case Add() if layer.name in shortcuts:
            conv, residual = shortcuts[layer.name]
            multiplier = int(quantization.multipliers[f"{stems[conv]}.weight"][channel])
            exact = activations[residual].scale * ONE / (multiplier * result.scale)
            total = sum_of(network[conv]) + round(exact) * (int(values[residual][at]) - activations[residual].zero_point)
            change = Fraction(total * multiplier, ONE)
        case Add():
            change = Fraction(0)
            for name in layer.inputs:
                factor = round(activations[name].scale / result.scale * 2**14)
                change += Fraction(factor * (int(values[name][at]) - activations[name].zero_point), 2**14)
        case Concat():
            for name in layer.inputs:
                if channel < len(values[name]):
                    break
                channel -= len(values[name])
            source = activations[name]
            k = round(source.scale / result.scale * ONE)
            change = Fraction(k * (int(values[name][channel, row, column]) - source.zero_point), ONE)
        case GlobalPool():
            x, source = values[layer.inputs[0]][channel], activations[layer.inputs[0]]
            count = x.size
            shift = 22 + count.bit_length() - 1
            k = round(source.scale / result.scale * 2**shift / count)
            change = Fraction(k * sum(int(v) - source.zero_point for v in x.ravel()), 2**shift)
        case Resize():
            x, size = values[layer.inputs[0]][channel], network.shapes()[layer.name]
            taps = []
            for place, n, m in ((row, x.shape[0], size.height), (column, x.shape[1], size.width)):
                if layer.corners == "aligned":
                    exact = Fraction(place * (n - 1), m - 1) if m > 1 else Fraction(0)
                else:
                    exact = max(Fraction((2 * place + 1) * n, 2 * m) - Fraction(1, 2), Fraction(0))
                before = min(int(exact), n - 1)
                weight = int((exact - int(exact)) * 256 + Fraction(1, 2))
                taps.append(((before, 256 - weight), (min(before + 1, n - 1), weight)))
            zero = activations[layer.inputs[0]].zero_point
            total = sum(v * u * (int(x[a, b]) - zero) for a, v in taps[0] for b, u in taps[1])
            if layer.name in grid.real_outputs(network):
                return total
            change = Fraction(total, 2**16)
    return min(max(result.zero_point + round(change), low), high)  # a Fraction is rounded to the nearest, halves to the even


@pytest.mark.parametrize("case", range(6))
def test_every_layer_obeys_the_rules(case):
    network = cases()[case]
    tensors, quantization = gridded(network, seed=case)
    quantization.check(network, tensors)
    dice = np.random.default_rng(case)
    pixels = dice.integers(0, 256, (1, 3, *network.resolution)).astype(np.uint8)
    found = GridReference(network, tensors, quantization).integers(pixels, keep=True)
    values, shapes = {"input": pixels[0], **{name: value[0] for name, value in found.items()}}, network.shapes()
    assert set(found) == {layer.name for layer in network.layers} - set(grid.shortcuts(network))
    for layer in network.layers:
        if layer.name not in found:
            continue
        assert found[layer.name].dtype == (np.int32 if layer.name in grid.real_outputs(network) else np.uint8)
        for _ in range(12):
            at = tuple(int(dice.integers(0, side)) for side in shapes[layer.name])
            assert found[layer.name][0][at] == expected(network, tensors, quantization, values, layer, at), (layer.name, at)
    bytes_ = [value for name, value in found.items() if value.dtype == np.uint8 and value.size > 100]
    assert min(len(np.unique(value)) for value in bytes_) > 5  # all of it alive


def test_a_rounding_in_float64_is_the_rounding_in_integers():
    """The largest sums and multipliers, and sums that lie exactly between two integers."""
    dice = np.random.default_rng(0)
    for multiplier in (1, 2, 3, 255, 256, 2**21, 2**22 - 1, 2**22, *map(int, dice.integers(1, 2**22, 40))):
        halves = (2 * dice.integers(-(2**20), 2**20, 2000) + 1) * (2**21 // np.gcd(multiplier, 2**21))
        sums = np.concatenate([dice.integers(1 - 2**24, 2**24, 5000), halves[np.abs(halves) < 2**24], [2**24 - 1, 1 - 2**24]])
        exact = reference_grid.rounded_in_integers(sums, multiplier, 22)
        assert exact[:50].tolist() == [round(Fraction(int(x) * multiplier, ONE)) for x in sums[:50]]
        np.testing.assert_array_equal(exact, np.rint(sums * (multiplier / 2**22)))
        np.testing.assert_array_equal(exact, np.rint(sums.astype(np.float32) * np.float64(multiplier / 2**22)))


def test_images_of_pixels_are_their_pixels():
    network = mobilenet_v1(0.25, 32, classes=3, **FOLDED)
    reference = GridReference(network, *gridded(network))
    table = np.asarray(levels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))).reshape(3, 256)
    pixels = reference.pixels(table[None, :, None, :])
    np.testing.assert_array_equal(pixels, np.broadcast_to(np.arange(256), (1, 3, 1, 256)))
    assert reference.pixels(np.full((1, 3, 1, 2), [1e30, -1e30], np.float32)).tolist() == [[[[255, 0]]] * 3]
