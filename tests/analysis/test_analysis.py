"""gra analyze: its numbers are those of their definitions, and what cannot be said is missing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.analysis import ifd, variety
from gra.analysis.command import main
from gra.analysis.reviewers import reviewers
from gra.errors import ConfigError
from gra.model_names import family_of
from tests.synthesis.tiny_models import save_tiny_chat_model


def test_distinct_n_of_a_known_text() -> None:
    assert variety.distinct(["a b a b"], 1) == 2 / 4
    assert variety.distinct(["a b a b"], 2) == 2 / 3  # ab, ba, ab
    assert variety.distinct(["a b", "A b."], 2) == 2 / 3  # ab, ab, b.
    assert variety.distinct(["a"], 2) is None


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40))
def test_entropy_lies_between_none_and_that_of_equal_shares(labels: list[str]) -> None:
    found = variety.entropy(labels)
    assert found is not None
    assert -1e-12 <= found <= math.log2(len(set(labels))) + 1e-9
    assert variety.entropy(labels * 3) == pytest.approx(found)


def test_entropy_of_equal_shares() -> None:
    assert variety.entropy("abcd") == 2
    assert variety.entropy("aaaa") == 0
    assert variety.entropy([]) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 999))
def test_distances_are_those_of_all_pairs(n: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    close = vectors @ vectors.T
    others = [[1 - close[i, j] for j in range(n) if j != i] for i in range(n)]
    assert variety.dispersion(vectors) == pytest.approx(float(np.mean(others)), abs=1e-5)
    found = variety.nearest(vectors, vectors, same=True, block=3)
    assert found == pytest.approx([max(0.0, min(row)) for row in others], abs=1e-5)
    assert variety.nearest(vectors, vectors, block=4) == pytest.approx([0] * n, abs=1e-5)


def test_nothing_to_compare_with_is_no_distance() -> None:
    one = np.ones((1, 1), np.float32)
    assert variety.dispersion(one) is None
    assert variety.nearest(one, one, same=True) == []
    assert variety.nearest(one, one[:0]) == []
    assert variety.median([]) is None
    assert (variety.median([3, 1, 2]), variety.median([1, 2, 4, 3])) == (2, 2.5)


def review(generator: str, **scores: float | None) -> dict[str, Any]:
    return {"generator": generator, "scores": [{"model": name, "score": score} for name, score in scores.items()]}


def test_reviewers_are_held_against_the_others_on_the_same_samples() -> None:
    rows = [review("qwen2-7b", harsh=n % 5, mild=n % 5 + 2, qwen=n % 5 + (3 if n < 6 else 1)) for n in range(12)]
    rows = [row | {"generator": "qwen2-7b" if n < 6 else "llama-8b"} for n, row in enumerate(rows)]
    found = reviewers([*rows, review("llama-8b", harsh=None, mild=7.0)])
    assert found["severity"]["harsh"] == pytest.approx(-2.0)
    assert found["agreement"]["harsh | mild"] == pytest.approx(1.0)
    assert found["own_family"]["qwen"] == pytest.approx(2.0)  # 2 above the others for its kin, 0 else
    assert found["own_family"]["harsh"] is None
    assert reviewers(rows[:3])["agreement"]["harsh | mild"] is None  # too few
    assert family_of("Qwen/Qwen2.5-7B") == family_of("qwen3-8b") == "qwen"


def test_ifd_is_the_ratio_of_two_losses(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_tiny_chat_model(tmp_path / "tiny")
    ask, reply = "What is 3 plus 4?", "The answer to 3 plus 4 is 7."
    found = ifd.scores([(ask, reply), (ask, "")], str(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    start = [tokenizer.eos_token_id]  # it has no token for the beginning of a text
    ask_ids, ids = tokenizer(ask + "\n")["input_ids"], tokenizer(reply)["input_ids"]

    def loss(context: list[int]) -> float:
        labels = torch.tensor([[-100] * len(context) + ids])
        return float(model(input_ids=torch.tensor([context + ids]), labels=labels).loss.detach())

    assert found[0] == pytest.approx(loss(start + ask_ids) / loss(start), rel=1e-4)
    assert found[1] is None
    with pytest.raises(ConfigError, match="causal language model"):
        ifd.scores([], str(tmp_path))


def data(folder: Path, count: int) -> Path:
    (folder / "data").mkdir(parents=True)
    rows = [
        {
            "instruction": f"Add {n} and {n % 3}.",
            "response": str(n),
            "domain": "mathematics" if n % 2 else "coding",
            "keywords": ["sum"],
            "round": 1 + n % 2,
            "generator": "slm-a",
            "scores": [{"model": "slm-b", "score": 8.0}, {"model": "slm-c", "score": 9.0}],
        }
        for n in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "train.parquet")
    return folder


def test_the_command_compares_sets_of_one_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join(json.dumps({"instruction": f"Add {n} and 0.", "response": "1"}) + "\n" for n in range(4)))
    folders = [str(data(tmp_path / "one", 24)), str(data(tmp_path / "two", 12))]
    dropped = [review("slm-a", **{"slm-b": 2.0, "slm-c": 3.0})] * 6
    pq.write_table(pa.Table.from_pylist(dropped), tmp_path / "two" / "rejected.parquet")
    out = tmp_path / "a.json"
    assert main([*folders, "--model", "hash", "--seeds", str(seeds), "--output", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "| one | 12 |" in shown
    assert "| - |" in shown  # no model was named for the IFD
    told = json.loads(out.read_text())["sets"][folders[1]]
    assert told["domain_entropy"] == 1
    assert told["keyword_entropy"] == 0
    assert set(told["by_round"]) == {"1", "2"}
    assert told["reviewers"]["severity"] == {"slm-b": -1.0, "slm-c": 1.0}
    assert told["reviewers"]["agreement"] == {"slm-b | slm-c": pytest.approx(1.0)}  # kept samples alone are all alike
    assert 0 <= told["nearest_seed"] < 1


def test_folders_without_data_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        main([str(tmp_path), str(tmp_path / "none"), "--model", "hash"])
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="--limit"):
        main([str(data(tmp_path / "one", 3)), "--model", "hash", "--limit", "0"])
