"""What another library makes of a network's ONNX graph, kept for each shape of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from ..exports.onnx import to_onnx

if TYPE_CHECKING:
    from ..network.layers import Network
    from ..tensors import Floats

T = TypeVar("T")

MAX_GRAPHS = 8
"""Maximum number of shapes that are kept, each with a copy of the weights. One more drops them all."""


class Graphs(Generic[T]):
    """Calls `prepare` with the bytes of the ONNX graph for a shape of images, once.

    The graph has fixed sizes, with which the libraries are fastest, and TensorFlow's padding depends on them. A forked child
    prepares its own: what its parent made has lost its threads.
    """

    def __init__(self, network: Network, tensors: Mapping[str, Floats], prepare: Callable[[bytes], T]) -> None:
        self.network, self.tensors, self.prepare = network, tensors, prepare
        self.left: list[dict[tuple[int, ...], T]] = []  # of parent processes, whose threads freeing would wait for
        self._start()

    def _start(self) -> None:
        self.process, self.lock, self.made = os.getpid(), Lock(), dict[tuple[int, ...], T]()

    def __call__(self, shape: tuple[int, ...]) -> T:
        """What was prepared for images of `shape`, (N, 3, H, W)."""
        if self.process != os.getpid():
            self.left.append(self.made)
            self._start()
        made = self.made.get(shape)
        if made is None:
            with self.lock:  # several threads may call with their first images at once
                made = self.made.get(shape)
                if made is None:
                    if len(self.made) >= MAX_GRAPHS:
                        self.made.clear()
                    batch, _, height, width = shape
                    graph = to_onnx(self.network, self.tensors, (height, width), batch)
                    made = self.made[shape] = self.prepare(graph.SerializeToString())
        return made
