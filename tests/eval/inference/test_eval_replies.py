"""Replies on disk, what they are known by, and batches that depend on nothing but the requests."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.errors import StoreError
from gra.eval.backends import ModelRequest, batches
from gra.eval.backends.hf import fitting
from gra.eval.inference import cached
from gra.eval.inference.harness import _key
from gra.eval.inference.reply_store import NAME, Record, ReplyStore, stores_under
from gra.eval.settings import Model


def record(key: str, reply: Any = "said", **given: Any) -> Record:
    return replace(Record(key, "generate_until", "a_task", "{}", reply, False), **given)


def test_what_is_kept_is_found_again_whatever_it_is(tmp_path: Path) -> None:
    odd = {
        "plain": "said",
        "empty": "",
        "nul": "a\0b",
        "half": "a surrogate \ud83d alone",
        "long": "x" * 5_000_000,
        "pair": [-0.1 - 0.2, False],
        "infinite": [float("-inf"), True],
        "sum": -17.25,
    }
    with ReplyStore(tmp_path / NAME) as store:
        store.add([record(key, reply) for key, reply in odd.items()])
    with ReplyStore(tmp_path / NAME) as store:
        found = store.find([*odd, "unknown", *(f"many-{n}" for n in range(1200))])
    assert {key: kept.reply for key, kept in found.items()} == odd
    assert [path.name for path in tmp_path.iterdir()] == [NAME]  # closed, it is one file


def test_replies_of_other_runs_are_taken_over(tmp_path: Path) -> None:
    for name in ("one/deep", "two"):
        with ReplyStore(tmp_path / name / NAME) as store:
            store.add([record(name), record("both", name)])
    with ReplyStore(tmp_path / "three" / NAME, stores_under([tmp_path, tmp_path / "nowhere"])) as store:
        store.add([record("both", "mine")])
        assert store.find(["one/deep", "two", "both"]) == {
            "one/deep": record("one/deep"),
            "two": record("two"),
            "both": record("both", "mine"),
        }
    with ReplyStore(tmp_path / "three" / NAME) as store:
        assert set(store.find(["one/deep", "two"])) == {"one/deep", "two"}
    (tmp_path / "four").mkdir()
    (tmp_path / "four" / NAME).write_bytes(b"no database at all, but long enough to be taken for one" * 40)
    with pytest.raises(StoreError, match=r"four/replies\.sqlite.*(\n.*)*runtime\.reuse"):
        ReplyStore(tmp_path / "three" / NAME, stores_under([tmp_path / "four"])).__enter__()


def test_the_home_folder_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with ReplyStore(tmp_path / "old" / NAME):
        pass
    assert stores_under(["~/old"]) == [tmp_path / "old" / NAME]


def test_a_damaged_file_is_set_aside_and_an_altered_reply_is_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / NAME
    with ReplyStore(path) as store:
        store.add([record("altered"), record("whole")])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE replies SET reply = '\"other\"' WHERE key = 'altered'")
    connection.close()
    with ReplyStore(path) as store:
        assert set(store.find(["altered", "whole"])) == {"whole"}
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    with ReplyStore(path) as store:
        assert store.find(["whole"]) == {}
        store.add([record("new")])
    assert path.with_name(f"{NAME}.damaged-1").is_file()
    assert "wrong checksum" in caplog.text
    assert "was damaged and is kept as" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="file/replies"):
        ReplyStore(tmp_path / "file" / NAME).__enter__()


def test_kill_9_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gra.eval.inference.reply_store import Record, ReplyStore\n"
        "with ReplyStore(Path(sys.argv[1])) as store:\n"
        "    for n in range(10**9):\n"
        "        store.add([Record(f'{n}-{k}', 'generate_until', 't', '{}', 'x' * 500, False) for k in range(3)])\n"
        "        print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / NAME)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = [int(process.stdout.readline()) for _ in range(200)][-1]
    os.kill(process.pid, signal.SIGKILL)
    last = max([last, *map(int, process.stdout.read().split("\n")[:-1])])
    process.wait()
    with ReplyStore(tmp_path / NAME) as store:
        keys = [f"{n}-{k}" for n in range(last + 1) for k in range(3)]
        assert set(store.find(keys)) == set(keys)
        later = store.find(f"{n}-{k}" for n in range(last + 1, last + 50) for k in range(3))
        assert len(later) % 3 == 0  # a batch is there whole or not at all


LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from([5, 9])), max_size=40)


def asks_of(lengths: Sequence[tuple[int, int]]) -> list[ModelRequest]:
    return [
        ModelRequest(f"{n:03}", "t", ("x" * size, {"max_gen_toks": limit}), tuple(range(size)))
        for n, (size, limit) in enumerate(lengths)
    ]


@given(LENGTHS, st.integers(1, 7), st.randoms(use_true_random=False))
def test_batches_hold_every_request_once_in_an_order_of_their_own(
    lengths: Any, size: int, order: random.Random
) -> None:
    asks = asks_of(lengths)
    whole = batches.generations(asks, batches.always(size))
    assert sorted(ask.key for batch in whole for ask in batch) == [ask.key for ask in asks]
    for batch in whole:
        assert 1 <= len(batch) <= size
        assert len({ask.decoding["max_gen_toks"] for ask in batch}) == 1
        assert [len(ask.ids) for ask in batch] == sorted((len(ask.ids) for ask in batch), reverse=True)
    order.shuffle(asks)
    assert batches.generations(asks, batches.always(size)) == whole


PAIRS = st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=4), st.integers(1, 3)), max_size=30)


@given(PAIRS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_continuations_that_share_a_forward_pass_stay_together(pairs: Any, size: int, order: random.Random) -> None:
    asks = [ModelRequest(f"{n:03}", "t", ("c", "d"), tuple(ids) * 2, scored) for n, (ids, scored) in enumerate(pairs)]
    whole = batches.likelihoods(asks, batches.always(size))
    assert sorted(ask.key for batch in whole for ask in batch) == [ask.key for ask in asks]
    rows = [{ask.ids[:-1] for ask in batch} for batch in whole]
    assert all(len(row) <= size for row in rows)
    assert sum(map(len, rows)) == len({ask.ids[:-1] for ask in asks})  # none is in two batches
    order.shuffle(asks)
    assert batches.likelihoods(asks, batches.always(size)) == whole


def test_what_fits_into_a_gpu() -> None:
    llama = SimpleNamespace(
        hidden_size=4096,
        num_attention_heads=32,
        num_key_value_heads=8,
        num_hidden_layers=32,
        intermediate_size=14336,
        vocab_size=128_256,
    )
    size = fitting(llama, 50 << 30, 2, "generate_until")
    assert 40 < size(1000, 4096) < 80  # 131 kB a token and 5,000 tokens: 0.65 GB each, and the forward pass
    assert size(100_000, 31_000) < size(4000, 4096) < size(100, 500) == 256
    assert fitting(llama, -5, 2, "generate_until")(10, 10) == 1
    assert 10 < fitting(llama, 50 << 30, 2, "loglikelihood")(1000, 0) < 60  # 1.5 MB of logits a token


def front_of(max_length: int | None = 4096, **extra: Any) -> Any:
    return SimpleNamespace(max_length=max_length, extra_decoding=extra)


def keys(
    *requests: tuple[Any, ...], kind: str = "generate_until", model: str = "m", max_length: int = 4096, **extra: Any
) -> list[str]:
    asked = [SimpleNamespace(args=args, task_name="t") for args in requests]
    return [
        ask.key for ask in cached._requests(front_of(max_length, **extra), kind, asked, model, cached.ReplyCounts())
    ]


def test_a_reply_is_known_by_the_model_the_prompt_and_the_decoding() -> None:
    greedy = {"until": ["\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 8}
    (one,) = keys(("prompt", greedy))
    assert keys(("prompt", dict(reversed(greedy.items()))), ("prompt", greedy | {"until": "\n"})) == [one, one]
    others = [
        *keys(("prompt ", greedy)),
        *keys(("prompt", greedy | {"until": ["\n", "."]})),
        *keys(("prompt", greedy | {"max_gen_toks": 9})),
        *keys(("prompt", greedy), model="another"),
        *keys(("prompt", greedy), max_length=2048),
        *keys(("prompt", greedy), repetition_penalty=1.1),
        *keys(("prompt", "continuation"), kind="loglikelihood"),
        *keys(("prompt",), kind="loglikelihood_rolling"),
        *keys(("half \ud83d", greedy)),
    ]
    assert len({one, *others}) == 1 + len(others)
    sampled = {"do_sample": True, "temperature": 0.8, "max_gen_toks": 8}
    assert len(set(keys(("prompt", sampled), ("prompt", sampled)))) == 2  # two draws
    assert keys(("prompt", sampled), ("prompt", sampled)) == keys(("prompt", sampled), ("prompt", sampled))


def test_a_reply_gets_half_of_the_context_at_most(caplog: pytest.LogCaptureFixture) -> None:
    account = cached.ReplyCounts()
    limit = [
        cached._decoding(front_of(n), {"max_gen_toks": 4096}, account)["max_gen_toks"] for n in (512, 8191, 8192, None)
    ]
    assert limit == [256, 4095, 4096, 4096]
    assert account.answer_limits == {"4096": 4095}
    assert "not 4096: the model's context is 512 tokens" in caplog.text


def test_a_model_is_known_by_all_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    weights = tmp_path / "a" / "model.safetensors"
    content = bytearray(3 << 20)
    weights.write_bytes(content)
    first = cached.model_key(str(tmp_path / "a"), "main", "auto")
    (tmp_path / "a").rename(tmp_path / "b")
    assert cached.model_key(str(tmp_path / "b"), "main", "auto") == first  # moved, it is the same
    assert cached.model_key(str(tmp_path / "b"), "main", "float16") != first
    assert cached.model_key(str(tmp_path / "b"), "main", "auto", "vllm") != first
    for name in (
        "scores/replies.sqlite",
        "scores/results.json",
        "wandb/x.json",
        ".cache/y.json",
        "README.md",
        "run.log",
    ):
        (tmp_path / "b" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "b" / name).write_text("{}", encoding="utf-8")
    assert cached.model_key(str(tmp_path / "b"), "main", "auto") == first  # what runs put there is no part of it
    (tmp_path / "b" / "code").mkdir()
    (tmp_path / "b" / "code" / "layers.py").write_text("", encoding="utf-8")
    assert cached.model_key(str(tmp_path / "b"), "main", "auto") != first
    (tmp_path / "b" / "code" / "layers.py").unlink()
    content[len(content) // 2] = 1  # in the middle, as an adapter merged into middle layers changes it
    (tmp_path / "b" / weights.name).write_bytes(content)
    assert cached.model_key(str(tmp_path / "b"), "main", "auto") != first
    served = Model(path="a/b", backend="server", base_url="http://x/v1")
    front: Any = SimpleNamespace(chat=True, commit=None)
    assert _key(served, front) == _key(served.model_copy(update={"base_url": "http://y/v1"}), front)
    assert _key(served, front) != _key(served.model_copy(update={"version": "2"}), front)
    assert cached.model_key("owner/name", "abc", "auto") != cached.model_key("owner/name", "abd", "auto")
