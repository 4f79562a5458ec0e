"""Replies of earlier runs: what a folder holds of them, which journals can be read, and which calls a changed key asks anew.

A journal's key is the hash of the whole request, so a reply found in any journal is the reply to that very request: reading too
many journals is slow, never wrong.
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
from gra.synthesis.journal_read import connect_other

JOURNAL = "journal.sqlite"
log = logging.getLogger("gra.synthesis")

# What of a synthesis' calls is asked anew where a key of its identity (gra/chain/fingerprint.py) changes; the first pattern counts.
_LATER = "later rounds as far as other samples are kept, for these are what their prompts show"
_EFFECTS = (
    (r"config\.seed", "every call: the run's seed is part of each request"),
    (r"config\.pool\.models\.\d+\.(parameters|base_url)\b", ""),
    (
        r"config\.pool\.models\.\d+\.(model|revision|dtype|system_role|weights)\b",
        "calls of that model, and what follows from its replies",
    ),
    (r"config\.pool\.models", "nearly every call: roles are drawn from the list of models"),
    (r"config\.pool\.(_target_|simulated|energy|batch|max_loaded|start_timeout_s|gpu_memory_utilization|python|serve)\b", ""),
    (r"config\.pool\.", "every call: what the pool says of its models is part of each request"),
    (r"files\.synthesis\.prompts/(?:domains/|_|examples)", "calls of the steps that show it, and what follows from their replies"),
    (r"files\.synthesis\.prompts/(\w+)", "calls of the step {0}, and what follows from their replies"),
    (r"config\.synthesis\.decoding\.(\w+)", "calls of the step {0}, and what follows from their replies"),
    (r"config\.seeds\.(name|license)\b", ""),
    (r"config\.seeds|files\.seeds|inputs\.seeds", "proposals, whose prompts show other records; no seed that stays"),
    (
        r"config\.synthesis\.(roles|single_model|reviewers|review|shots|show|domains|demonstrations|taken|thin_domain)\b",
        "proposals; seeds keep their annotations",
    ),
    (r"config\.synthesis\.(scoring|questions|solve)\b", f"in round 1 the calls that judge; {_LATER}"),
    (r"config\.synthesis\.calibrate\b", f"in round 1 the adjudicator's calls, if any; {_LATER}"),
    (r"inputs\.probe", f"where scores are calibrated, in round 1 the adjudicator's calls, if any; {_LATER}"),
    (r"config\.synthesis\.adjudicate\b", f"in round 1 the adjudicator's calls, if any; {_LATER}"),
    (r"config\.synthesis\.parse_retries\b", f"in round 1 what is retried; {_LATER}"),
    (r"config\.synthesis\.rounds\b", "the rounds that are new"),
    (r"config\.synthesis\.samples_per_round\b", "in round 1 what is new; later rounds, which draw from another pool"),
    (r"(config|files)\.synthesis\.|inputs\.benchmarks", f"in round 1 no more than proposals that are new; {_LATER}"),
    (r"version", "calls whose prompts the new code words differently"),
)


def kept(folder: Path) -> str:
    """The answered calls in the journals of a folder, in words; empty where there are none."""
    found, unreadable = calls_in(folder)
    words = [f"{found:,} answered call{'s' if found != 1 else ''}"] if found else []
    words += ["a journal that cannot be read"] if unreadable else []
    return " and ".join(words)


def calls_in(folder: Path) -> tuple[int, bool]:
    """How many answered calls the journals of a folder hold, and whether there is one that cannot be read."""
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
    """`config` with the folders of earlier runs, whose journals answer what they can."""
    return {**config, "runtime": {**config["runtime"], "earlier": [str(folder) for folder in folders]}} if folders else config


def bought_again(changed: Sequence[str]) -> list[str]:
    """What of the calls is asked anew where these keys of the identity changed, one line for each kind of change."""
    lines: dict[str, list[str]] = {}
    for key in changed:
        for pattern, effect in _EFFECTS:
            if match := re.match(pattern, key):
                name = re.split("[/:]", key.partition(".")[2] or key)[0]
                if name not in (names := lines.setdefault(effect.format(*match.groups()), [])):
                    names.append(name)
                break
    return [f"asked again for {_few(names)}: {effect}" for effect, names in lines.items() if effect]


def journals_under(folders: Iterable[str | Path]) -> list[Path]:
    """The journals in these folders and below, in a fixed order. Folders that are not there hold none."""
    return sorted({path for folder in folders for path in Path(folder).rglob(JOURNAL)})


def usable(folders: Iterable[str | Path]) -> list[Path]:
    """The journals directly in these folders, in their order, that hold calls and are whole. Others are named and left out:
    nobody asked for these folders, so nothing in them may stop a run."""
    found = []
    for path in (Path(folder) / JOURNAL for folder in folders):
        if not path.is_file():
            continue
        try:
            connection = connect_other(path)
            if connection is None:
                continue  # not even begun
            with closing(connection):
                if connection.execute("PRAGMA main.quick_check(1)").fetchone()[0] == "ok":
                    found.append(path)
                    continue
            fault = "it is damaged"
        except (StoreError, sqlite3.Error) as error:
            fault = str(error)
        log.warning("the journal of an earlier run, %s, cannot be used: %s", path, fault)
    if found:
        log.info("replies of earlier runs are used where requests are the same: %s", ", ".join(str(p.parent) for p in found))
    return found


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
