"""openai_server over real sockets, against servers that fail in every way that servers do."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import time
from typing import Any

import pytest
from misbehaving import Site, answering, completion, cut, first, flood, hang, reset, serving, well

from gra.errors import ConfigError, ServerError
from gra.models.base import Reply, Request
from gra.models.openai import http_retry, server_state
from gra.models.openai.backend import OpenAIServer, connect

KEY = "sk-very-secret-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer"}},
    "required": ["score"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_retry, "FIRST_BACKOFF_S", 0.01)
    monkeypatch.setattr(server_state, "FIRST_PROBE_S", 0.05)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def ask(text: str = "Hello", *, model: str = "m", schema: dict[str, Any] | None = None, seed: int = 1) -> Request:
    return Request(
        model, ({"role": "user", "content": text},), 0.7, 0.9, 50, seed, "review" if schema else None, schema
    )


def backend(urls: Any, *, runtime: dict[str, Any] | None = None, **pool: Any) -> OpenAIServer:
    settings = {"_target_": "gra.models.openai.backend.connect", "models": ["m"], "base_url": urls, **pool}
    speed = {"timeout_s": 0.5, "timeout_per_token_s": 0, "retries": 4, "give_up_after_s": 5, "startup_wait_s": 0.3}
    return connect(settings, speed | (runtime or {}))


async def talk(behave: Any, *requests: Request, models: Any = ("m",), **options: Any) -> tuple[list[Reply], Site]:
    async with serving(behave, models=models) as site, backend(site.url, **options) as models_:
        return [await models_.chat(request) for request in requests or (ask(),)], site


def test_reply_request_and_key() -> None:
    replies, site = asyncio.run(talk(well("Fünf"), ask("Wie viel?", schema=SCHEMA), extra_body={"top_k": 20}))
    assert replies == [Reply("Fünf", 7, 3, "stop")]
    assert site.keys == [f"Bearer {KEY}"]
    assert site.bodies[0] == {
        "model": "m",
        "messages": [{"role": "user", "content": "Wie viel?"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 50,
        "seed": 1,
        "top_k": 20,
        "response_format": {"type": "json_schema", "json_schema": {"name": "review", "schema": SCHEMA, "strict": True}},
    }


def test_options_of_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    models = [{"name": "m", "model": "org/m-8b", "system_role": False}]
    request = Request(
        "m", ({"role": "system", "content": "Judge."}, {"role": "user", "content": "This."}), 0, 1, 5, 9, "s", SCHEMA
    )

    async def run() -> Site:
        pool = {"models": models, "send_seed": False, "structured": "off"}
        async with serving(well(), models=["org/m-8b"]) as site, backend(site.url, **pool) as served:
            await served.chat(request)
            return site

    site = asyncio.run(run())
    assert site.keys == [None]
    message = {"role": "user", "content": "Judge.\n\nThis."}
    assert site.bodies == [{"model": "org/m-8b", "messages": [message], "temperature": 0, "top_p": 1, "max_tokens": 5}]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(reset, id="reset"),
        pytest.param(cut, id="closed mid-reply"),
        pytest.param(hang, id="hangs"),
        pytest.param(flood, id="20 MB"),
        pytest.param(answering(200, b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'), id="invalid UTF-8"),
        pytest.param(answering(200, b"<html>busy</html>"), id="invalid JSON"),
        pytest.param(answering(200, b"[" * 100_000), id="deep JSON"),
        pytest.param(answering(200, b'{"choices": [' + b"9" * 5000 + b"]}"), id="huge number"),
        pytest.param(answering(200, {"choices": []}), id="no choices"),
        pytest.param(answering(200, {"choices": [None]}), id="null choice"),
        pytest.param(answering(200, completion(None)), id="null content"),
        pytest.param(answering(500, b"oops"), id="500"),
        pytest.param(answering(503, b""), id="503"),
        pytest.param(answering(429, b"slow down"), id="429"),
        pytest.param(answering(408, b""), id="408"),
    ],
)
def test_a_passing_fault_is_asked_again(bad: Any) -> None:
    replies, site = asyncio.run(talk(first(bad, bad, bad)))
    assert replies == [Reply("fine", 7, 3, "stop")]
    assert len(site.bodies) == 4
    assert all(body == site.bodies[0] for body in site.bodies)


@pytest.mark.parametrize("body", [b"nonsense", b'{"choices": []}', b"\xff"])
def test_one_bad_reply_never_stops_a_run(body: bytes) -> None:
    replies, site = asyncio.run(talk(answering(200, body)))
    assert replies[0].text == ""
    assert replies[0].error is not None
    assert len(site.bodies) == 5


def test_a_request_that_breaks_a_healthy_server_is_refused_and_not_fatal() -> None:
    async def poisoned(request: Any, body: dict[str, Any], n: int) -> Any:
        return await (reset if body["messages"][-1]["content"] == "poison" else well())(request, body, n)

    replies, _ = asyncio.run(talk(poisoned, ask("poison"), ask("food")))
    assert "connection broke" in str(replies[0].error)
    assert replies[1].text == "fine"


def test_a_server_that_fails_on_everything_is_fatal() -> None:
    with pytest.raises(ServerError, match=r"(?s)/v1, model `m`: after 5 attempts: HTTP 500: oops.*->"):
        asyncio.run(talk(answering(500, b"oops")))


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_kept_by_all_calls(date: bool) -> None:
    times: list[float] = []

    async def busy(request: Any, body: dict[str, Any], n: int) -> Any:
        times.append(time.time())
        after = email.utils.formatdate(time.time() + 2, usegmt=True) if date else "0.6"
        return await (answering(429, b"", Retry_After=after) if n == 0 else well())(request, body, n)

    async def run() -> None:
        async with serving(busy) as site, backend(site.url, runtime={"retries": 0}) as served:
            head = asyncio.create_task(served.chat(ask("a")))
            await asyncio.sleep(0.1)
            await asyncio.gather(head, *(served.chat(ask(f"b{i}")) for i in range(5)))

    asyncio.run(run())
    assert min(times[1:]) - times[0] >= (0.9 if date else 0.58)  # a date has whole seconds


@pytest.mark.parametrize("after", [None, "0", "-1", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_a_server_that_is_busy_is_waited_for_without_a_storm(
    after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_retry, "FIRST_BACKOFF_S", 0.1)
    header = {} if after is None else {"Retry_After": after}

    async def run() -> tuple[int, Reply]:
        times = [answering(429, b"", **header)] * 4
        async with serving(first(*times)) as site, backend(site.url, runtime={"retries": 0}) as served:
            reply = await served.chat(ask("a"))
            return len(site.bodies), reply

    begun = time.monotonic()
    asked, reply = asyncio.run(run())
    assert (asked, reply.text) == (5, "fine")
    assert time.monotonic() - begun > 0.7  # at least 0.05 + 0.1 + 0.2 + 0.4


def test_a_server_that_says_nothing_but_busy_is_given_up_in_time() -> None:
    async def run() -> int:
        async with serving(answering(429, b"", Retry_After="0")) as site:
            async with backend(site.url, runtime={"give_up_after_s": 1.0}) as served:
                with pytest.raises(ServerError, match=r"429|asks to wait"):
                    await served.chat(ask("a"))
            return len(site.bodies)

    assert asyncio.run(run()) < 10


def test_retry_after_longer_than_patience_is_fatal_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(ServerError, match="asks to wait 3600 s"):
        asyncio.run(talk(answering(429, b"", Retry_After="3600")))
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "environment variable OPENAI_API_KEY"), (403, "permissions"), (404, "model's name"), (302, "HTTP 302")],
)
def test_what_no_retry_can_help_names_url_and_model_but_not_the_key(
    status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ServerError) as caught:
        asyncio.run(talk(answering(status, {"error": {"message": f"bad key {KEY}"}}, Location="http://127.0.0.1:1/")))
    assert words in str(caught.value)
    assert "http://127.0.0.1:" in str(caught.value)
    assert "`m`" in str(caught.value)
    assert caught.value.__cause__ is None
    assert KEY not in str(caught.value) + repr(caught.value) + caplog.text


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "Your credit balance is too low"), (429, "You exceeded your current quota"), (400, "Budget exceeded")],
)
def test_money_that_is_spent_is_told_at_once_whatever_the_status(status: int, words: str) -> None:
    with pytest.raises(ServerError) as caught:
        asyncio.run(talk(answering(status, {"error": {"message": words}}), runtime={"give_up_after_s": 600}))
    assert words in str(caught.value)
    assert "add credit" in str(caught.value)


def test_a_refusal_that_echoes_a_prompt_on_money_is_this_requests_alone() -> None:
    refused = answering(400, {"error": {"message": "this is not allowed: the budget was exceeded"}})
    (reply,), _ = asyncio.run(talk(first(refused, well("hello"))))
    assert reply.error is not None
    assert "budget" in reply.error


def test_key_is_nowhere(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> str:
        bad = first(reset, cut, answering(500, KEY.encode()), answering(400, {"error": {"message": f"key {KEY}"}}))
        async with serving(bad) as site, backend(site.url) as served:
            reply = await served.chat(ask())
            shown = "".join(map(repr, (served, vars(served), served._settings, served._key)))
            return shown + repr(reply) + repr([record.__dict__ for record in caplog.records])

    shown = asyncio.run(run())
    assert "key ***" in shown
    assert KEY not in shown + caplog.text
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\nX: y")
    with pytest.raises(ConfigError) as caught:
        backend("http://127.0.0.1:1/v1")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_that_refuses_schemas_is_asked_in_plain_text_from_then_on(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def old(request: Any, body: dict[str, Any], n: int) -> Any:
        return await (answering(status, b"unknown field") if "response_format" in body else well())(request, body, n)

    async def run() -> list[dict[str, Any]]:
        async with serving(old) as site, backend(site.url) as served:
            replies = await asyncio.gather(*(served.chat(ask(str(i), schema=SCHEMA)) for i in range(8)))
            assert all(reply == Reply("fine", 7, 3, "stop") for reply in replies)
            before = len(site.bodies)
            await served.chat(ask("later", schema=SCHEMA))
            assert len(site.bodies) == before + 1
            return site.bodies

    bodies = asyncio.run(run())
    assert "response_format" not in bodies[-1]
    assert sum("response_format" in body for body in bodies) == 8 + 2  # each first try, and two questions of our own
    assert caplog.text.count("sent without it now") == 1


@pytest.mark.parametrize("known", [False, True])
def test_another_refusal_does_not_switch_schemas_off(known: bool) -> None:
    """Also where the same request is taken without its schema: the refusal must be the schema's."""

    async def choosy(request: Any, body: dict[str, Any], n: int) -> Any:
        long = body["messages"][-1]["content"] == "long" and "response_format" in body
        refusal = answering(400, {"error": {"message": "maximum context length is 2048 tokens"}})
        return await (refusal if long else well())(request, body, n)

    requests = [ask("short", schema=SCHEMA)] * known + [ask("long", schema=SCHEMA), ask("short", schema=SCHEMA)]
    replies, site = asyncio.run(talk(choosy, *requests))
    assert replies[-2] == Reply("", finish="error", error="HTTP 400: maximum context length is 2048 tokens")
    assert replies[-1].text == "fine"
    assert "response_format" in site.bodies[-1]


def test_always_400_is_a_refusal_each_time() -> None:
    replies, _ = asyncio.run(talk(answering(400, b"no"), ask(schema=SCHEMA), ask(), ask(schema=SCHEMA)))
    assert [reply.error for reply in replies] == ["HTTP 400: no"] * 3


def test_structured_json_schema_never_falls_back() -> None:
    replies, site = asyncio.run(talk(answering(400, b"no"), ask(schema=SCHEMA), structured="json_schema"))
    assert replies[0].error == "HTTP 400: no"
    assert len(site.bodies) == 1
