"""A `Network` as a torch module that runs the network's layers one by one, so every setting of a network works in torch too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import UsageError, assert_never
from ..network import heads, mobilenet
from ..network.layers import Add, Concat, Conv, GlobalPool, Linear, Network, Padding, Resize
from ..zoo.load import load_model
from .blocks import Block, ConvNorm, head_deviation, initialize


class TorchNetwork(nn.Module):
    """Runs `network` in torch. Parameters carry the canonical names (``layer_3.expand.conv.weight``).

    Input: (N, 3, H, W) float, RGB, normalized as the model file says; any H and W. Output: logits (N, K) of a
    classifier, (N, K, H, W) of a segmenter, or (N, C, H', W') of any other single output. Several outputs (a detector's
    ``box_0.predict`` (N, boxes x 4, H, W), ``class_0.predict`` (N, boxes x (classes + 1), H, W), ..., map by map) and the
    outputs of `taps` are a dict by name.

    Args:
        network: the network to run.
        parts: the module of every convolution and linear layer, by layer name; they may be shared with another network.
        dropout: probability of zeroing a feature before the classifier or a segmenter's logits, in training only; the
            paper's code has 0.2 for a classifier and 0.1 for a segmenter. A detector has none.
        named: return a dict even for a single output.
    """

    def __init__(self, network: Network, parts: Mapping[str, nn.Module], dropout: float = 0.2, named: bool = False) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout {dropout!r}: must be at least 0 and below 1; for example 0.2")
        self.network, self.dropout, self.named = network, dropout, named
        self.last_use = network.last_use()
        self.dropped = network.heads.classes if not network.heads.boxes else ()  # SSD has no dropout
        for layer in network.layers:
            if layer.name not in parts:
                continue
            block, _, part = layer.name.partition(".")
            if part and block not in self._modules:
                self.add_module(block, Block())
            (self.get_submodule(block) if part else self).add_module(part or block, parts[layer.name])

    def forward(self, images: Tensor) -> Tensor | dict[str, Tensor]:
        values = {"input": images}
        for index, layer in enumerate(self.network.layers):
            x = values[layer.inputs[0]]
            match layer:
                case Add():
                    y = x + values[layer.inputs[1]]
                case GlobalPool():
                    y = x.mean((2, 3), keepdim=True)
                case Concat():
                    y = torch.cat([values[name] for name in layer.inputs], 1)
                case Resize():
                    size = values[layer.inputs[1]].shape[2:]
                    y = F.interpolate(x, size, mode="bilinear", align_corners=layer.corners == "aligned")
                case Linear():
                    y = self.get_submodule(layer.name)(F.dropout(x.flatten(1), self.dropout, self.training))
                case Conv():
                    if layer.name in self.dropped:
                        x = F.dropout(x, self.dropout, self.training)
                    y = self.get_submodule(layer.name)(x)
                case _:
                    assert_never(layer)
            values[layer.name] = y
            for name in layer.inputs:  # free each tensor after its last use
                if self.last_use[name] == index:
                    values.pop(name, None)
        outputs = {name: values[self.network[name].name] for name in self.network.outputs}
        return outputs if self.named or len(outputs) > 1 else next(iter(outputs.values()))

    def parts(self) -> dict[str, nn.Module]:
        """The modules by layer name."""
        return {ly.name: self.get_submodule(ly.name) for ly in self.network.layers if isinstance(ly, (Conv, Linear))}

    def taps(self, *names: str) -> TorchNetwork:
        """A feature extractor: same parameters, nothing beyond the deepest tap, a dict {name: (N, C, H', W')}.

        Names are layers or blocks: ``net.taps("layer_15.expand", "layer_18")``. Raises UsageError for unknown names.
        """
        return TorchNetwork(self.network.until(*names), self.parts(), self.dropout, named=True).train(self.training)

    def with_classes(self, classes: int, dropout: float | None = None) -> TorchNetwork:
        """The same backbone with shared parameters, and fresh outputs for `classes` classes; for every task."""
        network = self.network.with_classes(classes)
        like, parts = next(self.parameters()), self.parts()
        for layer in network.layers:
            if isinstance(layer, (Conv, Linear)) and layer.name in network.heads.classes:
                parts[layer.name] = fresh_part(layer, network.padding, 0.1).to(like.device, like.dtype)
                initialize(parts[layer.name], "pytorch", head_deviation(layer, network))
        return TorchNetwork(network, parts, self.dropout if dropout is None else dropout).train(self.training)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Parameters and running statistics by canonical name, float32, as a model file stores them."""
        state = self.state_dict()
        return {name: state[name].detach().to("cpu", torch.float32).contiguous().numpy() for name in self.network.tensors()}

    def load_arrays(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Copies every parameter and statistic from `tensors`. KeyError for a missing one, RuntimeError for a wrong shape."""
        state = {name: torch.from_numpy(np.array(tensors[name])) for name in self.network.tensors()}
        counters = {name: value for name, value in self.state_dict().items() if name.endswith("num_batches_tracked")}
        self.load_state_dict({**counters, **state})


def module(
    network: Network,
    dropout: float = 0.2,
    norm_momentum: float = 0.1,
    initialization: str = "pytorch",
    zero_residuals: bool = False,
) -> TorchNetwork:
    """A freshly initialized torch module of any `Network`.

    Args:
        network: the network to build.
        dropout: before the classifier or a segmenter's logits, in training.
        norm_momentum: weight of the newest batch in batch norm's running statistics, in torch's sense: 0.1 is PyTorch's,
            0.003 is TensorFlow-slim's decay of 0.997.
        initialization: "pytorch" or "tensorflow", see `blocks.initialize`; heads as `blocks.head_deviation` says.
        zero_residuals: start the last batch norm before each sum at scale 0, so that a block with a shortcut starts as the
            shortcut alone (arXiv 1706.02677, section 5.1; in the paper every block starts at scale 1).
    """
    if not 0 < norm_momentum <= 1:
        raise UsageError(f"norm_momentum {norm_momentum!r}: must be above 0 and at most 1; TensorFlow's decay 0.997 is 0.003")
    parts: dict[str, nn.Module] = {}
    for layer in network.layers:
        if isinstance(layer, (Conv, Linear)):
            parts[layer.name] = fresh_part(layer, network.padding, norm_momentum)
            initialize(parts[layer.name], initialization, head_deviation(layer, network))
    for name in [layer.inputs[-1] for layer in network.layers if zero_residuals and isinstance(layer, Add)]:
        norm = parts[name].get_submodule("norm")
        if not isinstance(norm, nn.BatchNorm2d):
            raise UsageError(f"zero_residuals: {name} has no batch norm to start at 0; leave zero_residuals out")
        nn.init.zeros_(norm.weight)
    return TorchNetwork(network, parts, dropout)


def fresh_part(layer: Conv | Linear, padding: Padding, norm_momentum: float) -> nn.Module:
    if isinstance(layer, Conv):
        return ConvNorm(layer, padding, norm_momentum)
    return nn.Linear(layer.in_channels, layer.out_channels)


class Builder(Protocol):
    """A function that makes a network in torch."""

    def __call__(
        self,
        *,
        dropout: float | None = None,
        norm_momentum: float = 0.1,
        initialization: str = "pytorch",
        **settings: object,
    ) -> TorchNetwork: ...


def in_torch(build: Callable[..., Network], title: str, usual_dropout: float) -> Builder:
    """The public function of a family in torch: the keywords of `module`, and the family's settings."""

    def make(
        *, dropout: float | None = None, norm_momentum: float = 0.1, initialization: str = "pytorch", **settings: object
    ) -> TorchNetwork:
        if wanted := {"pretrained", "weights"} & settings.keys():
            raise UsageError(f"{name}({wanted.pop()}=...): makes new weights; for trained ones call nn.load('imagenet')")
        network = build(**settings)
        if dropout is not None and network.heads.boxes:
            raise UsageError(f"dropout {dropout!r}: a detector has none; leave it out")
        return module(network, usual_dropout if dropout is None else dropout, norm_momentum, initialization)

    name = getattr(build, "__name__", "")
    make.__name__ = make.__qualname__ = name
    words = "" if not usual_dropout else f" `dropout` is {usual_dropout} by default."
    make.__doc__ = f"{title} in torch: `settings` are those of `mobilenet.{name}`, the other keywords those of `module`.{words}"
    return make


mobilenet_v1 = in_torch(mobilenet.mobilenet_v1, "MobileNetV1", 0.001)
mobilenet_v2 = in_torch(mobilenet.mobilenet_v2, "MobileNetV2", 0.2)
ssd_mobilenet_v2 = in_torch(heads.ssd_mobilenet_v2, "SSD on MobileNetV2", 0.0)
ssdlite_mobilenet_v1 = in_torch(heads.ssdlite_mobilenet_v1, "SSDLite on MobileNetV1", 0.0)
ssdlite_mobilenet_v2 = in_torch(heads.ssdlite_mobilenet_v2, "SSDLite on MobileNetV2", 0.0)
deeplabv3_mobilenet_v1 = in_torch(heads.deeplabv3_mobilenet_v1, "DeepLabv3 on MobileNetV1", 0.1)
deeplabv3_mobilenet_v2 = in_torch(heads.deeplabv3_mobilenet_v2, "DeepLabv3 on MobileNetV2", 0.1)


def load(source: str | Path, dropout: float = 0.2, norm_momentum: float = 0.1) -> TorchNetwork:
    """The torch module of a known model or a model file, in evaluation mode; a quantized one has the numbers that its integers
    stand for.

    Raises:
        MobilenetError: as `mobilenet.load`.
    """
    model = load_model(source).dequantized()
    net = module(model.network, dropout, norm_momentum)
    net.load_arrays(model.tensors)
    return net.eval()
