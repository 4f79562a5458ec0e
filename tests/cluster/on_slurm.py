"""What tests on a real Slurm do in a working folder: submit, ask Slurm, wait, and read what the jobs left."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from places import Place

from gra.cluster.records import comment
from gra.cluster.slurm import queue
from gra.cluster.status import Line, lines_of
from gra.databases import connect_readonly

SLURM = ("cluster=slurm", "cluster.resources.mem=2000", "cluster.resources.cpus=1")
DATA = ("data/train.parquet", "rejected.parquet", "stats.json", "README.md")


def submit(place: Place, *words: str) -> str:
    done = place.gra("submit", *words, *SLURM)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def said(place: Place, *words: str) -> str:
    """What a command of Slurm answers."""
    done = subprocess.run(words, env=place.environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def told(place: Place, command: str, *words: str) -> str:
    """What `gra status` or `gra cancel` prints, in the working folder."""
    done = subprocess.run(
        [*place.command(command)[:5], *words],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(place: Place) -> dict[str, Line]:
    """What `gra status` knows, by the names of the jobs; in this process, since it is asked often."""
    with patch.dict(os.environ, {name: place.environment[name] for name in ("PATH", "SLURM_CONF")}):
        lines = lines_of(place.store, queue(comment(place.store)))
    return {" ".join(filter(None, [line.step, line.wave])): line for line in lines}


def until(holds: Callable[[], object], place: Place, seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, logs(place)
        time.sleep(0.3)


def empty(place: Place) -> bool:
    return not said(place, "squeue", "-h", "-o", "%A").strip()


def logs(place: Place) -> str:
    found = sorted((place.store / ".jobs").rglob("*.log"))
    return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in found)


def data(store: Path) -> dict[str, str]:
    """The bytes of the only synthesis in a store."""
    (folder,) = (path.parent for path in store.glob("synthesis-*/manifest.json"))
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in DATA}


def distinct(store: Path) -> int:
    """The calls in its journal, which has imported those of its shards."""
    (journal,) = store.glob("synthesis-*/journal.sqlite")
    with closing(connect_readonly(journal)) as connection:
        return int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
