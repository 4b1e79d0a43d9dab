"""Seeds that are a function of given numbers."""

from __future__ import annotations

import hashlib


def derived_seed(*numbers: int) -> int:
    """32 bits (all that torch's generator uses) from any whole numbers, the same on every machine."""
    digest = hashlib.blake2b(",".join(map(str, numbers)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
