"""The wire format: any bytes are a reply or Malformed, and every text can be stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.models.base import Reply, Request
from gra.models.chat_wire import ErrorBody, Malformed, body_of, listed_models, reply_from, said
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
    assert reply_from(b'{"choices": [{"message": {"content": "a\\ud800b \\ud83d\\ude00"}}]}').text == "a\ufffdb \U0001f600"


def test_null_content_says_why_or_is_malformed() -> None:
    assert reply_from(body(content=None, finish="length")).finish == "length"
    assert reply_from(body(content=None, reasoning_content="hm")).text == ""
    assert reply_from(body(content=None, finish="content_filter")).error
    with pytest.raises(Malformed, match="null"):
        reply_from(body(content=None))


@pytest.mark.parametrize(
    ("finish", "seen"),
    [
        *((word, "length") for word in ("length", "LENGTH", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens",
          "token_limit", "maxTokens", "FINISH_REASON_MAX_TOKENS", "FinishReason.LENGTH", "model_context_window_exceeded", "limit")),
        *((word, "stop") for word in ("stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE", None, "")),
        *((word, "length") for word in ("ERROR_LIMIT", "output_truncated", "max_time", "time_limit", "NOT_FINISHED")),
        ("tool_calls", "tool_calls"), ("tool_use", "tool_calls"), ("not_truncated", "not_truncated"), ("no_error", "no_error"),
        ({"type": "length", "length": 50}, "length"), (["length"], "length"), ({"type": "stop", "matched": 2}, "stop"), (7, "stop"),
        ("a word of tomorrow", "a word of tomorrow"), ("w\n" * 999, "w " * 29 + "w "),
    ],
)  # fmt: skip
def test_words_for_the_end(finish: Any, seen: str) -> None:
    assert reply_from(body(content="x", finish=finish)).finish == seen


@pytest.mark.parametrize(
    "finish", ["content_filter", "contentFilter", "SAFETY", "PROHIBITED_CONTENT", "refusal", "guardrail_intervened", "ERROR_TOXIC",
               "IMAGE_PROHIBITED_CONTENT", "content_filter: PROHIBITED_CONTENT", "LANGUAGE"],
)
def test_a_filter_is_a_refusal(finish: str) -> None:
    reply = reply_from(body(content="the beginning of", finish=finish))
    assert (reply.text, reply.finish, bool(reply.error)) == ("", "content_filter", True)


@pytest.mark.parametrize("finish", ["error", "abort", "ABORTED", "insufficient_system_resource", "cancelled", "timeout",
                                    "USER_CANCEL", "model_error", "out_of_memory"])
def test_a_generation_that_failed_is_no_reply(finish: str) -> None:
    with pytest.raises(ErrorBody, match=finish):
        reply_from(body(content="the beginning of", finish=finish))


@pytest.mark.parametrize(
    "beside",
    [
        {"finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}, {"finish_reason": None, "native_finish_reason": "length"},
        {"finishReason": "MAX_TOKENS"}, {"finish_reason": "stop", "stop_reason": "max_tokens"}, {"done_reason": "length"},
        {"finish_reason": "length", "native_finish_reason": "stop"},
    ],
)  # fmt: skip
def test_the_provider_may_know_better_than_the_gateway(beside: dict[str, Any]) -> None:
    assert reply_from(json.dumps({"choices": [{"message": {"content": "cut o"}, **beside}]}).encode()).finish == "length"


@pytest.mark.parametrize("beside", [{"stop_reason": 151645}, {"stop_reason": "###"}, {"native_finish_reason": "STOP"}])
def test_other_words_of_a_whole_answer_change_nothing(beside: dict[str, Any]) -> None:
    choice = {"message": {"content": "whole"}, "finish_reason": "stop", **beside}
    assert reply_from(json.dumps({"choices": [choice]}).encode()) == Reply("whole")


@pytest.mark.parametrize(
    "body",
    [
        {"promptFeedback": {"blockReason": "SAFETY"}}, {"choices": [], "prompt_feedback": {"block_reason": "OTHER"}},
        {"choices": [{"finish_reason": "content_filter", "content_filter_results": {"violence": {"filtered": True}}}]},
        {"choices": [{"finish_reason": "stop", "message": {"content": "The begin"}}], "output_sensitive": True},
    ],
)  # fmt: skip
def test_a_filter_may_leave_no_message(body: Any) -> None:
    reply = reply_from(json.dumps(body).encode())
    assert (reply.text, reply.finish, bool(reply.error)) == ("", "content_filter", True)


def test_calls_of_tools_are_told_whatever_the_end_is_called() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    assert reply_from(body(content="Let me look.", tool_calls=[call])).finish == "tool_calls"
    assert reply_from(body(content="Let me look.", tool_calls=[])).finish == "stop"


def test_the_models_own_refusal() -> None:
    for message in (
        {"content": None, "refusal": "I can't\n help"}, {"content": "", "refusal": "I can't help"}, {"refusal": "I can't help"},
        {"content": [{"type": "refusal", "refusal": "I can't help"}]}, {"content": "I can't help", "refusal": True},
        {"content": "The begin", "refusal": "I can't help"}, {"content": None, "refusal": {"type": "text", "text": "I can't help"}},
    ):  # fmt: skip
        reply = reply_from(body(**message))
        assert (reply.text, reply.error, reply.finish) == ("", "the model refused: I can't help", "content_filter")
    assert reply_from(body(content="yes", refusal=None)).error is None
    assert reply_from(body(content="yes", refusal="")).error is None


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ({"error": "model 'x' not found"}, 404, "model 'x' not found"),  # Ollama
        ({"error": {"code": 500, "message": "the slot is gone", "type": "server_error"}}, 500, "the slot is gone"),  # llama.cpp
        ({"error": {"message": "Slow down", "code": 429}}, 429, "Slow down"),
        ({"error": {"message": "Slow down", "code": "429"}}, 429, "Slow down"),
        ({"error": {"message": "Slow down", "code": "rate_limit_exceeded", "type": "requests"}}, 429, "Slow down"),
        ({"error": {"message": "Slow down", "type": "rate_limit_error"}}, 429, "Slow down"),  # Anthropic
        ({"error": {"message": "Rate limit reached for m", "type": None, "code": None}}, 429, "Rate limit reached for m"),
        ({"error": {"message": "This request requires more credits", "code": 402}, "user_id": "u"}, 402, "requires more credits"),
        ({"error": {"message": "You exceeded it", "code": "insufficient_quota", "type": "x"}}, 402, "You exceeded"),
        ({"error": {"message": "You exceeded your current quota", "code": 429}}, 402, "You exceeded"),
        ({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, 401, "Incorrect"),
        ({"error": {"message": "no", "code": 403, "metadata": {"reasons": ["x"]}}}, 403, "no"),
        ({"error": {"message": "no", "type": "permission_error"}}, 403, "no"),
        ({"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}, 404, "The model"),
        ({"object": "error", "message": "too long", "type": "BadRequestError", "param": None, "code": None}, 400, "too long"),
        ({"error": {"message": "too long", "code": "context_length_exceeded"}}, 400, "too long"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 503, "Overloaded"),
        ({"error": {"status": "RESOURCE_EXHAUSTED", "message": "later"}}, 429, "later"),  # Google
        ([{"error": {"code": 401, "message": "who?"}}], 401, "who?"),  # Google
        ([{"error": {"code": 401, "message": "who?"}}] * 2, None, ""),  # no object: malformed
        ({"error": {"message": "Budget has been exceeded! Current cost: 10.5", "type": "budget_exceeded", "code": "400"}},
         402, "Bud"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to use it."}},
         402, "Your credit"),  # Anthropic
        ({"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}, 402, "Insufficient"),  # DeepSeek
        ({"error": "You have exceeded your monthly included credits for Inference Providers."}, 402, "You have"),  # Hugging Face
        ({"code": "Arrearage", "message": "Access denied, see your account."}, 402, "Access"),  # DashScope
        ({"code": "x", "error": "Your team has used all available credits or so."}, 402, "Your team"),  # xAI
        ({"error": {"message": "Credit limit exceeded, see billing", "type": "credit_limit"}}, 402, "Credit"),  # Together
        ({"error": {"code": 429, "message": "You exceeded your current quota, see plan. Please retry in 12.3s."}}, 429, "You"),
        ({"message": "Too many tokens, please wait before trying again."}, 429, "Too many"),  # Bedrock
        ({"message": "invalid api token"}, 401, "invalid"),  # Cohere
        ({"error": "Model m is currently loading", "estimated_time": 20.0}, 503, "Model m"),
        ({"status": "error", "message": "model is busy"}, 503, "model is busy"),
        ({"error": "Input validation error: `inputs` tokens must be <= 2048", "error_type": "validation"}, 400, "Input"),  # TGI
        ({"error": {"code": "data_inspection_failed", "message": "Output data may be bad."}}, 400, "Output"),  # DashScope
        ({"error": {"message": "Unable to access model m.", "code": "model_not_available"}}, 404, "Unable"),  # Together
        ({"choices": [{"message": {"content": "", "error": {"message": "gone", "code": 500}}}]}, 500, "gone"),
        ({"detail": "Unauthorized"}, 401, "Unauthorized"),  # FastAPI
        ({"code": 402, "message": "pay"}, 402, "pay"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, 402, "insufficient balance"),
        ({"error": True}, None, "no words"),
        ({"error": {"message": "something odd"}}, None, "something odd"),
        ({"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "gone"}, "message": {"content": "a"}}]},
         502, "gone"),
        ({"choices": [{"error": "rate limited", "message": None}]}, 429, "rate limited"),
        ({"choices": [], "error": {"code": 429, "message": "later"}}, 429, "later"),
        ({"choices": [{"message": {"content": "So"}}], "error": {"code": 429, "message": "later"}}, 429, "later"),
    ],
)  # fmt: skip
def test_an_error_with_status_200(value: Any, code: int | None, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        reply_from(json.dumps(value).encode())
    if words:
        assert isinstance(caught.value, ErrorBody)
        assert (caught.value.code, words in caught.value.words) == (code, True)


@pytest.mark.parametrize("nothing", [None, "", {}, [], False])
def test_no_error_is_no_error(nothing: Any) -> None:
    choice = {"message": {"content": "yes"}, "error": nothing, "reason": "stop"}
    assert reply_from(json.dumps({"choices": [choice], "error": nothing, "message": "ok"}).encode()).text == "yes"


@given(JSON)
def test_any_error(error: Any) -> None:
    choice = {"message": {"content": "x"}, "error": error}
    for value in ({"error": error}, {"choices": [choice]}, {"errors": error, "message": error}):
        caught: Exception | None = None
        try:
            reply_from(json.dumps(value).encode())
        except Malformed as fault:
            caught = fault
        if isinstance(caught, ErrorBody):
            caught.words.encode()
            assert caught.code is None or 400 <= caught.code < 600


def test_content_in_parts() -> None:
    for thought in ({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "reasoning", "text": "hm"}):
        assert reply_from(body(content=[thought, {"type": "text", "text": "a"}])).text == "a"
    assert reply_from(body(content=["a", "b"])).text == "ab"
    assert reply_from(body(content={"type": "text", "text": "ab"})).text == "ab"
    assert reply_from(body(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])).text == "ab"


def test_the_text_is_as_the_model_wrote_it() -> None:
    assert reply_from(body(content="<think>hm</think> yes")).text == "<think>hm</think> yes"


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
