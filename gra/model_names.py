"""PURE: derives a model's family from its name."""

from __future__ import annotations

import re

_FAMILY = re.compile(r"[a-z]+")


def family_of(name: str) -> str:
    """Return the family of a model, which is the first letters of its name in lower case, without the owner before the
    slash. For `Qwen/Qwen2.5-Coder-0.5B` this is `qwen`."""
    found = _FAMILY.search(name.lower().rsplit("/", 1)[-1])
    return found[0] if found else name
