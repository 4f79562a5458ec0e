"""Locates the cache folder. It holds embeddings of seeds (gra/synthesis/dedup) and weights of models (gra/weights).
Both can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path | None:
    """Return the cache folder. If nothing shall be cached, return None.

    The user turns off the cache by setting the environment variable GRA_CACHE to "off", "none" or "0".

    Any other value of GRA_CACHE is the path of the cache folder. If GRA_CACHE is not set, the folder is
    $XDG_CACHE_HOME/gra. If XDG_CACHE_HOME is not set either, it is ~/.cache/gra.
    """
    named = os.environ.get("GRA_CACHE", "")
    if named.lower() in ("off", "none", "0"):
        return None
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gra"
