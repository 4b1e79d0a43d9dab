"""The base of all errors, and the words that error messages share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

MAX_REPR = 80  # characters of a value that a message shows
MAX_MESSAGE = 480  # characters of a message; with what a command puts before it, a line of less than 500
MAX_LISTED = 280  # characters of the known names that a message lists


class MobilenetError(ValueError):
    """The base of every error that this package raises on purpose: one line with the value, the rule and the remedy.

    Whatever a message quotes from a file, it is one printable line of at most `MAX_MESSAGE` characters: the middle of a longer
    one is left out.

    Attributes:
        status: the command line's exit status: 1 if a file or a download failed, 2 if an argument is wrong.
    """

    status = 1

    def __init__(self, *parts: str) -> None:
        super().__init__(*map(one_line, parts))


class UsageError(MobilenetError):
    """An argument is wrong."""

    status = 2


def short_repr(value: object) -> str:
    """`repr` for messages: at most about `MAX_REPR` characters, however large the value is."""
    import reprlib

    limits = reprlib.Repr()
    limits.maxstring = limits.maxother = limits.maxlong = MAX_REPR
    text = limits.repr(value)
    return text if len(text) <= 2 * MAX_REPR else f"{text[: 2 * MAX_REPR]}..."


def printable(text: str) -> str:
    """`text` as one line that is safe for a terminal: characters that are not printable are escaped as in JSON.

    A label of a model file may hold anything, for example an escape sequence, or a lone surrogate, which no codec can encode.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else escaped(c) for c in text)


def one_line(text: str) -> str:
    """`text` as one printable line of at most `MAX_MESSAGE` characters."""
    text, half = printable(text), MAX_MESSAGE // 2 - 3
    return text if len(text) <= MAX_MESSAGE else f"{text[:half]} ... {text[-half:]}"


def escaped(character: str) -> str:
    """The character as in a JSON string of ASCII only: a backslash, u, and four digits, or twice that."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def nearest_names(name: object, known: Iterable[str]) -> list[str]:
    """The known names that look most like `name`, best first: at most three, or none."""
    from difflib import get_close_matches

    folded = {each.casefold(): each for each in known}
    return [folded[match] for match in get_close_matches(str(name)[:MAX_REPR].casefold(), folded, n=3, cutoff=0.5)]


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """The message for a name that does not exist: the nearest known names, or all of them if none is near.

    Of a long list it names the first, and says how many there are.
    """
    known = [each[:MAX_REPR] for each in known]
    nearest = nearest_names(name, known)
    listed = ", ".join(nearest or known)
    if len(listed) > MAX_LISTED:
        count = listed.count(", ", 0, MAX_LISTED)  # those that are whole
        listed = f"{', '.join((nearest or known)[:count])} and {len(nearest or known) - count} more"
    return f"no {kind} is called {short_repr(name)}; {'nearest' if nearest else 'known'}: {listed}"


def assert_never(value: NoReturn) -> NoReturn:
    """Ends a `match` over a closed union: the type checker reports a case that is missing (`typing.assert_never` of 3.11)."""
    raise AssertionError(f"no case for {short_repr(value)}")
