"""What every format offers: a model written as its file, and the file run by the format's own runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import MobilenetError
from ..values import Value

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import TypedDict

    from ..images.preprocessing import Preprocessing
    from ..modelfile import ModelFile
    from ..network.layers import Network, Resolution
    from ..tensors import Floats, Plain
    from .formats import Precision

    class WholeAnswer(TypedDict, total=False):
        """What a whole file answers for one image.

        scores: of a classifier (K,), of a detector (N,), best first; float32. boxes: (N, 4) float32, x0, y0, x1, y1 in pixels
        of the image. classes: (N,) int64, indices into the labels. mask: (H, W) uint8.
        """

        scores: NDArray[np.float32]
        boxes: NDArray[np.float32]
        classes: NDArray[np.int64]
        mask: NDArray[np.uint8]


class ExportError(MobilenetError):
    """A network, or a part of it, that a format cannot hold; or a converter or runtime of the format that failed."""


class Content(Value):
    """What a file of any format holds.

    Attributes:
        model: with float32 tensors, or with integers if the precision is int8: our own, or a published TensorFlow model's if
            the format says that it takes them.
        precision: of weights and arithmetic.
        whole: whether preprocessing and decoding are inside: an image in, an answer out.
        page: whether the page that shows the model at work is beside it.
        in_place: whether integer weights are used where they lie, for boards with little memory: `--to c` alone.
    """

    model: ModelFile
    precision: Precision = "fp32"
    whole: bool = False
    page: bool = False
    in_place: bool = False

    @property
    def network(self) -> Network:
        """The network for images of the size that the preprocessing makes."""
        network, size = self.model.network, self.model.preprocessing.size
        return network if network.resolution == size else network.at(size)


class PlainFile:
    """A file that holds a network alone, opened by its format's own runtime; a `backends.Runtime`.

    Args:
        name: of the runtime, for reports: "onnxruntime 1.31".
        run: (1, 3, H, W) float32, C-contiguous -> every output by name, float32, in the shape that `Network.outputs` have.
    """

    def __init__(
        self,
        name: str,
        precision: str,
        network: Network,
        run: Callable[[Floats], dict[str, Floats]],
        threads: int | None = None,
    ) -> None:
        self.name, self.precision, self.network, self.run, self.threads = name, precision, network, run, threads

    def __call__(self, images: Plain) -> dict[str, Floats]:
        """(N, 3, H, W) float32 -> each output by name, image by image."""
        import numpy as np

        x = np.ascontiguousarray(images, np.float32)
        answers = [self.run(x[i : i + 1]) for i in range(len(x))]
        return {name: np.concatenate([np.asarray(answer[name], np.float32) for answer in answers]) for name in answers[0]}

    def planned_bytes(self, resolution: Resolution) -> int:
        """Bytes of activations for one image, layer by layer: what another runtime plans is not known."""
        from ..network.cost import cost

        return cost(self.network, resolution).layerwise_bytes


class WholeFile:
    """A file with preprocessing and decoding inside, opened by its format's own runtime.

    Args:
        name: of the runtime, for reports.
        run: an image, (H, W, 3) uint8, RGB -> the answer.
        prepared: how the caller of the file brings an image to the only size that the file takes; None if it takes any. `run`
            does so too, but takes an image of that size as it is.
    """

    def __init__(
        self,
        name: str,
        precision: str,
        run: Callable[[NDArray[np.uint8]], WholeAnswer],
        prepared: Preprocessing | None = None,
    ) -> None:
        self.name, self.precision, self.run, self.prepared = name, precision, run, prepared

    def __call__(self, image: NDArray[np.uint8]) -> WholeAnswer:
        return self.run(image)


Opened = PlainFile | WholeFile


class Exporter(ABC):
    """Writes and runs the files of one format. Its module is imported only when the format is asked for."""

    script = ""
    """Lines of Python for `parity.script`, which defines ``opened(path)``: it returns a function from (1, 3, H, W) float32 to
    each output by name. Only for formats whose runtime does not exist on every system."""

    @abstractmethod
    def write(self, content: Content, path: Path) -> None:
        """Writes a file, or a folder that does not exist yet, with the same bytes for the same content.

        Raises:
            ExportError: the format cannot hold this network; one line with the part, the reason and the remedy.
        """

    @abstractmethod
    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        """The file, run by the format's own runtime, in no more than the precision it was written in.

        Args:
            model: what was written: its network names the outputs, its preprocessing and labels belong to a whole file.
            threads: that work on one image.

        Raises:
            ExportError: the runtime refuses the file.
        """
