"""Decontamination within a run: copied items, the card, the fingerprint, concurrency."""

from __future__ import annotations

import json
import logging
import signal
import zlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from scripted import MODELS, Scripted, good_reply
from test_decontaminate import DUCKS, FILES, write

from gra.chain.store.fingerprint import fingerprint, identity
from gra.fileio import sha256_file
from gra.models.base import Request
from gra.synthesis import stage


def config(tmp_path: Path, **rules: Any) -> dict[str, Any]:
    seeds = write(
        tmp_path / "seeds.jsonl", [{"instruction": f"seed {i} says", "output": f"answer {i}"} for i in range(20)]
    )
    return {
        "seed": 0,
        "seeds": {
            "path": str(seeds),
            "format": "jsonl",
            "name": "s",
            "license": "mit",
            "columns": {"instruction": "instruction", "response": "output"},
        },
        "pool": {"_target_": "test_decontaminate_runs.connect", "models": list(MODELS)},
        "synthesis": {
            "rounds": 2,
            "samples_per_round": 12,
            "max_proposals": 400,
            "dedup": {"model": "hash"},
            "decontaminate": rules,
        },
        "runtime": {"concurrency": 8},
    }


def copier(request: Request) -> str:
    """A generator that, now and then, writes down a benchmark item it has seen."""
    mark = zlib.crc32(request.canonical)
    if request.schema_name == "instruction" and mark % 3 == 0:
        return json.dumps({"instruction": f"Task {mark}. {DUCKS.upper()} How many are left?"})
    return good_reply(request)


def connect(_pool: dict[str, Any], _runtime: dict[str, Any]) -> Scripted:
    return Scripted(copier)


def synthesize(tmp_path: Path, name: str, inputs: dict[str, Path] | None = None, **rules: Any) -> Path:
    output = tmp_path / name
    output.mkdir()
    stage.run(config(tmp_path, **rules), inputs or {}, output)
    return output


def test_a_copied_item_is_caught_and_the_round_refilled(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    made = tmp_path / "world"
    write(
        made / "benchmarks" / "ducks.jsonl",
        [
            {"id": "d1", "question": "Unlike anything, really.", "answer": "no"},
            {"id": "d2", "question": DUCKS, "answer": "9"},
        ],
    )
    out = synthesize(tmp_path, "a", {"benchmarks": made})
    kept = pq.read_table(out / "data" / "train.parquet").to_pylist()
    assert [sum(r["round"] == n for r in kept) for n in (1, 2)] == [12, 12]
    assert not any("JANET" in r["instruction"] for r in kept)
    caught = [r for r in pq.read_table(out / "rejected.parquet").to_pylist() if r["reason"] == "contaminated"]
    assert caught
    assert all(r["detail"].startswith("ducks/d2: ") and "JANET" in r["instruction"] for r in caught)
    stats, report = (json.loads((out / name).read_text()) for name in ("stats.json", "decontamination.json"))
    assert stats["contaminated"] == stats["reasons"]["contaminated"] == report["removed"] == len(caught)
    assert stats["accepted"] == stats["kept"] + stats["contaminated"] + stats["duplicates"] + stats["surplus"]
    hits = report["benchmarks"]["ducks"]["hits"]
    assert [h["sample"] for h in hits] == [r["id"] for r in caught]
    assert {(h["item"], h["n"]) for h in hits} == {("d2", 13)}
    assert report["benchmarks"]["ducks"]["items"] == 2
    card = (out / "README.md").read_text()
    assert "Decontamination: 13-gram overlap (short items: 8-gram or whole) with 1 of 2 items of ducks" in card

    again = synthesize(tmp_path, "b", {"benchmarks": made})
    for file in FILES:
        assert sha256_file(out / file) == sha256_file(again / file), file


def test_without_decontamination_the_card_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    folder = write(tmp_path / "suite" / "gsm8k" / "test.jsonl", [{"question": DUCKS, "answer": "9"}]).parents[1]
    off = synthesize(tmp_path, "off", enabled=False, data_dir=str(folder))
    said = json.loads((off / "stats.json").read_text())["decontamination"]
    assert said == "none, switched off (synthesis.decontaminate.enabled=false)"
    assert "**Decontamination: none, switched off" in (off / "README.md").read_text()
    assert str(folder) not in (off / "README.md").read_text()
    assert any("JANET" in r["instruction"] for r in pq.read_table(off / "data" / "train.parquet").to_pylist())
    with caplog.at_level(logging.WARNING, "gra.synthesis.decontamination.filter"):
        nothing = synthesize(tmp_path, "nothing")
    assert sum("no benchmarks given" in r.message for r in caplog.records) == 1
    assert "**Decontamination: none, no benchmarks given" in (nothing / "README.md").read_text()
    assert json.loads((nothing / "decontamination.json").read_text())["decontamination"] == "none, no benchmarks given"
    on = synthesize(tmp_path, "on", data_dir=str(folder))
    hits = json.loads((on / "decontamination.json").read_text())["benchmarks"]["gsm8k"]["hits"]
    assert {h["item"] for h in hits} == {"test:1"}


def test_the_benchmarks_content_is_part_of_the_fingerprint_their_place_is_not(tmp_path):
    def print_of(folder: Path) -> str:
        chosen = config(tmp_path, data_dir=str(folder))
        files = {k: sha256_file(p) for k, p in stage.external_files(chosen).items()}
        return fingerprint(identity("s", 1, chosen, {}, files, stage.NOT_HASHED))

    here, there, other = (
        write(tmp_path / name / "gsm8k" / "test.jsonl", [{"question": q, "answer": "9"}]).parents[1]
        for name, q in (("here", DUCKS), ("there", DUCKS), ("other", "Else?"))
    )
    assert print_of(here) == print_of(there) != print_of(other)
    off = config(tmp_path, enabled=False, data_dir=str(other))
    assert not any("decontaminate" in key for key in stage.external_files(off))


def test_scripted_screening_does_not_depend_on_concurrency(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    made = tmp_path / "world"
    write(made / "benchmarks" / "ducks.jsonl", [{"question": DUCKS, "answer": "9"}])
    prints = []
    for concurrency in (1, 64):
        output = tmp_path / str(concurrency)
        output.mkdir()
        chosen = config(tmp_path)
        chosen["runtime"] = {"concurrency": concurrency}
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        stage.run(chosen, {"benchmarks": made}, output)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        prints.append([sha256_file(output / file) for file in FILES])
    assert prints[0] == prints[1]
