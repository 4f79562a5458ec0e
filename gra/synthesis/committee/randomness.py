"""PURE: named random streams. The same seed and names give the same stream on any machine and in any order of use."""

from __future__ import annotations

import hashlib
import random


def number(*names: object, bits: int = 63) -> int:
    """Return a non-negative integer of `bits` bits, from the sha256 of the names. The names are joined by a separator
    that no name contains."""
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)


def stream(*names: object) -> random.Random:
    """Return the random generator of these names."""
    return random.Random(number(*names))
