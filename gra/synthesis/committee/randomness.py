"""PURE: named random streams. The same seed and names give the same stream on any machine and in any order of use."""

from __future__ import annotations

import hashlib
import random


def number(*names: object, bits: int = 63) -> int:
    """Return an integer from 0 to 2^bits - 1 that depends only on the arguments `names`, e.g. a seed and an id. It is
    computed from the sha256 of the joined names."""
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)


def stream(*names: object) -> random.Random:
    """Return a random generator that is seeded with the names."""
    return random.Random(number(*names))
