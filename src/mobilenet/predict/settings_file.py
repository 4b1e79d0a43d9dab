"""What an output's answers were made with: a small file beside it, so that ``--resume`` does not mix answers of two kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..errors import MobilenetError, UsageError
from ..files import write_atomically

Setting = str | int | float | bool | tuple[str, ...] | None
SUFFIX = ".settings"


def keep_settings(output: str, settings: Mapping[str, Setting], begins: bool) -> None:
    """Writes ``OUTPUT.settings`` where an output begins; else compares. An output without such a file is not compared.

    Args:
        settings: of every option that changes answers, by its name, for example ``--views``; None or False: was not given.

    Raises:
        UsageError: a setting is another one than that of the output's answers.
        MobilenetError: the file holds something else.
        WriteError: it cannot be written.
    """
    path = output + SUFFIX
    if begins:
        write_atomically(path, as_bytes(settings))
        return
    try:
        with open(path, "rb") as file:
            before = settings_in(file.read())
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as error:
        raise MobilenetError(f"{path}: no settings of mobilenet predict; remove it to go on without a comparison") from error
    compare_settings(output, before, settings)


def as_bytes(settings: Mapping[str, Setting]) -> bytes:
    return (json.dumps(settings, indent=2) + "\n").encode()


def settings_in(content: bytes) -> dict[str, object]:
    """What `as_bytes` has written, with lists in place of tuples. Raises ValueError or RecursionError for anything else."""
    settings = json.loads(content)
    if not isinstance(settings, dict):
        raise ValueError("not an object")
    return settings


def compare_settings(output: str, before: Mapping[str, object], settings: Mapping[str, Setting]) -> None:
    """UsageError if a setting is another one than before."""
    for option, value in settings_in(as_bytes(settings)).items():
        if option in before and before[option] != value:
            raise UsageError(
                f"{output}: its answers were made {words(option, before[option])}, not {words(option, value)}; "
                "give --resume with the same settings, or --output another name"
            )


def words(option: str, value: object) -> str:
    if value is None or value is False or value == []:
        return f"without {option}"
    if value is True:
        return f"with {option}"
    return f"with {option} {','.join(map(str, value)) if isinstance(value, list) else value}"
