"""Questions with known answers from training splits: read, judged by the evaluation's rules, never from a scored split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gra.errors import ConfigError
from gra.eval.suite.known import FILES, source

GSM8K = {"question": "A pen costs $3. What do 4 cost?", "answer": "4 pens cost 4*3 = <<4*3=12>>12 dollars.\n#### 12"}
ARC = {
    "id": "x",
    "question": "What is hot?",
    "answerKey": "2",
    "choices": {"text": ["ice", "fire", "snow"], "label": ["1", "2", "3"]},
}
MBPP = {
    "task_id": 601,
    "text": "Write a function that doubles.",
    "code": "def twice(a):\r\n  return 2 * a",
    "test_setup_code": "",
    "test_list": ["assert twice(2) == 4", "assert twice(-1) == -2"],
    "challenge_test_list": [],
}


def write(folder: Path, name: str, *docs: Any) -> None:
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(doc) + "\n" for doc in docs))


def test_answers_are_judged_by_rule(tmp_path: Path) -> None:
    write(tmp_path, "gsm8k/train", GSM8K, {"question": "no answer"})
    write(tmp_path, "arc_challenge/validation", ARC, {"question": "no options", "answerKey": "A"})
    write(tmp_path, "mbpp/full/train", MBPP)
    pen, hot, twice = source({"data_dir": str(tmp_path)}, [])
    assert pen.response == "4 pens cost 4*3 = 12 dollars.\nThe answer is 12."
    assert [pen.right(reply) for reply in (pen.response, "So it is $12.00", "The answer is 13.", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert "B. fire" in hot.instruction
    assert [hot.right(reply) for reply in (hot.response, "B", "(B) fire", "A. ice")] == [True, True, True, False]
    assert [hot.right(reply) for reply in hot.wrong] == [False, False]
    assert "\r" not in twice.instruction + twice.response
    good, bad = "```python\ndef twice(x):\n    return x + x\n```", "```python\ndef twice(x):\n    return x * x\n```"
    assert [twice.right(reply) for reply in (twice.response, good, bad, "I cannot.")] == [True, True, False, False]
    assert [one.domain for one in (pen, hot, twice)] == ["mathematics", "question answering", "coding"]


def test_no_scored_split_is_read(tmp_path: Path) -> None:
    assert all("test" not in name for names in FILES.values() for name in names)
    write(tmp_path, "gsm8k/test", GSM8K)
    with pytest.raises(ConfigError, match=r"no gsm8k/train\.jsonl"):
        source({"data_dir": str(tmp_path), "benchmarks": ["gsm8k"]}, [])


def test_faults_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "train.jsonl").write_text("not json\n")
    with pytest.raises(ConfigError) as error:
        source({"data_dir": str(tmp_path), "benchmarks": ["gsm8k", "odd", "arc_easy"]}, [])
    assert len(error.value.problems) == 3
    with pytest.raises(ConfigError, match="data_dirr"):
        source({"data_dirr": "x"}, [])


def test_the_draw_is_by_seed_and_limited(tmp_path: Path) -> None:
    write(tmp_path, "gsm8k/train", *({"question": f"{i}?", "answer": f"#### {i}"} for i in range(50)))
    draws = [
        [
            one.instruction
            for one in source({"data_dir": str(tmp_path), "benchmarks": ["gsm8k"], "limit": 10, "draw": draw}, [])
        ]
        for draw in (0, 0, 1)
    ]
    assert len(draws[0]) == 10
    assert draws[0] == draws[1] != draws[2]
