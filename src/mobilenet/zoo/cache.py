"""Where fetched and converted models are kept, and how their makers report. Imports nothing heavy, so paths are strings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ..modelfile import FORMAT

READER = 2  # counts what `weights.convert` came to make differently of the same published file
Report = Callable[[str], None]


def cache_folder() -> str:
    """MOBILENET_CACHE, or the platform's cache folder."""
    if given := os.environ.get("MOBILENET_CACHE"):
        return given
    if sys.platform == "linux":  # as platformdirs has it, which takes longer to import than the engine
        base = os.environ.get("XDG_CACHE_HOME", "").strip() or os.path.expanduser("~/.cache")
        return os.path.join(base, "mobilenet")
    import platformdirs

    return platformdirs.user_cache_dir("mobilenet", appauthor=False)


def converted_file(name: str, sha256: str) -> str:
    """The model file made of a known model whose published file has this sha256.

    The file's name carries what the content depends on, so that a newer format, reader or source never meets an old cache.
    """
    file = f"{name.replace('/', '--')}-{sha256[:16] or 'unpinned'}-{FORMAT}.{READER}.safetensors"
    return os.path.join(cache_folder(), "models", file)
