"""The ledger: what a network costs in parameters, multiply-adds and activation memory, layer by layer.

Conventions (the papers'): a MAdd is one multiply-accumulate of a convolution or linear layer; batch normalization, bias,
activation, sum and pooling count 0. Parameters are weights, scale and shift of batch norm, and biases; its running statistics
are counted separately. Activation memory follows equation 2 of section 5.1 (arXiv 1801.04381): the tensors that are alive
while an operation runs, its inputs and outputs included, its weights not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from ..charts import BLUE, BROWN, GREEN, RED, YELLOW, chart
from ..errors import UsageError, assert_never, short_repr
from .layers import Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize, Resolution, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

Precision = Literal["fp32", "fp16", "bf16", "int8"]
BYTES: dict[str, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


@dataclass(frozen=True)
class LayerCost:
    """One line of the ledger, for one image.

    Attributes:
        live: elements of the tensors that are alive while the layer runs.
    """

    name: str
    operation: str
    output: Shape
    params: int
    madds: int
    live: int


@dataclass(frozen=True)
class BlockCost:
    """A block as one operation.

    Attributes:
        live: elements of the tensors that are alive while it runs, without those inside it.
        inner: elements of the tensors that exist only inside it.
    """

    name: str
    live: int
    inner: int

    def split(self, t: int) -> int:
        """Elements alive when the block's inner channels are computed in `t` chunks (section 5.1)."""
        return self.live + math.ceil(self.inner / t)


@dataclass(frozen=True)
class Cost:
    """The ledger of one network at one resolution, for one image.

    Attributes:
        planned_bytes: the native engine's planned peak on one thread; None unless the caller fills it in.
    """

    network: Network
    resolution: tuple[int, int]
    precision: Precision
    layers: tuple[LayerCost, ...]
    blocks: tuple[BlockCost, ...]
    planned_bytes: int | None = None

    @property
    def params(self) -> int:
        """Trainable parameters, as torchvision, timm and Keras count them."""
        return sum(layer.params for layer in self.layers)

    @property
    def weights(self) -> int:
        """Weights of convolutions and linear layers only, as the released TensorFlow tables count them."""
        return sum(math.prod(s) for n, s in self.network.parameters().items() if n.endswith(".weight") and ".norm." not in n)

    @property
    def statistics(self) -> int:
        """Running means and variances of batch normalization, stored but not trained."""
        return sum(math.prod(shape) for shape in self.network.statistics().values())

    @property
    def weight_bytes(self) -> int:
        """What a runtime holds: batch normalization folded into the weights, and a bias for each output channel.

        In integers a weight takes a byte, and an output channel a bias and a multiplier of 4 bytes each.
        """
        weighted = [layer for layer in self.network.layers if isinstance(layer, Conv | Linear)]
        channels, size = sum(layer.out_channels for layer in weighted), BYTES[self.precision]
        return self.weights * size + channels * (8 if self.precision == "int8" else size)

    @property
    def madds(self) -> int:
        return sum(layer.madds for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """All activations together: what training needs, or a runtime that frees nothing."""
        return sum(layer.output.elements for layer in self.layers) * BYTES[self.precision]

    @property
    def layerwise_bytes(self) -> int:
        """Peak when layers run one after the other and a tensor is freed after its last use (equation 2)."""
        return max(layer.live for layer in self.layers) * BYTES[self.precision]

    @property
    def blockwise_bytes(self) -> int:
        """Peak when every block is one operation whose inner tensors cost nothing: the bound of section 5.1."""
        return max(block.live for block in self.blocks) * BYTES[self.precision]

    def split_bytes(self, t: int) -> int:
        """Peak when every block runs its inner channels in `t` chunks; section 5.1 recommends 2 to 5. UsageError if `t` < 1."""
        if t < 1:
            raise UsageError(f"split {t}: must be at least 1; the paper recommends 2 to 5")
        return max(block.split(t) for block in self.blocks) * BYTES[self.precision]

    def to_json(self) -> dict[str, object]:
        """The contract of `mobilenet cost --json`: counts as integers, memory in bytes."""
        size = BYTES[self.precision]
        return {
            **self.network.description,
            "resolution": list(self.resolution),
            "precision": self.precision,
            "params": self.params,
            "weights": self.weights,
            "statistics": self.statistics,
            "madds": self.madds,
            "memory": {
                "layerwise_bytes": self.layerwise_bytes,
                "planned_bytes": self.planned_bytes,
                "blockwise_bytes": self.blockwise_bytes,
                "split_bytes": {str(t): self.split_bytes(t) for t in range(1, 7)},
                "activation_bytes": self.activation_bytes,
                "weight_bytes": self.weight_bytes,
            },
            "layers": [
                {
                    "name": layer.name,
                    "operation": layer.operation,
                    "output": list(layer.output),
                    "params": layer.params,
                    "madds": layer.madds,
                    "activation_bytes": layer.output.elements * size,
                    "live_bytes": layer.live * size,
                }
                for layer in self.layers
            ],
            "blocks": [{"name": b.name, "live_bytes": b.live * size, "inner_bytes": b.inner * size} for b in self.blocks],
        }


def cost(network: Network, resolution: Resolution | None = None, precision: Precision = "fp32") -> Cost:
    """The ledger of `network`, at its own resolution or another.

    Raises UsageError for a resolution outside 1 to 16384 or an unknown precision.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"precision {short_repr(precision)}: must be one of {', '.join(get_args(Precision))}")
    network = network if resolution is None else network.at(resolution)
    shapes, last_use = network.shapes(), network.last_use()
    layers, alive = [], {"input": shapes["input"].elements}
    for index, layer in enumerate(network.layers):
        alive[layer.name] = shapes[layer.name].elements
        layers.append(
            LayerCost(
                layer.name,
                operation(layer),
                shapes[layer.name],
                sum(math.prod(shape) for _, shape in layer.parameters()),
                layer.madds([shapes[name] for name in layer.inputs]),
                sum(alive.values()),
            )
        )
        alive = {name: elements for name, elements in alive.items() if last_use.get(name, -1) > index}
    return Cost(network, network.resolution, precision, tuple(layers), tuple(block_costs(network, shapes, last_use)))


def space_to_batch_madds(network: Network, resolution: Resolution | None = None) -> int:
    """Multiply-adds of TensorFlow 1's atrous convolutions, by which the DeepLab rows of Table 7 were counted.

    TensorFlow 1 moved the rate into the batch (space_to_batch), which pads rows and columns to a multiple of the rate: 33
    pixels at rate 6 become 36, 65 at rate 12 become 72. The padded pixels are computed and thrown away, so this counts that
    implementation, not the network; `cost` counts the network.
    """
    ledger, madds = cost(network, resolution), 0
    for layer, line in zip(network.layers, ledger.layers, strict=True):
        rate = layer.dilation if isinstance(layer, Conv) else 1
        rows, columns = (math.ceil(side / rate) * rate for side in line.output[1:])
        madds += line.madds // (line.output.height * line.output.width) * rows * columns
    return madds


def block_costs(network: Network, shapes: dict[str, Shape], last_use: dict[str, int]) -> Sequence[BlockCost]:
    """Equation 2 with each block as one operation: only tensors that cross a block's border count."""
    costs, alive, end = [], {"input": shapes["input"].elements}, 0
    for name, block in network.blocks().items():
        end += len(block)
        crossing = {layer.name for layer in block if last_use.get(layer.name, -1) >= end}
        # The inputs of a block's final sum are accumulated in the block's output, so they need no memory of their own.
        summed = block[-1].inputs if isinstance(block[-1], Add) else ()
        inner = [layer.name for layer in block if layer.name not in crossing and layer.name not in summed]
        alive |= {tensor: shapes[tensor].elements for tensor in crossing}
        costs.append(BlockCost(name, sum(alive.values()), sum(shapes[tensor].elements for tensor in inner)))
        alive = {tensor: elements for tensor, elements in alive.items() if last_use.get(tensor, -1) >= end}
    return costs


def operation(layer: Layer) -> str:
    """A short name for a table: ``depthwise 3x3 /2``, ``conv 1x1``."""
    match layer:
        case Conv():
            kind = "depthwise" if layer.depthwise else "conv"
            stride = f" /{layer.stride}" if layer.stride > 1 else ""
            rate = f" rate {layer.dilation}" if layer.dilation > 1 else ""
            return f"{kind} {layer.kernel}x{layer.kernel}{stride}{rate}"
        case Add():
            return "add"
        case GlobalPool():
            return "average pool"
        case Linear():
            return "linear"
        case Concat():
            return "concat"
        case Resize():
            return "resize"
        case _:
            assert_never(layer)


def save_figure(ledger: Cost, path: Path) -> None:
    """Draws memory and MAdds along the network (.png, .svg or .pdf); see `charts.chart` for what it raises."""
    names = [layer.name for layer in ledger.layers]
    height, width = ledger.resolution
    with chart(path, 12, 7) as figure:
        memory, madds = figure.subplots(2, 1, sharex=True)
        memory.set_title(
            f"{ledger.network.architecture} at {height} x {width}: {ledger.params / 1e6:.2f} M parameters, "
            f"{ledger.madds / 1e6:.1f} M MAdds"
        )
        draw_memory(memory, ledger, names)
        for kind, color in {"conv": GREEN, "depthwise": YELLOW, "linear": BROWN}.items():
            heights = [layer.madds / 1e6 if layer.operation.startswith(kind) else 0 for layer in ledger.layers]
            madds.bar(names, heights, color=color, label=kind)
        madds.set_ylabel("MAdds, millions")
        madds.legend()
        madds.tick_params(axis="x", labelrotation=90, labelsize=7)
        madds.set_xlim(-1, len(names))


def draw_memory(axes: Axes, ledger: Cost, names: Sequence[str]) -> None:
    """Bars for the layers, and a line across the layers of each block."""
    scale = BYTES[ledger.precision] / 2**20
    axes.bar(names, [layer.live * scale for layer in ledger.layers], color=BLUE, label="layer by layer (eq. 2)")
    label = "each block as one operation"
    for block in ledger.blocks:
        columns = [i for i, name in enumerate(names) if name.partition(".")[0] == block.name]
        axes.hlines(block.live * scale, columns[0] - 0.5, columns[-1] + 0.5, color=RED, linewidth=2, label=label)
        label = "_nolegend_"  # the legend names them once
    axes.set_ylabel(f"alive, MiB ({ledger.precision})")
    axes.legend()
