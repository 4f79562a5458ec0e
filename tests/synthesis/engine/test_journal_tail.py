"""What a journal has handed to the kernel survives the process: replies beside the database, whatever happens to their files."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_journal_damage import ask

from gra.errors import StoreError
from gra.models.base import Reply
from gra.synthesis.engine import tail
from gra.synthesis.engine.journal import Journal
from gra.synthesis.engine.journal_read import read_calls, read_samples, seconds_waited
from gra.synthesis.engine.journal_rows import crc, whole

CALLS = 60
REPLIES = {
    n: Reply(f"answer {n} \u00e9\U0001f600\r\n\0", n, None if n % 3 else 7, error="refused" if n % 7 == 0 else None)
    for n in range(CALLS)
}


def fill(journal: Journal) -> None:
    for number, reply in REPLIES.items():
        journal.record(ask(number), reply, 0.5)


def unfinished(folder: Path) -> Path:
    """A journal whose process ended before its first group was in the database."""
    script = f"""
        import os, sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
        from test_journal_tail import fill, Journal, Path
        with Journal(Path({str(folder)!r}) / "j.sqlite") as journal:
            fill(journal)
            os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    return folder / "j.sqlite"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unfinished(tmp_path_factory.mktemp("killed"))


def found(path: Path) -> list[int]:
    with Journal(path) as journal:
        replies = {number: journal.find(ask(number)) for number in range(CALLS)}
    assert all(reply == REPLIES[number] for number, reply in replies.items() if reply is not None)
    assert not any(part.exists() for part in tail.paths(path))
    return [number for number, reply in replies.items() if reply is not None]


def test_a_killed_process_has_lost_no_reply_that_counted(
    killed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(killed.parent, tmp_path / "c")
    assert found(folder / "j.sqlite") == list(range(CALLS))
    assert found(folder / "j.sqlite") == list(range(CALLS))  # and now from the database alone
    assert not caplog.records


def test_others_read_what_a_killed_run_left(killed: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(killed.parent, tmp_path / "c")
    path = folder / "j.sqlite"
    assert [call["text"] for call in read_calls(path, "s-3")] == [REPLIES[3].text]
    assert read_samples(path) == sorted((f"s-{number}", 1) for number in range(CALLS))
    assert seconds_waited(path) == {"m": {"generator": CALLS / 2}}
    with Journal(tmp_path / "new.sqlite", [path]) as other:
        assert [other.find(ask(number)) for number in range(CALLS)] == list(REPLIES.values())
    assert found(path) == list(range(CALLS))


def test_a_reply_that_is_in_the_database_and_beside_it_counts_once(killed: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(killed.parent, tmp_path / "c")
    left = {part: part.read_bytes() for part in tail.paths(folder / "j.sqlite")}
    assert found(folder / "j.sqlite") == list(range(CALLS))
    for part, data in left.items():  # as if the process had ended between the commit and the clearing of its file
        part.write_bytes(data)
    assert read_samples(folder / "j.sqlite") == sorted((f"s-{number}", 1) for number in range(CALLS))
    assert found(folder / "j.sqlite") == list(range(CALLS))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_flipped_bit_or_a_cut_gives_no_wrong_reply_and_a_flipped_bit_is_told(
    killed: Path,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
    where: float,
    bit: int,
    cut: bool,
) -> None:
    caplog.clear()
    caplog.set_level(logging.WARNING)
    folder = shutil.copytree(killed.parent, tmp_path_factory.mktemp("flip") / "c")
    part = next(p for p in tail.paths(folder / "j.sqlite") if p.stat().st_size)
    data = bytearray(part.read_bytes())
    place = int(where * len(data))
    if cut:
        data = data[:place]
    else:
        data[place] ^= 1 << bit
    part.write_bytes(data)
    kept = found(folder / "j.sqlite")
    assert kept == list(range(len(kept)))
    assert len(kept) >= int(where * CALLS / 4)  # requests differ in length, up to about four times the mean
    assert ("is damaged" in caplog.text) == (not cut)
    shutil.rmtree(folder)


texts = st.text(st.characters(codec="utf-8"), max_size=40)
numbers = st.none() | st.integers(0, 2**40)


@given(
    st.lists(st.tuples(texts, texts, texts, texts, numbers, numbers, st.none() | texts, st.integers(0, 9)), max_size=5)
)
def test_rows_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple]) -> None:
    path = tmp_path_factory.mktemp("rows") / "j.sqlite"
    files, rows = tail.Tail(path), []
    for at, (sample, role, text, finish, tokens_in, tokens_out, error, turn) in enumerate(drawn):
        request = ask(at).request
        row = (
            request.key,
            sample,
            "step",
            role,
            2,
            "m",
            request.canonical.decode(),
            text,
            tokens_in,
            tokens_out,
            finish,
            error,
            0.25,
            float(at),
            crc(text, tokens_in, tokens_out, finish, error),
        )
        assert whole(row)
        if turn == 0:
            files.turn()
            files.forget()
            files.turn()
        files.append(row, request.canonical)
        rows.append(row)
    files.close(remove=False)
    assert [row for row in tail.read(path) if row in rows] == tail.read(path)
    if all(turn for *_, turn in drawn):
        assert tail.read(path) == rows
    shutil.rmtree(path.parent)


def test_a_disk_that_takes_half_a_reply_ends_the_run_and_leaves_the_others_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> int:
        return os.write(file, data[: len(data) // 2])

    def run() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            fill(journal)
            monkeypatch.setattr(tail, "_write", full)
            journal.record(ask(CALLS), Reply("lost"), 0.0)

    with pytest.raises(StoreError, match=os.strerror(errno.ENOSPC)):
        run()
    monkeypatch.undo()
    assert found(tmp_path / "j.sqlite") == list(range(CALLS))


def test_where_the_database_takes_no_more_the_replies_still_under_way_are_kept(tmp_path: Path) -> None:
    def run() -> None:
        with Journal(tmp_path / "j.sqlite") as journal:
            journal._writer.execute("PRAGMA query_only=ON")  # as a disk that turns read-only for the database alone
            journal.record(ask(0), REPLIES[0], 0.0)
            journal._thread.join()
            for number in range(1, CALLS):
                with pytest.raises(StoreError):
                    journal.record(ask(number), REPLIES[number], 0.0)

    with pytest.raises(StoreError, match="readonly"):
        run()
    assert found(tmp_path / "j.sqlite") == list(range(CALLS))
