"""The likelihood of a given text on the wire: the grammar that forces it, what is read from the answer, and servers that cannot."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from misbehaving import completion

from gra.models.base import Reply, Request
from gra.models.openai import backend as openai_server
from gra.models.openai.choices import from_stored, stored_text
from gra.models.openai.forced import grammar, mean_logprob, text_of
from gra.models.openai.wire import body_of, reply_from
from gra.models.pool import ModelSettings
from gra.simulation.models import answer

TEXT = 'Line one.\n"Two" \\ é'
ASKED = ({"role": "user", "content": "Say it."},)
FORCED = Request("m", ASKED, 0.0, 1.0, 256, 7, forced=TEXT)
TOKENS = [("Line one.", -1.0), ('\n"Two"', -2.0), (" \\ é", -3.0), ("", -0.5)]  # the last ends the reply


def body(text: str = TEXT, tokens: Any = TOKENS, finish: str = "stop", count: int | None = None) -> bytes:
    value = completion(text, finish)
    value["usage"] = {"prompt_tokens": 9, "completion_tokens": len(tokens) if count is None else count}
    content = [{"token": token, "logprob": value, "top_logprobs": []} for token, value in tokens]
    value["choices"][0]["logprobs"] = {"content": content}
    return json.dumps(value).encode()


@given(st.text(min_size=1))
def test_a_grammar_allows_the_text_alone(text: str) -> None:
    rules = grammar(text)
    assert text_of(rules) == text
    assert rules.count("\n") == 1  # a further line break would end the rule


def test_the_body_forces_the_text_and_asks_for_log_probabilities() -> None:
    sent = json.loads(body_of(FORCED, ModelSettings(name="m"), structured=True, send_seed=True, extra={}))
    assert sent["grammar"] == '%llguidance {}\nstart: "Line one.\\n\\"Two\\" \\\\ é"'
    assert (sent["max_tokens"], sent["logprobs"]) == (256, True)
    other = Request("m", ASKED, 0.0, 1.0, 256, 7)
    assert FORCED.key != other.key
    assert b"forced" not in other.canonical


def test_the_mean_is_over_the_tokens_of_the_text() -> None:
    assert reply_from(body(), (), TEXT).logprob == pytest.approx(-2.0)
    cut = body("Line one.", TOKENS[:1], "length")  # also where a stop string of the server ends the reply
    assert reply_from(cut, (), TEXT).logprob == pytest.approx(-1.0)


@pytest.mark.parametrize(
    "answer",
    [
        body("I would rather not."),  # a server that ignores the grammar
        body(count=len(TOKENS) + 1),  # llama.cpp leaves out tokens that end inside a character
        body("", []),
        body(tokens=[("Line one.", None)]),
        body(tokens=[("Line one.", 0.5)]),  # no probability is above 1
        body(tokens=[("Line one.", float("nan"))]),
        json.dumps(completion(TEXT, "stop")).encode(),
    ],
)
def test_no_score_is_made_of_another_text_or_of_no_probabilities(answer: bytes) -> None:
    assert reply_from(answer, (), TEXT).logprob is None


@given(st.lists(st.floats(-30, 0), min_size=1, max_size=20))
def test_the_order_of_tokens_changes_nothing(values: list[float]) -> None:
    text = "x" * len(values)
    one, other = (
        mean_logprob({"content": [{"token": "x", "logprob": v} for v in order]}, text, text, len(order))
        for order in (values, sorted(values))
    )
    assert one == pytest.approx(other)
    assert one is not None
    assert math.exp(one) <= 1.0001


@pytest.mark.parametrize("logprob", [-1.25, None])
def test_the_journal_gives_back_what_it_was_given(logprob: float | None) -> None:
    reply = Reply("", 5, 9, "stop", logprob=logprob)
    assert from_stored(FORCED, (stored_text(FORCED, reply), 5, 9, "stop", None)) == reply


def asked_over_http(request: Request) -> Reply:
    """The reply of the simulated server to a request that comes over HTTP."""
    from gra.simulation.server import application

    async def run() -> Reply:
        runner = web.AppRunner(application())
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            pool = {
                "_target_": "-",
                "base_url": f"http://127.0.0.1:{runner.addresses[0][1]}/v1",
                "models": [request.model],
            }
            async with openai_server.connect(pool, {}) as backend:
                return await backend.chat(request)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


@pytest.mark.parametrize("response", ["The answer is 42.", 'The answer is 7,\n"or" 8.'])
def test_the_simulated_server_reads_a_text_as_in_process(response: str) -> None:
    request = Request("slm-a", ({"role": "user", "content": "What is 17 + 25?"},), 0.0, 1.0, 256, 3, forced=response)
    reply = asked_over_http(request)
    assert reply.logprob is not None
    assert reply.logprob == pytest.approx(answer(request).logprob, rel=1e-6)
    assert reply.text == ""
