"""Asks a verifier model at an OpenAI-compatible server (`gra rescore --reading verified`), and keeps every reply in a store.

The committee's client (gra/models/openai/backend.py) makes the calls, retries them and limits the calls in flight. Each
reply is stored as it arrives, under the hash of model name, prompt and decoding. After a kill, the same command
therefore asks no question twice, even if the server has a new address.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, EvalError, Problem, ServerError
from gra.eval.inference.reply_store import Record, ReplyStore
from gra.eval.scoring import verifying
from gra.models.base import Request
from gra.models.openai.backend import OpenAIServer, client
from gra.models.openai.reply_text import answer_of
from gra.models.openai.settings import PoolSettings
from gra.models.pool import parsed
from gra.wellformed import printable

KIND = "verify"
_FLAGS = (
    ("pool.base_url", "--verifier-url"),
    ("pool.api_key_env", "--verifier-key-env"),
    ("pool.models", "--verifier-model"),
)
Progress = Callable[[int, int], None]  # (verdicts known, verdicts in total)


@dataclass(frozen=True)
class Verifier:
    """A verifier: a model at a server that judges replies.

    `key_env`: the NAME of the environment variable with the API key.
    `max_tokens`: the maximum number of tokens that the verifier writes for one reply: its reasoning, then its verdict.
    `concurrency`: the maximum number of calls in flight, which changes only the speed.
    """

    url: str
    model: str
    key_env: str = "OPENAI_API_KEY"
    max_tokens: int = 1024
    concurrency: int = 16

    def request(self, prompt: str) -> Request:
        """Return the request that sends `prompt` to the verifier, with greedy decoding."""
        return Request(self.model, ({"role": "user", "content": prompt},), 0.0, 1.0, self.max_tokens, 0)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of a verifier.

    `by_prompt`: the verdict on each prompt.
    `simulated`: whether a simulated model gave any of the verdicts.
    `sent`: the number of requests that this run sent.
    """

    by_prompt: dict[str, str]
    simulated: bool
    sent: int


def verify(
    verifier: Verifier, prompts: Iterable[tuple[str, str]], path: Path, progress: Progress = lambda _done, _total: None
) -> Verdicts:
    """Return the verifier's verdict on each prompt.

    Prompts with a stored reply in the file at `path` are not sent to the server. New replies are stored there as they
    arrive, so an error loses none of them.

    `prompts`: pairs (leaf task, prompt).

    Raises ConfigError for a URL or key that cannot be used, ServerError if the server cannot be used, and EvalError if
    the server refuses every prompt.
    """
    backend = _client(verifier)
    asked = {prompt: (leaf, verifier.request(prompt)) for leaf, prompt in prompts}
    with ReplyStore(path) as store:
        known = store.find(request.key for _, request in asked.values())
        due = {prompt: one for prompt, one in asked.items() if one[1].key not in known}
        progress(len(known), len(asked))
        refused: dict[str, str] = {}

        def keep(record: Record | None, request: Request, why: str) -> None:
            if record is None:
                refused[request.key] = why
            else:
                store.add([record])
                known[request.key] = record
            progress(len(known) + len(refused), len(asked))

        if due:
            try:
                asyncio.run(_ask(backend, iter(due.values()), verifier.concurrency, keep))
            except ServerError as error:
                raise ServerError(_in_flags(str(error))) from None
        if refused and len(refused) == len(asked):
            why = printable(next(iter(refused.values())))
            raise EvalError(
                f"verifier `{verifier.model}`: the server refused every question ({why})\n    -> check the model and its limits"
            )
    return Verdicts(
        {prompt: _verdict(known.get(request.key)) for prompt, (_, request) in asked.items()},
        any(json.loads(record.decoding).get("simulated") is True for record in known.values()),
        len(due),
    )


def _client(verifier: Verifier) -> OpenAIServer:
    """Return the client, not yet connected. Raises ConfigError with messages that name the command line's flags."""
    pool = {
        "_target_": "gra.models.openai.backend.connect",
        "models": [{"name": verifier.model}],
        "base_url": verifier.url,
        "api_key_env": verifier.key_env,
        "structured": "off",
    }
    try:
        return client(*parsed(PoolSettings, pool, {"per_model": verifier.concurrency}))
    except ConfigError as error:
        raise ConfigError(
            [Problem(_in_flags(one.key), _in_flags(one.message), _in_flags(one.remedy)) for one in error.problems]
        ) from None


async def _ask(
    backend: OpenAIServer,
    due: Iterator[tuple[str, Request]],
    concurrency: int,
    keep: Callable[[Record | None, Request, str], None],
) -> None:
    """Send the requests in `due`, `concurrency` at a time, and pass each reply or refusal to `keep`.

    If a call raises an exception, the other calls are cancelled, and the exception is raised here.
    """

    async def work() -> None:
        for leaf, request in due:
            reply = await backend.chat(request)
            if reply.error is not None:
                keep(None, request, reply.error)
                continue
            decoding = {"temperature": 0.0, "max_tokens": request.max_tokens, "simulated": backend.simulated}
            at_limit = reply.finish == "length"
            keep(Record(request.key, KIND, leaf, json.dumps(decoding), reply.text, False, at_limit), request, "")

    async with backend:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(work())
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None


def _verdict(record: Record | None) -> str:
    """Return the verdict in a stored reply; REFUSED if there is none, UNREADABLE for a truncated one."""
    if record is None:
        return verifying.REFUSED
    return verifying.UNREADABLE if record.at_limit else verifying.verdict(answer_of(str(record.reply)).text)


def _in_flags(words: Any) -> str:
    """Return a message of the client with the command line's flags in place of the pool's keys."""
    text = str(words).partition(" A committee without")[0]  # without the advice for pools of several models
    for key, flag in _FLAGS:
        text = text.replace(f"{key}=", f"{flag} ").replace(key, flag)
    return text
