"""Calls of an own backend that fail: made again, put down to the request, or the end of the run, which the same call resumes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from test_python import NAMES, QUICK, SEEDS, Counting

import gra
from gra.api.retrying import Retrying
from gra.errors import Interrupted, ServerError
from gra.models.base import Reply, Request
from gra.models.pool import ModelRuntime


class Moody(Counting):
    """The simulated committee, whose every fifth call fails, or every call but the first `up`."""

    def __init__(self, up: int | None = None) -> None:
        super().__init__()
        self.up = up

    async def chat(self, request: Request) -> Reply:
        down = self.calls % 5 == 2 if self.up is None else self.calls >= self.up
        reply = await super().chat(request)  # counts the call
        if down:
            raise ServerError("down")
        return reply


def made(output: Path, backend: Any, **config: Any) -> gra.Data:
    return gra.synthesize(SEEDS, NAMES, backend=backend, samples=4, output=output, config={**QUICK, **config})


def asked(seed: int = 0) -> Request:
    return Request("m", ({"role": "user", "content": "?"},), 0.0, 1.0, 8, seed)


def retrying(chat: Callable[[Request], Awaitable[Reply]], **runtime: Any) -> Retrying:
    return Retrying(chat, "Mine", ModelRuntime.model_validate(runtime))


def test_a_failed_call_is_made_again_and_the_data_is_the_same(tmp_path: Path) -> None:
    moody, steady = Moody(), Counting()
    found, wanted = made(tmp_path / "moody", moody), made(tmp_path / "steady", steady)
    assert moody.calls > 5
    assert found.dataset["instruction"][:] == wanted.dataset["instruction"][:]
    assert found.dataset["response"][:] == wanted.dataset["response"][:]


def test_a_backend_that_stays_down_ends_the_run_with_model_and_remedy_and_the_same_call_resumes(tmp_path: Path) -> None:
    patience = {"runtime.give_up_after_s": 0.3, "runtime.startup_wait_s": 0.3}
    with pytest.raises(ServerError) as told:
        made(tmp_path / "own", Moody(up=40), **patience)
    assert str(told.value).startswith("Moody, model `slm-")
    assert re.search(r"`: down \(no answer for \d+ s", str(told.value))
    assert "\n    -> when the backend answers again, make the same call: it resumes" in str(told.value)
    assert len(made(tmp_path / "own", Moody(up=10**6)).dataset) == 4


def test_the_backends_own_remedy_is_kept() -> None:
    async def chat(_request: Request) -> Reply:
        raise ServerError("no seat\n    -> buy one")

    with pytest.raises(ServerError, match=r"Mine, model `m`: no seat \(no answer.*\n    -> buy one$"):
        asyncio.run(retrying(chat, startup_wait_s=0).chat(asked()))


def test_a_request_that_fails_while_others_are_answered_is_at_fault_itself() -> None:
    async def chat(request: Request) -> Reply:
        await asyncio.sleep(0.01)
        if request.seed:
            raise ServerError("no")
        return Reply("yes")

    async def both() -> tuple[Reply, str]:
        retried = retrying(chat, retries=1)
        bad = asyncio.create_task(retried.chat(asked(1)))
        said = ""
        while not bad.done():
            said = (await retried.chat(asked())).text
        return await bad, said

    bad, good = asyncio.run(asyncio.wait_for(both(), 20))
    assert good == "yes"
    assert (bad.finish, bad.text) == ("error", "")
    assert (bad.error or "").startswith("after 2 attempts: no")


def test_draining_ends_the_wait_for_a_retry_and_no_bug_is_retried() -> None:
    calls = []

    async def chat(request: Request) -> Reply:
        calls.append(request)
        raise ServerError("down") if request.seed == 0 else ValueError("a bug")

    async def drained() -> None:
        retried = retrying(chat)
        call = asyncio.create_task(retried.chat(asked()))
        await asyncio.sleep(0.05)
        retried.drain()
        await call

    with pytest.raises(Interrupted):
        asyncio.run(asyncio.wait_for(drained(), 5))
    before = len(calls)
    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(retrying(chat).chat(asked(1)))
    assert len(calls) == before + 1
