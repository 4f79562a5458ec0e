"""Probabilities of given answers on the wire: every server's form of them, keys of other requests as before, servers without."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from misbehaving import completion, serving

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.local import transformers
from gra.models.openai import backend as openai_server
from gra.models.openai.choices import from_stored, masses, stored_text
from gra.models.openai.wire import Malformed, NoLogprobs, body_of, reply_from
from gra.models.pool import ModelSettings
from gra.simulation.backend import SimulatedBackend

YES_NO = ("Yes", "No")
ASKED = ({"role": "user", "content": "Is it? Yes or No."},)
QUESTION = Request("m", ASKED, 0.0, 1.0, 1, 7, choices=YES_NO)
# In the form of llama.cpp, put together by hand: the token itself is among the likeliest, and variants of a word are several.
LLAMA = {
    "content": [
        {
            "id": 5230,
            "token": "No",
            "bytes": [78, 111],
            "logprob": -1.25,
            "top_logprobs": [
                {"id": 5230, "token": "No", "bytes": [78, 111], "logprob": -1.25},
                {"id": 10407, "token": "yes", "logprob": -2.0},
                {"id": 10407, "token": " Yes", "logprob": -3.0},
                {"id": 57, "token": "I", "logprob": -2.5},
            ],
        }
    ]
}
MAPPED = {"tokens": ["No"], "token_logprobs": [-1.25], "top_logprobs": [{"No": -1.25, "yes": -2.0, "\u2581Yes": -3.0}]}
EXPECTED = {"Yes": math.exp(-2.0) + math.exp(-3.0), "No": math.exp(-1.25)}


def body(logprobs: Any, text: str = "No") -> bytes:
    value = completion(text, "length")
    value["choices"][0]["logprobs"] = logprobs
    return json.dumps(value).encode()


def test_keys_of_other_requests_are_as_they_were() -> None:
    plain = Request("m", ASKED, 0.5, 0.9, 12, 7, "s", {"type": "object"}, "w")
    assert plain.key == "ff9d3f76392acc78c2599dc2d16740eeae747d6970f5d2315debd1182f2c6089"
    assert QUESTION.key != Request("m", ASKED, 0.0, 1.0, 1, 7).key
    assert json.loads(QUESTION.canonical)["choices"] == ["Yes", "No"]
    assert (
        json.dumps(json.loads(QUESTION.canonical), sort_keys=True, separators=(",", ":")).encode() == QUESTION.canonical
    )


def test_one_token_and_twenty_probabilities_are_asked_for() -> None:
    sent = json.loads(body_of(QUESTION, ModelSettings(name="m"), structured=True, send_seed=True, extra={}))
    assert (sent["max_tokens"], sent["logprobs"], sent["top_logprobs"]) == (1, True, 20)
    other = Request("m", ASKED, 0.0, 1.0, 9, 7)
    plain = json.loads(body_of(other, ModelSettings(name="m"), structured=True, send_seed=True, extra={}))
    assert plain["max_tokens"] == 9
    assert not plain.keys() & {"logprobs", "top_logprobs"}


@pytest.mark.parametrize("form", [LLAMA, MAPPED], ids=["content", "mapped"])
def test_variants_of_a_choice_are_added(form: Any) -> None:
    reply = reply_from(body(form), YES_NO)
    assert reply.choices == pytest.approx(EXPECTED)
    assert reply.text == "No"


def test_a_token_that_was_drawn_counts_although_it_is_not_listed() -> None:
    entry = {"token": "Yes", "logprob": -5.0, "top_logprobs": [{"token": "No", "logprob": -0.1}]}
    assert reply_from(body({"content": [entry]}), YES_NO).choices == pytest.approx(
        {"Yes": math.exp(-5), "No": math.exp(-0.1)}
    )


def test_no_choice_among_the_tokens_is_none_and_a_far_one_is_zero() -> None:
    only = {"content": [{"token": "I", "logprob": -0.1, "top_logprobs": [{"token": "I", "logprob": -0.1}]}]}
    assert reply_from(body(only), YES_NO).choices is None
    far = {"content": [{"token": "No", "logprob": -9999.0, "top_logprobs": [{"token": "Yes", "logprob": -0.1}]}]}
    assert reply_from(body(far), YES_NO).choices == {"Yes": pytest.approx(math.exp(-0.1)), "No": 0.0}
    with pytest.raises(NoLogprobs):
        reply_from(body(None), YES_NO)
    assert reply_from(body(None)).choices is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)
ENTRIES = st.fixed_dictionaries(
    {}, optional={"token": JSON | st.just("Yes"), "logprob": JSON | st.floats(), "top_logprobs": JSON}
)


@settings(max_examples=40, deadline=None)
@given(JSON | st.fixed_dictionaries({"content": st.lists(ENTRIES)}) | st.fixed_dictionaries({"top_logprobs": JSON}))
def test_any_logprobs(value: Any) -> None:
    try:
        reply = reply_from(body(value), YES_NO)
    except (NoLogprobs, Malformed):
        return
    if reply.choices is not None:
        assert all(mass >= 0 and math.isfinite(mass) for mass in reply.choices.values())


@given(st.lists(st.tuples(st.sampled_from(["Yes", " yes", "NO", "No", "maybe", ""]), st.floats(0, 1))))
def test_masses_are_sums_over_equal_words(tokens: list[tuple[str, float]]) -> None:
    found = masses(YES_NO, tokens) or dict.fromkeys(YES_NO, 0.0)
    for choice in YES_NO:
        total = sum(p for token, p in tokens if token.strip().lower() == choice.lower())
        assert found[choice] == pytest.approx(total, rel=1e-8, abs=1e-12)


@given(
    st.none() | st.fixed_dictionaries({"Yes": st.floats(0, 1), "No": st.floats(0, 1)}), st.text(), st.none() | st.text()
)
def test_what_is_stored_comes_back(choices: dict[str, float] | None, text: str, error: str | None) -> None:
    reply = Reply(text, 3, None, "length", error, choices)
    stored = stored_text(QUESTION, reply)
    assert from_stored(QUESTION, (stored, 3, None, "length", error)) == reply
    plain = Request("m", ASKED, 0.0, 1.0, 1, 7)
    assert stored_text(plain, Reply(text)) == text
    assert from_stored(plain, (text, 3, None, "length", error)) == Reply(text, 3, None, "length", error)


def first_answer(allowed: int | None, more: Callable[[dict[str, Any]], Any] = lambda _: LLAMA) -> Any:
    """A server that takes `top_logprobs` up to `allowed` (None: refuses any) and answers with `more(body)` as logprobs."""

    async def behave(_request: web.Request, sent: dict[str, Any], _n: int) -> web.Response:
        top = sent.get("top_logprobs")
        if "LONG" in sent["messages"][-1]["content"] or (top is not None and (allowed is None or top > allowed)):
            return web.json_response({"error": {"message": "refused"}}, status=400)
        value = completion("No", "length")
        value["choices"][0]["logprobs"] = more(sent)
        return web.json_response(value)

    return behave


def ask(behave: Any, *requests: Request) -> tuple[list[Reply], list[dict[str, Any]]]:
    async def run() -> tuple[list[Reply], list[dict[str, Any]]]:
        async with serving(behave) as site:
            pool = {"_target_": "-", "base_url": site.url, "models": ["m"]}
            async with openai_server.connect(pool, {"retries": 1}) as backend:
                return await asyncio.gather(*map(backend.chat, requests)), site.bodies

    return asyncio.run(asyncio.wait_for(run(), 60))


TOO_LONG = Request("m", ({"role": "user", "content": "LONG"},), 0.0, 1.0, 1, 7, choices=YES_NO)


def test_a_server_that_lists_fewer_is_asked_for_fewer() -> None:
    replies, bodies = ask(first_answer(5), *[QUESTION] * 3)
    assert [reply.choices for reply in replies] == [pytest.approx(EXPECTED)] * 3
    assert [sent["top_logprobs"] for sent in bodies][-1] == 5


@pytest.mark.parametrize("allowed", [20, 5])
def test_a_question_that_is_too_long_proves_nothing(allowed: int) -> None:
    (long, reply), _ = ask(first_answer(allowed), TOO_LONG, QUESTION)
    assert long.error
    assert long.choices is None
    assert reply.choices == pytest.approx(EXPECTED)


@pytest.mark.parametrize(
    ("behave", "what"), [(first_answer(None), "HTTP 400"), (first_answer(20, lambda _: None), "holds none")]
)
def test_a_server_without_probabilities_is_named(behave: Any, what: str) -> None:
    with pytest.raises(
        ServerError, match=rf"(?s)http://127.0.0.1:\d+/v1, model `m`: the server returns no.*{what}.*scoring=text"
    ):
        ask(behave, QUESTION)
    replies, _ = ask(behave, Request("m", ASKED, 0.0, 1.0, 1, 7))  # other requests are none the worse
    assert replies[0].text == "No"


def test_the_simulated_server_answers_as_in_process() -> None:
    from gra.simulation.server import application

    judged = "<instruction>What is 17 + 25?</instruction>\n<response>The answer is 42.</response>\n\nIs that right? Yes or No."
    texts = [judged, "<instruction>Sing.</instruction>\n\nClear?", "Hello"]
    requests = [
        Request(m, ({"role": "user", "content": t},), 0.0, 1.0, 1, s, choices=YES_NO)
        for m in ("slm-a", "slm-d")
        for t in texts
        for s in range(8)
    ]

    async def run() -> tuple[list[Reply], list[Reply]]:
        runner = web.AppRunner(application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        pool = {"_target_": "-", "base_url": f"http://127.0.0.1:{port}/v1", "models": ["slm-a", "slm-d"]}
        try:
            async with openai_server.connect(pool, {}) as there:
                far = await asyncio.gather(*map(there.chat, requests))
        finally:
            await runner.cleanup()
        async with SimulatedBackend({"slm-a": "slm-a", "slm-d": "slm-d"}) as here:
            return far, await asyncio.gather(*map(here.chat, requests))

    far, near = asyncio.run(run())
    assert far == near
    assert {reply.choices is None for reply in near[16:24]} == {True}  # "Hello" is not a Yes/No question
    given = [reply.choices for reply in near[:8] if reply.choices is not None]
    assert len(given) >= 6
    assert all(0 < choices["Yes"] < 1 and sum(choices.values()) == pytest.approx(0.95) for choices in given)


def test_models_in_this_process_give_the_exact_softmax(tiny_chat_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = (kind.from_pretrained(tiny_chat_model) for kind in (AutoTokenizer, AutoModelForCausalLM))
    letters = ("Y", "n")
    asked = [
        Request("tiny", ({"role": "user", "content": "word " * i},), 0.7, 0.5, 1, 3, choices=letters)
        for i in range(1, 5)
    ]
    asked.append(Request("tiny", ASKED, 0.7, 0.9, 6, 3))

    async def run() -> list[Reply]:
        pool = {"_target_": "-", "models": [{"name": "tiny", "model": str(tiny_chat_model)}], "batch": 3}
        async with transformers.connect(pool, {}) as backend:
            return await asyncio.gather(*map(backend.chat, asked))

    *replies, written = asyncio.run(run())
    assert written.choices is None
    ids = {
        c: [i for i in range(len(tokenizer)) if tokenizer.decode([i]).strip().casefold() == c.casefold()]
        for c in letters
    }
    assert all(len(found) > 1 for found in ids.values())  # Y, y: variants there are
    for request, reply in zip(asked, replies, strict=False):
        text = tokenizer.apply_chat_template(
            [dict(m) for m in request.messages], tokenize=False, add_generation_prompt=True
        )
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt", add_special_tokens=False)).logits[0, -1]
        likely = logits.double().softmax(-1)
        assert reply.choices == pytest.approx({c: float(likely[found].sum()) for c, found in ids.items()}, rel=1e-4)
        assert reply.tokens_out == 1
