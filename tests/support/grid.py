"""Small integer networks of our own kind for tests: random weights, ranges measured on random images, every rule obeyed."""

from __future__ import annotations

import numpy as np

from mobilenet.engine.fold import fold
from mobilenet.engine.reference import run_layer
from mobilenet.network import grid
from mobilenet.network.grid import MAX_SUM, ONE, GridQuantization, Pixels
from mobilenet.network.layers import Add, Concat, Network, Resize
from mobilenet.network.quantization import Affine, weighted
from support.weights import random_tensors

PIXELS = Pixels.of((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def gridded(
    network: Network, seed: int = 0, magnitude: int = 127, pixels: Pixels = PIXELS
) -> tuple[dict[str, np.ndarray], GridQuantization]:
    """Integers of a random network without batch norm; no weight above `magnitude`.

    Ranges are those of two random images, so other images saturate. Multipliers of about 2^8 to 2^22 appear.
    """
    generator = np.random.default_rng(seed)
    real, byte_tensors = random_tensors(network, seed), set(grid.byte_tensors(network))
    images = generator.integers(0, 256, (2, 3, *network.resolution))
    factor, offset = (np.array(part)[:, None, None] for part in pixels)
    values = {"input": ((images - offset) / factor).astype(np.float32)}
    for layer in network.layers:
        values[layer.name] = run_layer(layer, [values[n] for n in layer.inputs], fold(network, real), network.padding)
    shortcuts = grid.shortcuts(network)
    activations: dict[str, Affine] = {}
    for layer in network.layers:
        if layer.name not in byte_tensors:
            continue
        low, high = min(float(values[layer.name].min()), 0.0), max(float(values[layer.name].max()), 0.01)
        scale = max((high - low) / 255, 1e-6)
        sources = [activations[name].scale for name in layer.inputs if name in activations]
        if isinstance(layer, Resize):
            activations[layer.name] = activations[layer.inputs[0]]
            continue
        if isinstance(layer, Concat):
            scale = max(scale, *sources)
        elif isinstance(layer, Add):
            scale = max(scale, sum(sources) / 3)
        elif layer.name.endswith(("mean", "pool")):
            scale = max(scale, sources[0] / 3)
        scale = float(np.float32(scale))
        activations[layer.name] = Affine(scale, int(np.clip(round(-low / scale), 0, 255)))
    tensors, multipliers, scales = {}, {}, {}
    for layer, stem in weighted(network):
        name, weight = f"{stem}.weight", real[f"{stem}.weight"].astype(np.float64)
        bias = real[f"{stem}.bias"].astype(np.float64)
        if layer.inputs[0] == "input":
            weight = weight / factor
            source, zero_point = 1.0, np.array(offset.ravel())
        else:
            source, zero_point = activations[layer.inputs[0]].scale, np.array([activations[layer.inputs[0]].zero_point])
        flat = np.abs(weight).reshape(len(weight), -1)
        reach = np.maximum(255 * flat.sum(axis=1), np.abs(bias) / source)
        step = np.maximum(np.maximum(flat.max(axis=1) / magnitude, reach / MAX_SUM * 1.1), 1e-9)
        if layer.name in grid.real_outputs(network):
            scales[name] = (step * source).astype(np.float32)
            step = scales[name].astype(np.float64) / source
        else:
            shortcut = shortcuts.get(layer.name)
            result = activations[layer.name if shortcut is None else shortcut.add]
            k = np.clip(np.ceil(step * source / result.scale * ONE), 256, ONE)
            if shortcut is not None:
                exact = activations[shortcut.residual].scale * ONE / result.scale
                k = np.clip(np.rint(exact / np.maximum(np.floor(exact / k), 1)), 256, ONE)
            multipliers[name] = k.astype(np.int32)
            step = k * result.scale / ONE / source
        integers = np.clip(np.rint(weight / step.reshape(-1, *(1,) * (weight.ndim - 1))), -magnitude, magnitude)
        taps = integers.reshape(*integers.shape[:2], -1).sum(axis=2)
        tensors[name] = integers.astype(np.int8)
        folded = bias / (step * source) - (taps * zero_point).sum(axis=1)
        tensors[f"{stem}.bias"] = np.clip(np.rint(folded), -(2**30), 2**30).astype(np.int32)
    quantization = GridQuantization(pixels, activations, multipliers, scales)
    return {name: tensors[name] for name in network.tensors()}, quantization
