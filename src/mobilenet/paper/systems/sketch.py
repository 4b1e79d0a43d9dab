"""A network that is only counted: tensors as shapes, and a ledger line for every layer that is written down.

The layers of `network.layers` are a closed union: each of them is run by the engine, trained, converted and exported. Max
pooling, channel shuffles and grouped convolutions would have to be all that too, only to be counted. So these descriptions have
a small language of their own, with the same conventions: a MAdd is one multiply-accumulate of a convolution or a linear layer,
and parameters are weights, scale and shift of batch normalization, and biases.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from ...network.layers import Shape
from ...values import Value

Padding = Literal["same", "valid"] | int


class Line(Value):
    """A layer of the ledger, for one image.

    Attributes:
        weights: parameters without biases, and without batch normalization's.
        rate: of an atrous convolution.
    """

    operation: str
    output: Shape
    weights: int = 0
    params: int = 0
    madds: int = 0
    rate: int = 1

    @property
    def padded_madds(self) -> int:
        """As TensorFlow 1 ran atrous convolutions: sides padded to a multiple of the rate (see `space_to_batch_madds`)."""
        rows, columns = (math.ceil(side / self.rate) * self.rate for side in self.output[1:])
        return self.madds // (self.output.height * self.output.width) * rows * columns


class Totals(NamedTuple):
    """What a network costs."""

    params: int
    madds: int


def size(side: int, kernel: int, stride: int, padding: Padding, dilation: int = 1, ceil: bool = False) -> int:
    """Rows or columns of an output: SAME and VALID are TensorFlow's, a number pads each side; `ceil` is Caffe's pooling."""
    reach = (kernel - 1) * dilation
    match padding:
        case "same":
            return (side - 1) // stride + 1
        case "valid":
            return (side - reach - 1) // stride + 1
        case _:
            room = side + 2 * padding - reach - 1
            outputs = (-(-room // stride) if ceil else room // stride) + 1
            return outputs - (ceil and (outputs - 1) * stride >= side + padding)


class Sketch:
    """A network in the making: each method writes one layer down and returns the shape of its output.

    Args:
        norm: whether convolutions have batch normalization in place of a bias, unless they say otherwise.
    """

    def __init__(self, resolution: int, norm: bool) -> None:
        self.image, self.norm = Shape(3, resolution, resolution), norm
        self.lines: list[Line] = []

    @property
    def weights(self) -> int:
        return sum(line.weights for line in self.lines)

    @property
    def totals(self) -> Totals:
        return Totals(sum(line.params for line in self.lines), sum(line.madds for line in self.lines))

    @property
    def padded_madds(self) -> int:
        return sum(line.padded_madds for line in self.lines)

    def conv(
        self,
        x: Shape,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        padding: Padding = "same",
        *,
        dilation: int = 1,
        groups: int = 1,
        norm: bool | None = None,
        bias: bool | None = None,
    ) -> Shape:
        """A convolution; with a bias if it has no batch normalization, unless `bias` says otherwise."""
        norm = self.norm if norm is None else norm
        bias = not norm if bias is None else bias
        sides = (size(side, kernel, stride, padding, dilation) for side in (x.height, x.width))
        output = Shape(channels, *sides)
        weights = channels * (x.channels // groups) * kernel**2
        params = weights + 2 * channels * norm + channels * bias
        madds = output.elements * (x.channels // groups) * kernel**2
        self.lines.append(Line(f"conv {kernel}x{kernel}", output, weights, params, madds, dilation))
        return output

    def depthwise(self, x: Shape, kernel: int = 3, stride: int = 1, bare: bool = False) -> Shape:
        """A convolution of each channel by itself; a `bare` one has neither batch normalization nor a bias."""
        norm = self.norm and not bare
        return self.conv(x, x.channels, kernel, stride, groups=x.channels, norm=norm, bias=not (norm or bare))

    def pool(self, x: Shape, kernel: int, stride: int, padding: Padding = "same", ceil: bool = False) -> Shape:
        """A pooling, of maxima or means: they cost the same, nothing."""
        height, width = (size(side, kernel, stride, padding, ceil=ceil) for side in (x.height, x.width))
        return self.write("pool", Shape(x.channels, height, width))

    def global_pool(self, x: Shape) -> Shape:
        return self.write("pool", Shape(x.channels, 1, 1))

    def concat(self, *tensors: Shape) -> Shape:
        assert len({tensor[1:] for tensor in tensors}) == 1, tensors
        return self.write("concat", Shape(sum(tensor.channels for tensor in tensors), *tensors[0][1:]))

    def add(self, a: Shape, b: Shape) -> Shape:
        assert a == b, (a, b)
        return self.write("add", a)

    def shuffle(self, x: Shape, groups: int) -> Shape:
        """ShuffleNet's exchange of channels between groups: it moves numbers and computes none."""
        assert x.channels % groups == 0, (x, groups)
        return self.write("shuffle", x)

    def fold(self, x: Shape, block: int) -> Shape:
        """Blocks of pixels as channels, YOLOv2's "reorg"."""
        return self.write("fold", Shape(x.channels * block**2, x.height // block, x.width // block))

    def normalized(self, x: Shape) -> Shape:
        """Batch normalization that stands alone."""
        self.lines.append(Line("batch norm", x, 0, 2 * x.channels))
        return x

    def scale(self, x: Shape) -> Shape:
        """A learned factor for each channel, behind SSD's normalization."""
        self.lines.append(Line("scale", x, 0, x.channels))
        return x

    def linear(self, x: Shape, channels: int, bias: bool = True) -> Shape:
        output, weights = Shape(channels, 1, 1), x.elements * channels
        self.lines.append(Line("linear", output, weights, weights + channels * bias, weights))
        return output

    def write(self, operation: str, output: Shape) -> Shape:
        self.lines.append(Line(operation, output))
        return output
