"""Lists the parts that inputs stand for, one by one, without keeping them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from ..errors import UsageError
from ..images.find import Lost, Search, is_image
from ..predict.held import Held
from ..predict.work import STDIN, names_in, open_list
from ..values import Value
from .parts import Part, named_parts
from .stores import Stores
from .tables import dataset_parts, is_dataset, is_table, parquet_parts


class Listing(Value):
    """Which images are answered.

    Attributes:
        inputs: files, folders, patterns and addresses; "@FILE" for a file of names; Parquet files and data sets.
        base: the folder that relative names start from.
        recursive: whether folders stand for the images below them too.
        column: of the tables, or None if it is found by its type.
        size: approximate number of inputs in a part.
    """

    inputs: tuple[str, ...]
    base: str
    recursive: bool
    column: str | None
    size: int
    stores: Stores

    def parts(self) -> Iterator[Part]:
        """The parts of the inputs. The same inputs give them in the same order.

        Raises:
            UsageError: stdin as an input; a file of names or an address that cannot be opened; a table without images.
        """
        lists, tables, datasets, remote, local = [], [], [], [], list[str]()
        for item in self.inputs:
            if item == STDIN:
                raise UsageError("-: the processes of a cluster do not read stdin; give a file of names as @FILE")
            if item.startswith("@") and not os.path.exists(item):
                lists.append(item[1:])
            elif is_table(item):
                tables.append(item)
            elif is_dataset(item):
                datasets.append(item)
            elif self.stores.has(item):
                remote.append(item)
            else:
                local.append(item)
        if local:
            found = map(name_and_error, Search(self.recursive).found(local))
            yield from named_parts(found, found=True, size=self.size)
        if lists:
            names = chain.from_iterable(names_in(open_list(name)) for name in lists)
            yield from named_parts(map(name_and_error, Search(self.recursive).found([], names)), found=False, size=self.size)
        if remote:
            yield from named_parts(self._remote(remote), found=False, size=self.size)
        for item in tables:
            yield from parquet_parts(item, self.stores, self.column, self.size)
        for item in datasets:
            yield from dataset_parts(item, self.column, self.size)

    def _remote(self, items: list[str]) -> Iterator[tuple[str, str | None]]:
        """The images of object stores. If there are several addresses, each image comes once, which takes 80 bytes of memory an
        image."""
        seen = Held() if len(items) > 1 else None
        for item in items:
            num_images = 0
            for name in self.stores.files(item, is_image, self.recursive):
                num_images += 1
                if seen is not None:
                    if name in seen:
                        continue
                    seen.add(name, False)
                yield name, None
            if not num_images:
                yield item, f"{item!r}: no image there by suffix; check it"


def name_and_error(found: str | Lost) -> tuple[str, str | None]:
    return (found.name, str(found.error)) if isinstance(found, Lost) else (found, None)


@contextmanager
def working_in(folder: str) -> Iterator[None]:
    """Makes `base` the folder that relative names start from, unless this machine does not have it."""
    before = os.getcwd()
    if os.path.isdir(folder):
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
