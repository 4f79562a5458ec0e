"""Finds the journals of a divided run in the folder `OUTPUT.shards`, and records the number of its shards in the file
`shards.json` there. A run is divided into shards, which make the calls, and merges, which collect the results of the
shards (sharding.py).

The module finds only journals that no process is writing: the journals of finished folders, and the journals of
unfinished folders that no process has locked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from gra.errors import StoreError
from gra.fileio import read_json, sync_folder
from gra.labels import MANIFEST, PARTIAL
from gra.locks import holder
from gra.synthesis.config import ShardSettings
from gra.synthesis.engine.reuse import JOURNAL
from gra.synthesis.engine.sharding import SHARDS

PINNED = "shards.json"


def pin(folder: Path, count: int) -> None:
    """Record in shards.json of `folder` that each round is divided into `count` shards. Raises StoreError if another
    number is already recorded."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / PINNED
    if not place.exists():
        mine = folder / f".{PINNED}.{os.uname().nodename}.{os.getpid()}.tmp"
        mine.write_text(json.dumps({"count": count}) + "\n", encoding="ascii")
        try:
            os.link(mine, place)  # unlike a rename, a link fails if another shard was quicker
        except FileExistsError:
            pass
        finally:
            mine.unlink()
        sync_folder(folder)
    refuse_other(folder, count)


def refuse_other(folder: Path, count: int) -> None:
    """Raise StoreError if shards.json of `folder` records another number of shards than `count`."""
    place, there = folder / PINNED, pinned(folder)
    if there not in (None, count):
        remedy = (
            f"run the other shards as shard=i/{there}; or, when no shard is running, remove {place}: "
            "the new shards reuse the recorded calls"
        )
        raise StoreError(f"{folder}: its rounds are divided into {there} shards, not {count}\n    -> {remedy}")


def pinned(folder: Path) -> int | None:
    """Return into how many shards (parts) each round is divided, as shards.json of `folder` says. None if no shard was
    started. Raises StoreError if shards.json cannot be read."""
    try:
        return int(read_json(folder / PINNED)["count"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / PINNED}: cannot be read: {error}\n    -> remove it") from error


def finished(folder: Path, number: int, output: Path) -> Path | None:
    """Return a finished folder that already has the results of a round, so that this round need not be run. `number`:
    the number of the round. Return None if there is no such folder.

    If the whole run is finished, the result is its data folder. Otherwise, the result is the folder of the first
    finished merge of this or a later round. `folder`: the folder OUTPUT.shards. `output`: the caller's own output,
    which is never returned.
    """
    whole = folder.with_name(folder.name.removesuffix(SHARDS))
    candidates = [whole, *(path for merged, path in sorted(_merged(folder).items()) if merged >= number)]
    return next((path for path in candidates if path != output and (path / MANIFEST).is_file()), None)


def journals(
    shards: str | None, mine: ShardSettings | None, rounds: int, output: Path
) -> tuple[list[Path], list[Path]]:
    """Return, as two lists, the journals whose replies can be reused by the run that writes to `output`.

    The run imports the journals of the first list as a whole. In those of the second list, it searches for single
    replies. For a shard, the first list is empty. For a merge or an ordinary synthesis, the second list is empty. No
    process is writing to any of these journals.

    - `shards`: the folder OUTPUT.shards. If it is None, the path is derived from `output`.
    - `mine`: the settings of the shard. The merge of round 0 runs as a shard too, with `gathers` true. `mine` is None
      for an ordinary synthesis and for the merges of later rounds.
    - `rounds`: the number of rounds of this run. For the merge of round R, it counts the rounds up to R.
    """
    folder = Path(shards) if shards else output.with_name(f"{output.name.removesuffix(PARTIAL)}{SHARDS}")
    if not folder.is_dir():
        return [], []
    number = mine.round if mine else rounds
    merges = {
        merged: path for merged, path in _merged(folder).items() if path.name != output.name.removesuffix(PARTIAL)
    }
    before = {merged: path for merged, path in merges.items() if merged < number}
    base = max(before, default=-1)  # this merge holds all calls of the rounds up to its own
    found = [before[base]] if before else []
    gathers = mine is None or mine.gathers
    for later in range(base + 1, number + 1):
        siblings = folder.glob(f"round-{later}/shard-*")
        if later == number and not gathers:  # shards of the same count share no calls; those of another count may
            assert mine is not None
            ending = re.compile(rf"-of-{mine.count}(\.partial)?")
            siblings = (path for path in siblings if not ending.search(path.name))
        found += _closed(siblings)
        found += _closed(path for path in [folder / f"merged-{later}{PARTIAL}"] if path.name != output.name)
    paths = [path / JOURNAL for path in found if (path / JOURNAL).is_file()]
    return (paths, []) if gathers else ([], paths)


def _merged(folder: Path) -> dict[int, Path]:
    """Return the finished merges as {round: folder}."""
    found = {}
    for path in folder.glob("merged-*"):
        if (match := re.fullmatch(r"merged-(\d+)", path.name)) and (path / MANIFEST).is_file():
            found[int(match[1])] = path
    return found


def _closed(folders: Iterable[Path]) -> list[Path]:
    """Return the folders that no process is writing, sorted. A folder that was set aside for another configuration has
    another ending and is left out."""
    found = []
    for path in sorted(folders):
        if path.suffix not in ("", PARTIAL) or not path.is_dir():
            continue
        lock = path.with_name(f".{path.name.removesuffix(PARTIAL)}.lock")  # the lock of NAME.partial lies beside it
        if path.suffix == "" or holder(lock) is None:
            found.append(path)
    return found
