"""Probabilities in the journal: there after kill -9, in an old journal that gets new questions, and read by other runs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from test_journal_damage import ask as plain_ask

from gra.models.base import Reply, Request
from gra.synthesis.committee.calls import Call
from gra.synthesis.engine.journal import Journal
from gra.synthesis.engine.journal_read import read_calls

CALLS = 30
REPLIES = {
    n: Reply("No", n, 1, "length", choices=None if n % 5 == 0 else {"Yes": n / 97, "No": 1 - n / 97})
    for n in range(CALLS)
}


def ask(number: int) -> Call:
    question = ({"role": "user", "content": f"Is {number} even? \u00e9"},)
    return Call(
        f"r1-{number}", "review", "reviewer-1", 0, Request("m", question, 0.0, 1.0, 1, number, choices=("Yes", "No"))
    )


def fill(path: Path, *, killed: bool) -> None:
    with Journal(path) as journal:
        for number, reply in REPLIES.items():
            journal.record(ask(number), reply, 0.5)
        if killed:
            import os

            os.kill(os.getpid(), 9)


def found(path: Path, *others: Path) -> dict[int, Reply | None]:
    with Journal(path, others) as journal:
        return {number: journal.find(ask(number)) for number in range(CALLS)}


def test_they_are_there_after_kill_9_and_for_other_runs(tmp_path: Path) -> None:
    script = f"""
        import sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]
        from test_journal_choices import fill, Path
        fill(Path({str(tmp_path)!r}) / "j.sqlite", killed=True)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert found(tmp_path / "other.sqlite", tmp_path / "j.sqlite") == REPLIES
    assert found(tmp_path / "j.sqlite") == REPLIES
    assert found(tmp_path / "j.sqlite") == REPLIES  # a second time: from the database alone
    (call,) = read_calls(tmp_path / "j.sqlite", "r1-7")
    assert call["request"]["choices"] == ["Yes", "No"]
    assert '"Yes": 0.0721' in call["text"]


def test_a_journal_of_plain_replies_takes_them_in(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.record(plain_ask(1), Reply("one"), 0.0)
    fill(tmp_path / "j.sqlite", killed=False)
    assert found(tmp_path / "j.sqlite") == REPLIES
    with Journal(tmp_path / "j.sqlite") as journal:
        assert journal.find(plain_ask(1)) == Reply("one")
