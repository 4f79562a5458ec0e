"""PURE: finds errors in bodies with status 200 and returns the server's words and the equivalent HTTP status.

It also recognises errors with status 400 or 429 whose words say that the account has no credit. In that case a retry
never helps.

Known forms: `{"error": "text"}` (Ollama, llama.cpp), `{"error": {"message", "type", "code"}}` (OpenAI, OpenRouter, most
gateways), `{"object": "error", "message", "code"}` (vLLM), the same inside a choice, and bare `{"code", "message"}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CODES = (
    "code",
    "status_code",
    "statusCode",
    "http_code",
    "http_status",
    "status",
    "error_code",
    "errorcode",
    "type",
    "__type",
)
_WORDS = (
    "message",
    "msg",
    "detail",
    "error_msg",
    "errorMessage",
    "error_message",
    "description",
    "reason",
    "status_msg",
    "title",
    "Message",
    "faultstring",
)
_INSIDE = ("error", "errors", "detail", "fault", "base_resp", "metadata", "status")
_BARE = ("errors", "base_resp", "fault", "provider_error")  # keys that hold the error in a body without `error`

# HTTP statuses by words in codes and messages; the first match decides. 402 precedes 429: OpenAI sends `insufficient_quota` as 429.
_MEANINGS: tuple[tuple[int, re.Pattern[str]], ...] = tuple(
    (status, re.compile(words, re.IGNORECASE))
    for status, words in (
        (
            402,
            r"insufficient[_ ](user[_ ])?(quota|credits?|balance|funds?)|not enough (credits?|balance|funds)"
            r"|requires? more credits|out of credits?|no credits?\b|payment[_ ]required|billing[_ ]hard[_ ]limit"
            r"|exceeded your current quota(?!.{0,2000}\b(retry in|retry_?delay|per_?(model_?)?(minute|day)))"
            r"|balance[_ ](is[_ ])?(not[_ ]enough|too[_ ]low|insufficient)|\bpay ?first\b"
            r"|\b(budget|credit limit|spending limit|credits?)\b.{0,30}\b(exceeded|exhausted|used up|depleted)|exceededbudget"
            r"|exceeded.{0,30}\b(included credits|budget)|budget_?exceeded|credit_limit|used all available credits|spending limit"
            r"|\barrear(s|age)\b|\btop up\b.{0,30}\b(balance|account|credits?)"
            r"|payment method|run out of credits?|欠费|余额不足|充值",
        ),
        (
            429,
            r"rate[_ -]?limit|too[_ ]many[_ ]((concurrent[_ ])?requests|tokens, please wait)|rate exceeded"
            r"|resource[_ ]?exhausted|throttl|request limit"
            r"|\b[rt]p[md][_ ]limit",
        ),
        (
            401,
            r"(invalid|incorrect|missing|wrong|no|bad)[_ ]?(api[_ -]?(key|token)|auth)|(key|token)( is)? (invalid|expired)"
            r"|not auth(enticated|orized)|unauthori[sz]ed|unauthenticated"
            r"|authentication",
        ),
        (403, r"permission[_ ]?(denied|error)|forbidden|access[_ ]?denied|not allowed to|have access to"),
        (
            404,
            r"model_not_available|unable to access model"
            r"|(model|deployment|endpoint|route|resource)\b.{0,200}\b(not[_ ]found|does not exist|doesn't exist|unknown)"
            r"|not_?found|unknown model|no (such|endpoints? found for) ",
        ),
        (
            400,
            r"context[_ ](length|window|size)|maximum context|invalid[_ ]request|bad_?request"
            r"|content[_ ](filter|policy|management)|data_inspection_failed|inappropriate content|敏感内容|input validation error"
            r"|string_above_max|prompt is too long|unprocessable|validation_?error",
        ),
        (
            503,
            r"overloaded|unavailable|at capacity|no (healthy|available) (upstream|server|backend)|loading model"
            r"|\bis (currently )?loading\b|\bis busy\b",
        ),
        (504, r"timed?[_ ]?out|deadline"),
        (500, r"server_?error|internal|api_error|upstream"),
    )
)
_MONEY = _MEANINGS[0][1]


def error_in(value: Mapping[str, Any]) -> tuple[int | None, str] | None:
    """Return the error that is reported in `value`, or None if no error is reported. `value`: the body of a server's
    response, or a choice or message from this body.

    The error is a pair of the equivalent HTTP status, which is None if unknown, and the server's error text.
    """
    error = value.get("error")  # null, "", {} and false occur in bodies without a fault
    return _read(error, value) if error else None


def bare_error_in(body: Mapping[str, Any]) -> tuple[int | None, str] | None:
    """Return the error that the response body `body` reports under a key other than `error`, or None if it reports
    none. Call this function only for a body without choices. As in `error_in`, the error is a pair of the equivalent
    HTTP status, which is None if unknown, and the server's error text."""
    nested = next((body[key] for key in _BARE if body.get(key)), None)
    detail = body.get("detail")
    if nested is None and isinstance(detail, Mapping | list):  # FastAPI: an error from a gateway, or invalid fields
        nested = detail
    if nested is not None:
        return _read(nested, body)
    said = any(isinstance(body.get(key), str) and body[key] for key in _WORDS)
    return _read(body, body) if said or "error" in (body.get("object"), body.get("type")) else None


def _read(error: Any, around: Mapping[str, Any]) -> tuple[int | None, str]:
    words = (_words(error) or "")[:2000]
    codes = [*_codes(error), *(() if error is around else _codes(around))]
    status = next((code for code in codes if isinstance(code, int)), None)
    said = [code for code in codes if isinstance(code, str)]
    if status in (None, 400, 429) and _MONEY.search(" ".join((*said, words))):
        status = 402  # even if the status is 400 or 429: neither another prompt nor a retry helps
    elif status is None:
        status = next((number for text in (*said, words) for number, sign in _MEANINGS if sign.search(text)), None)
    return status, words or ", ".join(said) or "(no words)"


def blocked_by(body: Mapping[str, Any]) -> str:
    """Return the server's word for the reason why a filter blocked the prompt or the answer. Return "" if the body
    reports no filter. A filter that is reported only inside the body's list `choices` is not looked for."""
    feedback = body.get("promptFeedback") or body.get("prompt_feedback")
    if isinstance(feedback, Mapping):  # Google
        reason = feedback.get("blockReason") or feedback.get("block_reason")
        if isinstance(reason, str) and reason.strip():
            return reason
    return "output_sensitive" if body.get("output_sensitive") is True else ""  # MiniMax


def money_spent(status: int, words: str) -> bool:
    """Return whether an error means that the account has no credit. `status`: the error's HTTP status. `words`: the
    error's text. For such an error, Anthropic and LiteLLM send status 400, and OpenAI sends 429."""
    return status in (400, 429) and _MONEY.search(words) is not None


def _codes(error: Any, depth: int = 0) -> list[int | str]:
    """Return the HTTP statuses as numbers and other codes as words, in the order of `_CODES`."""
    if isinstance(error, list) and error and depth < 3:
        return _codes(error[0], depth + 1)
    if not isinstance(error, Mapping):
        return []
    found: list[int | str] = []
    for key in _CODES:
        code = error.get(key)
        if isinstance(code, str) and code.strip().isdecimal() and len(code) < 6:
            code = int(code)
        if isinstance(code, float) and code.is_integer():
            code = int(code)
        if isinstance(code, int) and not isinstance(code, bool):
            if 400 <= code < 600:
                found.append(code)
        elif isinstance(code, str) and code:
            found.append(code[:100])
    for key in _INSIDE if depth < 3 else ():
        if isinstance(error.get(key), Mapping | list):
            found += _codes(error[key], depth + 1)
    return found


def _words(error: Any, depth: int = 0) -> str | None:
    """Return the first message text, or None."""
    if isinstance(error, str):
        return error
    if isinstance(error, list) and error and depth < 3:
        return _words(error[0], depth + 1)
    if isinstance(error, Mapping) and depth < 3:
        for key in (*_WORDS, *_INSIDE):
            if error.get(key) and (found := _words(error[key], depth + 1)):
                return found
    return None
