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

    `seed`: a number that makes repeated requests different. A server that supports seeds also uses it for sampling, so
    that sampling is repeatable. `schema`: the JSON schema of the reply. None means free text. `served`: a hash of the
    settings that can change the model's replies, such as its weights (`identity.served_as`). It tells models with the
    same name apart.

    `choices`: possible answers, e.g. ("Yes", "No"). If they are given, the model writes only one token, and the reply
    has the probability of each answer.

    `forced`: a text that takes the place of the model's own reply. If it is not empty, the model writes nothing itself.
    Instead, `Reply.logprob` tells how likely the model finds the first `max_tokens` tokens of this text.
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
    forced: str = field(default="", repr=False)

    @cached_property
    def canonical(self) -> bytes:
        """The request as JSON in UTF-8, with sorted keys and no white space. Equal requests therefore give equal
        bytes."""
        # Empty choices and texts are left out, so that requests without them have the same keys as in older journals.
        choices = f'"choices":{_plain(list(self.choices))},' if self.choices else ""
        forced = f'"forced":{_quoted(self.forced)},' if self.forced else ""
        text = (
            f'{{{choices}{forced}"max_tokens":{number_json(self.max_tokens)},"messages":{messages_json(self.messages)},"model":{_quoted(self.model)},'
            f'"schema":{schema_json(self.schema)},"seed":{number_json(self.seed)},'
            f'"served":{_quoted(self.served)},"temperature":{number_json(self.temperature)},'
            f'"top_p":{number_json(self.top_p)}}}'
        )
        return text.encode()

    @cached_property
    def key(self) -> str:
        """The sha256 of the request's JSON text (`canonical`). The journal, the database of a run's replies, stores the
        reply under this key. Therefore a stored reply is reused only if nothing on which it depends has changed."""
        return hashlib.sha256(self.canonical).hexdigest()


@dataclass(frozen=True)
class Reply:
    """A model's reply. Token counts are None if the server did not report them. They are never estimated.

    `choices`: for each answer in `Request.choices`, the probability that the model's first token is this answer. The
    probabilities are those before temperature and top_p, and they need not add up to 1. None means that no choices were
    requested, or that none of them is among the likely tokens that the server lists.

    `logprob`: the mean natural log-probability per token of `Request.forced`. None means that no text was forced, or
    that the model's server cannot force one. If a text was forced, `tokens_out` counts the tokens of this text.

    `error`: why there is no answer to this request, e.g. because the context is too long (HTTP 400) or a content filter
    stopped it. In this case, `text` is empty, and a retry would not help. The code that sent the request decides what
    to do with the sample for which it was sent.
    """

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    finish: str = "stop"  # "stop", "length", or another word from the server
    error: str | None = None
    choices: Mapping[str, float] | None = None
    logprob: float | None = None


@dataclass(frozen=True)
class Capabilities:
    """The optional functions and properties of a backend, in addition to `chat`. By default, a backend has none. GRA
    reads them once, after it has opened the backend.

    The engine uses:
    limit_calls  a function whose argument is the limit on calls in flight over all models. The backend enforces this
                 limit itself, and does not count calls that wait for a retry or a server. If `limit_calls` is None, the
                 engine enforces the limit.
    per_model    the limit on calls in flight per model. The engine enforces it before a call counts towards the limit
                 over all models. It is ignored if `limit_calls` is set.
    queues       whether the backend loads its models one after the other, so that calls wait in the backend until their
                 model is loaded. If so, the engine limits the number of samples in progress, not the number of calls.
    queued       a function that returns the seconds that an answered call waited in the backend.
    drain        a function that makes the waiting calls raise `gra.errors.Interrupted`. Calls in flight continue.

    The terminal display calls these functions from another thread. If one is None, its information is not available.
    servers      returns the state of each server.
    servers_out  returns the servers that get no calls now.
    in_flight    returns the number of calls in flight, by model.

    run.json records the results of these functions:
    account      returns facts about the backend.
    gpu_seconds  returns the GPU-seconds of serving (GPUs times seconds), or None if unknown. It is called once, after
                 the backend is closed.
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
    """The protocol of a backend, which serves some models. A backend is an async context manager. Many calls of `chat`
    run at the same time.

    `chat` raises `gra.errors.ServerError` when its retries are used up. Closing the backend cancels the calls in
    flight. A class that inherits from this one must define `models`, `simulated` and `chat`. Everything else has a
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
