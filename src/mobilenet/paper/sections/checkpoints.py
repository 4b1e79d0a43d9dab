"""The checkpoints that TensorFlow-slim publishes with their accuracy: MobileNetV2's 22 (Figure 5) and MobileNetV1's 16."""

from __future__ import annotations

from typing import NamedTuple


class Checkpoint(NamedTuple):
    """A published network. Accuracies are percent of ImageNet's validation images; `ms` on one large core of a Pixel 1."""

    width: float
    resolution: int
    top1: float
    top5: float
    ms: float | None = None


V2_SOURCE = "TensorFlow-slim's table of checkpoints (research/slim/nets/mobilenet/README.md)"
V1_SOURCE = "TensorFlow-slim's table of checkpoints (research/slim/nets/mobilenet_v1.md)"

V2 = (
    Checkpoint(1.4, 224, 75.0, 92.5, 138.0),
    Checkpoint(1.3, 224, 74.4, 92.1, 123.0),
    Checkpoint(1.0, 224, 71.8, 91.0, 73.8),
    Checkpoint(1.0, 192, 70.7, 90.1, 55.1),
    Checkpoint(1.0, 160, 68.8, 89.0, 40.2),
    Checkpoint(1.0, 128, 65.3, 86.9, 27.6),
    Checkpoint(1.0, 96, 60.3, 83.2, 17.6),
    Checkpoint(0.75, 224, 69.8, 89.6, 55.8),
    Checkpoint(0.75, 192, 68.7, 88.9, 41.6),
    Checkpoint(0.75, 160, 66.4, 87.3, 30.4),
    Checkpoint(0.75, 128, 63.2, 85.3, 21.9),
    Checkpoint(0.75, 96, 58.8, 81.6, 14.2),
    Checkpoint(0.5, 224, 65.4, 86.4, 28.7),
    Checkpoint(0.5, 192, 63.9, 85.4, 21.1),
    Checkpoint(0.5, 160, 61.0, 83.2, 14.9),
    Checkpoint(0.5, 128, 57.7, 80.8, 9.9),
    Checkpoint(0.5, 96, 51.2, 75.8, 6.4),
    Checkpoint(0.35, 224, 60.3, 82.9, 19.7),
    Checkpoint(0.35, 192, 58.2, 81.2, 14.6),
    Checkpoint(0.35, 160, 55.7, 79.1, 10.5),
    Checkpoint(0.35, 128, 50.8, 75.0, 6.9),
    Checkpoint(0.35, 96, 45.5, 70.4, 4.5),
)

V1 = (
    Checkpoint(1.0, 224, 70.9, 89.9),
    Checkpoint(1.0, 192, 70.0, 89.2),
    Checkpoint(1.0, 160, 68.0, 87.7),
    Checkpoint(1.0, 128, 65.2, 85.8),
    Checkpoint(0.75, 224, 68.4, 88.2),
    Checkpoint(0.75, 192, 67.2, 87.3),
    Checkpoint(0.75, 160, 65.3, 86.0),
    Checkpoint(0.75, 128, 62.1, 83.9),
    Checkpoint(0.5, 224, 63.3, 84.9),
    Checkpoint(0.5, 192, 61.7, 83.6),
    Checkpoint(0.5, 160, 59.1, 81.9),
    Checkpoint(0.5, 128, 56.3, 79.4),
    Checkpoint(0.25, 224, 49.8, 74.2),
    Checkpoint(0.25, 192, 47.7, 72.3),
    Checkpoint(0.25, 160, 45.5, 70.3),
    Checkpoint(0.25, 128, 41.5, 66.3),
)
