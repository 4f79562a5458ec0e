"""Writes status.json in a working folder: the run's progress for other programs. Updated about every 2 s, removed at the end.

    schema           1
    state            "running"
    pid, host        of the process that writes the file
    started_at, updated_at    Unix seconds; if `updated_at` is more than some 30 s ago, the process was killed or hangs
    line             a summary in one line, to be read by people
    stage            "annotate seeds" | "round 2" | "round 2: annotate"
    round, rounds    null before the first round
    counters         of the stage: done, total, need
                     of the round: proposed, lost {group: n}, accepted; distinct, duplicates (null before deduplication)
                     of this process: asked (calls sent), answered, replayed, tokens_in, tokens_out
    rates            calls_s, tokens_in_s, tokens_out_s over the last 30 s; null at the start
    in_flight        calls by model
    servers_out      base URLs of unhealthy servers; null if the backend does not report them
    servers          for each model at each URL: url, model, in_flight, limit (the current limit on calls in flight), answered,
                     unhealthy (the reason; null: healthy); null if the backend does not report them
    committee        figures of the reviews so far, as `health` in stats.json (committee/health.py explains them): alpha
                     with its interval, each reviewer, acceptance by set of reviewers, draw_share, warnings as text;
                     null before the first review
    eta_s, eta_run_s estimated seconds to the end of the stage and of all rounds (state.py); null if unknown

The file is always replaced as a whole, so a reader never sees half of it. It is written without fsync: it is useless
after a power loss, and an fsync every 2 s would slow down the journal.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gra.synthesis.progress.state import Snapshot

NAME = "status.json"
SCHEMA = 1
_TEMPORARY = ".status.json.tmp"  # a fixed name, so that the next run removes the file that a killed run left


def status(snapshot: Snapshot, line: str, started_at: float, updated_at: float) -> dict[str, Any]:
    """Return the content of status.json."""
    s = snapshot
    return {
        "schema": SCHEMA,
        "state": "running",
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started_at": round(started_at, 3),
        "updated_at": round(updated_at, 3),
        "line": line,
        "stage": s.stage,
        "round": s.round,
        "rounds": s.rounds,
        "counters": {
            "done": s.done,
            "total": s.total,
            "need": s.need,
            **asdict(s.funnel),
            "asked": s.requested,
            "answered": s.answered,
            "replayed": s.replayed,
            "tokens_in": s.tokens_in,
            "tokens_out": s.tokens_out,
        },
        "rates": None if s.rates is None else {name: round(value, 1) for name, value in asdict(s.rates).items()},
        "in_flight": dict(s.in_flight),
        "servers_out": None if s.servers_out is None else list(s.servers_out),
        "servers": None if s.servers is None else [dict(server) for server in s.servers],
        "committee": None if s.committee is None else dict(s.committee),
        "eta_s": _rounded(s.eta_s),
        "eta_run_s": _rounded(s.eta_run_s),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def write(folder: Path, value: dict[str, Any]) -> None:
    """Replace status.json. Raises OSError if the folder cannot be written."""
    temporary = folder / _TEMPORARY
    temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(folder / NAME)


def remove(folder: Path) -> None:
    """Delete status.json at the end of the run. Raises OSError if it cannot be deleted."""
    for name in (NAME, _TEMPORARY):
        (folder / name).unlink(missing_ok=True)
