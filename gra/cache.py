"""Locates the cache folder. It holds seed embeddings (gra/synthesis/dedup) and model weights (gra/weights), all of which can be
rebuilt."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path | None:
    """Return the folder GRA_CACHE, else $XDG_CACHE_HOME/gra or ~/.cache/gra; None if GRA_CACHE is off, none or 0."""
    named = os.environ.get("GRA_CACHE", "")
    if named.lower() in ("off", "none", "0"):
        return None
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gra"
