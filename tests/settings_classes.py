"""All settings classes of the project, found in its source, so that a new one is not forgotten."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import gra
from gra.settings import Settings

ROOT = Path(gra.__file__).parent


@cache
def settings_classes() -> tuple[type[Settings], ...]:
    """Every subclass of Settings, by module and name. Only modules that define one are imported."""
    for module in _modules():
        importlib.import_module(module)
    return tuple(sorted(set(_below(Settings)), key=lambda one: (one.__module__, one.__name__)))


def _modules() -> Iterator[str]:
    sources = {}
    for path in [*ROOT.glob("*.py"), *(p for part in ROOT.iterdir() if part.is_dir() for p in part.rglob("*.py"))]:
        text = path.read_text(encoding="utf-8")
        if "Settings" in text or "PoolBase" in text:
            sources[path] = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    named = {"Settings"}
    while more := {one.name for classes in sources.values() for one in classes if _bases(one) & named} - named:
        named |= more
    for path, classes in sorted(sources.items()):
        if any(_bases(one) & named for one in classes):
            yield ".".join(["gra", *path.relative_to(ROOT).with_suffix("").parts])


def _bases(node: ast.ClassDef) -> set[str]:
    return {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}


def _below(model: type[Settings]) -> Iterator[type[Settings]]:
    for one in model.__subclasses__():
        if one.__module__.startswith("gra."):  # not those of tests
            yield one
        yield from _below(one)
