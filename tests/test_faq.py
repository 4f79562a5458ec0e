"""The FAQ quotes messages that the code has: each quoted heading is in a text of the program, not in a comment or a docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOLD_BY_FILES = {"simulated"}  # a label, not a message


def texts(tree: ast.AST) -> Iterator[str]:
    """String literals, joined ones with their gaps; docstrings left out."""
    skipped = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)


def test_every_message_of_the_faq_is_one_of_the_program() -> None:
    page = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    quoted = [
        part for head in re.findall(r"^\*\*(`.*?)\*\*", page, re.MULTILINE) for part in re.findall(r"`([^`]+)`", head)
    ]
    assert len(quoted) > 15
    said: list[str] = []
    for top in ("gra", "train", "eval"):
        for path in sorted((ROOT / top).rglob("*.py")):
            said += texts(ast.parse(path.read_text(encoding="utf-8")))
    everything = "\n".join(said)
    assert [words for words in quoted if words not in everything and words not in TOLD_BY_FILES] == []
