"""The remark of section 3.3: a block without inner channels is the identity."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...network.layers import Conv
from ...network.mobilenet import mobilenet_v2
from .section import Material, Prose, Section, Table, Verdict

SIDE, SEED = 14, 0


def make(material: Material) -> Section:
    network = mobilenet_v2()
    name, block = next((name, layers) for name, layers in network.blocks().items() if name == "layer_4")
    channels = next(layer.in_channels for layer in block if isinstance(layer, Conv))
    inner = next(layer.out_channels for layer in block if isinstance(layer, Conv))
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((channels, SIDE, SIDE))
    expand, look = rng.standard_normal((inner, channels)) / np.sqrt(channels), rng.standard_normal((inner, 3, 3)) / 3
    project = rng.standard_normal((channels, inner)) / np.sqrt(inner)
    kept = sorted({inner, inner // 2, channels, channels // 2, channels // 4, 1, 0}, reverse=True)
    changes = {n: change(x, expand[:n], look[:n], project[:, :n]) for n in kept}
    table = Table(
        f"A block of the form of {name}, with fewer and fewer inner channels",
        ("inner channels", "expansion t", "change of the input, %"),
        tuple((f"{n}", f"{n / channels:.3g}", f"{100 * changes[n]:.1f}") for n in kept),
        f"Random weights, {channels} channels of {SIDE} x {SIDE} pixels, seed {SEED}. Change: the length of output minus "
        "input, divided "
        "by the length of the input.",
    )
    text = Prose(
        """With a shortcut, a block computes x + F(x). F is a sum over the inner channels: each of them reads the input, is
        filtered, and adds its own thin contribution. Take channels away, and terms of the sum go. With none left nothing is
        added, and the block hands on its input untouched. So the expansion t says how much a block may change; it can be made
        smaller without cutting the network in two. Without the shortcut a block of t = 0 would hand on zeros.

        The paper calls this an expansion ratio of 0. Between 0 and 1 the block is a classical residual block, which is thin
        inside; above 1 it is the inverted one. One formula covers all three."""
    )
    falls = all(changes[a] >= changes[b] for a, b in pairwise(kept))
    return Section(
        "identity",
        "No inner channels: the identity",
        "MobileNetV2, section 3.3",
        "If the inner layer has depth 0, the block is the identity, thanks to the shortcut.",
        (text, table),
        Verdict(
            "holds" if changes[0] == 0.0 else "does not hold",
            "With 0 inner channels the output is the input, bit for "
            f"bit{'; the change shrinks with every step before' if falls else ''}.",
        ),
    )


def change(
    x: NDArray[np.float64], expand: NDArray[np.float64], look: NDArray[np.float64], project: NDArray[np.float64]
) -> float:
    """The relative length of what a block of these weights adds to `x` (C, H, W)."""
    wide = np.clip(np.tensordot(expand, x, 1), 0, 6)
    padded = np.pad(wide, ((0, 0), (1, 1), (1, 1)))
    height, width = x.shape[1:]
    seen = sum(look[:, i, j, None, None] * padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3))
    output = x + np.tensordot(project, np.clip(seen, 0, 6), 1)
    return float(np.linalg.norm(output - x) / np.linalg.norm(x))
