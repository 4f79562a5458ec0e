"""`gra inspect`: a summary without a sample, patterns that match other things, the verdict before the prompts."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from gra import cli
from gra.completion import complete
from gra.errors import StoreError
from gra.models.base import Reply, Request
from gra.synthesis.committee.calls import Call
from gra.synthesis.committee.records import CallRecord, Check, Outcome, Review, Roles
from gra.synthesis.engine.journal import Journal
from gra.synthesis.output import inspect
from gra.synthesis.output.dataset import CardInfo, write_dataset
from gra.synthesis.output.stats import statistics

DIMENSIONS = ("correctness", "clarity", "completeness", "relevance", "coherence", "ethicality")


def outcome(index: int, reason: str = "") -> Outcome:
    """A reviewed sample, kept or dropped for `reason`."""
    sample = f"r1-{index:06d}"
    return Outcome(
        id=sample,
        round=1,
        index=index,
        domain="coding",
        roles=Roles("writer", ("judge",), None, "writer"),
        parents=("seed-1",),
        status="rejected" if reason else "accepted",
        reason=reason,
        instruction="Say it.",
        response="It.",
        checks=(Check("judge", {"clarity": True}),),
        reviews=(Review("judge", dict.fromkeys(DIMENSIONS, 3 if reason else 9)),),
        mean=3.0 if reason else 9.0,
        std=0.0,
        calls=(CallRecord(f"k{index}", "keywords", "generator", "writer", 0, 11, 7),),
    )


def data_folder(folder: Path, kept: int = 2, below: int = 3) -> Path:
    """A data folder of real files, with a journal that knows one sample's prompt and reply."""
    good = [outcome(index) for index in range(kept)]
    bad = [outcome(kept + index, "below_tau") for index in range(below)] + [outcome(kept + below, "duplicate")]
    write_dataset(folder, good, bad, statistics(good, bad), CardInfo("mine", license=None, models=("writer", "judge")))
    recorded(folder)
    (folder / "manifest.json").write_text("{}")
    return folder


def recorded(folder: Path) -> Path:
    """A journal with one call of r1-000002."""
    folder.mkdir(exist_ok=True)
    request = Request("writer", ({"role": "user", "content": "THE PROMPT"},), 0.0, 1.0, 1, 0)
    with Journal(folder / "journal.sqlite") as journal:
        journal.record(Call("r1-000002", "keywords", "generator", 0, request), Reply("THE REPLY", finish="stop"), 0.0)
    return folder


def test_without_a_sample_the_folder_is_summarised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = data_folder(tmp_path / "my data")
    assert inspect.main([str(folder)]) == 0
    shown = capsys.readouterr().out
    flat = " ".join(shown.split())
    assert "2 kept of 6 samples" in flat
    assert re.search(r"3 below_tau: mean score below tau", flat)
    assert re.search(r"1 duplicate: too close", flat)
    row = next(line for line in shown.splitlines() if " writer " in line)
    assert "66" in row  # 6 calls of 11 tokens
    assert "42" in row
    assert str(folder / "data/train.parquet") in shown
    # what it says to type works as it stands, for a folder whose name the shell would split
    commands = [line.partition("    #")[0] for line in shown.splitlines() if line.strip().startswith("gra inspect")]
    assert len(commands) == 4
    for command in commands:
        assert inspect.main(shlex.split(command)[2:]) == 0


def test_a_run_that_has_not_ended_is_summarised_from_its_journal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(tmp_path / "d.partial")
    (folder / "status.json").write_text(json.dumps({"line": "round 1 of 2: 3 of 20 accepted", "updated_at": 1.0}))
    assert inspect.main([str(tmp_path / "d")]) == 0
    shown = capsys.readouterr().out
    assert "round 1 of 2: 3 of 20 accepted" in shown
    assert "not finished" in shown
    assert "r1-000002" in shown
    (folder / "status.json").write_text("{torn")
    assert inspect.main([str(folder)]) == 0


def test_a_pattern_that_matches_other_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = data_folder(tmp_path / "data-1"), data_folder(tmp_path / "data-2", kept=1)
    (tmp_path / "data-1.log").write_text("a log\n")
    (tmp_path / "data-other").mkdir()
    pattern = [str(path) for path in sorted(tmp_path.iterdir())]
    assert inspect.main(pattern) == 0
    shown = capsys.readouterr()
    assert "2 kept of 6" in shown.out
    assert "1 kept of 5" in shown.out
    assert f"{tmp_path / 'data-1.log'}: a file" in shown.err
    assert f"{tmp_path / 'data-other'}: no synthesis data in this folder" in shown.err

    assert inspect.main([*pattern, "--sample", "r1-000005"]) == 0  # the first alone has it
    assert "dropped: duplicate" in capsys.readouterr().out
    assert inspect.main([*pattern, "--json"]) == 0
    assert [found["kept"] for found in json.loads(capsys.readouterr().out)] == [2, 1]
    assert inspect.main([*pattern, "--list"]) == 0

    (second / "rejected.parquet").write_bytes(b"PAR1 torn")  # the other is shown all the same
    with pytest.raises(StoreError, match=r"rejected\.parquet"):
        inspect.main([str(first), str(second)])
    assert "2 kept of 6" in capsys.readouterr().out


def test_what_is_no_data_folder(tmp_path: Path) -> None:
    data_folder(tmp_path / "store" / "data-1")
    (tmp_path / "store" / "data-1.log").write_text("")
    for path in ("store", "store/data-1.log"):
        with pytest.raises(StoreError, match=r"gra inspect \S*data-1"):
            inspect.main([str(tmp_path / path)])
    with pytest.raises(StoreError, match="no such folder"):
        inspect.main([str(tmp_path / "none")])
    with pytest.raises(StoreError, match="none of these"):
        inspect.main([str(tmp_path / "store"), str(tmp_path / "store/data-1.log")])


def test_the_verdict_stands_before_the_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect.main([str(data_folder(tmp_path / "d")), "--sample", "r1-000002"]) == 0
    shown = capsys.readouterr().out
    order = [
        shown.index(text)
        for text in ("below_tau", "clarity yes", "correctness 3", "mean 3.00", "THE PROMPT", "THE REPLY")
    ]
    assert order == sorted(order)


def test_the_command_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["gra", "inspect", str(data_folder(tmp_path / "d"))])
    monkeypatch.setattr(cli, "outlive_reader", lambda: None)  # standard output is pytest's
    assert cli.main() == 0
    assert "2 kept of 6" in capsys.readouterr().out


@pytest.mark.parametrize(("begun", "found"), [("r1-00000", 6), ("r1-000005", 1), ("x", 0)])
def test_ids_are_completed(
    begun: str, found: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_folder(tmp_path / "mine")
    monkeypatch.setenv("COMP_LINE", f"gra inspect {folder} --sample {begun}")
    assert complete(["query"], [], {}) == 0
    words = capsys.readouterr().out.split()
    assert len(words) == found
    assert all(word.startswith(begun) for word in words)
