"""The FAQ quotes messages that the code has: each quoted heading stands in a source file."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_message_of_the_faq_is_one_of_the_program() -> None:
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    heads = re.findall(r"^\*\*(`.*?)\*\*", page, re.MULTILINE)
    quoted = [part for head in heads for part in re.findall(r"`([^`]+)`", head)]
    assert len(quoted) > 15
    code = "\n".join(
        path.read_text(encoding="utf-8") for top in ("gra", "train", "eval") for path in (ROOT / top).rglob("*.py")
    )
    assert [words for words in quoted if words not in code] == []
