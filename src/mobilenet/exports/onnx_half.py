"""An ONNX graph of float32 as one of float16, with float32 in and out. Needs the `onnx` package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .exporter import ExportError

if TYPE_CHECKING:
    import onnx


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Changes the graph: weights and everything between the first cast and the last are float16.

    Raises:
        ExportError: a weight is beyond float16.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    factors = {node.input[2] for node in graph.node if node.op_type == "Resize" and len(node.input) > 2}  # stay float32
    for constant in graph.initializer:
        if constant.data_type != TensorProto.FLOAT or constant.name in factors:
            continue
        value = numpy_helper.to_array(constant)
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if not np.isfinite(half).all():
            raise ExportError(f"weight {constant.name!r}: {np.abs(value).max():.3g} is beyond float16's 65504; export fp32")
        constant.CopyFrom(numpy_helper.from_array(half, constant.name))
    outputs = {output.name for output in graph.output}
    renamed = {name: f"{name}/half" for name in ("input", *outputs)}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    casts = [helper.make_node("Cast", ["input"], ["input/half"], name="input/cast", to=TensorProto.FLOAT16)]
    casts += list(graph.node)
    casts += [
        helper.make_node("Cast", [f"{output.name}/half"], [output.name], name=f"{output.name}/cast", to=TensorProto.FLOAT)
        for output in graph.output
    ]
    del graph.node[:]
    graph.node.extend(casts)
    return model
