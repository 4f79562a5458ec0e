"""Reuses replies that earlier runs recorded: finds their journals, counts the replies, and says which calls must be
sent again after a change of the config.

A reply is found by the hash of the whole request, so it always is the reply to exactly this request. A journal of an
unrelated run therefore costs some time, but never gives a wrong reply.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from gra.errors import StoreError
from gra.models.identity import PLACE_ONLY, PLACE_ONLY_OF_MODEL
from gra.synthesis.config import changed
from gra.synthesis.engine.journal_read import connect_other

JOURNAL = "journal.sqlite"
log = logging.getLogger("gra.synthesis")

# (pattern of a key of the synthesis's identity, the calls that are sent again if such a key changes). The first pattern
# that matches counts.
_LATER = "later rounds where other samples are kept, because their prompts show kept samples"
_EFFECTS = (
    (r"config\.seed", "every call: the run's seed is part of each request"),
    (rf"config\.pool\.models\.\d+\.({'|'.join(PLACE_ONLY_OF_MODEL.keys() - {'name', 'weights'})})\b", ""),
    (
        r"config\.pool\.models\.\d+\.(model|revision|dtype|system_role|weights)\b",
        "calls of that model, and the calls that follow from its replies",
    ),
    (r"config\.pool\.models", "nearly every call: roles are drawn from the list of models"),
    (rf"config\.pool\.({'|'.join(PLACE_ONLY)})\b", ""),  # the patterns of `models` are above
    (r"config\.pool\.", "every call: the pool's settings of its models are part of each request"),
    (
        r"files\.synthesis\.prompts/(?:domains/|_|examples)",
        "calls of the steps that show it, and the calls that follow from their replies",
    ),
    (r"files\.synthesis\.prompts/(\w+)", "calls of the step {0}, and the calls that follow from their replies"),
    (r"config\.synthesis\.decoding\.(\w+)", "calls of the step {0}, and the calls that follow from their replies"),
    (r"config\.seeds\.(name|license)\b", ""),
    (
        r"config\.seeds|files\.seeds|inputs\.seeds",
        "proposals, whose prompts show other records; unchanged seeds are not",
    ),
    (
        r"config\.synthesis\.(roles|single_model|reviewers|review|shots|show|domains|demonstrations|taken|thin_domain)\b",
        "proposals; seeds keep their annotations",
    ),
    (
        r"config\.synthesis\.example_sets\b",
        "calls of the steps that show examples, and the calls that follow from their replies",
    ),
    (r"config\.synthesis\.composite\b", f"in round 1 the adjudicator's calls, if any; {_LATER}"),
    (r"config\.synthesis\.(scoring|check_scoring|questions|solve)\b", f"in round 1 the calls that judge; {_LATER}"),
    (r"config\.synthesis\.calibrate\b", f"in round 1 the adjudicator's calls, if any; {_LATER}"),
    (r"inputs\.probe", f"if scores are calibrated: in round 1 the adjudicator's calls, if any; {_LATER}"),
    (r"config\.synthesis\.adjudicate\b", f"in round 1 the adjudicator's calls, if any; {_LATER}"),
    (r"config\.synthesis\.parse_retries\b", f"in round 1 the retries; {_LATER}"),
    (r"config\.synthesis\.rounds\b", "the new rounds"),
    (
        r"config\.synthesis\.samples_per_round\b",
        "in round 1 the new proposals; later rounds, which draw from another pool",
    ),
    (r"(config|files)\.synthesis\.|inputs\.benchmarks", f"in round 1 only new proposals; {_LATER}"),
    (r"version", "calls whose prompts differ in the new code"),
)


def kept(folder: Path) -> str:
    """Return a text that says how many answered calls are recorded in a folder and its subfolders, e.g. "12 answered
    calls". The text also says if a journal there cannot be read. It is empty if there is neither a call nor an
    unreadable journal."""
    found, unreadable = calls_in(folder)
    words = [f"{found:,} answered call{'s' if found != 1 else ''}"] if found else []
    words += ["a journal that cannot be read"] if unreadable else []
    return " and ".join(words)


def calls_in(folder: Path) -> tuple[int, bool]:
    """Return how many answered calls the journals in a folder and its subfolders hold, and whether any of these
    journals cannot be read."""
    found, unreadable = 0, False
    for path in journals_under([folder]):
        try:
            if (connection := connect_other(path)) is not None:
                with closing(connection):
                    found += int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
        except (StoreError, sqlite3.Error):
            unreadable = True
    return found, unreadable


def reuse(config: dict[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """Return a copy of `config` with which a run reuses the replies that earlier runs recorded in `folders`. The run
    looks for each reply in the journals of these folders before it calls a model. In the copy, `runtime.earlier` lists
    the folders. If `folders` is empty, the result is `config` itself."""
    return changed(config, "runtime", earlier=[str(folder) for folder in folders]) if folders else config


def bought_again(changed: Sequence[str]) -> list[str]:
    """Return lines of text that say which calls must be sent again, and why. `changed`: the names of the config keys,
    files and inputs that differ from those of the earlier run. Names that cause the same calls to be sent again share a
    line."""
    lines: dict[str, list[str]] = {}
    for key in changed:
        for pattern, effect in _EFFECTS:
            if match := re.match(pattern, key):
                name = re.split("[/:]", key.partition(".")[2] or key)[0]
                if name not in (names := lines.setdefault(effect.format(*match.groups()), [])):
                    names.append(name)
                break
    return [f"sent again because of {_few(names)}: {effect}" for effect, names in lines.items() if effect]


def journals_under(folders: Iterable[str | Path]) -> list[Path]:
    """Return the paths of all journals in these folders and their subfolders, sorted. A folder that does not exist is
    skipped."""
    return sorted({path for folder in folders for path in Path(folder).rglob(JOURNAL)})


def usable(folders: Iterable[str | Path]) -> list[Path]:
    """Return the paths of the journals that lie directly in these folders, in the order of the folders. If a journal is
    damaged or unreadable, it is left out and a warning is logged. No error is raised, because GRA and not the user
    chose the folders."""
    found = []
    for path in (Path(folder) / JOURNAL for folder in folders):
        if not path.is_file():
            continue
        try:
            connection = connect_other(path)
            if connection is None:
                continue  # no table yet
            with closing(connection):
                if connection.execute("PRAGMA main.quick_check(1)").fetchone()[0] == "ok":
                    found.append(path)
                    continue
            fault = "it is damaged"
        except (StoreError, sqlite3.Error) as error:
            fault = str(error)
        log.warning("the journal of an earlier run, %s, cannot be used: %s", path, fault)
    if found:
        log.info(
            "reusing the replies of earlier runs to identical requests: %s", ", ".join(str(p.parent) for p in found)
        )
    return found


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
