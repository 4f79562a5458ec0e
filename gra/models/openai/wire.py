"""PURE: encodes a `Request` as an OpenAI chat-completion body and decodes a body to a `Reply`.

Format: https://platform.openai.com/docs/api-reference/chat, as served by vLLM, SGLang, llama.cpp, Ollama and TGI.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from gra.models.base import Reply, Request, messages_json, number_json
from gra.models.openai.choices import TOP, listed, masses
from gra.models.openai.error_body import bare_error_in, blocked_by, error_in
from gra.models.openai.finish import normal, said_by
from gra.models.openai.forced import grammar, mean_logprob
from gra.models.pool import ModelSettings

_encode = json.JSONEncoder(separators=(",", ":")).encode
_served = lru_cache(256)(_encode)
_THOUGHTS = (
    "thinking",
    "reasoning",
    "redacted_thinking",
    "reasoning_text",
    "summary_text",
    "thought",
)  # types of content parts that hold reasoning
_forms: dict[
    int, tuple[Mapping[str, Any], str, str]
] = {}  # id of a schema -> the schema, its name, `response_format` as JSON


class Malformed(Exception):
    """A body with status 200 that is not a chat completion."""


class ErrorBody(Malformed):
    """A body with HTTP status 200 that reports an error.

    `code`: the equivalent HTTP status, or None if unknown. With 429, the request is sent again later. With 401, 402,
    403 or 404, it is not sent again. `words`: the server's words, on one line.
    """

    def __init__(self, code: int | None, words: str):
        super().__init__(
            f"the server reports an error with status 200{'' if code is None else f' (code {code})'}: {words}"
        )
        self.code, self.words = code, words


class NoLogprobs(Exception):
    """A reply that lacks the requested probabilities."""


def messages_of(request: Request, system_role: bool) -> tuple[Mapping[str, str], ...]:
    """Return the request's messages. If `system_role` is false, the text of a leading system message is put before the
    first user message, and the system message is removed."""
    messages = request.messages
    if not system_role and len(messages) > 1 and messages[0]["role"] == "system":
        first = {**messages[1], "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
        return (first, *messages[2:])
    return messages


def body_of(
    request: Request,
    model: ModelSettings,
    *,
    structured: bool,
    send_seed: bool,
    extra: Mapping[str, Any],
    top: int = TOP[0],
) -> bytes:
    """Return the body of a request for a chat completion, as JSON bytes.

    `structured`: whether the body contains the request's JSON schema. `extra`: keys with values that are added to the
    body, or replace the values of keys that it already has. `top`: the number of tokens whose probabilities are
    requested. It is used only if `request.choices` lists answers whose probabilities are wanted.

    Each value is encoded separately. The messages are the largest part. They were already encoded when the request's
    key was computed, so they are not encoded a second time.
    """
    parts = {
        "model": _served(model.served),
        "messages": messages_json(messages_of(request, model.system_role)),
        "temperature": number_json(request.temperature),
        "top_p": number_json(request.top_p),
        "max_tokens": number_json(request.max_tokens),
    }
    if send_seed:
        parts["seed"] = number_json(request.seed)
    if request.choices:
        parts |= {"max_tokens": "1", "logprobs": "true", "top_logprobs": number_json(top)}
    if extra:
        parts |= {_encode(key)[1:-1]: _encode(value) for key, value in extra.items()}
    if request.forced:  # after `extra`, which would change what is read
        parts |= {"temperature": "0.0", "max_tokens": number_json(request.max_tokens), "logprobs": "true"}
        parts |= {"top_logprobs": "1", "grammar": _encode(grammar(request.forced))}
    if structured and request.schema is not None:
        parts["response_format"] = _form(request.schema, request.schema_name or "reply")
    return ("{" + ",".join([f'"{key}":{text}' for key, text in parts.items()]) + "}").encode()


def _form(schema: Mapping[str, Any], name: str) -> str:
    """Return `response_format` as JSON. It is large and the same for all requests of a step, so it is encoded once per schema
    object."""
    known = _forms.get(id(schema))
    if known is not None and known[0] is schema and known[1] == name:
        return known[2]
    if len(_forms) >= 64:
        _forms.clear()
    text = _encode({"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}})
    _forms[id(schema)] = schema, name, text
    return text


def reply_from(body: bytes, wanted: tuple[str, ...] = (), forced: str = "") -> Reply:
    """Return the reply that the body of a chat completion contains. The reply's text is as the model wrote it. Later,
    `reply_text.answer_of` extracts the answer from it. The reply's `finish` is one of the values that finish.py
    defines.

    `wanted`: the choices whose probabilities were requested. `forced`: the text whose log-probability was requested.

    If the model (in `message.refusal`) or a content filter refused to answer, the reply has an `error`. If the body has
    no content because all tokens went into reasoning or tool calls, the reply has an empty text.

    Raises Malformed or ErrorBody if the body contains no reply. Raises NoLogprobs if a reply with text lacks the
    requested probabilities.
    """
    try:
        value = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Malformed("the reply is not UTF-8") from None
    except (ValueError, RecursionError):  # ValueError: JSONDecodeError, and integers of thousands of digits
        value = body[:2000].decode("utf-8", "replace")
        if (
            value.lstrip()[:1] in ("<", "{", "[", "")
            or (error := error_in({"error": value})) is None
            or error[0] is None
        ):
            raise Malformed(f"the reply is not JSON: {body[:80]!r}") from None
    if isinstance(value, list) and len(value) == 1:  # Google wraps an error in a list
        value = value[0]
    if isinstance(value, str):  # the text of a gateway's error, without an object around it
        _raise(error_in({"error": value}))
    if not isinstance(value, dict):
        raise Malformed("the reply has no choices")
    _raise(error_in(value))
    usage = value.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        if blocked := blocked_by(value):
            return _filtered(blocked, tokens_in, tokens_out)
        _raise(bare_error_in(value))
        raise Malformed("the reply has no choices")
    choice = choices[0]
    _raise(error_in(choice))
    given = said_by(choice)
    finish = _storable(normal(given)) if given else "stop"
    message = choice.get("message")
    if not isinstance(message, dict):
        if finish == "content_filter":
            return _filtered(given, tokens_in, tokens_out)
        raise Malformed("the reply's choice has no message")
    _raise(error_in(message))
    if finish == "error":
        raise ErrorBody(None, f"the generation ended with `{line(given)}`")
    text, refusal = _text(message.get("content")), _refusal(message)
    if refusal:
        return Reply("", tokens_in, tokens_out, "content_filter", error=f"the model refused: {refusal}")
    if finish == "content_filter" or (given := blocked_by(value)):
        return _filtered(given, tokens_in, tokens_out)
    if finish == "stop" and (message.get("tool_calls") or message.get("function_call")):
        finish = "tool_calls"
    if text is None:
        thoughts = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
        if not (finish in ("length", "tool_calls") or thoughts or message.get("tool_calls")):
            raise Malformed("the reply's content is null")
        text = ""
    if forced:
        found = mean_logprob(choice.get("logprobs"), text, forced, tokens_out)
        return Reply("", tokens_in, tokens_out, finish, logprob=found)
    if not wanted:
        return Reply(_storable(text), tokens_in, tokens_out, finish)
    tokens = listed(choice.get("logprobs"))
    if tokens is None and text:
        raise NoLogprobs
    return Reply(_storable(text), tokens_in, tokens_out, finish, choices=masses(wanted, tokens or ()))


def _filtered(given: str, tokens_in: int | None, tokens_out: int | None) -> Reply:
    """Return the reply for a generation that a content filter stopped. `given`: the server's word for the filter."""
    words = "" if given in ("", "content_filter") else f" (`{line(given)}`)"
    return Reply("", tokens_in, tokens_out, "content_filter", error=f"stopped by the server's content filter{words}")


def _raise(error: tuple[int | None, str] | None) -> None:
    """Raise ErrorBody if `error` is not None."""
    if error is not None:
        raise ErrorBody(error[0], line(error[1]))


def _refusal(message: Mapping[str, Any]) -> str:
    """Return the model's own refusal, on one line; "" if there is none."""
    content = message.get("content")
    parts = [part.get("refusal") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    own = message.get("refusal")
    own = _text([own]) if isinstance(own, dict) else _text(content) or "(no words)" if own is True else own
    return next((line(words) for words in (own, *parts) if isinstance(words, str) and words.strip()), "")


def line(words: Any) -> str:
    """Return `words` as one short line without lone surrogates."""
    return _storable(" ".join(str(words).split())[:400])


def said(body: bytes) -> str:
    """Return the message of an error body, as one short line."""
    try:
        value = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        value = None
    for key in (
        "error",
        "message",
        "detail",
    ):  # {"error": {"message"}} (OpenAI, vLLM), {"message"}, {"detail"} (FastAPI)
        if isinstance(value, dict) and key in value:
            value = value[key]
    words = value if isinstance(value, str) else body[:2000].decode("utf-8", "replace")
    return line(words) or "(nothing)"


def listed_models(body: bytes) -> dict[str, str]:
    """Return the models that the body of GET /models lists, as a mapping from each model's id to its `owned_by`. Return
    {} if the body is not such a list."""
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    entries = value.get("data") if isinstance(value, dict) else None
    named = (
        [e for e in entries if isinstance(e, dict) and isinstance(e.get("id"), str)]
        if isinstance(entries, list)
        else []
    )
    return {entry["id"]: str(entry.get("owned_by", "")) for entry in named}


def serves(names: Collection[str], served: str) -> bool:
    """Return whether a server that lists the models `names` serves the model `served`. A model that is given as a path
    counts as served even if it is not listed. A model name without a tag also counts as served if the server lists the
    name with the tag `:latest`, as Ollama does."""
    return served in names or f"{served}:latest" in names or served.startswith(("/", "./", "../", "~"))


def _text(content: Any) -> str | None:
    if isinstance(content, dict):  # a single part
        content = [content] if isinstance(content.get("text"), str) else None
    if isinstance(content, list):  # parts, from some gateways; reasoning parts are not part of the answer
        parts = [
            part.get("text") if isinstance(part, dict) and part.get("type") not in _THOUGHTS else part
            for part in content
        ]
        return "".join(p for p in parts if isinstance(p, str)) if parts else None
    return content if isinstance(content, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _storable(text: str) -> str:
    """Replace lone surrogates in `text` by U+FFFD. JSON can escape them, but UTF-8 cannot represent them."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
