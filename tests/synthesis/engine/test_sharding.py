"""Shards: the same data set as one run, whatever the number of shards, and also where some of them did nothing."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_synthesis_app import MODELS, data_bytes, finish, free_port, serving

from gra.errors import ConfigError
from gra.synthesis.engine.sharding import parse_shard, proposals_to_prepare, rewrite


@given(st.integers(0, 99), st.integers(1, 99))
def test_shard_names_are_read_back_or_refused(index: int, count: int) -> None:
    if index < count:
        assert parse_shard(f"{index}/{count}") == (index, count)
    else:
        with pytest.raises(ConfigError, match="i/n"):
            parse_shard(f"{index}/{count}")


@given(st.integers(1, 10**5), st.integers(1, 10**5), st.one_of(st.none(), st.integers(1, 10**5)))
def test_estimates_stay_within_the_limit(wanted: int, limit: int, last: int | None) -> None:
    count = proposals_to_prepare(wanted, limit, None if last is None else {"proposals": last})
    assert 1 <= count <= limit


def test_words_of_the_command_line() -> None:
    assert rewrite(["output=x", "seed=1"]) == ("stage", ["output=x", "seed=1"])
    kind, words = rewrite(["merge", "output=x", "seed=1"])
    assert (kind, words) == ("stage", ["seed=1", "runtime.shards=x.shards", "output=x"])
    kind, words = rewrite(["shard=1/4", "round=2", "output=x/"])
    assert kind == "shard"
    assert words == [
        "runtime.shards=x.shards",
        "+config.shard={round:2,index:1,count:4,gathers:false}",
        "+inputs.previous=x.shards/merged-1",
        "output=x.shards/round-2/shard-1-of-4",
    ]
    kind, words = rewrite(["merge", "round=0", "output=x"])
    assert (kind, words[-1]) == ("shard", "output=x.shards/merged-0")
    assert rewrite(["merge", "round=1", "output=x"])[1][-2:] == ["synthesis.rounds=1", "output=x.shards/merged-1"]
    _, words = rewrite(["merge", "output=my data", "runtime.reuse=[old,'other one']"])
    assert words[0] == "runtime.reuse=[old,'other one']"  # the user's own folders stay as they are
    with pytest.raises(ConfigError, match="output"):
        rewrite(["shard=0/2", "round=1"])
    with pytest.raises(ConfigError, match="round"):
        rewrite(["shard=0/2", "output=x"])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    port = free_port()
    yield from serving([sys.executable, "-m", "gra.simulation.server", "--port", str(port)], port)


@pytest.mark.slow
def test_three_shards_give_the_bytes_of_one_run(tmp_path: Path, server: str) -> None:
    from gra.simulation.world_stage import run

    (tmp_path / "world").mkdir()
    run({"seed": 0, "world": {"seeds": 60, "test_per_task": 5}}, {}, tmp_path / "world")
    common = [
        "seeds=world",
        f"seeds.path={tmp_path / 'world/seeds/seeds.jsonl'}",
        "seeds.limit=40",
        "pool=servers",
        f"pool.base_url={server}",
        MODELS,
        "synthesis.samples_per_round=20",
        "synthesis.dedup.model=hash",
        "synthesis.prompts=turns",
        "synthesis.taken=3",  # what hangs on the pool most: demonstrations, thin domains, taken keywords
    ]

    def gra(*words: str) -> None:
        done = finish([sys.executable, "-m", "gra.synthesis", *words, *common], tmp_path)
        assert done.returncode == 0, done.stderr

    gra("synthesis.rounds=2", f"output={tmp_path / 'one'}")
    out = tmp_path / "many"
    gra("shard=0/3", "round=0", f"output={out}")
    gra("merge", "round=0", f"output={out}")
    for shard in range(3):
        gra(f"shard={shard}/3", "round=1", f"output={out}")
    gra("merge", "round=1", f"output={out}")
    for shard in range(2):  # the third never ran: its proposals are asked by the merge
        gra(f"shard={shard}/3", "round=2", f"output={out}")
    gra("merge", "synthesis.rounds=2", f"output={out}")
    assert data_bytes(out) == data_bytes(tmp_path / "one")
    asked = json.loads((out / "run.json").read_text())
    assert asked["replayed"] > asked["asked"]  # the shards did most of it
    shards = [sqlite3.connect(path) for path in out.with_name("many.shards").rglob("round-1/*/journal.sqlite")]
    keys = [{k for (k,) in c.execute("SELECT key FROM calls WHERE step != 'annotate_seed'")} for c in shards]
    assert len(set().union(*keys)) == sum(map(len, keys))  # no call was made by two shards
