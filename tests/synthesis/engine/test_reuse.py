"""What is said of changed keys, and what of a folder counts as paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gra.chain.store.fingerprint import change_lines, changes, identity
from gra.models.identity import PLACE_ONLY
from gra.synthesis.engine.reuse import bought_again, kept, usable


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("config.seed", "every call"),
        ("config.pool.models.2.name", "nearly every call"),
        ("config.pool.models.2", "nearly every call"),
        ("config.pool.models.2.revision", "calls of that model"),
        ("config.pool.extra_body.top_k", "every call"),
        ("config.synthesis.decoding.review.temperature", "calls of the step review"),
        ("files.synthesis.prompts/respond", "calls of the step respond"),
        ("files.synthesis.prompts/domains/coding.jinja", "calls of the steps that show it"),
        ("config.synthesis.thin_domain", "proposals"),
        ("config.synthesis.solve", "in round 1 the calls that judge"),
        ("files.seeds.path", "proposals"),
        ("config.synthesis.review", "proposals"),
        ("config.synthesis.reviewers", "proposals"),
        ("config.synthesis.scoring", "in round 1 the calls that judge"),
        ("config.synthesis.questions", "in round 1 the calls that judge"),
        ("config.synthesis.tau", "later rounds where other samples are kept"),
        ("config.synthesis.dedup.threshold", "later rounds where other samples are kept"),
        ("files.synthesis.decontaminate.data_dir/gsm8k/test.jsonl", "later rounds where other samples are kept"),
        ("inputs.benchmarks", "later rounds where other samples are kept"),
        ("config.synthesis.rounds", "the new rounds"),
    ],
)
def test_each_change_is_told_with_what_it_asks_again(key: str, expected: str) -> None:
    (line,) = bought_again([key])
    assert expected in line


def test_where_models_stand_and_how_fast_they_are_asks_nothing_again() -> None:
    """The same keys as `served_as` leaves out of each request."""
    assert bought_again([f"config.pool.{key}" for key in PLACE_ONLY if key != "models"]) == []
    assert bought_again([f"config.pool.models.0.{key}" for key in ("base_url", "parameters")]) == []
    assert bought_again(["config.pool.models.0.weights.sha256"])[0].endswith(
        "and the calls that follow from its replies"
    )


def test_many_files_of_one_key_are_one_line() -> None:
    before = identity("synthesis", 1, {"a": 1}, {}, {})
    files = {f"synthesis.decontaminate.data_dir/mmlu/{i}.jsonl": "0" for i in range(50)}
    after = identity("synthesis", 2, {"a": 2}, {"data": "1"}, files)
    assert change_lines(changes(before, after)) == [
        "a: 1 -> 2",
        "synthesis.decontaminate.data_dir: added",
        "inputs.data: added",
        "version of the stage: 1 -> 2",
    ]
    assert change_lines(changes({"config": {str(i): 0 for i in range(20)}}, {}), limit=3)[-1] == "... and 17 more"


def test_a_journal_that_cannot_be_read_counts_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept(tmp_path) == ""
    (tmp_path / "journal.sqlite").write_bytes(b"no database" * 1000)
    assert kept(tmp_path) == "a journal that cannot be read"  # it may be saved: so it is not thrown away
    assert usable([tmp_path, tmp_path / "nowhere"]) == []
    assert "cannot be used" in caplog.text
