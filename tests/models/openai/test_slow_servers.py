"""Servers that are asked for more than they can do at once, in virtual time: no work is lost, and none of them is idle."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop_clock import run
from simulated_server import MODELS, Poison, Site, answer, backend, request
from test_poison_requests import UNHEALTHY, A, ask, errors

from gra.errors import ServerError
from gra.models.base import Reply
from gra.models.openai.in_flight_limit import START, InFlightLimit
from gra.models.openai.overdue import LONGEST, queued, verdict
from gra.models.openai.passing_faults import CHANCE, PassingFaults


@pytest.mark.parametrize("fifo", [True, False], ids=["in order", "in random order"])
@pytest.mark.parametrize("asked", [64, 512])
def test_two_calls_at_a_time_of_30_s_each(asked: int, fifo: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The defaults: 120 s and 0.1 s a token. Most calls wait for longer than that, some of them at the server."""
    site = Site(30.0, 2, fifo=fifo)
    replies, seconds = run(ask({A: site}, 400, asked))
    assert not any(errors(replies))
    assert site.cancelled == []
    assert (site.asked, site.done) == (400, 400)  # nothing twice
    assert 400 * 30 / 2 / seconds >= 0.95
    assert site.peak <= 32  # what a server holds back for long, a gateway in front of it may cut off
    assert UNHEALTHY not in caplog.text


@pytest.mark.parametrize("fifo", [True, False], ids=["in order", "in random order"])
@pytest.mark.parametrize("tokens", [256, 512, 2048, None])
def test_five_models_in_one_queue(tokens: int | None, fifo: bool, caplog: pytest.LogCaptureFixture) -> None:
    """One URL that serves all models two calls at a time: each model's share is answered seldom, and nothing of it is lost."""
    site, rng = Site(30.0, 2, fifo=fifo), random.Random(1)

    async def asked() -> tuple[list[Reply], float]:
        async with backend({A: site}, 64) as models:
            calls = [request(n, rng.choice(MODELS), tokens=tokens or rng.choice([256, 512, 2048])) for n in range(200)]
            return list(await asyncio.gather(*map(models.chat, calls))), asyncio.get_running_loop().time()

    replies, seconds = run(asked())
    assert not any(errors(replies))
    assert site.cancelled == []
    assert (site.asked, site.done) == (200, 200)
    assert 200 * 30 / 2 / seconds >= 0.95
    assert UNHEALTHY not in caplog.text


@pytest.mark.parametrize(("latency", "slots"), [(0.3, 2), (5.0, 1), (60.0, 4), (100.0, 64), (100.0, None), (170.0, 8)])
def test_whatever_a_server_can_do_at_once_it_is_given_in_time(latency: float, slots: int | None) -> None:
    site = Site(latency, slots)
    replies, seconds = run(ask({A: site}, 1000, 64))
    assert not any(errors(replies))
    assert site.cancelled == []
    at_once = min(slots or 64, 64)
    ideal = math.ceil(1000 / at_once) * latency
    assert ideal / seconds >= (0.95 if at_once <= START else 0.85)  # slow start: two or three calls' time


def test_a_late_call_that_others_overtook_is_no_sign_of_a_queue() -> None:
    """A server that works on all calls at once, and answers short ones meanwhile: fewer calls would help nobody."""
    assert queued(others=10, ahead=63, limit_s=120, quickest_s=5)
    assert queued(others=0, ahead=15, limit_s=120, quickest_s=math.inf)  # nothing is known of it
    assert not queued(others=64, ahead=63, limit_s=120, quickest_s=5)
    assert not queued(others=0, ahead=15, limit_s=120, quickest_s=100)  # it is as slow as that


def test_a_server_slower_than_the_limit_is_waited_for_longer() -> None:
    """Each call takes 400 s, the limit is 171 s: what the first calls lose teaches the limit."""
    site = Site(400.0, 4)
    replies, seconds = run(ask({A: site}, 100, 64))
    assert not any(errors(replies))
    assert max(site.cancelled) < 1000
    assert 100 * 400 / 4 / seconds >= 0.9


def test_a_server_that_takes_so_many_and_says_429_to_the_rest() -> None:
    site = Site(1.0)
    site.poison = lambda _text: answer(429, b"slow down") if site.in_flight > 8 else None
    replies, seconds = run(ask({A: site}, 1000, 64, retries=0))
    assert not any(errors(replies))
    assert site.asked < 1300
    assert 1000 / 8 / seconds > 0.6


def test_a_server_that_falls_silent_is_not_waited_for_for_ever() -> None:
    site = Site(1.0)

    def silent(_text: str) -> Poison | None:
        return None

    async def main() -> float:
        async with backend({A: site}, 8, give_up_after_s=600) as models:
            await asyncio.gather(*(models.chat(request(number)) for number in range(8)))
            site.latency = 1e9  # its list of models is there
            try:
                await asyncio.gather(*(models.chat(request(number)) for number in range(8, 16)))
            finally:
                seconds = asyncio.get_running_loop().time()
                assert 600 < seconds < 6000
        raise AssertionError

    site.poison = silent
    with pytest.raises(ServerError, match="no reply within"):
        run(main())


def test_the_state_of_each_server_for_people() -> None:
    sites = {A: Site(0.2), "http://b": Site(0.2, up=False)}

    async def main() -> tuple[list[dict[str, Any]], list[str]]:
        async with backend(sites, 64) as models:
            calls = [asyncio.create_task(models.chat(request(number))) for number in range(40)]
            await asyncio.sleep(0.1)
            state = models.servers(), models.servers_out(), models.in_flight()
            await asyncio.gather(*calls)
            assert state[2] == dict.fromkeys(MODELS, 0) | {"m": START}
            return state[0], state[1]

    states, out = run(main())
    assert out == ["http://b/v1"]
    first = next(s for s in states if s["model"] == "m" and s["url"] == "http://a/v1")
    assert first == {
        "url": "http://a/v1",
        "model": "m",
        "in_flight": START,
        "limit": START,
        "answered": 0,
        "unhealthy": None,
    }
    assert {s["unhealthy"] for s in states if s["url"] == "http://b/v1"} == {"cannot connect: Connection refused"}


@given(st.lists(st.sampled_from(["answered", "idle", "late", "restart"]), max_size=200), st.none() | st.integers(1, 40))
def test_a_limit_stays_within_its_bounds(events: list[str], most: int | None) -> None:
    limit = InFlightLimit(most)
    for now, event in enumerate(events):
        before = limit.value
        if event == "answered":
            limit.answered(before)
            assert before <= limit.value <= before + 1
        elif event == "idle":
            limit.answered(before - 1)
            assert limit.value == before  # it was not reached: nothing is known of more
        elif event == "late":
            limit.overloaded(now, now)
            assert limit.value == max(before // 2, 1) or limit.value == max(int(before * 0.5 + 0.5), 1)
            assert not limit.overloaded(now - 1, now)  # sent before: the same overload
        else:
            limit.restart()
            assert limit.value == 1
        assert 1 <= limit.value <= (most or 10**9)


def test_slow_start_doubles_and_then_adds_one() -> None:
    limit = InFlightLimit()
    for _ in range(START):
        limit.answered(limit.value)
    assert limit.value == 2 * START
    limit.overloaded(0.0, 1.0)
    assert limit.value == START
    for _ in range(START):
        limit.answered(limit.value)
    assert START <= limit.value <= START + 1


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0.1, 300), st.floats(0, 1e4), st.booleans())
def test_no_call_is_given_up_before_its_limit_or_while_others_are_answered(
    waited: float, silent: float, limit_s: float, longest_s: float, hangs: bool
) -> None:
    silent = min(silent, waited)
    found = verdict(waited, silent, limit_s, longest_s, hangs)
    if isinstance(found, str):
        assert waited >= limit_s - 0.01
        assert hangs or silent >= limit_s - 0.01
    else:
        assert found > 0
        assert silent < LONGEST * limit_s


@given(st.lists(st.integers(0, 8), max_size=300))
def test_attempts_follow_what_was_seen(failures: list[int]) -> None:
    faults = PassingFaults()
    for failed in failures:
        faults.recovered(failed)
    assert 0 < faults.share < 1
    assert faults.attempts >= 2
    assert faults.share**faults.attempts <= CHANCE * 1.001
