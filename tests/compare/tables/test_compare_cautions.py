"""Runs that were not asked the same words, and replies that were cut off, are named under a comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gra.compare import pair
from gra.compare.options import Options
from gra.compare.reading.scores import load

FEW = Options(resamples=1000)
TASKS = {"gsm8k": 40, "mmlu_chat": 30}


def bare(make_arm: Any, name: str) -> Path:
    """A scores folder as earlier versions wrote it."""
    found: Path = make_arm(name, skill=0.0, seed=1, steps=("scores",), tasks=TASKS).folders["scores"]
    return found


def run(
    make_arm: Any, name: str, prompts: str = "", template: str = "t", at_limit: tuple[int, int] | None = None
) -> Path:
    """A scores folder; the prompts of the items of gsm8k from the 10th on end in `prompts`."""
    folder = bare(make_arm, name)
    table = pq.read_table(folder / "samples.parquet")
    hashes = [f"{doc}{prompts if doc >= 'gsm8k-0010' and doc < 'h' else ''}" for doc in table["doc_id"].to_pylist()]
    pq.write_table(table.append_column("prompt_hash", pa.array(hashes)), folder / "samples.parquet")
    scores = json.loads((folder / "scores.json").read_text())
    for score in scores["tasks"].values():
        score["how"] = {"template": template}
    if at_limit is not None:
        scores["tasks"]["gsm8k"] |= {"at_limit": at_limit[0], "at_limit_known": at_limit[1]}
    (folder / "scores.json").write_text(json.dumps(scores))
    return folder


def said(first: Path, second: Path) -> list[str]:
    found: dict[str, Any] = pair.compare_runs(load(first), load(second), FEW)
    return list(found["asked_unlike"])


def test_prompts_that_differ_are_counted_and_the_reason_is_looked_for(make_arm: Any) -> None:
    same, other = run(make_arm, "a"), run(make_arm, "b", prompts=" in other words")
    (line,) = said(same, other)
    assert line.startswith("Prompts differ (gsm8k: 30 of 40 items). Worked examples, the system message")
    (line,) = said(same, run(make_arm, "c", prompts=" in other words", template="another"))
    assert line.startswith(
        "Prompts differ (gsm8k: 30 of 40 items). This is expected, since the models' chat templates differ"
    )
    assert said(same, run(make_arm, "d")) == []


def test_they_stand_under_the_table(make_arm: Any, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = run(make_arm, "a", at_limit=(3, 40)), run(make_arm, "b", prompts="!", at_limit=(0, 40))
    assert pair.main([str(one), str(other), "--resamples", "1000"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Prompts differ (gsm8k: 30 of 40 items)." in text
    assert "gsm8k: replies truncated at the token limit, so their answers may be missing: 7.5 % / 0.0 %." in text


def test_a_few_cut_replies_and_runs_of_an_earlier_version_are_passed_over(make_arm: Any) -> None:
    assert said(run(make_arm, "a", at_limit=(1, 200)), run(make_arm, "b")) == []
    assert said(bare(make_arm, "old"), run(make_arm, "c", prompts="!")) == []
