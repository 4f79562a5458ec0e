"""PURE: derives a model's family from its name."""

from __future__ import annotations

import re

_FAMILY = re.compile(r"[a-z]+")


def family_of(name: str) -> str:
    """Return the family of a model: the letters with which the model's name begins, in lower case. The owner before the
    slash is not part of the name. For `Qwen/Qwen2.5-Coder-0.5B`, the family is `qwen`."""
    found = _FAMILY.search(name.lower().rsplit("/", 1)[-1])
    return found[0] if found else name
