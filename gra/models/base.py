"""What the engine knows of a language model: a `Request` goes in, a `Reply` comes out, transport faults are exceptions.

A backend is any class with this shape, named by `pool._target_` in the config and called as
`target(pool: dict, runtime: dict) -> Backend`; see `gra/models/openai_server.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self

_plain = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring


class _Shared:
    """The JSON of objects that many requests share (the messages of one step's reviewers, the schema of one step): found again
    by identity, which is safe because the object is kept with its text. At most `size` of them."""

    def __init__(self, encode: Callable[[Any], str], size: int):
        self._encode, self._size = encode, size
        self._known: dict[int, tuple[Any, str]] = {}

    def __call__(self, value: Any) -> str:
        known = self._known.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        text = self._encode(value)
        if len(self._known) >= self._size:
            self._known.clear()
        self._known[id(value)] = value, text
        return text


def _messages(messages: tuple[Mapping[str, str], ...]) -> str:
    """As `_plain`, several times faster for the usual message of two texts."""
    parts = [
        f'{{"content":{_quoted(m["content"])},"role":{_quoted(m["role"])}}}'
        if len(m) == 2 and "content" in m and "role" in m else _plain(dict(m))
        for m in messages
    ]  # fmt: skip
    return f"[{','.join(parts)}]"


def number_json(value: float) -> str:
    """As `_plain`, without the encoder that it makes for every call."""
    return repr(value) if type(value) in (int, float) and math.isfinite(value) else _plain(value)


messages_json = _Shared(_messages, 256)
schema_json = _Shared(_plain, 64)


@dataclass(frozen=True)
class Request:
    """One chat completion to ask for. Everything that can change the reply is here, nothing else is.

    `served` stands for what the pool says of the model beyond its name: which weights, what the server adds to a request
    (`pool.served_as`).

    `schema` is a JSON schema that the reply should follow (None: free text); `seed` makes repeated questions distinct
    and, where the server honours it, sampling repeatable. `choices` are the answers whose probabilities as the reply's first
    token are wanted, e.g. ("Yes", "No"): one token is then written.
    """

    model: str
    messages: tuple[Mapping[str, str], ...]  # {"role": "system" | "user" | "assistant", "content": text}
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    schema_name: str | None = None
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    served: str = field(default="", repr=False)
    choices: tuple[str, ...] = ()

    @cached_property
    def canonical(self) -> bytes:
        """The request as bytes: equal requests give equal bytes (sorted keys, no white space, UTF-8)."""
        choices = f'"choices":{_plain(list(self.choices))},' if self.choices else ""  # without: the keys of older journals
        text = (
            f'{{{choices}"max_tokens":{number_json(self.max_tokens)},"messages":{messages_json(self.messages)},"model":{_quoted(self.model)},'
            f'"schema":{schema_json(self.schema)},"seed":{number_json(self.seed)},'
            f'"served":{_quoted(self.served)},"temperature":{number_json(self.temperature)},'
            f'"top_p":{number_json(self.top_p)}}}'
        )
        return text.encode()

    @cached_property
    def key(self) -> str:
        """sha256 of `canonical`: the journal's key, so that a reply is re-used exactly where nothing it depends on changed."""
        return hashlib.sha256(self.canonical).hexdigest()


@dataclass(frozen=True)
class Reply:
    """A model's answer. Token counts are None where the server did not say: they are never estimated.

    `choices` is the probability mass of each of `Request.choices` as the first token, before temperature and top_p, not
    normalised; None where none was asked for, or none of them is among the tokens that the server lists.

    `error` is set, and `text` empty, where the server refused this very request for good (HTTP 400: context too long,
    content filter, ...): asking again would not help, and the sample decides what the refusal means.
    """

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    finish: str = "stop"  # "stop" | "length" | whatever the server says
    error: str | None = None
    choices: Mapping[str, float] | None = None


class Backend(Protocol):
    """Serves some models. Used as an async context manager; `chat` may be called concurrently.

    `chat` raises `gra.errors.ServerError` once its own retries are spent. Closing cancels what is in flight.

    A backend may have more methods: `servers_out() -> list[str]`, the servers that get no calls for now, `servers() -> list[dict]`,
    how each one does, and `in_flight() -> dict[str, int]`, calls at servers by model (shown while it runs; called from another
    thread); and `gpu_seconds() -> float | None`, GPUs x seconds that they were served here, for the cost account (asked once, after
    the backend is closed).

    One that has `limit_calls(concurrency)` is told once how many calls may be in flight over all models, keeps to that itself, and
    gives the places of calls that wait (for another attempt, for a server) to others. For another one the engine keeps count; and
    of `per_model: int | None`, calls in flight at one model at most, before a call takes one of the slots that all models share.

    One in which calls wait, as phased.py, has `queues = True` (then the engine bounds the samples under way, not the calls),
    `queued(request)`, the seconds that an answered call waited there, and `drain()`, which turns those that wait away with
    `gra.errors.Interrupted`. Any may have `account() -> dict` with what run.json is to say.
    """

    models: tuple[str, ...]
    simulated: bool

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    async def chat(self, request: Request) -> Reply: ...
