"""Some of a dataset: for trying a recipe out."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...data.dataset import Dataset


class Part(Dataset):
    """`count` samples of another dataset, evenly spread over it, so that all classes of sorted folders are there."""

    def __init__(self, source: Dataset, count: int) -> None:
        count = min(count, len(source))
        self.source, self.chosen = source, [i * len(source) // count for i in range(count)]
        targets = None if source.targets is None else source.targets[self.chosen]
        super().__init__(source.task, source.labels, source.label_ids, targets)

    def __len__(self) -> int:
        return len(self.chosen)

    def name(self, index: int) -> str:
        return self.source.name(self.chosen[index])

    def read(self, index: int) -> tuple[Tensor, Any]:
        return self.source.read(self.chosen[index])

    def objects(self, index: int) -> Any:
        return self.source.objects(self.chosen[index])
