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
from gra.analysis.recorded_seeds import recorded_seeds
from gra.analysis.reviewers import reviewers
from gra.compare.arms import Arm
from gra.compare.report.judgements import Judged
from gra.errors import ConfigError
from gra.model_names import family_of
from gra.synthesis.committee.health import Health
from gra.synthesis.committee.records import Outcome, Review, Roles
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
    found = [
        Judged(
            "",
            "qwen2-7b" if n < 20 else "llama-8b",
            {"harsh": n % 5, "mild": n % 5 + 2, "qwen": n % 5 + (3 if n < 20 else 1)},
            True,
        )
        for n in range(40)
    ]
    told = reviewers([*found, Judged("", "llama-8b", {"mild": 7.0}, False)])
    assert told["severity"]["harsh"] == pytest.approx(2.0)  # above 0: harsh, as in a run's health
    assert told["agreement"]["harsh | mild"] == pytest.approx(1.0)
    assert told["own_family"]["qwen"] == pytest.approx(2.0)  # 2 above the others for its kin, 0 else
    assert told["own_family"]["harsh"] is None
    assert reviewers(found[:3])["agreement"]["harsh | mild"] is None  # too few
    assert family_of("Qwen/Qwen2.5-7B") == family_of("qwen3-8b") == "qwen"


SCORED = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10).map(float), max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("vw"), SCORED), max_size=60))
def test_severity_is_that_of_a_runs_health(rows: list[tuple[str, dict[str, float]]]) -> None:
    """One rule: what the run told while it ran, what the report and the analysis tell afterwards."""
    health = Health()
    for place, (writer, scores) in enumerate(rows):
        reviews = tuple(Review(name, {"correctness": score}, "", "") for name, score in scores.items())
        roles = Roles(writer, tuple(scores), None, "n")
        health.add(Outcome(f"s{place}", 1, place, "", roles, (), "accepted", reviews=reviews))
    told = {name: one["severity"] for name, one in health.account()["reviewers"].items() if one["severity"] is not None}
    found = reviewers([Judged("", writer, scores, True) for writer, scores in rows])["severity"]
    assert found == pytest.approx(told)


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
    dropped = [review("slm-a", **{"slm-b": 2.0, "slm-c": 3.0}) | {"reason": "below_tau", "std": 0.5}] * 10
    pq.write_table(pa.Table.from_pylist(dropped), tmp_path / "two" / "rejected.parquet")
    out = tmp_path / "a.json"
    assert main([*folders, "--model", "hash", "--seeds", str(seeds), "--output", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "| one | 12 |" in shown
    assert "| - |" in shown  # no model was named for the IFD
    assert "sets are cut to one size; IFD: give --ifd MODEL\n" in shown
    told = json.loads(out.read_text())["sets"][folders[1]]
    assert told["domain_entropy"] == 1
    assert told["keyword_entropy"] == 0
    assert set(told["by_round"]) == {"1", "2"}
    assert told["reviewers"]["severity"] == {"slm-b": 1.0, "slm-c": -1.0}
    assert told["reviewers"]["agreement"] == {"slm-b | slm-c": pytest.approx(1.0)}  # kept samples alone are all alike
    assert 0 <= told["nearest_seed"] < 1
    assert told["judges"]["judges"]["slm-c"]["scores"] == {"3": 10, "9": 12}
    assert told["judges"]["judges"]["slm-c"]["committee_accepts"] == pytest.approx(12 / 22)
    assert "No map: it takes at least 30 distinct instructions of a set" in shown
    assert "absent" in json.loads(out.read_text())["coverage"]
    assert "<svg" in (tmp_path / "a-scores-two.svg").read_text()


def test_a_map_is_written_beside_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(data(tmp_path / one / "same", count)) for one, count in (("one", 110), ("two", 130))]
    out = tmp_path / "found.json"
    assert main([*folders, "--model", "hash", "--output", str(out)]) == 0
    told = json.loads(out.read_text())["coverage"]
    assert (told["samples_of_each"], told["clusters"]) == (110, 22)
    assert list(told["sets"]) == folders, "two folders of one name are told apart"
    assert all(0 < one["low"] <= one["covered"] <= one["high"] <= 1 for one in told["sets"].values())
    assert len((tmp_path / "found-map.csv").read_text().splitlines()) == 1 + 110 + 130
    assert "simulated" not in (tmp_path / "found-map.svg").read_text()
    shown = capsys.readouterr().out
    assert f"written: {out}, {tmp_path / 'found-map.svg'}" in shown
    assert "; to seeds: give --seeds FILE; IFD: give --ifd MODEL\n" in shown


def test_the_seeds_of_a_folder_are_found_where_its_manifest_says(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "store" / "world").mkdir()
    (tmp_path / "store" / "world" / "s.jsonl").write_text(
        json.dumps({"id": "7", "instruction": "Add 1 and 2.", "response": "3"})
    )
    seeds: dict[str, Any] = {"path": "s.jsonl"}
    manifest = {"config": {"seed": 0, "seeds": seeds}, "inputs": {"seeds": {"folder": "elsewhere/world"}}}

    def found(manifest: Any) -> list[tuple[str, str]]:
        return recorded_seeds(Arm("a", "a", None, {"data": folder}, {"data": manifest}))

    assert [text for _, text in found(manifest)] == ["Add 1 and 2."]
    (tmp_path / "store" / "world" / "s.jsonl").write_text("no seeds")
    assert found(manifest) == []
    for gone in (
        {**seeds, "path": "t.jsonl"},
        {"hub": "tatsu-lab/alpaca", "path": "tatsu-lab/alpaca"},
        {"path": 3},
        None,
    ):
        assert found({"config": {"seeds": gone}, "inputs": {"seeds": {"folder": "elsewhere/world"}}}) == []
    assert found({}) == []


def test_shards_beside_data_folders_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern such as runs/store/synthesis-*-data-* matches the folder of a step's shards, too."""
    whole = data(tmp_path / "synthesis-gra-data-1", 12)
    (tmp_path / "synthesis-gra-data-1.shards" / "1-of-2").mkdir(parents=True)
    folders = sorted(str(path) for path in tmp_path.glob("synthesis-*"))
    assert main([*folders, "--model", "hash"]) == 0
    shown = capsys.readouterr()
    assert f"{whole}.shards: shards; left out" in shown.err
    assert "| synthesis-gra-data-1 |" in shown.out


def test_folders_without_data_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        main([str(tmp_path), str(tmp_path / "none"), "--model", "hash"])
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="--limit"):
        main([str(data(tmp_path / "one", 3)), "--model", "hash", "--limit", "0"])
    with pytest.raises(ConfigError, match=r"an is not the name of a JSON file\n    -> --output an/analysis\.json"):
        main([str(tmp_path / "one"), "--model", "hash", "--output", "an"])
