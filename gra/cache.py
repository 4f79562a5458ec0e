"""Where things are kept that can be had again: seeds' embeddings (gra/synthesis/vector_cache.py), models' weights (gra/weights)."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path | None:
    """The folder GRA_CACHE, else $XDG_CACHE_HOME/gra or ~/.cache/gra; None where GRA_CACHE=off."""
    named = os.environ.get("GRA_CACHE", "")
    if named.lower() in ("off", "none", "0"):
        return None
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gra"
