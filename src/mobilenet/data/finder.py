"""Finds the image files that labels name, on another machine than the one where they were written."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence

from ..images.find import Search
from .findings import Findings


def list_images(folder: str | os.PathLike[str], below: bool = True) -> list[str]:
    """The paths of the images in a folder, and in those below it, sorted; [] if there is none."""
    return sorted(path for path in Search(recursive=below).found([str(folder)]) if isinstance(path, str))


def stem_of(path: str) -> str:
    """A file's name without folder and suffix, the same for every way to write its accents."""
    return unicodedata.normalize("NFC", os.path.splitext(os.path.basename(path))[0])


def folded(name: str) -> str:
    """A name as it is compared if no file has it exactly: Unicode's composed form, without case."""
    return unicodedata.normalize("NFC", name).casefold()


class ImageFinder:
    """Finds files by the names that labels have for them.

    A name is tried as it stands, below each of the roots. If no file has it, then all images below the first root are listed
    once, and the file is taken whose path agrees with most of the name's end: ``C:\\data\\train\\a.jpg`` finds ``train/a.jpg``,
    and a name without a suffix or in another spelling finds its file too. Two files that agree equally well are no find.

    Args:
        roots: folders in which names are looked for, in this order.
        findings: counts what was not found exactly.
    """

    def __init__(self, roots: Iterable[str | os.PathLike[str]], findings: Findings) -> None:
        self.roots, self.findings = list(dict.fromkeys(str(root) for root in roots)), findings
        self.lost = set[str]()  # paths of images that are nowhere
        self.by_stem: dict[str, list[str]] | None = None

    def find(self, name: str) -> str:
        """The path of the image called `name`. Counts it if it was not found exactly; one that is nowhere has the path that
        it would have below the first root, and is named when it is opened."""
        plain = name.strip().removeprefix("file://").replace("\\", "/")
        for number, root in enumerate(self.roots):
            path = os.path.join(root, plain)
            if plain and os.path.isfile(path):
                if number:  # the next names are probably there as well
                    self.roots.insert(1, self.roots.pop(number))
                return os.path.normpath(path)
        found = self._nearest(plain)
        if found is None:
            self.findings.add("image_missing", name)
            path = os.path.join(self.roots[0], plain)
            self.lost.add(path)
            return path
        if os.path.basename(found) == os.path.basename(plain):
            self.findings.add("image_moved", name)
        else:
            self.findings.add("image_spelling", name)
        return found

    def _nearest(self, plain: str) -> str | None:
        if self.by_stem is None:
            self.by_stem = {}
            for path in list_images(self.roots[0]) if self.roots and os.path.isdir(self.roots[0]) else ():
                self.by_stem.setdefault(folded(stem_of(path)), []).append(path)
        parts = [part for part in folded(plain).split("/") if part not in ("", ".", "..")]
        if not parts:
            return None
        candidates = self.by_stem.get(folded(stem_of(plain)), [])
        if not candidates:  # a name without a suffix may hold a dot
            candidates = self.by_stem.get(parts[-1], [])
        with_suffix = [path for path in candidates if folded(os.path.basename(path)) == parts[-1]]
        scored = [(_agreement(path, parts), path) for path in with_suffix or candidates]
        best = [path for agreement, path in scored if agreement == max(scored)[0]]
        return best[0] if len(best) == 1 else None


def _agreement(path: str, parts: Sequence[str]) -> int:
    """How many of the last folders of a path are those of a name, of which `parts` are the folded parts."""
    folders, count = folded(path.replace("\\", "/")).split("/")[-2::-1], 0
    for own, wanted in zip(folders, reversed(parts[:-1]), strict=False):
        if own != wanted:
            break
        count += 1
    return count
