"""The wire format: any bytes are a reply or Malformed, and every text can be stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.models.base import Reply, Request
from gra.models.openai.wire import ErrorBody, Malformed, body_of, listed_models, reply_from, said
from gra.models.pool import ModelSettings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


WORDS = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.lists(st.fixed_dictionaries({"role": WORDS, "content": WORDS}, optional={"name": WORDS}), min_size=1).map(
    tuple
)


@given(MESSAGES, WORDS, st.floats(0, 2), st.none() | st.dictionaries(WORDS, st.integers() | WORDS))
def test_what_is_put_together_is_what_json_would_write(messages: Any, model: str, heat: float, schema: Any) -> None:
    request = Request(model, messages, heat, 1.0, 5, 7, "form", schema)
    value = {
        "model": model,
        "messages": [dict(m) for m in messages],
        "temperature": heat,
        "top_p": 1.0,
        "max_tokens": 5,
        "seed": 7,
        "schema": schema,
        "served": "",
    }
    assert request.canonical == json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    served = ModelSettings(name="m", model="served")
    sent = json.loads(body_of(request, served, structured=True, send_seed=True, extra={"top_p": 0.5}))
    form = (
        None
        if schema is None
        else {"type": "json_schema", "json_schema": {"name": "form", "schema": schema, "strict": True}}
    )
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
        reply = reply_from(data)
    except Malformed:
        return
    reply.text.encode()


@given(JSON)
def test_any_usage(usage: Any) -> None:
    data = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
    reply = reply_from(data)
    assert (reply.tokens_in, reply.tokens_out, reply.finish) == (None, None, "stop")


def test_lone_surrogates_are_replaced() -> None:
    assert (
        reply_from(b'{"choices": [{"message": {"content": "a\\ud800b \\ud83d\\ude00"}}]}').text == "a\ufffdb \U0001f600"
    )


def test_null_content_says_why_or_is_malformed() -> None:
    assert reply_from(body(content=None, finish="length")).finish == "length"
    assert reply_from(body(content=None, reasoning_content="hm")).text == ""
    assert reply_from(body(content=None, finish="content_filter")).error
    with pytest.raises(Malformed, match="null"):
        reply_from(body(content=None))


@pytest.mark.parametrize(
    ("finish", "seen"),
    [
        *(
            (word, "length")
            for word in (
                "length",
                "LENGTH",
                "max_tokens",
                "MAX_TOKENS",
                "model_length",
                "max_output_tokens",
                "token_limit",
                "maxTokens",
                "FINISH_REASON_MAX_TOKENS",
                "FinishReason.LENGTH",
                "model_context_window_exceeded",
                "limit",
            )
        ),
        *(
            (word, "stop")
            for word in (
                "stop",
                "STOP",
                "eos",
                "eos_token",
                "im_end",
                "eot_id",
                "end_turn",
                "stop_sequence",
                "COMPLETE",
                None,
                "",
            )
        ),
        *(
            (word, "length")
            for word in (
                "ERROR_LIMIT",
                "output_truncated",
                "max_time",
                "time_limit",
                "NOT_FINISHED",
                "response.incomplete",
            )
        ),
        ("tool_calls", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("not_truncated", "not_truncated"),
        ("no_error", "no_error"),
        ({"type": "length", "length": 50}, "length"),
        (["length"], "length"),
        ({"type": "stop", "matched": 2}, "stop"),
        (7, "stop"),
        ("a word of tomorrow", "a word of tomorrow"),
        ("w\n" * 999, "w " * 29 + "w "),
    ],
)
def test_words_for_the_end(finish: Any, seen: str) -> None:
    assert reply_from(body(content="x", finish=finish)).finish == seen


@pytest.mark.parametrize(
    "finish",
    [
        "content_filter",
        "contentFilter",
        "SAFETY",
        "PROHIBITED_CONTENT",
        "refusal",
        "guardrail_intervened",
        "ERROR_TOXIC",
        "IMAGE_PROHIBITED_CONTENT",
        "content_filter: PROHIBITED_CONTENT",
        "LANGUAGE",
        "MODEL_ARMOR",
        "jailbreak",
    ],
)
def test_a_filter_is_a_refusal(finish: str) -> None:
    reply = reply_from(body(content="the beginning of", finish=finish))
    assert (reply.text, reply.finish, bool(reply.error)) == ("", "content_filter", True)


@pytest.mark.parametrize(
    "finish",
    [
        "error",
        "abort",
        "ABORTED",
        "insufficient_system_resource",
        "cancelled",
        "timeout",
        "USER_CANCEL",
        "model_error",
        "out_of_memory",
        "exception",
    ],
)
def test_a_generation_that_failed_is_no_reply(finish: str) -> None:
    with pytest.raises(ErrorBody, match=finish):
        reply_from(body(content="the beginning of", finish=finish))


@pytest.mark.parametrize(
    "beside",
    [
        {"finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"},
        {"finish_reason": None, "native_finish_reason": "length"},
        {"finishReason": "MAX_TOKENS"},
        {"finish_reason": "stop", "stop_reason": "max_tokens"},
        {"done_reason": "length"},
        {"finish_reason": "length", "native_finish_reason": "stop"},
    ],
)
def test_the_provider_may_know_better_than_the_gateway(beside: dict[str, Any]) -> None:
    assert (
        reply_from(json.dumps({"choices": [{"message": {"content": "cut o"}, **beside}]}).encode()).finish == "length"
    )


@pytest.mark.parametrize("beside", [{"stop_reason": 151645}, {"stop_reason": "###"}, {"native_finish_reason": "STOP"}])
def test_other_words_of_a_whole_answer_change_nothing(beside: dict[str, Any]) -> None:
    choice = {"message": {"content": "whole"}, "finish_reason": "stop", **beside}
    assert reply_from(json.dumps({"choices": [choice]}).encode()) == Reply("whole")


@pytest.mark.parametrize(
    "body",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"choices": [], "prompt_feedback": {"block_reason": "OTHER"}},
        {"choices": [{"finish_reason": "content_filter", "content_filter_results": {"violence": {"filtered": True}}}]},
        {"choices": [{"finish_reason": "stop", "message": {"content": "The begin"}}], "output_sensitive": True},
    ],
)
def test_a_filter_may_leave_no_message(body: Any) -> None:
    reply = reply_from(json.dumps(body).encode())
    assert (reply.text, reply.finish, bool(reply.error)) == ("", "content_filter", True)


def test_calls_of_tools_are_told_whatever_the_end_is_called() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    assert reply_from(body(content="Let me look.", tool_calls=[call])).finish == "tool_calls"
    assert reply_from(body(content="Let me look.", tool_calls=[])).finish == "stop"


def test_the_models_own_refusal() -> None:
    for message in (
        {"content": None, "refusal": "I can't\n help"},
        {"content": "", "refusal": "I can't help"},
        {"refusal": "I can't help"},
        {"content": [{"type": "refusal", "refusal": "I can't help"}]},
        {"content": "I can't help", "refusal": True},
        {"content": "The begin", "refusal": "I can't help"},
        {"content": None, "refusal": {"type": "text", "text": "I can't help"}},
    ):
        reply = reply_from(body(**message))
        assert (reply.text, reply.error, reply.finish) == ("", "the model refused: I can't help", "content_filter")
    assert reply_from(body(content="yes", refusal=None)).error is None
    assert reply_from(body(content="yes", refusal="")).error is None
