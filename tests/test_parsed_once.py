"""A config's mapping is read at the stage's entry alone; every room below gets typed settings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("gra/synthesis", "gra/models", "gra/simulation", "train", "eval")
ENTRIES = {  # file -> why it reads a mapping
    "gra/models/pool.py": "checks and parses the pool; a user's own backend takes mappings",
    "gra/models/parsed_pool.py": "parses the pool",
    "gra/models/identity.py": "hashes the pool as configured: hashes of existing configs must not move",
    "gra/synthesis/config.py": "parses the config",
    "gra/synthesis/checks.py": "finds the faults of a config that cannot be parsed",
    "gra/synthesis/stage.py": "a stage",
    "gra/synthesis/shard.py": "a stage",
    "gra/synthesis/refine.py": "a stage",
    "gra/synthesis/regate.py": "a stage",
    "gra/synthesis/seed_only.py": "a stage",
    "gra/synthesis/probe/stage.py": "a stage",
    "gra/synthesis/regating/recorded.py": "reads the config in a manifest",
    "train/stage.py": "a stage",
    "eval/stage.py": "a stage",
}
OTHERS = {  # file -> whose config it reads
    "eval/suite/conditions.py": "lm-eval's, of a task",
    "train/conflicts.py": "the student's config.json",
}
SECTIONS = {
    "seeds",
    "pool",
    "synthesis",
    "runtime",
    "shard",
    "probe",
    "refine",
    "student",
    "sft",
    "suite",
    "world",
    "tracking",
}
NOT_CONFIGS = {"inputs", "_inputs", "stats", "values"}  # mappings that have such keys too
RAW = {"config", "pool", "runtime", "_config", "_pool", "_runtime"}


def reads(text: str) -> Iterator[str]:
    """`x["pool"]`, `config["anything"]` and the same with `.get`, each with its line."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            of, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            of, key = node.func.value, node.args[0] if node.args else node
        else:
            continue
        name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
        ours = isinstance(key, ast.Constant) and isinstance(key.value, str) and name not in NOT_CONFIGS
        if ours and (key.value in SECTIONS or name in RAW):
            yield f"{node.lineno}: {ast.unparse(node)}"


def raw_reads(path: Path) -> list[str]:
    return list(reads(path.read_text(encoding="utf-8")))


def test_no_room_below_the_entry_reads_the_mapping() -> None:
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in ENTRIES | OTHERS and (lines := raw_reads(path)):
                found[name] = lines
    assert found == {}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_one(name: str) -> None:
    assert raw_reads(ROOT / name), "it reads no mapping: take it off the list"


@pytest.mark.parametrize(
    "line",
    [
        'x = config["pool"]',
        'limit = self._config.get("limit", 3)',
        'runtime.get("log_folder")',
        'given["synthesis"]["rounds"]',
    ],
)
def test_a_read_is_seen(line: str) -> None:
    assert list(reads(line))
    assert not list(reads(line.replace("[", "(").replace("]", ")").replace(".get", ".got")))
