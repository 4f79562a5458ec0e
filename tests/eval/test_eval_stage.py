"""The stage as a whole, on a model whose every reply is known, and the same command after a kill -9."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from eval import stage
from gra.errors import EvalError
from gra.fileio import read_json

TASKS = ("world_mathematics", "world_language", "world_coding")
RIGHT, SILENT, N = 8, 2, 12  # what the model was taught, see conftest.py
FILES = ("scores.json", "samples.parquet")


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
    error = math.sqrt(value * (1 - value) / (N - 1))
    for task in TASKS:
        assert scores["tasks"][task] == {
            "metric": "exact_match", "value": pytest.approx(value), "stderr": pytest.approx(error), "n": N,
            "no_answer": pytest.approx(SILENT / N), "group": "world",
        }  # fmt: skip
        assert metrics[task] == pytest.approx(value)
    assert scores["mean"] == pytest.approx(value) == metrics["mean"]
    assert scores["simulated"] is True
    assert "benchmarks" in (output / "SIMULATED").read_text(encoding="utf-8")

    rows = pq.read_table(output / "samples.parquet").to_pylist()
    assert [row["task"] for row in rows] == [task for task in TASKS for _ in range(N)]
    assert len({row["doc_id"] for row in rows}) == len(rows)
    by_id = {item["id"]: item for path in (taught.world / "benchmarks").iterdir() for item in map(json.loads, path.open())}
    for row in rows:
        item = by_id[row["doc_id"]]
        assert (row["reply"], row["answer"]) == (taught.replies[item["question"]], item["answer"])
        assert row["no_answer"] == (row["extracted"] is None)


@pytest.mark.slow
def test_lm_evals_own_account_is_kept_whole(whole: tuple[Path, dict[str, float]], taught: Any) -> None:
    import hashlib

    from transformers import AutoTokenizer

    output, _ = whole
    results = read_json(output / "results.json")
    expected = {
        "results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config", "git_hash", "date",
        "lm_eval_version", "transformers_version", "task_hashes", "chat_template", "chat_template_sha", "model_source",
        "total_evaluation_time_seconds", "tokenizer_eos_token", "max_length",
    }  # fmt: skip
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
    assert metrics == {"mean": 0.0, "world_language": 0.0, "world_language.no_answer": 1.0}
    scores = read_json(tmp_path / "scores.json")
    assert (scores["tasks"]["world_language"]["n"], scores["simulated"]) == (5, True)  # the items are, whatever the model is
    assert (tmp_path / "SIMULATED").read_text(encoding="utf-8") == "made from simulated inputs: suite.data_dir\n"


@pytest.mark.slow
def test_killed_and_started_again_it_asks_only_what_is_left(
    whole: tuple[Path, dict[str, float]], taught: Any, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    # Two items at a time, and a pause before each batch, so that the kill falls between two tasks.
    code = (
        "import json, sys, time; from pathlib import Path; from transformers import GenerationMixin; from eval import stage\n"
        "generate = GenerationMixin.generate\n"
        "GenerationMixin.generate = lambda *a, **k: (time.sleep(0.3), generate(*a, **k))[1]\n"
        "config, model, world, output = sys.argv[1:]\n"
        "stage.run(json.loads(config), {'model': Path(model), 'benchmarks': Path(world)}, Path(output))"
    )
    slow = config()
    slow["runtime"]["batch_size"] = 2
    arguments = [json.dumps(slow), str(taught.model), str(taught.world), str(output)]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (output / "tasks" / f"{TASKS[0]}.json").exists() or process.poll() is not None, 180)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    kept = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (output / "tasks").glob("world_*.json")}
    assert 1 <= len(kept) < len(TASKS)
    assert not (output / "scores.json").exists()

    stage.run(config(), {"model": taught.model, "benchmarks": taught.world}, output)
    for path, before in kept.items():
        assert (path.stat().st_mtime_ns, path.stat().st_ino) == before, f"{path.name} was asked again"
    for name in FILES:
        assert (output / name).read_bytes() == (whole[0] / name).read_bytes()


@pytest.mark.slow
def test_replies_of_another_model_are_not_taken(whole: tuple[Path, dict[str, float]], tiny_chat_model: Path, taught: Any) -> None:
    from eval.replies import model_key

    mine = model_key(str(taught.model / "model"), "main", "auto")
    assert mine == model_key(str(taught.model / "model"), "main", "auto")
    assert mine != model_key(str(tiny_chat_model), "main", "auto")
    assert mine != model_key(str(taught.model / "model"), "main", "float16")
    assert read_json(whole[0] / "tasks" / f"{TASKS[0]}.json")["kind"] == "generate_until"


@pytest.mark.slow
def test_faults_of_the_model_are_told_in_words(taught: Any, tmp_path: Path) -> None:
    from eval.harness import load
    from eval.settings import Model, Runtime

    inputs = {"model": taught.model, "benchmarks": taught.world}
    with pytest.raises(EvalError, match=r"suite\.max_new_tokens=4096 leaves no room"):
        stage.run(config("world_coding", max_new_tokens=4096), inputs, tmp_path)
    with pytest.raises(EvalError, match="cannot be loaded"):
        load(Model(path="nobody/nothing"), Runtime(device="cpu"), chat=True)
    with pytest.raises(EvalError, match=r"gsm8k.*(\n.*)*suite\.data_dir"):
        stage.run(config("gsm8k", limit=1), {"model": taught.model}, tmp_path)  # no network in tests


@pytest.mark.slow
def test_the_command_of_the_stage(taught: Any, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "eval",
        "suite=smoke",
        f"model.path={taught.model / 'model'}",
        f"suite.data_dir={taught.world}",
    ]
    done = subprocess.run(
        [*command, "suite.limit=3", f"output={tmp_path / 'out'}"], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_json(tmp_path / "out" / "scores.json")["mean"] == 1.0  # the first three of each are right
    assert read_json(tmp_path / "out" / "manifest.json")["simulated"] is True
    assert read_json(tmp_path / "out" / "scores.json")["simulated"] is True


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("nothing happened in time")
        time.sleep(0.02)
