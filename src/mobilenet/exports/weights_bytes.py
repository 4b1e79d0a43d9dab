"""A model as bytes for the native core without Python: a program, and weights with labels and how images are prepared.

docs/program.md describes both; native/core/weights_file.cc reads the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from ..engine.fold import fold
from ..engine.integer_weights import layer_constants, pack_integers
from ..engine.plan.budget import best_plan
from ..engine.plan.fuse import StemUnit, weighted
from ..engine.plan.integers import integers_of
from ..engine.plan.layout import F32, U8
from ..engine.plan.program import pack_program, words
from ..images.preprocessing import levels
from ..images.resample import DOWN_FIRST
from ..network.layers import Conv
from .exporter import ExportError
from .metadata import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..images.preprocessing import Fit, Interpolation, Preprocessing
    from ..tensors import Array
    from .exporter import Content

MAGIC, VERSION = b"MBNW", 1
ALIGNMENT = 64
"""Of every layer's arrays, counted from the first byte."""
FITS: tuple[Fit, ...] = ("center_crop", "central_fraction", "central_part", "squash", "pad")
FILTERS: tuple[Interpolation, ...] = ("box", "bilinear", "hamming", "bicubic", "lanczos", "nearest")
STORAGES = {"float32": 0, "float16": 1, "int8": 2, "int16": 3, "packed": 4}
IN_PLACE = "portable"
"""The instruction set that weights to be used in place are packed for."""
MULTIPLIER, SCALE, FRACTIONS = range(3)


def program_bytes(content: Content, threads: int = 1) -> bytes:
    """The fastest plan for one image of the preprocessing's size, as `Native` takes it."""
    network, quantization = content.network, content.model.quantization
    if quantization is None:
        plan = best_plan(network, network.resolution, threads, None, F32)
    else:
        plan = best_plan(network, network.resolution, threads, None, U8, integers_of(network, quantization))
    return pack_program(plan)


def weights_bytes(content: Content) -> bytes:
    """All weights, batch normalization folded in: float32, float16 if the precision is fp16, or the integers of the model."""
    model, card = content.model, texts(content)
    card.pop("labels", None)  # they stand before
    layers: Mapping[str, Layer]
    if content.in_place:
        layers = packed_layers(content)
    else:
        layers = integer_layers(content) if model.quantization is not None else float_layers(content)
    packing = _core.packing(IN_PLACE) if content.in_place else 0
    written = bytearray(MAGIC + words(VERSION, packing, len(model.labels)))
    for label in model.labels:
        written += ended(label)
    written += words(len(card))
    for key, value in card.items():
        written += ended(key) + ended(value)
    written += preparation(model.preprocessing) + words(len(layers))
    for name, (head, arrays) in layers.items():
        written += ended(name) + head
        for array in arrays:
            written += (
                bytes(-len(written) % ALIGNMENT) + np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
            )
    return bytes(written)


Layer = tuple[bytes, "list[Array]"]
"""A layer's words, and the arrays behind them."""


def float_layers(content: Content) -> dict[str, Layer]:
    network, stored = content.network, "float16" if content.precision == "fp16" else "float32"
    folded = fold(network, content.model.tensors)
    layers: dict[str, Layer] = {}
    for name in weighted(network):
        weight, bias = folded[name]
        layers[name] = size(weight) + words(STORAGES[stored]), [weight.astype(stored), bias.astype("float32")]
    return layers


def integer_layers(content: Content) -> dict[str, Layer]:
    network, model = content.network, content.model
    assert model.quantization is not None
    integers, layers = integers_of(network, model.quantization), dict[str, Layer]()
    for name, (unit, layer) in weighted(network, integers).items():
        c = layer_constants(model.quantization, integers, layer, model.tensors)
        factors = list(c.factors) if isinstance(c.factors, tuple) else [c.factors]
        kind = FRACTIONS if len(factors) == 2 else SCALE if factors[0].dtype == np.float32 else MULTIPLIER
        image = isinstance(unit, StemUnit) and not (isinstance(layer, Conv) and layer.depthwise)
        numbers = (STORAGES[c.weight.dtype.name], kind, c.residual is not None, image, c.residual_zero, *c.limits)
        arrays = [c.weight, c.bias, *factors] + ([] if c.residual is None else [c.residual])
        layers[name] = size(c.weight) + words(*numbers), arrays
    return layers


def packed_layers(content: Content) -> dict[str, Layer]:
    """As the kernels read them, so that nothing is packed when they are loaded.

    Raises:
        ExportError: the model has floats, or a published model's weights of more than 8 bits.
    """
    network, model = content.network, content.model
    if model.quantization is None:
        raise ExportError("in place: float weights are packed when they are loaded; quantize the model, or leave it out")
    integers, layers = integers_of(network, model.quantization), dict[str, Layer]()
    weights = pack_integers(network, model.tensors, model.quantization, integers, IN_PLACE)
    for name, (_, layer) in weighted(network, integers).items():
        try:
            numbers, arrays = _core.packed(weights[name])
        except ValueError as error:
            raise ExportError(f"in place: layer {name!r}: {error}") from None
        head = size(model.tensors[f"{layer.prefix}.weight"]) + words(STORAGES["packed"], *numbers)
        layers[name] = head, [np.frombuffer(array, np.uint8) for array in arrays]
    return layers


def size(weight: Array) -> bytes:
    """Outputs, inputs, kernel."""
    return words(*weight.shape[:2], weight.shape[2] if weight.ndim == 4 else 1)


def preparation(p: Preprocessing) -> bytes:
    """How images become the input: native/core/preparation.cc."""
    reals = np.array([p.fraction or 0, p.enlarge or 0], "<f8").tobytes()
    return b"".join(
        (
            words(*p.size, FITS.index(p.fit), p.resize or 0) + reals[:8] + words(p.fill or 0) + reals[8:],
            words(FILTERS.index(p.interpolation), DOWN_FIRST),
            np.array(levels(p.mean, p.std), "<f4").tobytes(),
        )
    )


def ended(value: str) -> bytes:
    """The length in bytes, then UTF-8 with at least one zero behind it, up to a whole word."""
    encoded = value.encode()
    return words(len(encoded)) + encoded + bytes(4 - len(encoded) % 4)
