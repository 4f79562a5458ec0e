"""Journals of many shards, and a journal that one process alone may write: memory, open files, and who may read what."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gra import databases
from gra.errors import StoreError
from gra.models.base import Reply, Request
from gra.synthesis.committee.calls import Call
from gra.synthesis.engine.elsewhere import OPEN, Elsewhere
from gra.synthesis.engine.journal import Journal
from gra.synthesis.engine.journal_read import read_samples

OPEN_FILES = 100  # of this process, while the journals are read


def ask(number: int) -> Call:
    request = Request("m", ({"role": "user", "content": str(number)},), 0.0, 1.0, 8, number)
    return Call(f"s-{number}", "respond", "generator", 0, request)


def written(path: Path, numbers: range) -> Path:
    with Journal(path) as journal:
        for number in numbers:
            journal.record(ask(number), Reply(f"answer {number}"), 0.5)
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """More journals than a process may open files."""
    folder = tmp_path_factory.mktemp("many")
    first = written(folder / "0.sqlite", range(1)).read_bytes()
    paths = []
    for number in range(OPEN_FILES + 20):
        path = folder / f"{number}.sqlite"
        path.write_bytes(first)
        with sqlite3.connect(path) as connection:  # a journal of its own costs a thread and several syncs
            key, text = ask(number).request.key, ask(number).request.canonical.decode()
            connection.execute("UPDATE calls SET key = ?, request = ?, sample = ?", (key, text, f"s-{number}"))
        connection.close()
        paths.append(path)
    return paths


@pytest.fixture
def few_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_files")
def test_more_journals_than_open_files_are_read_and_imported(tmp_path: Path, many: list[Path]) -> None:
    with Journal(tmp_path / "reads.sqlite", many) as journal:
        assert all(journal.find(ask(number)) == Reply("answer 0") for number in range(len(many)))
        assert journal.find(ask(len(many))) is None
    assert len(read_samples(tmp_path / "reads.sqlite")) == len(many)  # copied as they were needed
    with Journal(tmp_path / "merge.sqlite", parts=many) as journal:
        assert journal.find(ask(len(many) - 1)) == Reply("answer 0")
    assert len(read_samples(tmp_path / "merge.sqlite")) == len(many)  # all of them, needed or not: they were paid for


def test_a_call_that_no_journal_has_opens_none(many: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it costs does not grow with the journals: it is one look at a dictionary."""
    opened: list[Path] = []
    connect = databases.connect_readonly
    monkeypatch.setattr(databases, "connect_readonly", lambda path: (opened.append(path), connect(path))[1])
    others = Elsewhere(many)
    assert len(opened) == len(many)
    assert len(others._open) <= OPEN
    for number in range(len(many), len(many) + 50):
        assert others.find(ask(number).request.key) is None
    assert len(opened) == len(many)
    others.close()


def test_a_step_that_ends_meanwhile_takes_its_journal_to_its_final_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Arms that run side by side read one another's journals; each of their folders is renamed when its step is done."""
    folders = [tmp_path / f"arm-{number}.partial" for number in range(OPEN + 2)]
    paths = [written(folder / "journal.sqlite", range(n, n + 1)) for n, folder in enumerate(folders)]
    with Journal(tmp_path / "own.sqlite", paths) as journal:
        folders[0].rename(tmp_path / "arm-0")  # it was closed to open the last ones
        for path in folders[1].iterdir():
            path.unlink()
        assert journal.find(ask(0)) == Reply("answer 0")
        assert "is gone" not in caplog.text
        assert journal.find(ask(1)) is None
        assert journal.find(ask(OPEN + 1)) == Reply(f"answer {OPEN + 1}")
    assert "arm-1.partial" in caplog.text


def test_an_import_leaves_out_what_cannot_be_read_and_counts_nothing_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = written(tmp_path / "good.sqlite", range(3))
    (tmp_path / "bad.sqlite").write_bytes(b"no database" * 1000)
    for _ in range(2):  # a merge that is started again
        with Journal(tmp_path / "merge.sqlite", parts=[tmp_path / "bad.sqlite", good]) as journal:
            assert journal.find(ask(2)) == Reply("answer 2")
            assert journal.find(ask(3)) is None
    assert len(read_samples(tmp_path / "merge.sqlite")) == 3
    assert "bad.sqlite" in caplog.text


def test_one_process_writes_a_journal_and_no_memory_is_shared_through_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j.sqlite"
    with Journal(path) as journal:
        journal.record(ask(0), Reply("one"), 0.0)
        while journal._fresh:
            time.sleep(0.01)
        assert {p.name for p in tmp_path.iterdir()} == {"j.sqlite", "j.sqlite-wal", "j.sqlite-tail0", "j.sqlite-tail1"}
        alone = databases.connect_alone
        monkeypatch.setattr("gra.synthesis.engine.journal.connect_alone", lambda path: alone(path, 0.1))
        monkeypatch.setattr("gra.synthesis.engine.journal.intact", lambda *_, **__: True)
        with pytest.raises(StoreError, match="another process is writing it") as refused:
            Journal(path).__enter__()
        assert databases.file_system(path) in str(refused.value)
        assert "output=DIR" in str(refused.value)
        assert len(read_samples(path)) == 1  # a copy of this moment
        journal.record(ask(1), Reply("two"), 0.0)
        assert len(read_samples(path)) == 2  # also what is not in the database yet
    assert {p.name for p in tmp_path.iterdir()} == {"j.sqlite"}


def test_the_file_system_is_named_by_its_longest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw 0 0\nserver:/x /data nfs4 rw 0 0\nfs /data/my\\040files lustre rw 0 0\n")
    monkeypatch.setattr(databases, "_MOUNTS", mounts)
    assert databases.file_system(Path("/data/one/j.sqlite")) == "nfs4 at /data"
    assert databases.file_system(Path("/data/my files/j.sqlite")) == "lustre at /data/my files"
    assert databases.file_system(Path("/database/j.sqlite")) == "ext4 at /"
