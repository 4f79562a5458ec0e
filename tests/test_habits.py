"""Habits that a reader relies on: short files, each helper written once, pins that install where the project says it runs."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
LONGEST = 350  # lines
SMALL = 200  # characters of a parsed body; smaller ones are the same by chance


def sources(*tops: str) -> Iterator[Path]:
    for top in tops:
        yield from sorted((ROOT / top).rglob("*.py"))  # gra/train and gra/eval are links, which rglob does not follow


def test_no_file_is_long() -> None:
    lines = {
        p: len(p.read_text(encoding="utf-8").splitlines())
        for p in sources("gra", "train", "eval", "tests", "benchmarks")
    }
    assert {p.relative_to(ROOT).as_posix(): count for p, count in lines.items() if count > LONGEST} == {}


def bodies(text: str) -> Iterator[tuple[str, str]]:
    """(name, body without its docstring) of every function that is not tiny."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if len(plain := ast.dump(ast.Module(body, []))) > SMALL:
                yield node.name, plain


def twice(texts: dict[str, str]) -> list[list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for place, text in texts.items():
        for name, body in bodies(text):
            found[body].append(f"{place}: {name}")
    return [places for places in found.values() if len(places) > 1]


def test_each_helper_is_written_once() -> None:
    paths = sources("gra", "train", "eval")
    assert twice({p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in paths}) == []


@pytest.mark.parametrize("other", ["b", "c"])
def test_a_second_copy_is_seen(other: str) -> None:
    one = "def a(text: str) -> str:\n    'Plain.'\n    return ' '.join(text.split()).casefold().removesuffix('s')\n"
    copied = twice({"x.py": one, "y.py": one.replace("def a", f"def {other}").replace("'Plain.'", "'Another.'")})
    assert copied == [["x.py: a", f"y.py: {other}"]]
    assert twice({"x.py": one, "y.py": one.replace("'s'", "'t'")}) == []


def test_every_pinned_package_installs_on_the_oldest_python_that_the_project_names() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = re.search(r'requires-python = ">=([\d.]+)', project)
    assert oldest is not None
    asked = {found.metadata["Name"]: found.metadata["Requires-Python"] or "" for found in distributions()}
    refusing = {name: python for name, python in asked.items() if f"{oldest[1]}.0" not in SpecifierSet(python)}
    assert refusing == {}, "pin an older version in constraints.txt"
