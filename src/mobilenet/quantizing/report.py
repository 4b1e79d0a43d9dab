"""What integers cost each layer: signal to noise, the worst channels, what saturates; as values, JSON and a chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..charts import BLUE, RED, YELLOW, chart
from ..engine.reference_grid import GridReference
from ..network.cost import operation
from ..network.grid import GridQuantization, real_outputs
from ..network.quantization import Affine
from .draft import Draft, Reals
from .observe import runner

if TYPE_CHECKING:
    from pathlib import Path

    from ..tensors import Array, Floats

NUM_WORST = 3
MAX_DB = 200.0
"""Signal to noise is cut off here, so that a layer without any noise has a number."""


@dataclass(frozen=True)
class LayerNoise:
    """One layer, over some images.

    Attributes:
        snr_db: 10 log10 of the energy of the float layer's output over that of its difference from the integers.
        worst: the channels of least signal to noise, and theirs.
        saturated: share of the float values that lie outside the range of the bytes.
        affine: of the bytes; None if the output is real.
    """

    name: str
    operation: str
    snr_db: float
    worst: tuple[tuple[int, float], ...]
    saturated: float
    affine: Affine | None

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "operation": self.operation,
            "snr_db": round(self.snr_db, 2),
            "worst_channels": [{"channel": channel, "snr_db": round(snr, 2)} for channel, snr in self.worst],
            "saturated": self.saturated,
            "scale": None if self.affine is None else self.affine.scale,
            "zero_point": None if self.affine is None else self.affine.zero_point,
        }


@dataclass
class Report:
    """What quantizing a model cost.

    Attributes:
        images: that calibrated it.
        layers: in the network's order; a convolution that an addition continues is reported with the addition.
        weight_bytes: of the float model and of the integers, with biases and multipliers.
        before, after: metrics of both on labeled images, if there were any, as `mobilenet evaluate` has them.
        failed: the images that could not be opened, with the reason.
    """

    images: int
    layers: tuple[LayerNoise, ...]
    weight_bytes: tuple[int, int]
    before: dict[str, object] = field(default_factory=dict)
    after: dict[str, object] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The contract of `mobilenet quantize --json`."""
        before, after = self.weight_bytes
        return {
            "images": self.images,
            "weight_bytes": {"before": before, "after": after},
            "metrics": {"before": self.before, "after": self.after} if self.before else None,
            "layers": [layer.to_json() for layer in self.layers],
            "failed": self.failed,
        }


@dataclass
class Energy:
    """Sums over images, by channel."""

    signal: Reals
    noise: Reals
    outside: int = 0
    values: int = 0


def layer_noise(
    draft: Draft, tensors: dict[str, Array], quantization: GridQuantization, images: Iterable[Floats]
) -> tuple[LayerNoise, ...]:
    """The noise of every layer of the integer network beside the float network of `draft`, both on the same images."""
    network, activations = draft.network, quantization.activations
    real = real_outputs(network)
    run, reference = runner(draft, real), GridReference(network, tensors, quantization)
    energies: dict[str, Energy] = defaultdict(lambda: Energy(np.zeros(1), np.zeros(1)))
    for image in images:
        floats = run(image)
        for name, integers in reference.integers(reference.pixels(image), keep=True).items():
            expected, found = floats[name][0], reference.real_numbers(network[name], integers)[0]
            expected, found = expected.reshape(len(expected), -1), found.reshape(len(found), -1)
            difference, energy = found - expected, energies[name]
            energy.signal = energy.signal + np.einsum("cp,cp->c", expected, expected, dtype=np.float64)
            energy.noise = energy.noise + np.einsum("cp,cp->c", difference, difference, dtype=np.float64)
            if name not in real:
                scale, zero_point = activations[name]
                low, high = (-zero_point - 0.5) * scale, (255.5 - zero_point) * scale
                energy.outside += int(((expected < low) | (expected > high)).sum())
            energy.values += expected.size
    layers = []
    for layer in network.layers:
        if layer.name in energies:
            energy = energies[layer.name]
            channels = decibels(energy.signal, energy.noise)
            alive = np.where(energy.signal > 0, channels, np.inf)
            worst = tuple((int(i), float(channels[i])) for i in np.argsort(alive, kind="stable")[:NUM_WORST])
            snr = float(decibels(energy.signal.sum(keepdims=True), energy.noise.sum(keepdims=True))[0])
            saturated = energy.outside / energy.values
            layers.append(LayerNoise(layer.name, operation(layer), snr, worst, saturated, activations.get(layer.name)))
    return tuple(layers)


def decibels(signal: Reals, noise: Reals) -> Reals:
    return np.asarray(10 * np.log10(np.maximum(signal, 1e-300) / np.maximum(noise, signal * 10 ** (-MAX_DB / 10) + 1e-300)))


def save_figure(report: Report, path: Path) -> None:
    """Draws signal to noise and saturation along the network (.png, .svg or .pdf); see `charts.chart` for what it raises."""
    names = [layer.name for layer in report.layers]
    with chart(path, 12, 7) as figure:
        noise, saturation = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        noise.bar(names, [layer.snr_db for layer in report.layers], color=BLUE, label="all channels")
        noise.plot(names, [layer.worst[0][1] for layer in report.layers], ".", color=RED, label="the worst channel")
        noise.set_ylabel("signal to noise, dB")
        noise.set_title(f"Integers beside floats, calibrated with {report.images} images")
        noise.legend()
        saturation.bar(names, [100 * layer.saturated for layer in report.layers], color=YELLOW)
        saturation.set_ylabel("saturated, %")
        saturation.tick_params(axis="x", labelrotation=90, labelsize=7)
        saturation.set_xlim(-1, len(names))
