"""PURE: an error that a server wrote into a body with status 200: its words, and the HTTP status that it amounts to.

Seen so far: `{"error": "text"}` (Ollama, llama.cpp), `{"error": {"message", "type", "code"}}` (OpenAI, OpenRouter, most
gateways), `{"object": "error", "message", "code"}` (vLLM), the same inside a choice, and bare `{"code", "message"}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CODES = ("code", "status_code", "statusCode", "http_code", "http_status", "status", "error_code", "type")
_WORDS = ("message", "msg", "detail", "error_msg", "errorMessage", "error_message", "description", "reason", "status_msg", "title")
_INSIDE = ("error", "errors", "base_resp", "metadata")

# What codes and messages say in words, first match decides. Money goes before rate: OpenAI's `insufficient_quota` comes as 429.
_MEANINGS: tuple[tuple[int, re.Pattern[str]], ...] = tuple(
    (status, re.compile(words, re.IGNORECASE))
    for status, words in (
        (402, r"insufficient[_ ](user[_ ])?(quota|credits?|balance|funds?)|not enough (credits?|balance|funds)"
              r"|requires? more credits|out of credits?|no credits?\b|payment[_ ]required|billing[_ ]hard[_ ]limit"
              r"|exceeded your current quota|balance[_ ](is[_ ])?(not[_ ]enough|too[_ ]low|insufficient)|\bpay ?first\b"),
        (429, r"rate[_ -]?limit|too[_ ]many[_ ](concurrent[_ ])?requests|resource[_ ]?exhausted|throttl|request limit"
              r"|\b[rt]p[md][_ ]limit"),
        (401, r"(invalid|incorrect|missing|wrong|no)[_ ](api[_ -]?key|auth)|unauthori[sz]ed|unauthenticated|authentication"),
        (403, r"permission[_ ]?(denied|error)|forbidden|access[_ ]?denied|not allowed to"),
        (404, r"(model|deployment|endpoint|route|resource)\b.{0,200}\b(not[_ ]found|does not exist|doesn't exist|unknown)"
              r"|not_?found|unknown model|no (such|endpoints? found for) "),
        (400, r"context[_ ](length|window|size)|maximum context|invalid[_ ]request|bad_?request"
              r"|content[_ ](filter|policy|management)|string_above_max|prompt is too long|unprocessable|validation_?error"),
        (503, r"overloaded|unavailable|at capacity|no (healthy|available) (upstream|server|backend)|loading model"
              r"|model is loading"),
        (504, r"timed?[_ ]?out|deadline"),
        (500, r"server_?error|internal|api_error|upstream"),
    )
)  # fmt: skip


def error_in(value: Mapping[str, Any]) -> tuple[int | None, str] | None:
    """The error that `value`, a body, a choice or a message, reports: the HTTP status it amounts to (None: it does not say)
    and its words. None where it reports none."""
    error = value.get("error")  # null, "", {} and false stand in bodies without a fault
    return _read(error, value) if error else None


def bare_error_in(body: Mapping[str, Any]) -> tuple[int | None, str] | None:
    """As `error_in`, for a body without choices that says what is wrong under another key than `error`."""
    nested = next((body[key] for key in ("errors", "base_resp") if body.get(key)), None)
    if nested is not None:
        return _read(nested, body)
    said = any(isinstance(body.get(key), str) and body[key] for key in _WORDS)
    return _read(body, body) if said or "error" in (body.get("object"), body.get("type")) else None


def _read(error: Any, around: Mapping[str, Any]) -> tuple[int | None, str]:
    words = (_words(error) or "")[:2000]
    codes = [*_codes(error), *(() if error is around else _codes(around))]
    status = next((code for code in codes if isinstance(code, int)), None)
    said = [code for code in codes if isinstance(code, str)]
    if status is None or status == 429:  # a 429 can mean that the money is spent: then waiting does not help
        meant = next((number for text in (*said, words) for number, sign in _MEANINGS if sign.search(text)), None)
        status = meant if status is None or meant == 402 else status
    return status, words or ", ".join(said) or "(no words)"


def _codes(error: Any, depth: int = 0) -> list[int | str]:
    """HTTP statuses as numbers, other codes as words, in the order of `_CODES`."""
    if isinstance(error, list) and error and depth < 3:
        return _codes(error[0], depth + 1)
    if not isinstance(error, Mapping):
        return []
    found: list[int | str] = []
    for key in _CODES:
        code = error.get(key)
        if isinstance(code, str) and code.strip().isdecimal() and len(code) < 6:
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
    """The first text that is meant for people."""
    if isinstance(error, str):
        return error
    if isinstance(error, list) and error and depth < 3:
        return _words(error[0], depth + 1)
    if isinstance(error, Mapping) and depth < 3:
        for key in (*_WORDS, *_INSIDE):
            if error.get(key) and (found := _words(error[key], depth + 1)):
                return found
    return None
