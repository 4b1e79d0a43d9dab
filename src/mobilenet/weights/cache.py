"""Where fetched and converted models are kept, and how their makers report."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Report = Callable[[str], None]


def cache_folder() -> Path:
    """MOBILENET_CACHE, or the platform's cache folder."""
    if given := os.environ.get("MOBILENET_CACHE"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mobilenet", appauthor=False))
