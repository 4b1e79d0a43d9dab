"""TFLite graphs as operations of a network, and their scales and zero points under the network's names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..network.layers import Conv, Network
from ..network.quantization import Affine, Integer, Quantization, weighted
from .naming import LayoutError
from .readers.tflite import Operator, TFLiteGraph, TFLiteTensor
from .wiring import GraphOp, Key, Wiring, scope

CORNERS = {(True, False): "aligned", (False, True): "half_pixel"}
SKIPPED = ("RESHAPE", "SQUEEZE")  # their output holds what their input holds
ENDS = ("SOFTMAX", "ARG_MAX")  # after the last layer: the predictor does them
BIAS_TOLERANCE = 0.02  # of an output's step: how far TFLite lets a bias's scale differ from its accumulator's


def tflite_wiring(graph: TFLiteGraph, source: str) -> Wiring:
    """The operations of a TFLite graph. Raises LayoutError for an operator that no network of this family has."""
    if len(graph.inputs) != 1 or len(graph.tensors[graph.inputs[0]].shape) != 4:
        raise LayoutError(f"{source}: its input must be one image, N x H x W x 3")
    image: int = graph.inputs[0]
    same_as: dict[int, int] = {}  # tensors that hold what another holds

    operations: list[GraphOp] = []
    for operator in graph.operators:
        if not operator.inputs or not operator.outputs or min(operator.inputs) < 0:
            raise LayoutError(f"{source}: a {operator.code} without an input or an output; no network of this family has it")
        x, y = same_as.get(operator.inputs[0], operator.inputs[0]), operator.outputs[0]
        if operator.code in SKIPPED or is_identity(operator, graph):
            same_as[y] = x
        elif operator.code == "QUANTIZE":
            if x == image and not operations:
                image = y  # from the image's type to the network's
            else:
                same_as[y] = x  # its reader is on the new scale: checked with the concatenation
        elif operator.code not in ENDS:
            inputs = tuple(same_as.get(index, index) for index in operator.inputs)
            operations.append(tflite_operation(operator, inputs, graph, source))
    _, height, width, _ = graph.tensors[graph.inputs[0]].shape
    return Wiring(tuple(operations), image, (height, width))


def is_identity(operator: Operator, graph: TFLiteGraph) -> bool:
    """A resize to the same size, corners on corners."""
    if operator.code != "RESIZE_BILINEAR" or not operator.options["align_corners"]:
        return False
    return graph.tensors[operator.inputs[0]].shape == graph.tensors[operator.outputs[0]].shape


def tflite_operation(operator: Operator, inputs: tuple[int, ...], graph: TFLiteGraph, source: str) -> GraphOp:
    options, output = operator.options, graph.tensors[operator.outputs[0]]
    first = graph.tensors[operator.inputs[0]]
    if operator.code in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return tflite_convolution(operator, inputs, graph, source)
    name = scope(output.name)
    if operator.code == "ADD" and options["activation"] == "linear":
        return GraphOp("add", name, inputs[:2], operator.outputs[0])
    if operator.code == "CONCATENATION" and options["activation"] == "linear" and options["axis"] in (3, -1):
        return GraphOp("concat", name, inputs, operator.outputs[0])
    if operator.code == "RESIZE_BILINEAR":
        corners = CORNERS.get((bool(options["align_corners"]), bool(options["half_pixel_centers"])))
        if corners is not None:
            return GraphOp("resize", name, inputs[:1], operator.outputs[0], corners=corners)
    if operator.code == "AVERAGE_POOL_2D" and options["activation"] == "linear" and options["padding"] == "valid":
        whole = (options["filter_h"], options["filter_w"]) == first.shape[1:3]
        if whole:
            return GraphOp("mean", name, inputs[:1], operator.outputs[0])
    if operator.code == "MEAN" and len(first.shape) == 4 and len(inputs) == 2:
        axes = graph.tensors[operator.inputs[1]].data
        if axes is not None and sorted(axes.reshape(-1).tolist()) == [1, 2]:
            return GraphOp("mean", name, inputs[:1], operator.outputs[0])
    raise LayoutError(f"{source}: {operator.code} {name!r} with {dict(options)}: no network of this family has it")


def tflite_convolution(operator: Operator, inputs: tuple[int, ...], graph: TFLiteGraph, source: str) -> GraphOp:
    options = operator.options
    if len(inputs) != 3:
        raise LayoutError(f"{source}: a {operator.code} without weights or bias; no network of this family has it")
    weight, bias = (graph.tensors[index] for index in operator.inputs[1:3])
    name = scope(weight.name)
    depthwise = operator.code == "DEPTHWISE_CONV_2D"
    if weight.data is None or bias.data is None or len(weight.shape) not in (2, 4) or len(bias.shape) != 1:
        raise LayoutError(f"{source}: {operator.code} {name!r} has computed weights, or weights of a rank that no layer has")
    stride, dilation = options.get("stride_h", 1), options.get("dilation_h", 1)
    square = stride == options.get("stride_w", 1) and dilation == options.get("dilation_w", 1)
    if not square or stride < 1 or dilation < 1 or (depthwise and weight.shape[0] != 1):
        raise LayoutError(f"{source}: {operator.code} {name!r} with {dict(options)}: no network of this family has it")
    array = weight.data
    if array.ndim == 4:
        array = array.transpose(3, 0, 1, 2) if depthwise else array.transpose(0, 3, 1, 2)
    return GraphOp(
        "conv",
        name,
        inputs[:1],
        operator.outputs[0],
        array,
        bias.data,
        stride,
        dilation,
        options["activation"],
        same=options.get("padding", "same") == "same",
        depthwise=depthwise,
    )


def is_quantized(graph: TFLiteGraph) -> bool:
    return any(len(graph.tensors[op.inputs[0]].scale) for op in graph.operators if op.code.endswith("CONV_2D"))


def quantization_of(graph: TFLiteGraph, network: Network, keys: Mapping[str, Key], source: str) -> Quantization:
    """Scales and zero points of a quantized graph under the network's names. Raises LayoutError for a tensor without them."""
    dtypes = {graph.tensors[int(key)].dtype.name for key in keys.values()}
    if dtypes not in ({"int8"}, {"uint8"}):
        raise LayoutError(f"{source}: activations of {', '.join(sorted(dtypes))}; must be all int8 or all uint8")
    activations = {name: affine(graph.tensors[int(key)], source) for name, key in keys.items()}
    by_output = {operator.outputs[0]: operator for operator in graph.operators}
    scales, zero_points = {}, {}
    for layer, stem in weighted(network):
        weight, bias = (graph.tensors[index] for index in by_output[int(keys[layer.name])].inputs[1:3])
        along = 3 if isinstance(layer, Conv) and layer.depthwise else 0
        axis = weight.axis if len(weight.scale) > 1 else along
        if not len(weight.scale) or axis != along or len(set(weight.zero_point.tolist())) != 1:
            raise LayoutError(
                f"{source}: {weight.name[:80]!r} must have scales, along axis {along} if many, and one zero point"
            )
        scales[f"{stem}.weight"], zero_points[f"{stem}.weight"] = weight.scale.astype(np.float32), int(weight.zero_point[0])
        expected = weight.scale.astype(np.float64) * activations[layer.inputs[0]].scale
        allowed = BIAS_TOLERANCE * activations[layer.name].scale
        if len(bias.scale) not in (1, len(expected)) or (abs(bias.scale - expected) > allowed).any():
            raise LayoutError(f"{source}: {bias.name[:80]!r} has another scale than its accumulator, input times weight")
        if bias.zero_point.any():
            raise LayoutError(f"{source}: {bias.name[:80]!r} has a zero point other than 0")
    dtype: Integer = "int8" if dtypes == {"int8"} else "uint8"
    return Quantization(dtype, activations, scales, zero_points)


def affine(tensor: TFLiteTensor, source: str) -> Affine:
    if len(tensor.scale) != 1:
        raise LayoutError(f"{source}: {tensor.name[:80]!r} has {len(tensor.scale)} scales, an activation has one")
    return Affine(float(tensor.scale[0]), int(tensor.zero_point[0]))
