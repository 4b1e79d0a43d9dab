"""Images made of noise."""

from __future__ import annotations

import numpy as np
from PIL import Image


def noise(width, height, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def photo(width=31, height=17, seed=0):
    """Smooth and colorful, so that codecs have something to code."""
    return Image.fromarray(noise(7, 5, seed=seed)).resize((width, height), Image.Resampling.BICUBIC)
