"""The native engine: called exactly like `reference.Reference`, and far faster."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, overload

from .. import _core
from ..errors import MobilenetError, UsageError
from ..network.layers import NORM, Conv, Linear, Network, Resolution, checked_resolution, output_shape
from ..tensors import kind, plain, zeros
from ..values import Value
from .plan.budget import best_plan
from .plan.fuse import StemUnit, weighted
from .plan.geometry import panel_blocks
from .plan.layout import BF16, F32
from .plan.plan import make_plan
from .plan.program import pack_program
from .plan.steps import Plan, Style

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..network.grid import GridQuantization
    from ..network.quantization import Affine, Quantization
    from ..tensors import Array, Floats, Plain

Precision = Literal["fp32", "bf16"]
"""What the products of a float network compute in."""
MAX_PLANS = 32  # plans that are kept, one for each image size; all are dropped beyond that


class Native:
    """Runs `network` with the tensors of a model file on the native core.

    `Native(...)(images)` takes (N, 3, H, W) float32, any H and W, and returns each output by name, as `Reference` does.
    It returns arrays for an array, and memoryviews for a memoryview; the latter works without numpy. It may be called from
    several threads at once; each call then has its own arena and workers. After a fork the child may go on calling it: it
    starts workers of its own.

    Args:
        threads: number of threads that work on one image, the caller's included.
        memory_budget: bytes that activations may take for one image; the fastest plan within it is chosen.
        quantization: of an integer network, our own or a published one; or None: then tensors are float32.
        precision: "bf16": products of a float network read bfloat16 and add in float32 (docs/numerics.md). It needs a
            processor with AMX.
        style: how plans are made, for measurements; None for the fastest style within the budget.

    Raises:
        UsageError: an argument outside its range, a network that the engine cannot run, a budget that no plan fits (on the
            call), bfloat16 on a processor without AMX, or an instruction set in MOBILENET_ISA that this one does not have.
        MobilenetError: a thread cannot be started, or there is not enough memory (on the call).
    """

    name = "native"

    def __init__(
        self,
        network: Network,
        tensors: Mapping[str, Array],
        threads: int = 1,
        memory_budget: int | None = None,
        quantization: GridQuantization | Quantization | None = None,
        precision: Precision = "fp32",
        style: Style | None = None,
    ) -> None:
        if not isinstance(threads, int) or not 1 <= threads <= 256:
            raise UsageError(f"threads {threads!r}: must be 1 to 256; for example {os.cpu_count() or 1}")
        if memory_budget is not None and memory_budget < 1:
            raise UsageError(f"memory_budget {memory_budget!r}: must be a number of bytes, or None; for example 2_000_000")
        if memory_budget is not None and style is not None:
            raise UsageError("memory_budget with a style: a budget chooses the style; leave one of the two out")
        self.network, self.threads, self.memory_budget, self.style = network, threads, memory_budget, style
        try:
            self.isa: str = _core.isa(os.environ.get("MOBILENET_ISA", ""))
        except ValueError as error:
            raise UsageError(str(error)) from None
        self.precision: str = precision if quantization is None else "int8"
        self._layout, self._integers = F32, None
        if quantization is None:
            if precision == "bf16":
                refuse_bf16_without_tiles(self.isa)
                self._layout = BF16
            self._weights = pack(network, tensors, self.isa, precision)
        else:
            from .integer_weights import pack_integers
            from .plan.integers import integers_of
            from .plan.layout import U8

            self._layout, self._integers = U8, integers_of(network, quantization)
            self._weights = pack_integers(network, tensors, quantization, self._integers, self.isa)
        self._programs: dict[tuple[int, int], Program] = {}
        # Idle ones. Append and pop are atomic, so there is no lock that a fork could leave locked.
        self._runners: list[_core.Runner] = []

    @overload
    def __call__(self, images: Array) -> Mapping[str, Array]: ...
    @overload
    def __call__(self, images: Plain) -> Mapping[str, Plain]: ...
    def __call__(self, images: Plain) -> Mapping[str, Plain]:
        return self.run(images)

    def scaling(self, output: str) -> Affine | None:
        """What the bytes of an output stand for, if `in_bytes` gives it: those of published integer models."""
        name = self.network[output].name
        return None if self._integers is None or name in self._integers.real else self._integers.activations[name]

    def in_bytes(self, images: Floats) -> Mapping[str, NDArray[np.uint8]]:
        """As a call, but outputs are the bytes that were computed: a call gives (byte - zero point) * scale, see `scaling`.

        They take a quarter of the memory, which for a segmenter is much of the time.

        Raises:
            UsageError: an output is not made of bytes, or as a call.
        """
        import numpy as np

        for output in self.network.outputs:
            if self.scaling(output) is None:
                raise UsageError(f"in_bytes: output {output!r} is made of real numbers; call the runtime instead")
        outputs = self._run(np.ascontiguousarray(images), None, lambda shape: np.empty(shape, np.uint8))
        return {name: np.asarray(output) for name, output in outputs.items()}

    def run(self, images: Plain, seconds: NDArray[np.float64] | None = None) -> Mapping[str, Plain]:
        """As a call. Adds the time of each of `plan(...).labels` to `seconds` (float64), if it is given."""
        if isinstance(images, memoryview):
            return self._run(images, seconds, zeros)
        import numpy as np

        return self._run(np.ascontiguousarray(images), seconds, lambda shape: np.empty(shape, np.float32))

    def _run(
        self, images: Plain, seconds: NDArray[np.float64] | None, empty: Callable[[tuple[int, ...]], Plain]
    ) -> Mapping[str, Plain]:
        shape = images.shape or ()
        if len(shape) != 4 or shape[1] != 3 or kind(images) != "float32" or 0 in shape:
            raise UsageError(f"images {kind(images)}{shape}: must be float32 (N, 3, H, W) with no empty side")
        program = self._program((shape[2], shape[3]))
        try:
            runner = self._runners.pop()
        except IndexError:
            runner = _core.Runner(self.threads)
        try:
            outputs = {name: empty((len(images), *shape)) for name, shape in program.outputs}
            runner.run(program.native, images, list(outputs.values()), seconds)
        except RuntimeError as error:  # a thread that cannot be started
            raise MobilenetError(str(error)) from None
        except MemoryError:
            height, width = shape[2:]
            raise MobilenetError(
                f"{len(images)} x {height}x{width} pixels: no memory for activations and outputs; give fewer or smaller "
                "images, or a memory_budget"
            ) from None
        finally:
            self._runners.append(runner)
        return outputs

    def plan(self, resolution: Resolution) -> Plan:
        """The plan for images of `resolution` (an int, or height and width)."""
        return self._program(checked_resolution(resolution)).plan

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image of `resolution`; the image and the outputs are the caller's."""
        return self.plan(resolution).bytes

    def _program(self, resolution: tuple[int, int]) -> Program:
        program = self._programs.get(resolution)
        if program is None:
            size = checked_resolution(resolution)
            if self.style is None:
                plan = best_plan(self.network, size, self.threads, self.memory_budget, self._layout, self._integers)
            else:
                plan = make_plan(self.network, size, self.threads, self.style, self._layout, self._integers)
            native = compile_plan(plan, self._weights, self.isa)
            program = Program(plan, native, tuple((n, output_shape(self.network[n], s)) for n, s in plan.outputs))
            if len(self._programs) >= MAX_PLANS:
                self._programs.clear()
            self._programs[resolution] = program
        return program


class Program(Value):
    """A plan, the native form of it, and each output's name and shape without the batch."""

    plan: Plan
    native: _core.Program
    outputs: tuple[tuple[str, tuple[int, ...]], ...]


def refuse_bf16_without_tiles(isa: str) -> None:
    """UsageError unless `isa` multiplies bfloat16 in tiles. Elsewhere float32 is faster; only tests ask for the plain loops."""
    if isa != "amx" and os.environ.get("MOBILENET_ISA") != "portable":
        raise UsageError(
            f"precision bf16: it needs a processor with AMX (Intel Xeon from the 4th generation on), and the instruction set "
            f"here is {isa}, on which bfloat16 would be slower than float32; choose fp32, or quantize the model to int8"
        )


def pack(network: Network, tensors: Mapping[str, Floats], isa: str, precision: Precision = "fp32") -> dict[str, _core.Weights]:
    """The weights of every layer as the kernels of `isa` read them; the core folds batch normalization in."""
    arrays, packed, slab = plain(tensors), dict[str, "_core.Weights"](), _core.Slab()
    for name, (unit, layer) in weighted(network).items():
        weight, after = arrays[f"{layer.prefix}.weight"], after_products(layer, arrays)
        if isinstance(unit, StemUnit):
            packed[name] = _core.StemWeights(weight, after)
        elif isinstance(layer, Conv) and layer.depthwise:
            packed[name] = _core.DepthwiseWeights(weight, after)
        elif precision == "bf16":
            packed[name] = _core.Bf16ProductWeights(weight, after, slab)
        else:
            packed[name] = _core.ProductWeights(weight, after, panel_blocks(unit, layer, F32), isa, slab)
    return packed


def after_products(layer: Conv | Linear, arrays: Mapping[str, Plain]) -> Plain | _core.BatchNorm:
    """The bias of a layer, or its batch normalization."""
    if isinstance(layer, Linear) or layer.epsilon is None:
        return arrays[f"{layer.prefix}.bias"]
    gamma, beta, mean, variance = (arrays[f"{layer.name}.norm.{part}"] for part in NORM)
    return _core.BatchNorm(gamma, beta, mean, variance, layer.epsilon)


def compile_plan(plan: Plan, weights: Mapping[str, _core.Weights], isa: str) -> _core.Program:
    """The plan as a native program, which checks every step against the buffers' bounds."""
    return _core.Program(pack_program(plan), dict(weights), isa)
