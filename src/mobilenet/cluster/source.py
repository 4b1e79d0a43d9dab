"""Parts as a source of Ray Data: one task lists them, and they flow to the actors as they are found."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pyarrow
import ray
from ray.data import Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from .listing import Listing, working_in
from .parts import missing


class Parts(Datasource):  # type: ignore[misc]  # ray has no types here
    """Rows of a key and a pickled part.

    Args:
        known: Ray's reference to the keys of the output's parts, and to the inputs of those that are no longer listed.
    """

    def __init__(self, listing: Listing, known: ray.ObjectRef) -> None:
        super().__init__()
        self.listing, self.known = listing, known

    def get_name(self) -> str:
        return "Parts"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *arguments: object, **settings: object) -> list[ReadTask]:
        listing, known = self.listing, self.known  # the task needs no more

        def blocks() -> Iterator[pyarrow.Table]:
            done, held = ray.get(known)
            with working_in(listing.base):
                for key, part in missing(listing.parts(), done, held):
                    yield pyarrow.table({"key": [key], "part": [pickle.dumps(part)]})

        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(blocks, metadata)]
