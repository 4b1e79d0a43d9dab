"""Importing and loading without the garbage collector: it finds nothing then, and looks again and again.

Left at work it takes a fifth of the time from the command's start to its end, on one photo.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """The collector rests inside, where it was at work. What was made meanwhile counts as old to it afterwards."""
    working = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if working:
            if not gc.get_freeze_count():  # its next round would go through all that is new: this moves it, unseen
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def settle() -> None:
    """All that exists by now will stay to the end, so the collector need not go through it again. For programs, not libraries.

    Where torch is at work it goes on: libraries of torch's count at the end what is left of theirs.
    """
    if "torch" not in sys.modules:
        gc.freeze()
