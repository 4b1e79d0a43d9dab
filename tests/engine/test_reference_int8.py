"""Integer inference against a scalar port of the kernels' definition, and bit by bit against LiteRT where it is installed."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from support.networks import custom
from support.quantized import quantized
from support.tflite_writer import Model, Scalar, Table, write

from mobilenet.engine import reference_int8
from mobilenet.engine.reference_int8 import Int8Reference, multiply
from mobilenet.network.heads import deeplabv3_mobilenet_v2
from mobilenet.network.layers import Conv, Network, Resize, padding_amounts
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from mobilenet.network.quantization import Affine, Quantization, fixed_point

FOLDED = {"epsilon": None, "padding": "tensorflow"}
LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


def away_from_zero(x: Fraction) -> int:
    return int(math.copysign(math.floor(abs(x) + Fraction(1, 2)), x))


def scaled(x: int, real: float) -> int:
    """MultiplyByQuantizedMultiplier in exact fractions: two roundings, of the doubled high product and of the shift."""
    fraction, exponent = math.frexp(real)
    whole = away_from_zero(Fraction(fraction) * 2**31)
    if whole == 2**31:
        whole, exponent = whole // 2, exponent + 1
    high = math.floor(Fraction((x << max(exponent, 0)) * whole, 2**31) + Fraction(1, 2))
    return away_from_zero(Fraction(high, 1 << max(-exponent, 0)))


def test_multipliers():
    generator = np.random.default_rng(0)
    x = np.concatenate([generator.integers(-(2**30), 2**30, 300), [0, 1, -1, 2**31 - 1, -(2**31) + 1, 5, -5]])
    for real in [*np.exp(generator.uniform(-16, -0.01, 40)), 0.5, 0.25, 1 / 3, 1 - 2**-40, 2.0**-31, 3 * 2.0**-24]:
        found = multiply(x.reshape(1, 1, 1, -1).copy(), fixed_point(np.array([real])))
        assert found.ravel().tolist() == [scaled(int(v), real) for v in x]
    small = x[np.abs(x) < 2**20]
    for real in (1.0, 1.5, 7.3, 200.0):
        found = multiply(small.reshape(1, 1, 1, -1).copy(), fixed_point(np.array([real])))
        assert found.ravel().tolist() == [scaled(int(v), real) for v in small]
    halves = np.array([1, 3, -1, -3, 5, -5]).reshape(1, 1, 1, -1)
    assert multiply(halves.copy(), fixed_point(np.array([0.5]))).ravel().tolist() == [1, 2, 0, -1, 3, -2]  # the product's: up
    assert multiply(2 * halves, fixed_point(np.array([0.25]))).ravel().tolist() == [1, 2, -1, -2, 3, -3]  # the shift's: away


def one_layer(layer, dtype, sides, weight, bias, seed=0, scales=None):
    """A network of one convolution, with random integers, and what it computes by the definition, in Python's integers."""
    generator = np.random.default_rng(seed)
    low, high = LIMITS[dtype]
    network = custom((layer,), sides, "tensorflow", (layer.name,))
    zero_in, zero_out, zero_weight = (int(z) for z in generator.integers(low, high + 1, 3))
    scales = np.exp(generator.uniform(-7, -4, weight.shape[0])).astype(np.float32) if scales is None else scales
    quantization = Quantization(
        dtype, {"input": Affine(0.0078125, zero_in), layer.name: Affine(0.03125, zero_out)},
        {f"{layer.name}.conv.weight": scales}, {f"{layer.name}.conv.weight": zero_weight},
    )  # fmt: skip
    x = generator.integers(low, high + 1, (1, layer.in_channels, *sides)).astype(np.int32)
    tensors = {f"{layer.name}.conv.weight": weight, f"{layer.name}.conv.bias": bias}
    quantization.check(network, tensors)
    (found,) = Int8Reference(network, tensors, quantization).integers(x).values()
    k, s, d = layer.kernel, layer.stride, layer.dilation
    (top, _), (left, _) = (padding_amounts(side, k, s, d, "tensorflow") for side in sides)
    low_out, high_out = low, high
    if layer.activation != "linear":
        low_out = max(low, zero_out)
    if layer.activation == "relu6":
        high_out = min(high, zero_out + round(6 / 0.03125))
    expected = np.empty_like(found)
    per_group = layer.in_channels // layer.groups
    for o, row, column in np.ndindex(found.shape[1:]):
        total = int(bias[o])
        for c, i, j in np.ndindex(weight.shape[1:]):
            y, z = row * s + i * d - top, column * s + j * d - left
            if 0 <= y < sides[0] and 0 <= z < sides[1]:
                source = o // (layer.out_channels // layer.groups) * per_group + c
                total += (int(x[0, source, y, z]) - zero_in) * (int(weight[o, c, i, j]) - zero_weight)
        real = float(0.0078125 * float(scales[o if len(scales) > 1 else 0]) / 0.03125)  # two powers of two: no rounding
        expected[0, o, row, column] = min(max(scaled(total, real) + zero_out, low_out), high_out)
    return found, expected


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("sides", "geometry"),
    [
        ((5, 6), {"kernel": 3, "stride": 2}),
        ((6, 5), {"kernel": 3, "stride": 1, "dilation": 2, "activation": "relu"}),
        ((4, 7), {"kernel": 3, "stride": 2, "groups": 3, "activation": "linear"}),
        ((1, 1), {"kernel": 3, "stride": 2, "groups": 3}),
        ((3, 2), {"activation": "linear"}),
    ],
)
def test_convolutions_by_their_definition(dtype, sides, geometry):
    groups = geometry.get("groups", 1)
    kernel = geometry.get("kernel", 1)
    layer = Conv("c", ("input",), 3, 3 if groups > 1 else 4, epsilon=None, **geometry)
    generator, (low, high) = np.random.default_rng(1), LIMITS[dtype]
    shape = (layer.out_channels, 3 // groups, kernel, kernel)
    weight = generator.integers(low, high + 1, shape).astype(dtype)
    bias = generator.integers(-5000, 5000, layer.out_channels).astype(np.int32)
    for seed in range(4):
        scales = None if seed % 2 else np.array([0.01], np.float32)
        found, expected = one_layer(layer, dtype, sides, weight, bias, seed, scales)
        np.testing.assert_array_equal(found, expected)


def test_sums_past_24_bits_are_exact():
    """At the bound's two sides: float32 below 2^24, float64 above; both equal integer arithmetic."""
    generator = np.random.default_rng(0)
    for channels in (64, 260, 3000):
        layer = Conv("c", ("input",), channels, 2, epsilon=None, activation="linear")
        weight = np.full((2, channels, 1, 1), 255, np.uint8)
        weight[1] = generator.integers(0, 256, (channels, 1, 1))
        bias = np.array([1, -7], np.int32)
        found, expected = one_layer(layer, "uint8", (1, 2), weight, bias, 3, np.array([2e-7], np.float32))
        np.testing.assert_array_equal(found, expected)
    assert reference_int8.exact_float(2**24 - 1) is np.float32
    assert reference_int8.exact_float(2**24) is np.float64


def cases() -> list[Network]:
    head = {"classes": 4, "head_epsilon": None, **FOLDED}
    corners = mobilenet_v1(0.25, 24, classes=None, rows=((1, 64), (2, 64)), **FOLDED)
    last, outputs = corners.layers[-1].name, []
    resizes = []
    for i, (source, like, style) in enumerate([(last, "layer_0", "half_pixel"), (last, "input", "half_pixel"),
                                               ("layer_0", last, "half_pixel"), (last, "input", "aligned"),
                                               ("layer_0", last, "aligned")]):  # fmt: skip
        resizes.append(Resize(f"upsample_{i}", (source, like), style))
        outputs.append(f"upsample_{i}")
    resized = custom((*corners.layers, *resizes), corners.resolution, "tensorflow", tuple(outputs))
    return [
        mobilenet_v1(0.25, (32, 45), classes=7, **FOLDED),
        mobilenet_v2(0.35, 33, classes=5, **FOLDED),
        mobilenet_v2(0.35, 1, classes=5, rows=((1, 16, 1, 1), (6, 16, 2, 1)), projection="relu6", activation="relu", **FOLDED),
        deeplabv3_mobilenet_v2(0.35, 33, aspp="separable", **head),
        deeplabv3_mobilenet_v2(0.35, (33, 50), output_stride=8, aspp="full", **head),
        resized,
    ]


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("case", range(6))
def test_every_layer_bit_by_bit_as_litert_has_it(dtype, case):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    network = cases()[case]
    tensors, quantization = quantized(network, dtype, seed=case)
    content, at = write(network, tensors, quantization)
    interpreter = litert.Interpreter(
        model_content=content,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    low, high = LIMITS[dtype]
    for seed in range(3):
        x = np.random.default_rng(seed).integers(low, high + 1, (1, 3, *network.resolution)).astype(np.int32)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.transpose(0, 2, 3, 1).astype(dtype))
        interpreter.invoke()
        found = Int8Reference(network, tensors, quantization).integers(x, keep=True)
        assert len(found) == len(network.layers)
        for name, values in found.items():
            theirs = interpreter.get_tensor(at[name]).transpose(0, 3, 1, 2)
            np.testing.assert_array_equal(values, theirs, err_msg=name)
        assert min(len(np.unique(values)) for values in found.values() if values.size > 100) > 10  # all of it alive


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_every_accumulator_is_scaled_back_as_litert_does_it(dtype):
    """A bias for each accumulator that is not clamped, under scales drawn at random: where a rounding differs, it shows."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    generator, zero_point = np.random.default_rng(0), {"int8": -4, "uint8": 124}[dtype]
    for _ in range(12):
        drawn = np.exp(generator.uniform((-5, -6, -3), (-3, -4, 0))).astype(np.float32)
        source, weight, result = (float(scale) for scale in drawn)
        reach = int(min(130 * result / (source * weight), 150_000))
        bias = np.arange(-reach, reach, dtype=np.int32)
        layer = Conv("layer_1", ("input",), 3, len(bias), epsilon=None, activation="linear")
        network = custom((layer,), (1, 1), "tensorflow", ("layer_1",))
        tensors = {"layer_1.conv.weight": np.zeros((len(bias), 3, 1, 1), dtype), "layer_1.conv.bias": bias}
        scales = {"layer_1.conv.weight": np.array([weight], np.float32)}
        activations = {"input": Affine(source, 0), "layer_1": Affine(result, zero_point)}
        quantization = Quantization(dtype, activations, scales, {"layer_1.conv.weight": 0})
        content, at = write(network, tensors, quantization)
        interpreter = litert.Interpreter(model_content=content, experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF)
        interpreter.allocate_tensors()
        interpreter.set_tensor(at["input"], np.zeros((1, 1, 1, 3), dtype))
        interpreter.invoke()
        (found,) = Int8Reference(network, tensors, quantization).integers(np.zeros((1, 3, 1, 1), np.int32)).values()
        np.testing.assert_array_equal(found.ravel(), interpreter.get_tensor(at["layer_1"]).ravel())


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_sums_rescalings_and_means_of_all_integers_as_litert_has_them(dtype):
    """All pairs of integers added, all integers on another scale, all sums of a mean, under scales drawn at random."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    generator, (low, high) = np.random.default_rng(0), LIMITS[dtype]
    every = np.arange(low, high + 1)
    pairs = np.stack(np.meshgrid(every, every)).reshape(2, 1, 1, -1, 1)  # two tensors of one channel, a row
    columns = np.concatenate([np.sort(generator.integers(low, high + 1, (7, 900)), axis=0), np.full((7, 1), low)], axis=1)
    means = columns.T.reshape(1, 901, 7, 1)

    def theirs(code: str, options: Table | None, inputs: list[np.ndarray], affines: list[Affine], axes: bool = False):
        model = Model()
        shapes = [(1, *x.transpose(0, 2, 3, 1).shape[1:]) for x in inputs]
        at = [model.tensor(f"x{i}", s, dtype, *a) for i, (s, a) in enumerate(zip(shapes, affines, strict=False))]
        more = [model.tensor("axes", (2,), "int32", data=np.array([1, 2], np.int32))] if axes else []
        shape = (1, 1, 1, shapes[0][3]) if axes else shapes[0]
        y = model.operator(code, at + more, model.tensor("y", shape, dtype, *affines[-1]), options)
        interpreter = litert.Interpreter(
            model_content=model.content(at, [y]), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
        )
        interpreter.allocate_tensors()
        for index, x in zip(at, inputs, strict=True):
            interpreter.set_tensor(index, x.transpose(0, 2, 3, 1).astype(dtype))
        interpreter.invoke()
        return interpreter.get_tensor(y).transpose(0, 3, 1, 2)

    for _ in range(6):
        scales, points = np.exp(generator.uniform(-3, 0, 3)).astype(np.float32), generator.integers(low, high + 1, 3)
        affines = [Affine(float(scale), int(point)) for scale, point in zip(scales, points, strict=True)]
        a, b = (x.transpose(0, 3, 1, 2).astype(np.int32) for x in pairs)
        found = reference_int8.add(a, b, affines[:2], affines[2], LIMITS[dtype])
        np.testing.assert_array_equal(found, theirs("ADD", Table({0: Scalar("b", 0)}), [a, b], affines))
        one = every.reshape(1, 1, 1, -1).astype(np.int32)
        found = reference_int8.requantize(one, affines[0], affines[1], LIMITS[dtype])
        np.testing.assert_array_equal(found, theirs("QUANTIZE", None, [one], affines[:2]))
        if dtype == "int8":
            x = means.transpose(0, 1, 3, 2).astype(np.int32)
            found = reference_int8.pool(x, affines[0], affines[1], LIMITS[dtype])
            options = Table({0: Scalar("?", True)})
            np.testing.assert_array_equal(found, theirs("MEAN", options, [x], affines[:2], axes=True))


def test_batches_and_what_is_no_batch():
    network = mobilenet_v2(0.35, 32, classes=5, **FOLDED)
    run = Int8Reference(network, *quantized(network, "int8"))
    x = np.random.default_rng(0).uniform(-1, 1, (3, 3, 32, 40)).astype(np.float32)
    together, apart = run(x)["classifier"], [run(one[None])["classifier"][0] for one in x]
    assert together.shape == (3, 5)
    np.testing.assert_array_equal(together, apart)
    with pytest.raises(ValueError, match=r"images float64\(1, 3, 8, 8\): must be float32"):
        run(np.zeros((1, 3, 8, 8)))


def test_quantizing_images_gives_their_own_pixels():
    """The mean and standard deviation that a conversion stores undo the input's scale and zero point exactly."""
    for scale, zero_point in ((0.0078125, 128), (float(np.float32(1 / 127.5)), 127), (0.5, 0)):
        pixels = np.arange(256, dtype=np.float32)
        real = (pixels / np.float32(255) - np.float32(zero_point / 255)) / np.float32(1 / (255 * scale))
        quantization = Quantization("uint8", {"input": Affine(scale, zero_point)}, {}, {})
        assert reference_int8.quantize(real, quantization, "input").tolist() == list(range(256))
