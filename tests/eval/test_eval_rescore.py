"""A finished evaluation scored again from its recorded replies, with neither a model nor lm-eval at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gra.errors import EvalError
from gra.eval.report import samples, scores
from gra.eval.rescore import rescore
from gra.eval.scoring import answers
from gra.fileio import read_json, write_json

MMLU = [("B", "law", "ANSWER: B"), ("C", "law", "It is C."), ("A", "art", "ANSWER: D"), ("A", "art", "I cannot say.")]
GSM8K = [("3 + 4.\n#### 7", "#### 7"), ("#### 1,200", "The answer is 1200."), ("#### 5", "so 6")]
GENERATED: dict[str, Any] = {"output_type": "generate_until"}
CONFIGS: dict[str, dict[str, Any]] = {
    "mmlu_chat": GENERATED | {"metadata": {"answer": "letter"}},
    "gsm8k": GENERATED,
    "odd_one": {"output_type": "multiple_choice"},
}


def sample(
    place: int, doc: dict[str, Any], target: str, reply: str, metric: str, correct: float, found: Any
) -> dict[str, Any]:
    return {
        "doc_id": place,
        "doc": doc,
        "target": target,
        "arguments": [["prompt", {}]],
        "resps": [[reply]],
        "filtered_resps": [found],
        "filter": "first",
        "metrics": [metric, "no_answer"],
        "prompt_hash": "h",
        metric: correct,
    }


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """What an evaluation left whose strict extraction of letters found nothing, as if its rules had been others."""
    folder = tmp_path / "finished"
    logged = {
        "mmlu_chat": [
            sample(
                place,
                {"answer": gold, "subject": subject, "choices": list("wxyz")},
                gold,
                reply,
                "exact_match",
                0.0,
                None,
            )
            for place, (gold, subject, reply) in enumerate(MMLU)
        ],
        "gsm8k": [
            sample(
                place,
                {"question": "?"},
                target,
                reply,
                "exact_match",
                float(place == 0),
                "7" if place == 0 else "[invalid]",
            )
            for place, (target, reply) in enumerate(GSM8K)
        ],
        "odd_one": [
            sample(0, {}, "0", "", "acc", 1.0, "x")
            | {"target": 0, "resps": [[[-1.0, True]], [[-2.0, False]]], "arguments": [["q", " x"], ["q", " y"]]},
        ],
    }
    rows = []
    for task, items in logged.items():
        rows += samples.rows(task, task, items, answers.kind_of(task, CONFIGS[task]))
        path = folder / "samples" / f"{task}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    names = {"mmlu_chat": "exact_match", "gsm8k": "exact_match", "odd_one": "acc"}
    result = scores.scores(["gsm8k", "mmlu_chat", "odd_one", "left_out"], rows, names, {"mmlu_chat": "general"}, False)
    samples.write(folder / "samples.parquet", rows)
    write_json(folder / "scores.json", result)
    write_json(folder / "results.json", {"configs": CONFIGS})
    return folder


def test_todays_rules_are_applied_to_the_replies_of_then(finished: Path, tmp_path: Path) -> None:
    before = read_json(finished / "scores.json")
    assert (before["tasks"]["mmlu_chat"]["value"], before["tasks"]["mmlu_chat"]["extraction"]) == (0.0, 0.0)
    output = tmp_path / "again"
    result = rescore(finished, output)
    assert read_json(output / "scores.json") == result
    mmlu = result["tasks"]["mmlu_chat"]
    assert (mmlu["value"], mmlu["tolerant"], mmlu["extraction"], mmlu["group"]) == (0.25, 0.5, 0.5, "general")
    for same in ("gsm8k", "odd_one", "left_out"):  # lm-eval's strict verdicts, and nothing, stay what they were
        assert result["tasks"][same] == before["tasks"][same]
    assert read_json(output / "rescored.json")["redone"] == {
        "mmlu_chat": "strict and tolerant",
        "gsm8k": "tolerant",
        "odd_one": "nothing",
    }
    rows = pq.read_table(output / "samples.parquet").to_pylist()
    mine = [row for row in rows if row["task"] == "mmlu_chat"]
    assert [(row["extracted"], row["extracted_tolerant"], row["cluster"]) for row in mine] == [
        ("B", "B", "law"),
        (None, "C", "law"),
        ("D", "D", "art"),
        (None, None, "art"),
    ]
    twice = rescore(finished, tmp_path / "twice")
    assert twice == result
    assert (tmp_path / "twice" / "samples.parquet").read_bytes() == (output / "samples.parquet").read_bytes()


def test_another_evaluations_reading_takes_the_place_of_the_strict_one_alone(finished: Path, tmp_path: Path) -> None:
    own, other = rescore(finished, tmp_path / "own"), rescore(finished, tmp_path / "other", reading="opencompass")
    mmlu, gsm8k = other["tasks"]["mmlu_chat"], other["tasks"]["gsm8k"]
    assert (mmlu["value"], mmlu["tolerant"]) == (0.5, own["tasks"]["mmlu_chat"]["tolerant"])  # "It is C." counts, too
    assert (gsm8k["value"], gsm8k["tolerant"]) == (pytest.approx(2 / 3), own["tasks"]["gsm8k"]["tolerant"])
    assert mmlu["how"]["reading"] == gsm8k["how"]["reading"] == "opencompass"
    assert "reading" not in other["tasks"]["odd_one"]["how"]
    assert "reading" not in own["tasks"]["mmlu_chat"]["how"]
    told = read_json(tmp_path / "other" / "rescored.json")
    assert told["reading"] == "opencompass"
    assert (told["redone"]["gsm8k"], told["redone"]["odd_one"]) == ("opencompass and tolerant", "nothing")
    mine, theirs = (
        [row for row in pq.read_table(tmp_path / name / "samples.parquet").to_pylist() if row["task"] == "mmlu_chat"]
        for name in ("own", "other")
    )
    assert [row["extracted"] for row in theirs] == ["B", "C", "D", None]
    assert [row["extracted_tolerant"] for row in theirs] == [row["extracted_tolerant"] for row in mine]


def test_the_command_loads_neither_models_nor_lm_eval(finished: Path, tmp_path: Path) -> None:
    (finished / "SIMULATED").write_text("made up\n", encoding="utf-8")
    code = (
        "import sys; from gra.eval.rescore import main; code = main(sys.argv[1:])\n"
        "heavy = {'torch', 'transformers', 'lm_eval', 'datasets'} & set(sys.modules); assert not heavy, heavy; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(finished), "--output", str(tmp_path / "again")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mmlu_chat.tolerant" in done.stdout
    assert (tmp_path / "again" / "SIMULATED").is_file()
    assert read_json(tmp_path / "again" / "scores.json")["simulated"] is True


def test_what_cannot_be_scored_again_is_named(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="not empty"):
        rescore(finished, finished)
    (finished / "samples" / "gsm8k.jsonl").unlink()
    with pytest.raises(EvalError, match=r"gsm8k\.jsonl: its replies are not readable"):
        rescore(finished, tmp_path / "a")
    with pytest.raises(EvalError, match=r"scores\.json: not readable"):
        rescore(tmp_path / "nowhere", tmp_path / "b")
    assert not (tmp_path / "a").exists()
