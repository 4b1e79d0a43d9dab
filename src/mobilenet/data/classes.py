"""Which class a name of the data means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from ..errors import UsageError, unknown_name
from ..tasks.labels import imagenet, normalize_label

MAX_MESSAGE = 300  # characters; a model may have a thousand labels


@dataclass(frozen=True)
class Classes:
    """The classes that data must have, in the order of their indices: those of a model, or of the training part.

    Attributes:
        labels: names of the classes.
        ids: an id for each, or ().
        indices: whether a whole number that is no id and no label means the class with that index.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...] = ()
    indices: bool = False

    @classmethod
    def different(cls, names: Sequence[str]) -> Classes:
        """From names or ids that a caller gives. Raises UsageError unless they differ."""
        if isinstance(names, str) or not names or len(set(names)) != len(names):
            raise UsageError(f"classes {names!r:.100}: must be different names, at least one; or None for the data's own")
        return cls(tuple(names))

    @cached_property
    def _by_label(self) -> dict[str, int]:
        numbers: dict[str, int] = {}
        for number, label in enumerate(self.labels):
            numbers.setdefault(normalize_label(label), number)
        return numbers

    @cached_property
    def _by_id(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.ids)}

    def number(self, name: str) -> int | None:
        """The index of the class with this id, else with this label (case and underscores aside), else with the label of
        this WordNet id; None if there is none."""
        if name in self._by_id:
            return self._by_id[name]
        number = self._by_label.get(normalize_label(name))
        if number is None and name in _wordnet():
            number = self._by_label.get(normalize_label(_wordnet()[name]))
        return number

    def numbers(self, names: Iterable[str], source: object) -> dict[str, int]:
        """The class index that each of the data's names means. Raises UsageError, which names `source`, for the first that
        means none."""
        numbers = {}
        for name in names:
            number = self.number(name)
            if number is None and self.indices and name.isdecimal() and int(name) < len(self.labels):
                number = int(name)
            if number is None:
                raise self.missing(name, source)
            numbers[name] = number
        return numbers

    def missing(self, name: object, source: object) -> UsageError:
        return UsageError(f"{source}: {unknown_name('class', name, [*self.ids, *self.labels])}"[:MAX_MESSAGE])


def own_classes(names: Sequence[str]) -> Classes:
    """The classes of data that are named so: the WordNet ids of ImageNet's 1,000 get their labels if all names are such."""
    if names and all(name in _wordnet() for name in names):
        return Classes(tuple(_wordnet()[name] for name in names), tuple(names))
    return Classes(tuple(names))


@cache
def _wordnet() -> dict[str, str]:
    """Label by WordNet id."""
    labels, ids = imagenet()
    return dict(zip(ids, labels, strict=True))
