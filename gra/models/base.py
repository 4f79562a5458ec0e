"""Defines the protocol between the engine and the models: a `Request` goes in, a `Reply` comes out, and transport
faults are exceptions.

A backend is any class with the methods of `Backend`. `pool._target_` in the config names a function that returns one:
`target(pool: dict, runtime: dict) -> Backend`, e.g. `gra.models.openai.backend.connect`.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self

_plain = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring


class _Shared:
    """Caches the JSON of objects that many requests share, such as the messages of all reviewers or a schema. Holds at
    most `size` objects.

    The cache recognises an object by its `id()`. This is safe because the cache keeps a reference to each object.
    """

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
    """Encode messages like `_plain`, but several times faster for the usual message with only a role and a content."""
    parts = [
        f'{{"content":{_quoted(m["content"])},"role":{_quoted(m["role"])}}}'
        if len(m) == 2 and "content" in m and "role" in m
        else _plain(dict(m))
        for m in messages
    ]
    return f"[{','.join(parts)}]"


def number_json(value: float) -> str:
    """Return a number as JSON, faster than the json module, which creates an encoder per call."""
    return repr(value) if type(value) in (int, float) and math.isfinite(value) else _plain(value)


messages_json = _Shared(_messages, 256)
schema_json = _Shared(_plain, 64)


@dataclass(frozen=True)
class Request:
    """A request for one chat completion. It contains everything that can change the reply and nothing else.

    `served`: a hash of the settings that can change the model's replies, such as its weights (`identity.served_as`). It
    tells models apart that have the same name.

    `schema`: JSON schema of the reply (None: free text). `seed`: makes repeated requests distinct and, on servers that
    support it, sampling repeatable. `choices`: possible answers, e.g. ("Yes", "No"). If they are given, the model
    writes only one token, and the reply has the probability that this token is the answer, for each answer.
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
        """The request as JSON in UTF-8, with sorted keys and no white space, so that equal requests give equal
        bytes."""
        # Empty choices are left out, so that requests without choices have the same keys as in older journals.
        choices = f'"choices":{_plain(list(self.choices))},' if self.choices else ""
        text = (
            f'{{{choices}"max_tokens":{number_json(self.max_tokens)},"messages":{messages_json(self.messages)},"model":{_quoted(self.model)},'
            f'"schema":{schema_json(self.schema)},"seed":{number_json(self.seed)},'
            f'"served":{_quoted(self.served)},"temperature":{number_json(self.temperature)},'
            f'"top_p":{number_json(self.top_p)}}}'
        )
        return text.encode()

    @cached_property
    def key(self) -> str:
        """The sha256 of `canonical`, under which the journal stores the reply. So a stored reply is reused only if
        nothing on which it depends has changed."""
        return hashlib.sha256(self.canonical).hexdigest()


@dataclass(frozen=True)
class Reply:
    """A model's reply. Token counts are None if the server did not report them; they are never estimated.

    `choices`: for each of `Request.choices`, the probability that it is the first token, before temperature and top_p.
    The probabilities are not normalised. None if no choices were requested, or if none of them is among the likely
    tokens that the server lists.

    `error` is set, and `text` is empty, if the server refuses this request permanently (HTTP 400: context too long,
    content filter). A retry would not help; the code that made the call decides what to do with its proposal.
    """

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    finish: str = "stop"  # "stop", "length", or another word from the server
    error: str | None = None
    choices: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do in addition to `chat`; by default nothing. Read once, after the backend is opened.

    For the engine:
    limit_calls  called once with the limit on calls in flight over all models. From then on the backend enforces the
                 limit. While a call waits for a retry or a server, other calls use its slot. None: the engine enforces
                 the limit
    per_model    limit on calls in flight per model. The engine enforces it before a call takes one of the shared slots.
                 Ignored if `limit_calls` is set
    queues       whether calls wait in the backend for a model's turn. If so, the engine limits the proposals in
                 progress, not the calls
    queued       seconds that an answered call waited in the backend
    drain        ends the waiting calls with `gra.errors.Interrupted`; calls in flight continue

    For the terminal, which calls these functions from another thread (None: not known):
    servers      the state of each server
    servers_out  the servers that get no calls now
    in_flight    calls in flight by model

    For run.json:
    account      facts about the backend to record for the run
    gpu_seconds  GPUs x seconds of serving, called once after the backend is closed; None: not known
    """

    limit_calls: Callable[[int], None] | None = None
    per_model: int | None = None
    queues: bool = False
    queued: Callable[[Request], float] = lambda _request: 0.0
    drain: Callable[[], None] = lambda: None
    servers: Callable[[], list[dict[str, Any]]] | None = None
    servers_out: Callable[[], list[str]] | None = None
    in_flight: Callable[[], dict[str, int]] | None = None
    account: Callable[[], dict[str, Any]] = dict
    gpu_seconds: Callable[[], float | None] = lambda: None


class Backend(Protocol):
    """Serves some models. It is an async context manager, and `chat` is called concurrently.

    `chat` raises `gra.errors.ServerError` when its retries are used up. Closing the backend cancels the calls in
    flight. A class that inherits from this one must define `models`, `simulated` and `chat`; everything else has a
    default.
    """

    models: tuple[str, ...]
    simulated: bool

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    async def chat(self, request: Request) -> Reply: ...
