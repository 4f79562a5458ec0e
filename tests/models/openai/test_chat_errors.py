"""Errors in replies: what they say, the wait that they ask for, and the backoff."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_chat_wire import JSON, body

from gra.models.openai.http_retry import backoff, retry_after
from gra.models.openai.wire import ErrorBody, Malformed, reply_from, said


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ({"error": "model 'x' not found"}, 404, "model 'x' not found"),  # Ollama
        (
            {"error": {"code": 500, "message": "the slot is gone", "type": "server_error"}},
            500,
            "the slot is gone",
        ),  # llama.cpp
        ({"error": {"message": "Slow down", "code": 429}}, 429, "Slow down"),
        ({"error": {"message": "Slow down", "code": "429"}}, 429, "Slow down"),
        ({"error": {"message": "Slow down", "code": "rate_limit_exceeded", "type": "requests"}}, 429, "Slow down"),
        ({"error": {"message": "Slow down", "type": "rate_limit_error"}}, 429, "Slow down"),  # Anthropic
        (
            {"error": {"message": "Rate limit reached for m", "type": None, "code": None}},
            429,
            "Rate limit reached for m",
        ),
        (
            {"error": {"message": "This request requires more credits", "code": 402}, "user_id": "u"},
            402,
            "requires more credits",
        ),
        ({"error": {"message": "You exceeded it", "code": "insufficient_quota", "type": "x"}}, 402, "You exceeded"),
        ({"error": {"message": "You exceeded your current quota", "code": 429}}, 402, "You exceeded"),
        ({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, 401, "Incorrect"),
        ({"error": {"message": "no", "code": 403, "metadata": {"reasons": ["x"]}}}, 403, "no"),
        ({"error": {"message": "no", "type": "permission_error"}}, 403, "no"),
        (
            {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
            404,
            "The model",
        ),
        (
            {"object": "error", "message": "too long", "type": "BadRequestError", "param": None, "code": None},
            400,
            "too long",
        ),
        ({"error": {"message": "too long", "code": "context_length_exceeded"}}, 400, "too long"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 503, "Overloaded"),
        ({"error": {"status": "RESOURCE_EXHAUSTED", "message": "later"}}, 429, "later"),  # Google
        ([{"error": {"code": 401, "message": "who?"}}], 401, "who?"),  # Google
        ([{"error": {"code": 401, "message": "who?"}}] * 2, None, ""),  # no object: malformed
        (
            {
                "error": {
                    "message": "Budget has been exceeded! Current cost: 10.5",
                    "type": "budget_exceeded",
                    "code": "400",
                }
            },
            402,
            "Bud",
        ),
        (
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to use it."},
            },
            402,
            "Your credit",
        ),  # Anthropic
        (
            {"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}},
            402,
            "Insufficient",
        ),  # DeepSeek
        (
            {"error": "You have exceeded your monthly included credits for Inference Providers."},
            402,
            "You have",
        ),  # Hugging Face
        ({"code": "Arrearage", "message": "Access denied, see your account."}, 402, "Access"),  # DashScope
        ({"code": "x", "error": "Your team has used all available credits or so."}, 402, "Your team"),  # xAI
        (
            {"error": {"message": "Credit limit exceeded, see billing", "type": "credit_limit"}},
            402,
            "Credit",
        ),  # Together
        (
            {"error": {"code": 429, "message": "You exceeded your current quota, see plan. Please retry in 12.3s."}},
            429,
            "You",
        ),
        ({"message": "Too many tokens, please wait before trying again."}, 429, "Too many"),  # Bedrock
        ({"message": "invalid api token"}, 401, "invalid"),  # Cohere
        ({"error": "Model m is currently loading", "estimated_time": 20.0}, 503, "Model m"),
        ({"status": "error", "message": "model is busy"}, 503, "model is busy"),
        (
            {"error": "Input validation error: `inputs` tokens must be <= 2048", "error_type": "validation"},
            400,
            "Input",
        ),  # TGI
        (
            {"error": {"code": "data_inspection_failed", "message": "Output data may be bad."}},
            400,
            "Output",
        ),  # DashScope
        ({"error": {"message": "Unable to access model m.", "code": "model_not_available"}}, 404, "Unable"),  # Together
        ({"choices": [{"message": {"content": "", "error": {"message": "gone", "code": 500}}}]}, 500, "gone"),
        ({"detail": "Unauthorized"}, 401, "Unauthorized"),  # FastAPI
        ({"detail": {"error": "insufficient balance"}}, 402, "insufficient balance"),
        ({"detail": {"error": {"message": "no such model", "code": 404}}}, 404, "no such model"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, None, "field required"),
        ({"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.InvalidApiKey"}}}, 401, "Invalid"),
        ({"error": {"status": {"code": 429}, "message": "slow"}}, 429, "slow"),
        ({"error": {"code": 429.0, "message": "slow"}}, 429, "slow"),
        ({"error": {"code": 1113, "message": "账户余额不足，请充值"}}, 402, "账户"),
        ({"error": {"message": "Please top up your balance."}}, 402, "Please"),
        ({"__type": "AccessDeniedException", "message": "You don't have access to the model."}, 403, "You"),  # Bedrock
        ({"Message": "rate exceeded"}, 429, "rate exceeded"),
        ({"provider_error": {"code": 429}}, 429, "no words"),
        ("Rate limit reached", 429, "Rate limit"),
        (["Rate limit reached"], 429, "Rate limit"),
        ({"code": 402, "message": "pay"}, 402, "pay"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, 402, "insufficient balance"),
        ({"error": True}, None, "no words"),
        ({"error": {"message": "something odd"}}, None, "something odd"),
        (
            {
                "choices": [
                    {"finish_reason": "error", "error": {"code": 502, "message": "gone"}, "message": {"content": "a"}}
                ]
            },
            502,
            "gone",
        ),
        ({"choices": [{"error": "rate limited", "message": None}]}, 429, "rate limited"),
        ({"choices": [], "error": {"code": 429, "message": "later"}}, 429, "later"),
        ({"choices": [{"message": {"content": "So"}}], "error": {"code": 429, "message": "later"}}, 429, "later"),
    ],
)
def test_an_error_with_status_200(value: Any, code: int | None, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        reply_from(json.dumps(value).encode())
    if words:
        assert isinstance(caught.value, ErrorBody)
        assert (caught.value.code, words in caught.value.words) == (code, True)


def test_an_error_in_plain_words_with_status_200() -> None:
    with pytest.raises(ErrorBody) as caught:
        reply_from(b"Too many requests, slow down")
    assert caught.value.code == 429
    for data in (b"<html>Too many requests</html>", b"ok", b""):
        with pytest.raises(Malformed) as caught_too:
            reply_from(data)
        assert not isinstance(caught_too.value, ErrorBody)


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
    for thought in (
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "reasoning", "text": "hm"},
    ):
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
