"""The wire format: any bytes are a reply or Malformed, and every text can be stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.models.base import Request
from gra.models.chat_wire import Malformed, body_of, listed_models, reply_from, said, without_thought
from gra.models.http_retry import backoff, retry_after
from gra.models.pool import ModelSettings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


WORDS = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.lists(st.fixed_dictionaries({"role": WORDS, "content": WORDS}, optional={"name": WORDS}), min_size=1).map(tuple)


@given(MESSAGES, WORDS, st.floats(0, 2), st.none() | st.dictionaries(WORDS, st.integers() | WORDS))
def test_what_is_put_together_is_what_json_would_write(messages: Any, model: str, heat: float, schema: Any) -> None:
    request = Request(model, messages, heat, 1.0, 5, 7, "form", schema)
    value = {
        "model": model, "messages": [dict(m) for m in messages], "temperature": heat, "top_p": 1.0, "max_tokens": 5, "seed": 7,
        "schema": schema, "served": "",
    }  # fmt: skip
    assert request.canonical == json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    served = ModelSettings(name="m", model="served")
    sent = json.loads(body_of(request, served, structured=True, send_seed=True, extra={"top_p": 0.5}))
    form = None if schema is None else {"type": "json_schema", "json_schema": {"name": "form", "schema": schema, "strict": True}}
    assert sent.pop("response_format", None) == form
    del value["schema"], value["served"]
    assert sent == value | {"model": "served", "top_p": 0.5}


def body(**message: Any) -> bytes:
    finish = message.pop("finish", "stop")
    return json.dumps({"choices": [{"finish_reason": finish, "message": message}]}).encode()


@given(
    st.binary()
    | JSON.map(lambda v: json.dumps(v).encode())
    | JSON.map(lambda v: json.dumps({"choices": [{"message": v}]}).encode())
)
def test_any_bytes(data: bytes) -> None:
    said(data).encode()
    assert isinstance(listed_models(data), dict)
    try:
        reply = reply_from(data, strip_think=True)
    except Malformed:
        return
    reply.text.encode()


@given(JSON)
def test_any_usage(usage: Any) -> None:
    data = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
    reply = reply_from(data, strip_think=True)
    assert (reply.tokens_in, reply.tokens_out, reply.finish) == (None, None, "stop")


def test_lone_surrogates_are_replaced() -> None:
    assert reply_from(b'{"choices": [{"message": {"content": "a\\ud800b \\ud83d\\ude00"}}]}', True).text == "a\ufffdb \U0001f600"


def test_null_content_says_why_or_is_malformed() -> None:
    assert reply_from(body(content=None, finish="length"), True).finish == "length"
    assert reply_from(body(content=None, reasoning_content="hm"), True).text == ""
    assert reply_from(body(content=None, finish="content_filter"), True).error
    with pytest.raises(Malformed, match="null"):
        reply_from(body(content=None), True)


def test_content_in_parts() -> None:
    assert reply_from(body(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), True).text == "ab"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>hm</think>\n\nyes", "yes"),
        ("\n<think>\n</think>yes <think>no</think>", "yes <think>no</think>"),
        ("hm, then\n</think>\nyes", "yes"),
        ("<think>cut off", ""),
        ("Use <think> tags", "Use <think> tags"),
        ("plain", "plain"),
    ],
)
def test_thoughts(text: str, left: str) -> None:
    assert without_thought(text) == left
    assert reply_from(body(content=text), strip_think=False).text == text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"error": {"message": "too long", "code": 400}}', "too long"),
        (b'{"object": "error", "message": "too long"}', "too long"),
        (b'{"detail": "too  long"}', "too long"),
        (b'{"error": "too long"}', "too long"),
        (b"too\nlong", "too long"),
        (b"", "(nothing)"),
        (b"x" * 10_000, "x" * 400),
    ],
)
def test_error_bodies(data: bytes, words: str) -> None:
    assert said(data) == words


def test_retry_after_forms() -> None:
    assert retry_after({}) is None
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after": "-3"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "nan"}) is None
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, now=90) == 10


@given(st.integers(1, 10_000))
def test_backoff_is_bounded(attempt: int) -> None:
    assert 0.125 <= backoff(attempt) <= 30
