"""Copies a run's table and report to a folder that is kept, e.g. in a repository: `gra publish RUN_DIR results/NAME`.

`gra run` writes its table and report below runs/, which no repository tracks. Only this command changes published results:

  gra publish runs/results/quickstart results/quickstart
  gra publish runs/results/quickstart results/quickstart --replace     # replace an older result
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gra import spelling
from gra.errors import StoreError
from gra.fileio import write_bytes
from gra.flags import Parser

FILES = ("table.md", "table.csv", "table.tex", "report.html")


def main(arguments: Sequence[str]) -> int:
    """Run the command `gra publish` with the command-line `arguments` and return the exit code. Raises StoreError like
    `publish`."""
    parser = Parser("gra publish", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, metavar="RUN_DIR", help="the results of a run: tables and report.html")
    parser.add_argument("target", type=Path, metavar="DIR", help="the folder to copy them to, e.g. results/NAME")
    parser.add_argument("--replace", action="store_true", help="replace another result in DIR")
    given = parser.parse_args(arguments)
    changed = publish(given.source, given.target, replace=given.replace)
    print(
        f"{given.target}: "
        + (f"published {', '.join(changed)} from {given.source}" if changed else "already up to date")
    )
    return 0


def publish(source: Path, target: Path, *, replace: bool = False) -> list[str]:
    """Copy the files of the result in the folder `source` to the folder `target`, each atomically. Return the names of
    the files in `target` that were new or changed. Other files in `target` are not touched.

    Raises StoreError, before anything is changed, if `source` is not a complete result, if `source` and `target` are
    the same folder, if `target` holds another result and `replace` is false, or if `target` is not writable.
    """
    found = _result(source)
    if target.exists() and not target.is_dir():
        raise StoreError(f"{target}: is a file\n    -> give a folder, e.g. results/{source.resolve().name}")
    if target.exists() and target.samefile(source):
        raise StoreError(
            f"{target}: is the run's own folder\n    -> give another one, e.g. results/{source.resolve().name}"
        )
    try:
        there = {name: (target / name).read_bytes() for name in FILES if (target / name).exists()}
        changed = [name for name in FILES if there.get(name) != found[name]]
        if changed and there and not replace:
            raise StoreError(
                f"{target}: holds another result ({', '.join(changed)} differ)\n    -> to replace it, add --replace"
            )
        target.mkdir(parents=True, exist_ok=True)
        for name in changed:
            write_bytes(target / name, found[name])
    except OSError as error:
        raise StoreError(f"{error.filename or target}: {error.strerror}\n    -> give a writable folder") from error
    return changed


def _result(source: Path) -> dict[str, bytes]:
    if not source.is_dir():
        beside = (
            sorted(path.name for path in source.parent.iterdir() if path.is_dir()) if source.parent.is_dir() else []
        )
        near = spelling.near(source.name, beside)
        hint = (
            f"did you mean {source.parent / near[0]}?"
            if near
            else "give the folder that `gra run` prints after `report:`"
        )
        raise StoreError(f"{source}: no such folder\n    -> {hint}")
    missing = [name for name in FILES if not (source / name).is_file()]
    if missing:
        remedy = "give the folder that `gra run` prints after `report:`, or make the files: gra compare experiment=NAME"
        raise StoreError(f"{source}: holds no {', '.join(missing)}\n    -> {remedy}")
    try:
        return {name: (source / name).read_bytes() for name in FILES}
    except OSError as error:
        raise StoreError(f"{error.filename}: cannot be read: {error.strerror}\n    -> make it readable") from error
