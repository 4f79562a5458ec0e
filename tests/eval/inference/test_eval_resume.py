"""An evaluation killed with SIGKILL and started again: no reply is made twice, and the files are those of an unbroken run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from completions_site import said_to, says, serving

from gra.databases import connect_readonly
from gra.errors import EvalError
from gra.eval import stage
from gra.eval.inference.reply_store import NAME
from gra.fileio import read_json

TASKS = ("world_mathematics", "world_language")
N = 14  # items of each
FILES = ("scores.json", "samples.parquet")
_CHILD = (
    "import json, sys, time; from pathlib import Path; from transformers import GenerationMixin; from gra.eval import stage\n"
    "generate, batches = GenerationMixin.generate, iter(range(5))\n"  # the sixth batch never comes: the kill cannot be late
    "wait = lambda: None if next(batches, None) is not None else time.sleep(600)\n"
    "GenerationMixin.generate = lambda *a, **k: (wait(), generate(*a, **k))[1]\n"
    "stage.run(json.loads(sys.argv[1]), {}, Path(sys.argv[2]))"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    for task in TASKS:
        items = [
            {
                "id": f"{task}-{n}",
                "question": f"{task} {'and ' * (n % 5)}{n}?",
                "answer": str(n),
                "domain": "d",
                "skill": "s",
            }
            for n in range(N)
        ]
        path = folder / "benchmarks" / f"{task}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return folder


def config(world: Path, model: dict[str, Any], *tasks: str, **runtime: Any) -> dict[str, Any]:
    suite = {"name": "t", "tasks": list(tasks or TASKS), "max_new_tokens": 6, "data_dir": str(world)}
    return {"suite": suite, "model": model, "runtime": {"batch_size": 3, "device": "cpu", "threads": 1} | runtime}


def kept(output: Path) -> int:
    """How many replies the store of a running evaluation holds."""
    if not (output / NAME).exists():
        return 0
    try:
        connection = connect_readonly(output / NAME)
        try:
            return int(connection.execute("SELECT count(*) FROM replies").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.OperationalError:  # no table yet
        return 0


def killed_when(condition: Callable[[], bool], settings: dict[str, Any], output: Path) -> None:
    """Evaluate in another process, and kill it as soon as `condition` holds."""
    output.mkdir()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _CHILD, json.dumps(settings), str(output)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 240
    try:
        while not condition():
            assert process.poll() is None, process.stderr and process.stderr.read()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (output / "scores.json").exists()


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[int, ...]]:
    """How often each prompt went through transformers' `generate` in this process."""
    from transformers import GenerationMixin

    seen: Counter[tuple[int, ...]] = Counter()
    generate = GenerationMixin.generate

    def counted(self: Any, **given: Any) -> Any:
        for ids, mask in zip(given["input_ids"].tolist(), given["attention_mask"].tolist(), strict=True):
            seen[tuple(token for token, there in zip(ids, mask, strict=True) if there)] += 1
        return generate(self, **given)

    monkeypatch.setattr(GenerationMixin, "generate", counted)
    return seen


@pytest.mark.slow
def test_killed_in_the_middle_it_makes_only_what_is_missing(
    tiny_chat_model: Path, world: Path, tmp_path: Path, generated: Counter[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"path": str(tiny_chat_model), "max_length": 42}  # too few for the longer prompts
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    stage.run(config(world, model), {}, whole)
    assert sum(generated.values()) == 2 * N

    killed_when(lambda: kept(broken) >= 9, config(world, model), broken)
    before = kept(broken)
    assert 9 <= before < 2 * N
    generated.clear()
    told: list[Any] = []
    monkeypatch.setattr("gra.eval.report.display.Progress.__call__", lambda _, *what: told.append(what))
    stage.run(config(world, model), {}, broken)
    assert sum(generated.values()) == 2 * N - before
    account = read_json(whole / "results.json")["replies"]
    assert account == {
        "backend": "hf",
        "rendered_by": "here",
        "asked": 2 * N,
        "known": 0,
        "cut": account["cut"],
        "answer_limits": {},
        "continued": {},
        "refused": {},
    }
    assert 0 < sum(account["cut"].values()) < 2 * N
    assert read_json(broken / "results.json")["replies"] == account | {"asked": 2 * N - before, "known": before}
    for name in FILES:
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    first = {task: done for done, _, task in reversed(told)}
    assert set(first) == set(TASKS)
    assert sum(first.values()) == before  # what is known is told at once
    assert {task: (done, total) for done, total, task in told} == dict.fromkeys(TASKS, (N, N))

    # Another suite with some of the items, in another folder, and the whole once more: without the weights.
    generated.clear()
    monkeypatch.setattr("gra.eval.backends.hf.LocalModel.__init__", lambda *_: pytest.fail("the model was loaded"))
    stage.run(config(world, model, TASKS[1], reuse=[str(tmp_path)]), {}, tmp_path / "part")
    assert read_json(tmp_path / "part" / "results.json")["replies"]["known"] == N
    stage.run(config(world, model), {}, broken)
    assert not generated
    for name in FILES:
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_killed_while_a_server_answers_it_asks_only_what_was_not_kept(
    tiny_chat_model: Path, world: Path, tmp_path: Path
) -> None:
    killed = asyncio.Event()

    async def slowly(_request: web.Request, body: dict[str, Any], n: int) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        if n >= 12:  # the rest waits for the kill, which so cannot be late
            await killed.wait()
        return web.json_response(says(said_to(body)))

    output = tmp_path / "out"
    with serving(slowly) as site:
        model = {"path": str(tiny_chat_model), "backend": "server", "base_url": site.url, "name": "m"}
        settings = config(world, model, concurrency=3)
        killed_when(lambda: kept(output) >= 8, settings, output)
        killed.set()
        before, asked = kept(output), Counter(json.dumps(body["prompt"]) for body in site.bodies)
        stage.run(settings, {}, output)
        again = Counter(json.dumps(body["prompt"]) for body in site.bodies) - asked
        assert len(again) == 2 * N - before
        assert len(asked) - before <= 3  # what was in flight is the most that was lost
        stage.run(settings, {}, tmp_path / "whole")
    for name in FILES:
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    stage.run(settings, {}, output)  # the server is gone, and not needed
    shut = settings | {"runtime": settings["runtime"] | {"retries": 0}}
    with pytest.raises(EvalError, match=r"cannot connect(.|\n)*run the same command again to resume"):
        stage.run(shut, {}, tmp_path / "never")


def test_copies_started_by_torchrun_are_refused(
    tiny_chat_model: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(EvalError, match=r"one of 2 processes(.|\n)*runtime\.processes"):
        stage.run(config(world, {"path": str(tiny_chat_model)}), {}, tmp_path)
