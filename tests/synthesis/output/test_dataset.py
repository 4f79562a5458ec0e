"""The data folder: opens with `datasets`, equal bytes for equal outcomes, a card that nothing can break out of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from gra.errors import StoreError
from gra.fileio import sha256_file
from gra.synthesis.committee.records import DIMENSIONS, CallRecord, Check, Outcome, Review, Roles
from gra.synthesis.output.card import plain
from gra.synthesis.output.dataset import CardInfo, write_dataset
from gra.synthesis.output.stats import statistics
from gra.synthesis.settings import SynthesisSettings
from gra.wellformed import well_formed

ROLES = Roles("slm-a", ("slm-b", "slm-c", "slm-d"), "slm-e", "slm-b")
SCORES = dict.fromkeys(DIMENSIONS, 8) | {"clarity": 10}
REVIEWS = (
    Review("slm-b", SCORES, "good", "<b>none</b>"),
    Review("slm-c", SCORES),
    Review("slm-d", None, missing="not JSON"),
)
CHECKS = (Check("slm-b", {"reasonableness": True, "completeness": True, "clarity": True}, "fine"),)
FULL = Outcome(
    "r1-000002",
    1,
    2,
    "coding",
    ROLES,
    ("seed-1", "seed-2"),
    "accepted",
    keywords=("a", "b", "c"),
    instruction="Do \ud83d\ude00 it",
    response="Done \ud800 \x00",
    checks=CHECKS,
    reviews=REVIEWS,
    adjudication=Review("slm-e", SCORES),
    adjudicated=True,
    mean=8.333333333333334,
    std=0.0,
    calls=(CallRecord("k", "respond", "generator", "slm-a", 0, 10, 20),),
    summary="all of it",
)
PLAIN = Outcome(
    "r1-000000", 1, 0, "reasoning", Roles("slm-a", (), None, "slm-a"), (), "accepted", instruction="Q", response="A"
)
REVIEWED = replace(
    FULL, id="r2-000000", round=2, index=0, adjudicated=False, adjudication=None, instruction="Q2", response="A2"
)
LOST = replace(
    PLAIN, id="r1-000001", index=1, status="rejected", reason="response_missing", detail="cut off", response=""
)
TWIN = replace(
    REVIEWED, id="r1-000003", round=1, index=3, status="rejected", reason="duplicate", detail="0.95 to r1-000002"
)
KEPT, REJECTED = [PLAIN, FULL, REVIEWED], [LOST, TWIN]


def write(folder: Path, kept=KEPT, rejected=REJECTED, **card) -> Path:
    stats = statistics(kept, rejected, settings=SynthesisSettings(), simulated=bool(card.get("simulated")))
    info = {
        "seeds_name": "alpaca",
        "license": "cc-by-nc-4.0",
        "models": ("slm-a", "slm-b"),
        "settings": {"tau": 8.0},
        "seed": 0,
    } | card
    write_dataset(folder, kept, rejected, stats, CardInfo(**info))
    return folder


def header(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_datasets_opens_the_folder_and_the_file(tmp_path):
    import datasets

    folder = write(tmp_path / "data_set")
    whole = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert list(whole) == ["train"]
    train = datasets.load_dataset(
        "parquet", data_files=str(folder / "data" / "train.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert whole["train"].to_list() == train.to_list()
    assert train["id"][:] == ["r1-000000", "r1-000002", "r2-000000"]
    assert train["messages"][0] == [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    rejected = datasets.load_dataset(str(folder), "rejected", split="rejected", cache_dir=str(tmp_path / "cache"))
    assert rejected["reason"][:] == ["response_missing", "duplicate"]


def test_rows_tell_what_happened(tmp_path):
    folder = write(tmp_path)
    bare, full, reviewed = pq.read_table(folder / "data/train.parquet").to_pylist()
    assert [r["decision"] for r in (bare, full, reviewed)] == ["unreviewed", "adjudicated", "accepted"]
    assert full["scores"][0] == {"model": "slm-b", **SCORES, "score": sum(SCORES.values()) / 6}
    assert full["scores"][2] == {"model": "slm-d", **dict.fromkeys(DIMENSIONS), "score": None}
    assert full["adjudication"]["model"] == "slm-e"
    assert reviewed["adjudication"] is None
    assert reviewed["adjudication_json"] is None
    assert (full["instruction"], full["response"]) == ("Do \U0001f600 it", "Done \ufffd \x00")
    assert (bare["mean"], bare["std"], bare["summary"], bare["scores"], bare["adjudicator"]) == (
        None,
        None,
        None,
        [],
        None,
    )
    assert json.loads(full["reviews_json"])[0]["weaknesses"] == "<b>none</b>"
    assert json.loads(full["reviews_json"])[2]["missing"] == "not JSON"
    assert json.loads(full["checks_json"])[0]["verdicts"]["clarity"] is True
    assert json.loads(full["adjudication_json"])["scores"] == SCORES
    lost, twin = pq.read_table(folder / "rejected.parquet").to_pylist()
    assert (lost["decision"], lost["messages"], lost["detail"]) == ("rejected", [], "cut off")
    assert (twin["decision"], twin["reason"]) == ("accepted", "duplicate")
    assert set(bare) == set(lost) - {"reason", "detail"}


def test_same_outcomes_same_bytes(tmp_path):
    one = write(tmp_path / "one")
    two = write(tmp_path / "two", KEPT[::-1], REJECTED[::-1])
    assert sha256_file(one) == sha256_file(two)
    assert sorted(p.relative_to(one).as_posix() for p in one.rglob("*") if p.is_file()) == [
        "README.md",
        "data/train.parquet",
        "rejected.parquet",
        "stats.json",
    ]
    empty = write(tmp_path / "three", [], [])
    assert pq.read_table(empty / "data/train.parquet").num_rows == 0
    with pytest.raises(StoreError, match="r1-000000"):
        write(tmp_path / "four", [PLAIN, PLAIN])


def test_licence_follows_the_seeds(tmp_path):
    assert header(write(tmp_path / "a"))["license"] == "cc-by-nc-4.0"
    unknown = write(tmp_path / "b", license=None)
    assert header(unknown)["license"] == "unknown"
    assert "Licence: unknown" in (unknown / "README.md").read_text()
    own = header(write(tmp_path / "c", license="My Terms: v2\n---\nx: y"))
    assert own["license"] == "other"
    assert own["license_name"] == "my-terms-v2-x-y"
    assert own["size_categories"] == ["n<1K"]
    assert own["configs"][0] == {
        "config_name": "default",
        "data_files": [{"split": "train", "path": "data/train.parquet"}],
    }


def test_simulated_is_said_everywhere(tmp_path):
    folder = write(tmp_path, simulated=True)
    assert (folder / "SIMULATED").read_text().count("\n") == 1
    assert "simulated" in header(folder)["tags"]
    assert "**Simulated.**" in (folder / "README.md").read_text()
    assert json.loads((folder / "stats.json").read_text())["simulated"] is True
    assert not (write(tmp_path / "real") / "SIMULATED").exists()


def test_the_card_holds_no_markup_and_no_secrets(tmp_path):
    evil = "x|y\n# head <script>alert(1)</script> [a](javascript:b) `c` ```"
    settings = {
        "note": "````\n# out <script>",
        "api_key": "sk-123",
        "base_url": "http://me:pass@host/v1",
        "max_tokens": 5,
    }
    folder = write(tmp_path, seeds_name=evil, models=(evil,), settings=settings, prompts_hash="abc")
    text = (folder / "README.md").read_text()
    outside = text.split("`````yaml")[0] + text.split("`````\n")[-1]
    assert "<script>" not in outside
    assert "\n# head" not in text
    assert "[a](javascript" not in text.replace("\\[a\\](", "")
    assert "sk-123" not in text
    assert "pass@" not in text
    assert "max_tokens: 5" in text
    assert "abc" in text
    assert "Done" not in text  # nothing that a model wrote
    assert len([line for line in outside.splitlines() if line.startswith("| x\\|y")]) == 1
    assert plain("a\nb" * 500).count("\n") == 0
    assert plain('the pool\'s "own" model') == 'the pool\'s "own" model'  # the text stands in no attribute


def test_the_card_says_how_to_load_the_data_and_what_its_columns_hold(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = write(tmp_path / "set")
    text = (folder / "README.md").read_text()
    found = {}
    exec(text.split("```python\n")[1].split("```")[0].replace("PATH_OR_REPO", str(folder)), found)
    assert [row["instruction"] for row in found["good"]] == []  # no mean of 9 here; the sample without a mean stays out
    assert len(found["data"]) == 3
    assert set(found["dropped"]["reason"]) == {"response_missing", "duplicate"}
    told = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert set(found["data"].column_names) | set(found["dropped"].column_names) == told


def test_a_hostile_sample_stays_in_its_code_block(tmp_path):
    hostile = replace(PLAIN, instruction="x\n```````\n# head <script>\n", response="`````" + "long " * 500)
    text = (write(tmp_path, kept=[hostile]) / "README.md").read_text()
    block = text.split("## A sample\n\n")[1]
    fence = block.split("json\n")[0]
    assert fence == "`" * 8
    inside, outside = block.split("json\n", 1)[1].split(f"\n{fence}", 1)
    assert json.loads(inside)["instruction"] == hostile.instruction
    assert "<script>" not in outside
    assert len(inside) < 2000


def test_half_surrogates_become_replacement_characters():
    assert well_formed({"a": ["x\ud800", "\ud83d\ude00", "fine", 3, None]}) == {
        "a": ["x\ufffd", "\U0001f600", "fine", 3, None]
    }
