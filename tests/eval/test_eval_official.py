"""lm-eval's own tasks on local files: the same prompts, replies and numbers as lm-eval's command line gives by itself."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gra.eval import stage
from gra.eval.suite import catalogue
from gra.fileio import read_json

FEW = 6
# task -> its first metric and filter, its files by split, the splits of its YAML that have none
TASKS: dict[str, tuple[str, dict[str, str], str]] = {
    "gsm8k": ("exact_match,strict-match", {"train": "gsm8k/train", "test": "gsm8k/test"}, ""),
    "arc_challenge": ("acc,none", {"test": "arc_challenge/test"}, "training_split: null\nvalidation_split: null\n"),
    "arc_challenge_chat": (
        "exact_match,remove_whitespace",
        {"test": "arc_challenge/test"},
        "training_split: null\nvalidation_split: null\nfewshot_split: null\n",
    ),
}
GSM8K = [
    {
        "question": f"Tom has {n} pens and buys {n % 3 + 1} more. How many has he?",
        "answer": f"He has {n} and {n % 3 + 1}.\n#### {n + n % 3 + 1}",
    }
    for n in range(14)
]
ARC = [
    {
        "id": f"ARC_{n}",
        "question": f"Which number is the largest in row {n}?",
        "answerKey": "BCDA"[n % 4],
        "choices": {"text": [f"{n + (k - n - 1) % 4}" * (1 + k % 2) for k in range(4)], "label": list("ABCD")},
    }
    for n in range(12)
]


def put(path: Path, items: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(item) + "\n" for item in items).encode()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few invented items in the schema of the real files. The files are cut, and no limit is set: lm-eval's takes the first
    items, ours draws them."""
    made = {"gsm8k/train": GSM8K[:8], "gsm8k/test": GSM8K[8:], "arc_challenge/test": ARC}
    for name, items in made.items():
        put(tmp_path / "benchmarks" / f"{name}.jsonl.gz", items[:FEW] if name.endswith("test") else items)
    return tmp_path / "benchmarks"


def by_command_line(model: Path, data: Path, scratch: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """`lm-eval run`, on the files that `datasets` reads: {task: metrics} and {task: samples}."""
    (scratch / "tasks").mkdir(parents=True)
    for task, (_, names, drop) in TASKS.items():
        files = {split: str(data / f"{name}.jsonl.gz") for split, name in names.items()}
        kwargs = json.dumps({"data_files": files, "cache_dir": str(scratch / "cache")})
        yaml = f"include: {catalogue.find(task)}\ntask: plain_{task}\ndataset_path: json\ndataset_name: null\n"
        text = yaml + drop + f"dataset_kwargs: {kwargs}\n"
        (scratch / "tasks" / f"plain_{task}.yaml").write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "lm_eval",
        "run",
        "--model",
        "hf",
        "--model_args",
        f"pretrained={model}",
        "--device",
        "cpu",
        "--tasks",
        *(f"plain_{task}" for task in TASKS),
        "--include_path",
        str(scratch / "tasks"),
        "--batch_size",
        "4",
        "--apply_chat_template",
        "--gen_kwargs",
        "max_gen_toks=24",
        "--output_path",
        str(scratch / "out"),
        "--log_samples",
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (results,) = (scratch / "out").rglob("results_*.json")
    samples = {}
    for task in TASKS:
        (lines,) = (scratch / "out").rglob(f"samples_plain_{task}_[0-9]*.jsonl")
        samples[task] = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    return {task: read_json(results)["results"][f"plain_{task}"] for task in TASKS}, samples


def texts(value: Any) -> Any:
    """With texts in place of numbers and truth values, as lm-eval's command line writes the likelihoods in its samples."""
    return [texts(item) for item in value] if isinstance(value, list) else str(value)


@pytest.mark.slow
def test_gsm8k_and_arc_are_lm_evals_own(tiny_chat_model: Path, data: Path, tmp_path: Path) -> None:
    suite = {"name": "t", "tasks": list(TASKS), "data_dir": str(data), "max_new_tokens": 24}
    config = {
        "suite": suite,
        "model": {"path": str(tiny_chat_model)},
        "runtime": {"batch_size": 4, "device": "cpu", "threads": 1},
    }
    (tmp_path / "out").mkdir()
    stage.run(config, {}, tmp_path / "out")
    metrics, samples = by_command_line(tiny_chat_model, data, tmp_path / "alone")
    ours, scores = read_json(tmp_path / "out" / "results.json"), read_json(tmp_path / "out" / "scores.json")
    for task, theirs in metrics.items():
        first = TASKS[task][0]
        numbers = {key: value for key, value in theirs.items() if key not in ("name", "alias")}
        assert {key: ours["results"][task][key] for key in numbers} == numbers
        assert scores["tasks"][task]["value"] == theirs[first]
        assert scores["tasks"][task]["stderr"] == pytest.approx(theirs[first.replace(",", "_stderr,")])
        lines = (tmp_path / "out" / "samples" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
        mine = {(s["doc_id"], s["filter"]): s for s in map(json.loads, lines)}
        assert len(mine) == len(samples[task])
        for sample in samples[task]:
            same = mine[sample["doc_id"], sample["filter"]]
            assert (same["prompt_hash"], same["target_hash"]) == (sample["prompt_hash"], sample["target_hash"])
            assert texts(same["resps"]) == texts(sample["resps"])
    rows = pq.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    assert {row["task"] for row in rows} == set(TASKS)
    assert [row["doc_id"] for row in rows if row["task"] == "gsm8k"] == [str(n) for n in range(FEW)]
    assert all(row["extracted"] is None for row in rows if row["task"] == "gsm8k")  # a random model writes no "####"
    with gzip.open(data / "arc_challenge" / "test.jsonl.gz", "rt", encoding="utf-8") as items:
        assert [row["doc_id"] for row in rows if row["task"] == "arc_challenge"] == [
            json.loads(next(items))["id"] for _ in range(FEW)
        ]
