"""Arrows point one way: command line -> chain -> comparison; stages know neither, nor one another, nor through what they import.

The rules are those of CONTRIBUTING.md, as data; every import is looked at, also those inside of functions and of type checking.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = {"gra.models", "gra.weights"}  # what several stages build on
MAY = {
    "leaf": set(),  # modules right below gra: errors, files, settings ...
    "gra.weights": set(),
    "gra.models": {"gra.weights"},
    "gra.synthesis": SHARED,
    "gra.train": SHARED,
    "gra.eval": SHARED,
    "gra.simulation": {*SHARED, "gra.synthesis"},  # a stage of its own that stands in for the models of a synthesis
    "gra.compare": set(),  # reads folders
    "gra.analysis": {
        "gra.synthesis",
        "gra.compare",
    },  # `gra analyze`: reads seeds as a synthesis does, draws as the report does
    "gra.chain": {"gra.compare"},  # knows stages by the `_target_` of a step
    "gra.cluster": {"gra.chain"},
    "command": {
        "gra.analysis",
        "gra.chain",
        "gra.cluster",
        "gra.compare",
        "gra.synthesis",
        "gra.train",
        "gra.eval",
        *SHARED,
        "gra.simulation",
    },
}  # part -> the parts, beside itself and the leaves, that it may import
COMMANDS = {
    "gra.api",
    "gra.cli",
    "gra.completion",
    "gra.config_reference",
    "gra.publish",
    "gra.stage_commands",
}  # right below gra and no leaves
ENTRIES = {"gra.synthesis.__main__", "gra.train.__main__", "gra.eval.__main__"}  # `python -m ...` of a stage
ENTRY_MAY = "gra.stage_commands"


def part_of(module: str) -> str:
    """The part of the project that a module belongs to."""
    words = module.split(".")
    area = ".".join(words[:2])
    return "command" if area in COMMANDS else area if area in MAY else "leaf"


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    for top in ("gra", "train", "eval"):  # train and eval are gra.train and gra.eval
        for path in sorted((root / top).rglob("*.py")):
            inside = path.relative_to(root).with_suffix("").parts
            words = inside if top == "gra" else ("gra", *inside)
            yield ".".join(words[:-1] if words[-1] == "__init__" else words), path


def imported(module: str, path: Path) -> Iterator[str]:
    """The project's modules that a file imports, wherever in it; `from package import module` names the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            words = module.split(".")
            package = words if path.name == "__init__.py" else words[:-1]
            base = (
                ".".join([*package[: len(package) - node.level + 1], node.module or ""])
                if node.level
                else node.module or ""
            )
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        yield from (name.strip(".") for name in names if name.split(".")[0] == "gra")


def faults(root: Path) -> list[str]:
    """Imports that the rules forbid, each as `module imports module`."""
    found = []
    for module, path in modules(root):
        mine = part_of(module)
        allowed = {mine, "leaf", *MAY[mine]}
        for name in sorted(set(imported(module, path))):
            if name == "gra" or part_of(name) in allowed or (module in ENTRIES and name.startswith(ENTRY_MAY)):
                continue
            if not (module in ENTRIES and name == "gra.chain"):
                found.append(f"{module} imports {name}")
    return found


def test_no_import_points_the_wrong_way() -> None:
    assert faults(ROOT) == []


def test_what_starts_the_chain_is_imported_by_nobody() -> None:
    """Else a stage would reach the chain through its own command."""
    assert [f"{m} imports {name}" for m, path in modules(ROOT) for name in imported(m, path) if name in ENTRIES] == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("train/loop/sft.py", "from gra.eval import scores"),
        ("train/loop/sft.py", "from gra.chain import store"),
        ("train/deep/er.py", "def late():\n    import gra.chain.store.store"),
        ("eval/__init__.py", "from gra.compare.statistics.edges import edge"),
        ("gra/weights/fetch.py", "from gra.chain.store.store import Store"),
        ("gra/weights/fetch.py", "from ..chain.store import Store"),
        ("gra/typed.py", "from gra.models.base import Request"),
        ("gra/compare/tables/rows.py", "import gra.train.stage as stage"),
        ("gra/chain/execution/plan.py", "from gra.synthesis.stage import run"),
        ("train/__main__.py", "from gra.chain.store.store import Store"),
    ],
)
def test_the_rules_see(place: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text("from gra.errors import GraError\n")
    assert faults(tmp_path) == []
    path.write_text(line + "\n")
    assert faults(tmp_path)


def circles(root: Path) -> list[list[str]]:
    """Sets of modules that import one another in a circle (strongly connected components of more than one), by Tarjan."""
    known = dict(modules(root))
    edges = {m: sorted({n for n in imported(m, path) if n in known and n != m}) for m, path in known.items()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in edges[module]:
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            members = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(members) > 1:
                found.append(sorted(members))

    for module in edges:
        if module not in index:
            visit(module)
    return found


def test_no_modules_import_one_another_in_a_circle() -> None:
    """Packages' own `__init__` included: they import nothing but what they are made of."""
    assert circles(ROOT) == []


def test_a_circle_is_seen(tmp_path: Path) -> None:
    (tmp_path / "gra").mkdir()
    (tmp_path / "gra" / "one.py").write_text("def late():\n    from gra.two import x\n")
    (tmp_path / "gra" / "two.py").write_text("from gra.one import late\n")
    assert circles(tmp_path) == [["gra.one", "gra.two"]]
