"""Journals that a disk or a copy has damaged: told by name, set aside, and what can still be read is not asked for again."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import Scripted
from test_engine import collect

from gra.models.base import Reply, Request
from gra.synthesis.committee.calls import Call
from gra.synthesis.engine.journal import Journal

CALLS = 300


def test_a_file_that_is_no_journal_is_set_aside_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "j.sqlite").write_bytes(b"this is not a database, and long enough to be taken for one" * 40)
    assert len(collect(Scripted(), tmp_path / "j.sqlite", 4)) == 40
    assert "j.sqlite.damaged-1; 0 calls were saved" in caplog.text
    assert (tmp_path / "j.sqlite.damaged-1").is_file()


@pytest.mark.parametrize("damage", ["torn", "overwritten", "first page"])
def test_a_damaged_journal_is_salvaged_up_to_the_damage(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.sqlite"
    whole = collect(Scripted(), path, 8, count=200)
    total = sum(len(o.calls) for o in whole)
    data = bytearray(path.read_bytes())
    if damage == "torn":
        data = data[: len(data) * 3 // 4]
    elif damage == "first page":
        data[:4096] = os.urandom(4096)
    else:
        data[len(data) // 2 : len(data) // 2 + 8192] = b"\xff" * 8192
    path.write_bytes(data)
    backend = Scripted()
    assert collect(backend, path, 8, count=200) == whole
    assert "was damaged" in caplog.text
    if damage == "first page":
        assert backend.calls == 0  # it holds the table's name and shape alone
    else:
        assert 0 < backend.calls < total / 2  # some were lost; what stands on whole pages was not


def ask(number: int) -> Call:
    messages = ({"role": "user", "content": f"question {number} " + "and more of it " * (number % 40 * 20)},)
    return Call(f"s-{number}", "respond", "generator", 0, Request("m", messages, 0.7, 0.95, 64, number))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal as a killed run leaves it: part of its calls in the file, the later ones in the log."""
    folder = tmp_path_factory.mktemp("killed")
    with Journal(folder / "j.sqlite") as journal:
        for number in range(CALLS):
            journal.record(ask(number), Reply(f"answer {number}"), 0.1)
            if number % 30 == 0:
                time.sleep(0.06)
        time.sleep(0.3)
        (folder / "copy").mkdir()
        for name in ("j.sqlite", "j.sqlite-wal"):
            shutil.copy(folder / name, folder / "copy" / name)
    assert (folder / "copy" / "j.sqlite-wal").stat().st_size > 100_000
    return folder / "copy"


def found(path: Path) -> list[int]:
    """The calls that the journal still knows; each must be answered as it was."""
    with Journal(path) as journal:
        replies = {number: journal.find(ask(number)) for number in range(CALLS)}
    assert all(reply == Reply(f"answer {number}") for number, reply in replies.items() if reply is not None)
    return [number for number, reply in replies.items() if reply is not None]


def test_the_log_of_a_killed_run_is_no_damage(killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(killed, tmp_path / "c")
    assert found(tmp_path / "c" / "j.sqlite") == list(range(CALLS))
    assert not caplog.records


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_flipped_bit_or_a_cut_in_the_log_costs_little_and_is_told(
    killed: Path,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    where: float,
    bit: int,
    cut: bool,
) -> None:
    caplog.clear()
    caplog.set_level(logging.WARNING)
    folder = tmp_path_factory.mktemp("flip") / "c"
    shutil.copytree(killed, folder)
    data = bytearray((folder / "j.sqlite-wal").read_bytes())
    place = int(where * len(data))
    if cut:
        data = data[:place]
    else:
        data[place] ^= 1 << bit
    (folder / "j.sqlite-wal").write_bytes(data)
    kept = found(folder / "j.sqlite")
    if cut:  # as if the machine had died before: nothing to tell, and only the last calls are gone
        assert kept == list(range(len(kept)))
    elif len(kept) < CALLS:
        assert "was damaged" in caplog.text
        assert len(kept) > CALLS * 0.8
    shutil.rmtree(folder)
