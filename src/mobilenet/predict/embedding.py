"""Embeddings: what a network knows of an image before its last layers decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..network.layers import GlobalPool, Network
from ..runtimes.backends import in_floats
from ..tasks.results import check_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..images.preprocessing import Decoded
    from ..modelfile import ModelFile
    from ..runtimes.backends import Backend, MakeExecutor


class Embedder:
    """Runs the part of a model up to its features, in float32.

    Args:
        backend, threads, device: as the whole model runs. A caller's own backend knows the whole model only; then the native
            engine runs the part.

    Attributes:
        tap: the layer whose output is the embedding, or is averaged over rows and columns to make it.
    """

    def __init__(self, model: ModelFile, backend: Backend | MakeExecutor, threads: int | None, device: str | None) -> None:
        self.tap = features_of(model.network)
        part, tensors = model.network.until(self.tap), model.dequantized().tensors
        self.preprocessing = model.preprocessing
        name: str = "native" if callable(backend) else backend
        self.runtime = in_floats(name, part, {each: tensors[each] for each in part.tensors()}, threads, device)

    def __call__(self, image: Decoded) -> NDArray[np.float32]:
        """An opened image (RGB, upright) -> (D,) float32."""
        outputs = self.runtime(self.preprocessing.batch(image))
        check_finite(outputs)
        (maps,) = np.asarray(outputs[self.tap])
        return np.asarray(maps.mean(axis=(1, 2)), np.float32)


def features_of(network: Network) -> str:
    """The layer before a classifier, the pooled backbone of a segmenter, or the last map of a detector's backbone."""
    match network.task:
        case "detection":
            names = [layer.name for layer in network.layers]
            return names[names.index(network.heads.added[0]) - 1]
        case "segmentation":
            return next(layer.name for layer in network.layers if isinstance(layer, GlobalPool))
        case _:
            return network[network.heads.classes[0]].inputs[0]
