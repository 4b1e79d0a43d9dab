"""The choice of a runtime: what runs a model, in which precision and on how many threads, for `load` and for the commands.

Neither the native core nor numpy is imported before it is chosen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol, get_args, overload, runtime_checkable

from ..engine.cores import available_cores, threads_asked_for
from ..errors import UsageError, short_repr
from ..tensors import built

if TYPE_CHECKING:
    from ..modelfile import ModelFile
    from ..network.grid import GridQuantization
    from ..network.layers import Network, Resolution
    from ..network.quantization import Quantization
    from ..tensors import Array, Floats, Plain

Backend = Literal["native", "reference", "dequantized", "onnxruntime", "openvino", "torch"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
OWN_BACKENDS = ("native", "reference", "dequantized")
"""The others are other libraries', see `others.OTHERS`, which is not imported for one photo."""
PRECISIONS = ("fp32", "bf16", "int8")
MAX_IMAGES_ON_ONE_THREAD = 5
"""Up to this many images, starting more threads costs more than it saves."""
NUMPY_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@runtime_checkable
class Runtime(Protocol):
    """A network that is ready to run: the native engine, a numpy reference, another library, a caller's own function.

    Attributes:
        name: for reports, "native", "reference", "int8 reference", "onnxruntime", "torch on cuda:0", "custom" ...
        precision: of the arithmetic, "fp32", "bf16" or "int8".
        threads: that work on one image; None if the library behind it decides.
    """

    @property
    def name(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def threads(self) -> int | None: ...

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image of `resolution`: the plan, or the sum layer by layer if there is no plan."""
        ...

    @overload
    def __call__(self, images: Array) -> Mapping[str, Array]: ...
    @overload
    def __call__(self, images: Plain) -> Mapping[str, Plain]:
        """(N, 3, H, W) float32 -> each output by name. Returns arrays for an array; for a memoryview either."""
        ...


class Custom:
    """A caller's own function as a runtime: (N, 3, H, W) float32 array -> each output by name, arrays."""

    name, precision, threads = "custom", "fp32", None

    def __init__(self, network: Network, function: Callable[[Floats], Mapping[str, Array]]) -> None:
        self.network, self.function = network, function

    def __call__(self, images: Plain) -> Mapping[str, Array]:
        import numpy as np

        return self.function(np.asarray(images))

    def planned_bytes(self, resolution: Resolution) -> int:
        from ..network.cost import cost

        return cost(self.network, resolution).layerwise_bytes


Executor = Runtime | Callable[["Floats"], Mapping[str, "Array"]]
"""A runtime, or any function that can be one (see `Custom`)."""
MakeExecutor = Callable[["ModelFile"], Executor]


def choose(
    model: ModelFile,
    backend: Backend | MakeExecutor = "native",
    threads: int | None = None,
    memory_budget: int | None = None,
    num_images: int | None = None,
    device: str | None = None,
    num_callers: int = 1,
    precision: str | None = None,
) -> Runtime:
    """The runtime for `model`.

    Args:
        backend: "native": the native engine. "reference": numpy, in integers if the model is quantized. "dequantized": the
            native engine in float32, with the numbers that the integers of a quantized model stand for. "onnxruntime",
            "openvino", "torch": another library, in float32 too. Or a function that makes an executor from the model.
        threads: that work on one image; by default one for a few images, else every core. torch keeps its own number.
        memory_budget: bytes that the native engine's activations may take for one image.
        num_images: how many images will come, if that is known.
        device: "cpu", or what the other libraries call another device, such as "cuda".
        num_callers: how many threads will call the runtime at once; more than that may wait for each other.
        precision: "bf16": a float model's products in bfloat16, on the engine if the processor has AMX, or in the reference.
            "fp32" or "int8" insist on what the model would be computed in by itself.

    Raises:
        UsageError: no such backend, or a package that it needs is missing; no such device; `threads` or `memory_budget` that is
            no integer above 0; a precision, or another setting, for a runtime that cannot honor it.
    """
    check_count("threads", threads, "leave it out for all cores")
    check_count("memory_budget", memory_budget, "give a number of bytes, for example 2_000_000")
    if precision is not None:
        check_precision(precision, "a caller's own" if callable(backend) else backend, model.quantization is not None)
    if callable(backend):
        refuse_settings("a caller's own backend", threads, memory_budget)
        refuse_device("a caller's own backend", device)
        return as_runtime(model.network, backend(model))
    if backend not in BACKENDS:
        from .others import with_extras

        raise UsageError(f"no backend is called {short_repr(backend)}; there is {', '.join(OWN_BACKENDS)}, {with_extras()}")
    if backend not in OWN_BACKENDS:
        refuse_budget(backend, memory_budget)
        warn_of_more_threads_than_cores(threads)
        threads = default_threads(num_images) if threads is None and backend != "torch" else threads
        return in_floats(backend, model.network, model.dequantized().tensors, threads, device, num_callers)
    refuse_device(f"the backend {backend}", device)
    if backend == "dequantized":
        model, backend = model.dequantized(), "native"
    if backend == "native" and built():
        warn_of_more_threads_than_cores(threads)
        threads = default_threads(num_images) if threads is None else threads
    else:
        refuse_settings("the numpy reference", threads, memory_budget)
    if backend == "native":
        return native(model.network, model.tensors, threads or 1, memory_budget, model.quantization, precision == "bf16")
    return reference(model.network, model.tensors, model.quantization, precision == "bf16")


def reference(
    network: Network,
    tensors: Mapping[str, Array],
    quantization: GridQuantization | Quantization | None = None,
    bf16: bool = False,
) -> Runtime:
    """The numpy reference: of floats, of integers of our own, or of those of a published TensorFlow model."""
    if bf16:
        from ..engine.reference_bf16 import Bf16Reference

        return Bf16Reference(network, tensors)
    if quantization is None:
        from ..engine.reference import Reference

        return Reference(network, tensors)
    from ..network.quantization import Quantization

    if isinstance(quantization, Quantization):
        from ..engine.reference_int8 import Int8Reference

        return Int8Reference(network, tensors, quantization)
    from ..engine.reference_grid import GridReference

    return GridReference(network, tensors, quantization)


def native(
    network: Network,
    tensors: Mapping[str, Array],
    threads: int = 1,
    memory_budget: int | None = None,
    quantization: GridQuantization | Quantization | None = None,
    bf16: bool = False,
) -> Runtime:
    """The native engine (see `engine.native.Native`), in integers if there is a `quantization`.

    If it is not built, the numpy reference, with a warning.
    """
    if not built():
        warn_of_the_reference()
        return reference(network, tensors, quantization, bf16)
    from ..engine.native import Native

    return Native(network, tensors, threads, memory_budget, quantization, "bf16" if bf16 else "fp32")


def in_floats(
    backend: str,
    network: Network,
    tensors: Mapping[str, Floats],
    threads: int | None,
    device: str | None = None,
    num_callers: int = 1,
) -> Runtime:
    """The runtime of a backend's name for a network, or a part of one, in float32.

    Raises:
        UsageError: a package that it needs is missing, or it has no such device.
    """
    match backend:
        case "reference":
            return reference(network, tensors)
        case "native" | "dequantized":
            return native(network, tensors, threads or 1)
        case _:
            from .others import make

            return make(backend, network, tensors, threads, device, num_callers)


def as_runtime(network: Network, executor: Executor) -> Runtime:
    """`executor` itself if it is a runtime, else a runtime around it."""
    return executor if isinstance(executor, Runtime) else Custom(network, executor)


def default_threads(num_images: int | None = None) -> int:
    """One for a few images, else every core that this process may use."""
    return 1 if num_images is not None and num_images <= MAX_IMAGES_ON_ONE_THREAD else available_cores()


def divides_itself(backend: str, device: str | None = None) -> bool:
    """Whether a runtime uses every core for one image unasked, so that several callers gain nothing."""
    return (
        backend == "reference" or (backend == "torch" and device in (None, "cpu")) or (backend in OWN_BACKENDS and not built())
    )


def divided(
    backend: str, device: str | None, workers: int | None, threads: int | None, many: bool = True
) -> tuple[int, int | None]:
    """How many callers answer images at a time, and how many threads each has for one image; None leaves that to the runtime.

    Many images are divided among one-threaded callers, one for each core, unless the runtime uses every core by itself. A few
    are answered one after another.
    """
    alone = divides_itself(backend, device)
    if workers is None:
        workers = max(available_cores() // (threads or 1), 1) if many and not alone else 1
    return workers, threads if threads is not None or alone else 1


def limit_numpy(backend: str, threads: int | None) -> None:
    """Sets how many threads numpy's linear algebra uses in this process. Call it before numpy is imported, which reads them.

    It is one beside a runtime that has its own threads: more would be idle, and a quantized model's numpy reference was seen to
    be faster on one as well. "reference" and "torch" keep every core by default.
    """
    threads_asked_for()  # the user's own OMP_NUM_THREADS, read before this function replaces it
    if threads is None and not divides_itself(backend):
        threads = 1
    if threads is not None:
        os.environ.update(dict.fromkeys(NUMPY_THREADS, str(threads)))


def refuse_settings(runtime: str, threads: int | None, memory_budget: int | None) -> None:
    """UsageError for settings that only the engine honors; `threads` may be what numpy was limited to."""
    refuse_budget(runtime, memory_budget)
    if threads is not None and os.environ.get(NUMPY_THREADS[0]) != str(threads):
        raise UsageError(f"threads {threads}: {runtime} has as many as OMP_NUM_THREADS says when numpy is loaded; leave it out")


def refuse_budget(runtime: str, memory_budget: int | None) -> None:
    if memory_budget is not None:
        raise UsageError(
            f"memory_budget {memory_budget}: {runtime} plans no memory; leave it out, or run a float model natively"
        )


def refuse_device(runtime: str, device: str | None) -> None:
    if device not in (None, "cpu"):
        others = " or ".join(name for name in BACKENDS if name not in OWN_BACKENDS)
        raise UsageError(f"device {short_repr(device)}: {runtime} runs on the processor; leave it out, or choose {others}")


def check_precision(precision: str, backend: str, quantized: bool) -> None:
    """UsageError unless the backend computes a model in `precision`."""
    if precision not in PRECISIONS:
        raise UsageError(f"precision {short_repr(precision)}: must be {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}")
    integers = quantized and backend in ("native", "reference")
    if precision == "int8" and not integers:
        raise UsageError("precision int8: this model has floats; quantize it first (mobilenet quantize), or leave it out")
    if precision != "int8" and integers:
        raise UsageError(f"precision {precision}: this model has integers; choose the backend dequantized too, or leave it out")
    if precision == "bf16" and backend not in OWN_BACKENDS:
        raise UsageError(f"precision bf16: the backend {backend} computes in fp32 here; choose native, or leave it out")


def check_count(name: str, value: object, remedy: str) -> None:
    """UsageError unless `value` is None or an integer above 0."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{name} {short_repr(value)}: must be an integer of at least 1, or None; {remedy}")


def warn_of_more_threads_than_cores(threads: int | None) -> None:
    """Threads that share a core wait for each other: every step takes as long as its slowest thread."""
    if threads is None or threads == 1 or threads <= (cores := available_cores()):
        return
    import warnings

    warnings.warn(
        f"{threads} threads on {cores} {'core' if cores == 1 else 'cores'} wait for each other; {cores} would be faster",
        RuntimeWarning,
        stacklevel=4,
    )


def warn_of_the_reference() -> None:
    import warnings

    warnings.warn(
        "the native core was not built when mobilenet was installed; the numpy reference runs in its place, many "
        "times slower. Install a C++20 compiler, then reinstall mobilenet",
        RuntimeWarning,
        stacklevel=3,
    )


def planned_bytes(
    network: Network, threads: int = 1, quantization: GridQuantization | Quantization | None = None, bf16: bool = False
) -> int:
    """Bytes of activations that the engine plans for one image of `network.resolution`. Needs no native core."""
    from ..engine.plan.budget import best_plan
    from ..engine.plan.layout import BF16, F32, U8

    if quantization is None:
        return best_plan(network, network.resolution, threads, None, BF16 if bf16 else F32).bytes
    from ..engine.plan.integers import integers_of

    return best_plan(network, network.resolution, threads, None, U8, integers_of(network, quantization)).bytes
