"""The folder in which fetched and converted models are kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ..modelfile import FORMAT

READER = 3  # raised whenever `convert` makes something else of the same published file
Report = Callable[[str], None]
"""Gets one line about progress or about a problem that was overcome."""


def cache_folder() -> str:
    """MOBILENET_CACHE, or the platform's cache folder."""
    if folder := os.environ.get("MOBILENET_CACHE"):
        return folder
    if sys.platform == "linux":  # the same as platformdirs gives, whose import takes longer than the engine's
        base = os.environ.get("XDG_CACHE_HOME", "").strip() or os.path.expanduser("~/.cache")
        return os.path.join(base, "mobilenet")
    import platformdirs

    return platformdirs.user_cache_dir("mobilenet", appauthor=False)


def converted_file(name: str, sha256: str) -> str:
    """The path of the model file that is converted from a published file with this sha256.

    Its name holds all that the content depends on, so that a newer format, reader or source never reads an old cache.
    """
    file = f"{name.replace('/', '--')}-{sha256[:16] or 'unpinned'}-{FORMAT}.{READER}.safetensors"
    return os.path.join(cache_folder(), "models", file)
