"""Private and patched names of other libraries: each is in the installed version, and none is used outside gra/private_api."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from gra.private_api import MovedError, found, missing

ROOT = Path(__file__).parents[1]
MODULES = [
    importlib.import_module(f"gra.private_api.{path.stem}")
    for path in sorted((ROOT / "gra" / "private_api").glob("[a-z]*.py"))
]
NAMES = {name.replace(":", ".").rpartition(".")[2] for module in MODULES for name in module.NAMES}
PRIVATE_PARTS = {"_internal", "sdk"}  # packages that their libraries keep for themselves
OWN = {
    "gra/synthesis/committee/agreement.py",
    "gra/synthesis/engine/spool.py",
    "gra/synthesis/regating/arm.py",
    "gra/synthesis/regating/recording.py",
}  # methods of the project's own classes, on another instance or on a base class


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_each_name_is_in_the_installed_version(module: ModuleType) -> None:
    package, _, read = module.READ_FROM.partition(" ")
    assert missing(module.NAMES, module.READ_FROM) == [], f"{package} {version(package)}: read {module.__file__} again"
    assert f"{package} {read}" in (module.__doc__ or "") or f"read from {read}" in (module.__doc__ or "")


def test_a_name_that_is_gone_is_told_with_library_version_and_name() -> None:
    installed = version("tqdm")
    told = missing(
        ["tqdm.std.tqdm.__init__", "tqdm.std.tqdm._was_here", "tqdm.std.tqdm:_n", "tqdm.gone.x"], "tqdm 1.2.3"
    )
    assert [line.partition("`")[2].partition("`")[0] for line in told] == [
        "tqdm.std.tqdm._was_here",
        "tqdm.std.tqdm:_n",
        "tqdm.gone.x",
    ]
    assert all(line.startswith(f"tqdm {installed} has no ") and "-> pip install 'tqdm==1.2.3'" in line for line in told)
    with pytest.raises(MovedError, match="_was_here"):
        found("tqdm.std.tqdm._was_here", "tqdm 1.2.3")


def private_uses(text: str) -> Iterator[str]:
    """Private names of other objects than `self` and of other libraries that a file uses."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            parts = {p for alias in node.names for p in alias.name.split(".")}
            parts |= set((getattr(node, "module", None) or "").split("."))
            if parts & PRIVATE_PARTS:
                yield ast.unparse(node)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            owner = ast.unparse(node.value)
            if owner in ("self", "cls") or f"{owner}.{node.attr}" == "os._exit":
                continue
            if owner != "super()" or node.attr not in NAMES:
                yield ast.unparse(node)
        elif isinstance(node, ast.Assign):
            yield from (f"{ast.unparse(t)} = " for t in node.targets if ast.unparse(t).endswith(".__init__"))


def test_no_private_name_is_used_elsewhere() -> None:
    used = {}
    for top in ("gra", "train", "eval"):  # gra/train and gra/eval are links, which rglob does not follow
        for path in (ROOT / top).rglob("*.py"):
            place = path.relative_to(ROOT).as_posix()
            if not place.startswith("gra/private_api/") and place not in OWN:
                used |= {f"{place}: {use}": None for use in private_uses(path.read_text(encoding="utf-8"))}
    assert list(used) == []


@pytest.mark.parametrize(
    "line",
    [
        "from hydra._internal.utils import x",
        "import wandb.sdk.mailbox",
        "trainer._tr_loss = 0",
        "super()._other()",
        "tqdm.__init__ = f",
    ],
)
def test_the_rule_sees(line: str) -> None:
    assert list(private_uses(line))
    assert not list(private_uses("self._x = os._exit(super()._save_checkpoint(1))"))
