"""The stage as a whole, on a model whose every reply is known."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gra.errors import EvalError
from gra.eval import stage
from gra.fileio import read_json

TASKS = ("world_mathematics", "world_language", "world_coding")
RIGHT, SILENT, N = (
    8,
    2,
    12,
)  # what the model was taught, see conftest.py; the silent ones hold the answer in another form


def config(*tasks: str, **suite: Any) -> dict[str, Any]:
    asked = {"name": "test", "tasks": list(tasks or TASKS), "max_new_tokens": 24} | suite
    return {"seed": 0, "suite": asked, "runtime": {"batch_size": 8, "device": "cpu", "threads": 1}}


@pytest.fixture(scope="session")
def whole(taught: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """The output of an unbroken run, and the metrics it returned."""
    output = tmp_path_factory.mktemp("whole")
    return output, stage.run(config(), {"model": taught.model, "benchmarks": taught.world}, output)


@pytest.mark.slow
def test_scores_are_what_the_model_was_taught(whole: tuple[Path, dict[str, float]], taught: Any) -> None:
    output, metrics = whole
    scores = read_json(output / "scores.json")
    value = RIGHT / N
    tolerant, extraction = (RIGHT + SILENT) / N, 1 - SILENT / N

    def error(share: float) -> float:
        return math.sqrt(share * (1 - share) / (N - 1))

    numbers = {"value": value, "tolerant": tolerant, "extraction": extraction}
    errors = {"stderr": error(value), "tolerant_stderr": error(tolerant), "extraction_stderr": error(extraction)}
    for task in TASKS:
        expected = pytest.approx(numbers | errors)
        assert {"metric": "exact_match", "n": N, "group": "world"}.items() <= scores["tasks"][task].items()
        assert {key: scores["tasks"][task][key] for key in numbers | errors} == expected
        assert [metrics[name] for name in (task, f"{task}.tolerant", f"{task}.extraction")] == pytest.approx(
            list(numbers.values())
        )
    assert {key: scores["mean"][key] for key in numbers} == pytest.approx(numbers)
    assert scores["mean"]["stderr"] == pytest.approx(error(value) / math.sqrt(len(TASKS)))
    assert metrics["mean"] == pytest.approx(value)
    how = scores["tasks"][TASKS[0]]["how"]
    assert (how["shots"], how["max_new_tokens"], how["prompts_cut"], how["chat_template"]) == (0, 24, 0, True)
    assert scores["mean"]["n"] == N * len(TASKS)
    assert scores["simulated"] is True
    assert "benchmarks" in (output / "SIMULATED").read_text(encoding="utf-8")

    rows = pq.read_table(output / "samples.parquet").to_pylist()
    assert [row["task"] for row in rows] == [task for task in TASKS for _ in range(N)]
    assert len({row["doc_id"] for row in rows}) == len(rows)
    by_id = {
        item["id"]: item for path in (taught.world / "benchmarks").iterdir() for item in map(json.loads, path.open())
    }
    for row in rows:
        item = by_id[row["doc_id"]]
        assert (row["reply"], row["answer"]) == (taught.replies[item["question"]], item["answer"])
        assert row["cluster"] is None
        assert row["correct_tolerant"] >= row["correct"]
    assert [row["extracted"] is None for row in rows].count(True) == SILENT * len(TASKS)


@pytest.mark.slow
def test_lm_evals_own_account_is_kept_whole(whole: tuple[Path, dict[str, float]], taught: Any) -> None:
    import hashlib

    from transformers import AutoTokenizer

    output, _ = whole
    results = read_json(output / "results.json")
    expected = set(
        """
        results group_subtasks configs versions n-shot higher_is_better n-samples config git_hash date
        lm_eval_version transformers_version task_hashes chat_template chat_template_sha model_source
        total_evaluation_time_seconds tokenizer_eos_token max_length
    """.split()
    )
    assert expected <= set(results)
    for task in TASKS:
        assert results["results"][task]["exact_match,strict"] == pytest.approx(RIGHT / N)
        assert results["results"][task]["no_answer,strict"] == pytest.approx(SILENT / N)
        stderr = read_json(output / "scores.json")["tasks"][task]["stderr"]
        assert results["results"][task]["exact_match_stderr,strict"] == pytest.approx(stderr)
        assert results["n-samples"][task] == {"original": N, "effective": N}

    tokenizer: Any = AutoTokenizer.from_pretrained(taught.model / "model")
    rows = pq.read_table(output / "samples.parquet").to_pylist()
    logged = [json.loads(line) for line in (output / "samples" / f"{TASKS[0]}.jsonl").open(encoding="utf-8")]
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": logged[3]["doc"]["question"]}], add_generation_prompt=True, tokenize=False
    )
    assert logged[3]["arguments"][0][0] == prompt
    assert rows[3]["prompt_hash"] == hashlib.sha256(prompt.encode()).hexdigest()


@pytest.mark.slow
def test_a_model_that_never_answers_in_the_asked_form_is_counted_as_such(
    tiny_chat_model: Path, taught: Any, tmp_path: Path
) -> None:
    alone = config("world_language", limit=5) | {"model": {"path": str(tiny_chat_model)}}
    alone["suite"]["data_dir"] = str(taught.world)
    metrics = stage.run(alone, {}, tmp_path)
    names = [f"{name}{score}" for name in ("mean", "world_language") for score in ("", ".tolerant", ".extraction")]
    assert metrics == dict.fromkeys(names, 0.0)  # a random model's text holds an answer in no form
    scores = read_json(tmp_path / "scores.json")
    assert (scores["tasks"]["world_language"]["n"], scores["simulated"]) == (
        5,
        True,
    )  # the items are, whatever the model is
    assert (tmp_path / "SIMULATED").read_text(encoding="utf-8") == "made from simulated inputs: suite.data_dir\n"


@pytest.mark.slow
def test_faults_of_the_model_are_told_in_words(taught: Any, tmp_path: Path) -> None:
    nobody = config("world_coding") | {"model": {"path": "nobody/nothing"}}
    with pytest.raises(EvalError, match="nobody/nothing"):
        stage.run(nobody, {"benchmarks": taught.world}, tmp_path)
    with pytest.raises(EvalError, match=r"gsm8k.*(\n.*)*suite\.data_dir"):
        stage.run(config("gsm8k", limit=1), {"model": taught.model}, tmp_path)  # no network in tests


@pytest.mark.slow
def test_the_command_of_the_stage(taught: Any, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "eval",
        "suite=world",
        "suite.only=[world_mathematics,world_language]",
        f"model.path={taught.model / 'model'}",
        f"suite.data_dir={taught.world}",
    ]
    done = subprocess.run(
        [*command, "suite.limit=3", f"output={tmp_path / 'out'}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Percent correct (simulated)" in done.stdout
    assert "6 of 6 answered" in done.stderr
    assert "it/s" not in done.stderr  # of all the bars under it none is drawn
    assert read_json(tmp_path / "out" / "scores.json")["mean"]["n"] == 6
    assert "fatal" not in done.stderr  # git's word for a folder outside a repository
    assert read_json(tmp_path / "out" / "manifest.json")["simulated"] is True
    assert read_json(tmp_path / "out" / "scores.json")["simulated"] is True
