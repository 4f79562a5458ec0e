"""Which replies ended at their limit of tokens: told by every backend, kept, counted, and read again by a rescoring."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web
from completions_site import says, serving
from hypothesis import given
from hypothesis import strategies as st

from gra.eval import rescore, stage
from gra.eval.backends import ModelRequest, Reply
from gra.eval.backends.ended import Ended, at_limit
from gra.eval.inference.reply_store import NAME, Record, ReplyStore
from gra.fileio import read_json

TASK = "world_mathematics"


def run(output: Path, taught: Any, limit: int, model: dict[str, Any] | None = None, **runtime: Any) -> dict[str, Any]:
    suite = {"name": "t", "tasks": [TASK], "max_new_tokens": limit, "data_dir": str(taught.world)}
    given_model = model or {"path": str(taught.model / "model")}
    output.mkdir()
    config = {
        "suite": suite,
        "model": given_model,
        "runtime": {"device": "cpu", "threads": 1, "batch_size": 5} | runtime,
    }
    stage.run(config, {}, output)
    found: dict[str, Any] = read_json(output / "scores.json")["tasks"][TASK]
    return found


@pytest.mark.slow
def test_of_a_local_model_those_count_that_were_cut_and_no_others(
    taught: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model was taught replies of known lengths: what the tokenizer makes of them, and an end token."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(taught.model / "model")
    replies = {q: r for q, r in taught.replies.items() if q.startswith(TASK)}
    lengths = {q: len(tokenizer(r, add_special_tokens=False)["input_ids"]) + 1 for q, r in replies.items()}
    limit = sorted(lengths.values())[len(lengths) // 2]
    score = run(tmp_path / "some", taught, limit)
    rows = pq.read_table(tmp_path / "some" / "samples.parquet").to_pylist()
    sample = {s["doc"]["id"]: s for s in map(json.loads, (tmp_path / "some" / "samples" / f"{TASK}.jsonl").open())}
    for row in rows:  # an end token in the last place ends a reply by itself
        assert row["at_limit"] is (lengths[sample[row["doc_id"]]["doc"]["question"]] > limit), row
        assert sample[row["doc_id"]]["at_limit"] is row["at_limit"]
    count = sum(length > limit for length in lengths.values())
    assert 0 < count < len(rows)
    assert (score["at_limit"], score["at_limit_known"]) == (count, len(rows))
    assert f"WARNING: {TASK}: {count} of 12 replies" in capsys.readouterr().out
    whole = run(tmp_path / "whole", taught, 32)
    assert (whole["at_limit"], whole["at_limit_known"]) == (0, 12)
    assert "WARNING" not in capsys.readouterr().out
    again = run(tmp_path / "again", taught, limit, reuse=[str(tmp_path / "some")])  # nothing is asked
    assert again == score
    assert read_json(tmp_path / "again" / "results.json")["replies"]["asked"] == 0
    assert rescore.rescore(tmp_path / "some", tmp_path / "rescored")["tasks"][TASK] == score


@pytest.mark.slow
def test_replies_kept_by_an_earlier_version_are_used_and_not_known_to_be_cut(taught: Any, tmp_path: Path) -> None:
    run(tmp_path / "old", taught, 32)
    with sqlite3.connect(tmp_path / "old" / NAME) as old:
        old.execute("ALTER TABLE replies DROP COLUMN at_limit")
    score = run(tmp_path / "new", taught, 32, reuse=[str(tmp_path / "old")])
    assert (score["at_limit"], score["at_limit_known"]) == (None, 0)
    assert read_json(tmp_path / "new" / "results.json")["replies"]["asked"] == 0
    with ReplyStore(tmp_path / "old" / NAME) as store:  # and as a run's own file, which it goes on with
        store.add([Record("k", "generate_until", "t", "{}", "text", False, True)])
        assert store.find(["k"])["k"].at_limit is True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reason", "known"),
    [
        ("length", True),
        ("max_tokens", True),
        ("MAX_TOKENS", True),
        ("model_length", True),
        ("stop", False),
        (None, None),
    ],
)
def test_of_a_server_its_own_word_counts(reason: str | None, known: bool | None, taught: Any, tmp_path: Path) -> None:
    async def behave(_request: web.Request, _body: dict[str, Any], _n: int) -> web.StreamResponse:
        body = says("The answer is apple.")
        body["choices"][0]["finish_reason"] = reason
        return web.json_response(body)

    with serving(behave) as site:
        model = {"path": str(taught.model / "model"), "backend": "server", "base_url": site.url, "name": "m"}
        score = run(tmp_path / "out", taught, 24, model)
    assert (score["at_limit"], score["at_limit_known"]) == (
        {True: 12, False: 0, None: None}[known],
        0 if known is None else 12,
    )


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(1, 8), st.booleans(), st.booleans())
def test_a_reply_is_cut_when_it_has_all_its_tokens_and_nothing_ended_it(
    ids: list[int], limit: int, ends: bool, stops: bool
) -> None:
    reply = [*ids, 0] if ends else ids
    text = "so far STOP" if stops else "so far"
    assert at_limit(reply, limit, {0}, text, ["STOP", ""]) is (len(reply) >= limit and not ends and not stops)


def test_a_reply_is_found_by_its_prompt_as_the_model_got_it_cut_or_not() -> None:
    ended = Ended(10)
    ended.note([1, 2, 3], True)
    ended.note([3, 4, 5, 6, 7, 8], False)
    decoding = {"max_gen_toks": 4}
    assert ended.of(ModelRequest("a", "t", ("p", decoding), (1, 2, 3))) is True
    assert ended.of(ModelRequest("b", "t", ("p", decoding), (0, 0, 3, 4, 5, 6, 7, 8))) is False  # its head was left out
    assert ended.of(ModelRequest("c", "t", ("p", decoding), (9,))) is None
    assert Reply("text").at_limit is None
