"""Requests that always fail beside a server that is well, in virtual time: they cost themselves, never the run or the server."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_clock import run
from simulated_server import KINDS, Poison, Site, answer, backend, broken, hang, one_in, request

from gra.errors import ServerError
from gra.models.base import Reply

A = "http://a"
UNHEALTHY = "unhealthy"


async def ask(
    sites: dict[str, Site], calls: int, concurrency: int = 64, seed: int = 0, **runtime: Any
) -> tuple[list[Reply], float]:
    """The replies to `calls` requests that all begin at once, and the seconds that they took."""
    async with backend(sites, concurrency, seed, **runtime) as models:
        replies = await asyncio.gather(*(models.chat(request(number)) for number in range(calls)))
        return list(replies), asyncio.get_running_loop().time()


def errors(replies: list[Reply]) -> list[bool]:
    return [reply.error is not None for reply in replies]


@pytest.fixture(scope="module")
def in_their_place() -> tuple[list[bool], float]:
    """The same run with 400s."""
    replies, seconds = run(ask({A: Site(0.2, poison=one_in(10, answer(400, b"no")))}, 2000))
    return errors(replies), seconds


@pytest.mark.parametrize("kind", [*KINDS, "all kinds"])
def test_one_in_ten_costs_a_fifth_of_the_throughput_at_most(
    kind: str, in_their_place: tuple[list[bool], float], caplog: pytest.LogCaptureFixture
) -> None:
    kinds = tuple(KINDS.values()) if kind == "all kinds" else (KINDS[kind],)
    replies, seconds = run(ask({A: Site(0.2, poison=one_in(10, *kinds))}, 2000))
    assert errors(replies) == in_their_place[0]  # those and no others
    assert in_their_place[1] / seconds >= 0.8
    assert UNHEALTHY not in caplog.text
    assert caplog.text.count("a request keeps failing while others succeed") == 3  # and counted from there on
    assert all(str(reply.error).startswith("failed at every attempt: ") for reply in replies if reply.error)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    share=st.sampled_from([3, 5, 10, 40]),
    concurrency=st.sampled_from([1, 2, 7, 64]),
    servers=st.integers(1, 3),
    slots=st.sampled_from([None, 2]),
)
def test_which_requests_fail_is_a_function_of_the_request(
    seed: int, share: int, concurrency: int, servers: int, slots: int | None
) -> None:
    kinds = [*KINDS.values(), answer(400, b"no")]
    random.Random(seed).shuffle(kinds)
    poison = one_in(share, *kinds)
    sites = {f"http://{n}": Site(0.2 * (n + 1), slots, poison) for n in range(servers)}
    replies, _ = run(ask(sites, 60, concurrency, seed))
    calm, _ = run(ask({A: Site(0.2, poison=one_in(share, answer(400, b"no")))}, 60))
    assert errors(replies) == errors(calm)
    again, _ = run(ask({A: Site(0.3, poison=poison)}, 60, 64, seed + 1))
    assert replies == again  # to the words of the error, which become part of the data


@pytest.mark.parametrize("concurrency", [1, 64])
def test_requests_that_hang_are_given_up_in_bounded_time(concurrency: int) -> None:
    site = Site(0.2, poison=one_in(10, hang))
    replies, seconds = run(ask({A: site}, 60, concurrency))
    hung = sum(errors(replies))
    assert hung == sum(site.poison(body) is hang for body in site.bodies_seen)
    limit = 120 + 0.1 * 512
    assert seconds <= (2 * hung if concurrency == 1 else 6) * limit + 60
    assert len(site.cancelled) == 2 * hung  # twice each: so it is not chance


def test_429_to_one_request_alone_ends(caplog: pytest.LogCaptureFixture) -> None:
    replies, seconds = run(ask({A: Site(0.2, poison=one_in(10, answer(429, b"too large")))}, 60))
    calm, _ = run(ask({A: Site(0.2, poison=one_in(10, answer(400, b"no")))}, 60))
    assert errors(replies) == errors(calm)
    assert seconds < 600
    assert UNHEALTHY not in caplog.text


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("servers", [1, 2])
def test_chance_takes_no_request(share: float, servers: int) -> None:
    """Faults by chance, however many: every request is answered in the end."""
    rng = random.Random(1)
    kinds = list(KINDS.values())

    def unlucky(_text: str) -> Poison | None:
        return rng.choice(kinds) if rng.random() < share else None

    replies, _ = run(ask({f"http://{n}": Site(0.2, poison=unlucky) for n in range(servers)}, 3000))
    assert not any(errors(replies))


def test_faults_that_begin_in_a_run_that_was_calm_take_next_to_none() -> None:
    """Behind a gateway one of two machines dies: half of all attempts fail from one moment on."""
    rng = random.Random(1)
    seen = 0

    def half(_text: str) -> Poison | None:
        nonlocal seen
        seen += 1
        return broken("connection", "reset") if seen > 3000 and rng.random() < 0.5 else None

    replies, _ = run(ask({A: Site(0.2, poison=half)}, 6000))
    assert sum(errors(replies)) <= 60  # of 3,000


def test_a_server_that_goes_away_takes_no_request(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(0.2, poison=one_in(10, KINDS["reset"]))

    async def outage() -> list[Reply]:
        async with backend({A: site}, 64) as models:
            calls = [asyncio.create_task(models.chat(request(number))) for number in range(2000)]
            for _ in range(3):
                await asyncio.sleep(2)
                site.up = False
                await asyncio.sleep(6)
                site.up = True
            return list(await asyncio.gather(*calls))

    replies = run(outage())
    calm, _ = run(ask({A: Site(0.2, poison=one_in(10, answer(400, b"no")))}, 2000))
    assert errors(replies) == errors(calm)
    assert caplog.text.count(UNHEALTHY) == caplog.text.count("is back") > 0


@pytest.mark.parametrize("kind", [hang, KINDS["reset"]], ids=["hangs", "reset"])
def test_what_failed_in_an_outage_may_fail_once_more(kind: Poison) -> None:
    """Each request meets the server's outage first, and then something of its own, once."""
    met: set[str] = set()
    site = Site(0.2)

    def once(text: str) -> Poison | None:
        if "Say hello" in text or text in met:
            return None
        met.add(text)
        return kind

    async def outage() -> list[Reply]:
        async with backend({A: site}, 64) as models:
            for number in range(1000, 3000):  # a server that never failed: two faults in a row are not chance
                await models.chat(request(number))
            calls = [asyncio.create_task(models.chat(request(number))) for number in range(40)]
            await asyncio.sleep(0.1)
            site.up = False
            await asyncio.sleep(6)
            site.up, site.poison = True, once
            return list(await asyncio.gather(*calls))

    assert not any(errors(run(outage())))
    assert len(met) == 40


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "503 with Retry-After"])
@pytest.mark.parametrize("concurrency", [1, 64])
def test_a_server_that_fails_on_everything_ends_the_run(kind: str, concurrency: int) -> None:
    """Also where every body is spoilt: a run of errors alone is none."""
    with pytest.raises(ServerError, match=r"http://a/v1, model `m`: (after|no server)"):
        run(ask({A: Site(0.2, poison=lambda _text: KINDS[kind])}, 300, concurrency, give_up_after_s=300))


def test_one_model_of_two_that_is_down_does_not_hold_up_the_other(caplog: pytest.LogCaptureFixture) -> None:
    """Behind one URL, a gateway."""
    site = Site(0.2, poison=lambda text: KINDS["503"] if '"model":"n"' in text else None)

    async def main() -> float:
        async with backend({A: site}, 64) as models:
            down = [asyncio.create_task(models.chat(request(number, "n"))) for number in range(20)]
            await asyncio.gather(*(models.chat(request(number)) for number in range(600)))
            seconds = asyncio.get_running_loop().time()
            for call in down:
                call.cancel()
            return seconds

    assert run(main()) < 5
    assert f"model `n`, is {UNHEALTHY}" in caplog.text
    assert f"model `m`, is {UNHEALTHY}" not in caplog.text


@pytest.mark.parametrize("code", [401, 402, 404])
@pytest.mark.parametrize("inside", [False, True], ids=["as status", "in a body with status 200"])
def test_a_model_that_cannot_be_asked_is_named_at_once(code: int, inside: bool) -> None:
    body = {"error": {"code": code, "message": "no more of this"}}
    bad = answer(200, body) if inside else answer(code, body)
    site = Site(0.2, poison=lambda text: bad if '"model":"n"' in text else None)

    async def main() -> None:
        async with backend({A: site}, 64) as models:
            await models.chat(request(1))
            with pytest.raises(ServerError, match=r"(?s)http://a/v1, model `n`: .*no more of this.*->"):
                await models.chat(request(1, "n"))

    run(main())


@pytest.mark.parametrize("inside", [False, True], ids=["as status", "in a body with status 200"])
def test_403_is_the_models_or_the_requests(inside: bool) -> None:
    """A moderation in front of the model refuses one request; a key that may not ask the model refuses all."""
    body = {"error": {"code": 403, "message": "flagged"}}
    bad = answer(200, body) if inside else answer(403, body)
    replies, _ = run(ask({A: Site(0.2, poison=one_in(10, bad))}, 60))
    calm, _ = run(ask({A: Site(0.2, poison=one_in(10, answer(400, b"no")))}, 60))
    assert errors(replies) == errors(calm)
    with pytest.raises(ServerError, match="flagged"):
        run(ask({A: Site(0.2, poison=lambda _text: bad)}, 1))


def test_429_in_a_body_with_status_200_waits() -> None:
    asked = 0

    def busy(_text: str) -> Poison | None:
        nonlocal asked
        asked += 1
        return answer(200, {"error": {"code": 429, "message": "later"}}, retry_after="40") if asked == 1 else None

    replies, seconds = run(ask({A: Site(0.2, poison=busy)}, 1, retries=0))
    assert not any(errors(replies))
    assert seconds >= 40


def test_a_refusal_in_a_body_with_status_200_is_one() -> None:
    replies, _ = run(
        ask({A: Site(0.2, poison=lambda _text: answer(200, {"error": {"code": 400, "message": "too long"}}))}, 1)
    )
    assert "too long" in str(replies[0].error)
    assert "attempts" not in str(replies[0].error)
