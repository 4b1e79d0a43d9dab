"""What goes wrong, said in one line."""

from __future__ import annotations

from collections.abc import Iterable


class MobilenetError(ValueError):
    """The base of every error that this package raises on purpose: one line with the value, the rule and the remedy.

    Attributes:
        status: the command line's exit status: 1 where a file or a download failed, 2 for wrong usage.
    """

    status = 1


class UsageError(MobilenetError):
    """An argument is wrong."""

    status = 2


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """One line for an unknown name: the nearest ones, or all where none is near."""
    from difflib import get_close_matches

    known = list(known)
    near = get_close_matches(str(name), known, n=3, cutoff=0.5)
    return f"no {kind} is called {name!r}; " + (f"nearest: {', '.join(near)}" if near else f"known: {', '.join(known)}")
