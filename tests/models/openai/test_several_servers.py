"""Several servers of a model, and servers that come and go."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from misbehaving import hang, serving, well
from test_openai_server import _impatient, ask, backend, talk  # noqa: F401 - an autouse fixture

from gra.errors import ServerError
from gra.models.openai.backend import OpenAIServer


def test_two_servers_one_dead(unused_url: str) -> None:
    async def run() -> None:
        async with serving(well()) as site, backend([unused_url, site.url]) as served:
            replies = await asyncio.gather(*(served.chat(ask(str(i))) for i in range(20)))
            assert all(reply.text == "fine" for reply in replies)

    asyncio.run(run())


def test_a_server_that_dies_hands_its_calls_to_the_other_and_comes_back() -> None:
    async def texts(served: OpenAIServer, calls: int) -> set[str]:
        return {reply.text for reply in await asyncio.gather(*(served.chat(ask(str(i))) for i in range(calls)))}

    async def run() -> None:
        async with serving(well("b")) as other, AsyncExitStack() as later:
            async with serving(well("a")) as site:
                served = await later.enter_async_context(backend([site.url, other.url]))
                assert await texts(served, 10) == {"a", "b"}
            assert await texts(served, 10) == {"b"}
            await later.enter_async_context(serving(well("back"), port=site.port))
            async with asyncio.timeout(10):
                while "back" not in await texts(served, 10):
                    await asyncio.sleep(0.05)

    asyncio.run(run())


def test_a_server_that_goes_away_for_a_while_loses_nothing() -> None:
    async def run() -> None:
        async with serving(well()) as site:
            port, served = site.port, backend(site.url, runtime={"give_up_after_s": 20})
            await served.__aenter__()
            await served.chat(ask("before"))
        calls = [asyncio.create_task(served.chat(ask(str(i)))) for i in range(30)]
        await asyncio.sleep(1.0)
        assert not any(call.done() for call in calls)
        async with serving(well("back"), port=port), asyncio.timeout(15):
            assert {reply.text for reply in await asyncio.gather(*calls)} == {"back"}
            await served.__aexit__(None, None, None)

    asyncio.run(run())


def test_a_server_gone_for_good_is_fatal() -> None:
    async def run() -> None:
        async with serving(well()) as site:
            served = backend(site.url, runtime={"give_up_after_s": 0.5})
            await served.__aenter__()
        try:
            with pytest.raises(ServerError, match=r"(?s)http://127.0.0.1:\d+/v1, model `m`: .*->"):
                await served.chat(ask())
        finally:
            await served.__aexit__(None, None, None)

    asyncio.run(run())


def test_least_in_flight_and_per_model_limit() -> None:
    peak, now = 0, 0

    async def slow(request: Any, body: dict[str, Any], n: int) -> Any:
        nonlocal peak, now
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(0.05)
        now -= 1
        return await well()(request, body, n)

    async def run(**runtime: Any) -> list[int]:
        async with serving(slow) as a, serving(slow) as b, backend([a.url, b.url], runtime=runtime) as served:
            await asyncio.gather(*(served.chat(ask(str(i))) for i in range(20)))
            return [len(a.bodies), len(b.bodies)]

    assert asyncio.run(run()) == [10, 10]
    assert peak == 20
    peak = 0
    asyncio.run(run(per_model=3))
    assert peak == 3
    peak = 0
    assert asyncio.run(run(per_server=2)) == [10, 10]
    assert peak == 4


def test_cancelling_and_closing_end_the_call_at_the_server() -> None:
    async def run() -> int:
        async with serving(hang) as site:
            async with backend(site.url, runtime={"timeout_s": 60}) as served:
                calls = [asyncio.create_task(served.chat(ask(str(i)))) for i in range(3)]
                await asyncio.sleep(0.2)
                calls[0].cancel()
                await asyncio.sleep(0.1)
                assert site.cancelled == 1
            assert all(call.cancelled() for call in calls)
            await asyncio.sleep(0.1)
            return site.cancelled

    assert asyncio.run(run()) == 3


def test_start_waits_for_a_server_and_names_it_where_none_comes(unused_url: str) -> None:
    async def late() -> str:
        port = int(unused_url.split(":")[2].split("/")[0])

        async def ask_early() -> str:
            async with backend(unused_url, runtime={"startup_wait_s": 10}) as served:
                return (await served.chat(ask())).text

        asking = asyncio.create_task(ask_early())
        await asyncio.sleep(0.3)
        async with serving(well("late"), port=port):
            return await asking

    assert asyncio.run(late()) == "late"

    async def never() -> None:
        async with backend(unused_url):
            pass

    with pytest.raises(ServerError, match=rf"(?s){unused_url}, model `m`: no answer within 0.3 s.*->"):
        asyncio.run(never())


def test_start_checks_the_list_of_models() -> None:
    with pytest.raises(ServerError, match=r"does not list `m`; it has: other, third"):
        asyncio.run(talk(well(), models=["third", "other"]))
    for models in ([], ["m:latest"], 404, 500):
        assert asyncio.run(talk(well(), models=models))[0][0].text == "fine"
    assert asyncio.run(talk(well(), models=["other"], check_models=False))[0][0].text == "fine"
    with pytest.raises(ServerError, match="HTTP 401"):
        asyncio.run(talk(well(), models=401))


def test_a_server_may_say_that_it_is_simulated() -> None:
    async def run() -> bool:
        async with serving(well(), models=[{"id": "m", "owned_by": "simulation"}]) as site, backend(site.url) as served:
            return served.simulated

    assert asyncio.run(run())


@pytest.fixture
def unused_url() -> str:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
