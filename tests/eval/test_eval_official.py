"""lm-eval's own tasks on local files: the same prompts, replies and numbers as lm-eval gives by itself."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from eval import catalogue, stage
from gra.fileio import read_json

SHARED = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"
GSM8K = [
    {
        "question": f"Tom has {n} pens and buys {n % 3 + 1} more. How many has he?",
        "answer": f"He has {n} and {n % 3 + 1}.\n#### {n + n % 3 + 1}",
    }
    for n in range(14)
]  # fmt: skip
ARC = [
    {
        "id": f"ARC_{n}", "question": f"Which number is the largest in row {n}?", "answerKey": "BCDA"[n % 4],
        "choices": {"text": [f"{n + (k - n - 1) % 4}" * (1 + k % 2) for k in range(4)], "label": list("ABCD")},
    }
    for n in range(12)
]  # fmt: skip


def put(path: Path, items: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(item) + "\n" for item in items).encode()))


@pytest.fixture(scope="module")
def fixture_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks")
    put(folder / "gsm8k" / "train.jsonl.gz", GSM8K[:8])
    put(folder / "gsm8k" / "test.jsonl.gz", GSM8K[8:])
    put(folder / "arc_challenge" / "test.jsonl.gz", ARC)
    return folder


def by_lm_eval(model: Path, data: Path, scratch: Path, limit: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """lm-eval alone, on the files that `datasets` reads: {task: metrics} and {task: samples}."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    splits = {"gsm8k": {"train": "train", "test": "test"}, "arc_challenge": {"test": "test"}}
    drop = {"gsm8k": "", "arc_challenge": "training_split: null\nvalidation_split: null\n"}
    for task, names in splits.items():
        files = {split: str(data / task / f"{name}.jsonl.gz") for split, name in names.items()}
        kwargs = json.dumps({"data_files": files, "cache_dir": str(scratch / "cache")})
        yaml = f"include: {catalogue.find(task)}\ntask: plain_{task}\ndataset_path: json\ndataset_name: null\n"
        (scratch / f"plain_{task}.yaml").write_text(yaml + drop[task] + f"dataset_kwargs: {kwargs}\n", encoding="utf-8")
    found: Any = simple_evaluate(
        model="hf", model_args={"pretrained": str(model)}, device="cpu", batch_size=4, limit=limit,
        tasks=[f"plain_{task}" for task in splits], task_manager=TaskManager(include_path=str(scratch), include_defaults=False),
        apply_chat_template=True, gen_kwargs={"max_gen_toks": 24},
    )  # fmt: skip
    return {task: found["results"][f"plain_{task}"] for task in splits}, {t: found["samples"][f"plain_{t}"] for t in splits}


def compare(model: Path, data: Path, tmp_path: Path, limit: int | None) -> None:
    suite = {"name": "t", "tasks": ["gsm8k", "arc_challenge"], "data_dir": str(data), "max_new_tokens": 24, "limit": limit}
    config = {"suite": suite, "model": {"path": str(model)}, "runtime": {"batch_size": 4, "device": "cpu"}}
    (tmp_path / "out").mkdir()
    stage.run(config, {}, tmp_path / "out")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    metrics, samples = by_lm_eval(model, data, scratch, limit)
    ours, scores = read_json(tmp_path / "out" / "results.json"), read_json(tmp_path / "out" / "scores.json")
    first = {"gsm8k": "exact_match,strict-match", "arc_challenge": "acc,none"}
    for task, theirs in metrics.items():
        numbers = {key: value for key, value in theirs.items() if key not in ("name", "alias")}
        assert {key: ours["results"][task][key] for key in numbers} == numbers
        assert scores["tasks"][task]["value"] == theirs[first[task]]
        assert scores["tasks"][task]["stderr"] == pytest.approx(theirs[first[task].replace(",", "_stderr,")])
        lines = (tmp_path / "out" / "samples" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
        mine = {(s["doc_id"], s["filter"]): s for s in map(json.loads, lines)}
        assert len(mine) == len(samples[task])
        for sample in samples[task]:
            same = mine[sample["doc_id"], sample["filter"]]
            assert (same["prompt_hash"], same["target_hash"]) == (sample["prompt_hash"], sample["target_hash"])
            assert same["resps"] == json.loads(json.dumps(sample["resps"]))
    rows = pq.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    assert {row["task"] for row in rows} == set(metrics)


@pytest.mark.slow
def test_gsm8k_and_arc_are_lm_evals_own(tiny_chat_model: Path, fixture_data: Path, tmp_path: Path) -> None:
    compare(tiny_chat_model, fixture_data, tmp_path, None)
    rows = pq.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    assert [row["doc_id"] for row in rows if row["task"] == "arc_challenge"] == [item["id"] for item in ARC]
    assert [row["doc_id"] for row in rows if row["task"] == "gsm8k"] == [str(n) for n in range(6)]
    assert {row["correct"] for row in rows if row["task"] == "arc_challenge"} == {0.0, 1.0}
    assert all(row["no_answer"] for row in rows if row["task"] == "gsm8k")  # a random model writes no "####"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the benchmarks' files are not beside this repository (../shared/data/benchmarks)")
def test_the_real_files_give_lm_evals_own_numbers(tiny_chat_model: Path, tmp_path: Path) -> None:
    compare(tiny_chat_model, SHARED, tmp_path, 4)
