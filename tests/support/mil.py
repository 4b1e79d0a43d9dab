"""A Core ML package run on any system: its program as coremltools reads it from the file, its operations by numpy and torch.

It shares no code with the writer: the meaning of each operation is that of coremltools' documentation. A value is rounded to
the type that the program gives it, so a program of 16 bits has its roundings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def opened(path: Path):
    """The program's function and the file's message. Raises what coremltools raises for a package that is not valid."""
    import coremltools as ct
    from coremltools.converters.mil.frontend.milproto.load import load

    model = ct.models.MLModel(str(path), skip_model_load=True)
    spec = model.get_spec()
    network = spec.pipeline.models[0] if spec.WhichOneof("Type") == "pipeline" else spec
    program = load(network, network.specificationVersion, model.weights_dir)
    return program.functions["main"], spec


def run(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """The program's outputs by name for its only input, (1, 3, H, W); of a classifier, `probabilities`."""
    function, _ = opened(path)
    (source,) = function.inputs.values()
    values = {source: x}
    for operation in function.operations:
        given = {name: value_of(each, values) for name, each in operation.inputs.items() if each is not None}
        if operation.op_type == "const":
            continue  # `value_of` reads it
        if operation.op_type == "classify":
            return {"probabilities": given["probabilities"]}
        (output,) = operation.outputs
        values[output] = rounded(CASES[operation.op_type](**given), output)
    return {output.name: values[output] for output in function.outputs}


def value_of(each, values):
    if isinstance(each, (list, tuple)):
        return [value_of(item, values) for item in each]
    return each.val if each.val is not None else values[each]


def rounded(value, output):
    """In the output's type."""
    from coremltools.converters.mil.mil import types

    dtype = {types.fp16: np.float16, types.fp32: np.float32, types.int32: np.int32}.get(output.dtype)
    return value if dtype is None else np.asarray(value).astype(dtype)


def wide(x):
    """Products are summed in float32 whatever the type."""
    x = np.asarray(x)
    return x.astype(np.float32) if x.dtype == np.float16 else x


def conv(x, weight, strides, pad_type, pad, dilations, groups, bias=None):
    import torch

    assert pad_type == "custom"
    top, bottom, left, right = map(int, pad)
    padded = np.pad(wide(x), ((0, 0), (0, 0), (top, bottom), (left, right)))
    tensors = [torch.from_numpy(np.ascontiguousarray(wide(each))) for each in (padded, weight, bias)]
    strides, dilations = ([int(side) for side in sides] for sides in (strides, dilations))
    return torch.nn.functional.conv2d(*tensors, strides, 0, dilations, int(groups)).numpy()


def resize_bilinear(x, target_size_height, target_size_width, sampling_mode):
    """The grid points of coremltools' documentation, and a blend of the two pixels beside each."""
    x = wide(x)
    for axis, target in ((2, int(target_size_height)), (3, int(target_size_width))):
        size, index = x.shape[axis], np.arange(target)
        if sampling_mode == "STRICT_ALIGN_CORNERS":
            points = index * ((size - 1) / (target - 1) if target > 1 else 0)
        else:
            assert sampling_mode == "UNALIGN_CORNERS"
            points = index * (size / target) + 0.5 * (size / target) - 0.5
        points = np.clip(points, 0, size - 1)
        low = np.floor(points).astype(int)
        share = (points - low).astype(np.float32).reshape((-1, 1) if axis == 2 else (-1,))
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, size - 1), axis) * share
    return x


def softmax(x, axis):
    powers = np.exp(wide(x) - wide(x).max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def dequantized(quantized_data, zero_point, scale, axis):
    """Integers of a constant, with a scale and a zero point for each index along the axis, or one for all."""
    sides = [-1 if index == axis else 1 for index in range(quantized_data.ndim)]
    zero_point, scale = (np.asarray(each, np.float32).reshape(sides if np.ndim(each) else ()) for each in (zero_point, scale))
    return (quantized_data.astype(np.float32) - zero_point) * scale


def batch_norm(x, mean, variance, gamma, beta, epsilon):
    """coremltools makes one of a factor and a sum for each channel."""
    mean, variance, gamma, beta = (np.asarray(each, np.float32)[:, None, None] for each in (mean, variance, gamma, beta))
    return (wide(x) - mean) / np.sqrt(variance + epsilon) * gamma + beta


def slice_by_index(x, begin, end, end_mask=None, **masks):
    ends = [None if end_mask is not None and open_end else int(last) for last, open_end in zip(end, end_mask, strict=True)]
    return x[tuple(slice(int(first), last) for first, last in zip(begin, ends, strict=True))]


CASES = {
    "conv": conv,
    "batch_norm": batch_norm,
    "constexpr_affine_dequantize": dequantized,
    "resize_bilinear": resize_bilinear,
    "softmax": softmax,
    "slice_by_index": slice_by_index,
    "linear": lambda x, weight, bias: wide(x) @ wide(weight).T + wide(bias),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "clip": lambda x, alpha, beta: np.minimum(np.maximum(x, alpha), beta),
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "minimum": lambda x, y: np.where(x < y, x, y),
    "greater": lambda x, y: x > y,
    "exp": lambda x: np.exp(wide(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-wide(x))),
    "identity": lambda x: x,
    "reshape": lambda x, shape: x.reshape([int(side) for side in shape]),
    "transpose": lambda x, perm: x.transpose([int(axis) for axis in perm]),
    "squeeze": lambda x, axes: x.squeeze(tuple(int(axis) for axis in axes)),
    "concat": lambda values, axis, interleave=False: np.concatenate(values, axis=int(axis)),
    "gather": lambda x, indices, axis, **rest: x.take(indices, int(axis)),
    "reduce_mean": lambda x, axes, keep_dims: wide(x).mean(axis=tuple(int(each) for each in axes), keepdims=bool(keep_dims)),
    "reduce_min": lambda x, axes, keep_dims: x.min(axis=tuple(int(each) for each in axes), keepdims=bool(keep_dims)),
    "reduce_argmax": lambda x, axis, keep_dims, **rest: wide(x).argmax(axis=int(axis)),
    "cast": lambda x, dtype: np.asarray(x).astype({"fp32": np.float32, "fp16": np.float16, "int32": np.int32}[dtype]),
}
"""What each operation computes, by the names of its inputs."""
