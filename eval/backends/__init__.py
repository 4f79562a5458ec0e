"""Runs models: with transformers in one or several processes (hf.py), with vLLM (offline_vllm.py), or on a server (server.py).

All backends get their requests from `front.HarnessModel`, which renders every prompt with one tokenizer. The batches do not
depend on which replies are already stored (batches.py). A backend loads its model at its first request, so not at all if every
reply is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Kind = str  # lm-eval's request types: generate_until, loglikelihood, loglikelihood_rolling


@dataclass(frozen=True)
class ModelRequest:
    """One request. `args` is as in lm-eval: (prompt, generation keywords), (context, continuation) or (text,).

    `ids`: the tokens of the prompt, of context and continuation together, or of the text; the last `scored` tokens are the
    continuation. `doc`: the item's number in its task, for messages.
    """

    key: str
    task: str
    args: tuple[Any, ...]
    ids: tuple[int, ...] = ()
    scored: int = 0
    doc: int | None = None

    @property
    def task_name(self) -> str:
        """Return `task` under its name in lm-eval's Instance, so that lm-eval's model classes accept this object."""
        return self.task

    @property
    def decoding(self) -> Mapping[str, Any]:
        """Return the generation keywords; {} for other requests."""
        return self.args[1] if len(self.args) > 1 and isinstance(self.args[1], Mapping) else {}


@dataclass(frozen=True)
class Reply:
    """A generated text. `at_limit`: whether it was truncated at its token limit; None if the backend does not report it."""

    text: str
    at_limit: bool | None = None


@dataclass(frozen=True)
class Refusal:
    """Replaces the reply to a request that the server refused even after retries.

    `words`: the server's message; `passing`: the cause may be a temporary fault of the server, not the request.
    """

    words: str
    passing: bool


def continues(conversation: Sequence[Mapping[str, str]]) -> bool:
    """Return whether a conversation ends with the start of a reply (lm-eval's gen_prefix), which the model has to continue."""
    return bool(conversation) and conversation[-1]["role"] == "assistant"


OnReplies = Callable[[Sequence[ModelRequest], Sequence[Any]], None]


class EvalBackend(Protocol):
    """Answers batches of requests of one kind.

    `on_replies` is called in the calling thread with each group of replies as it arrives.

    A reply is a Reply, a pair (log-likelihood, whether greedy decoding produces the text), a log-likelihood, or a Refusal. Raises
    EvalError.
    """

    def cut(self, kind: Kind, requests: Sequence[ModelRequest]) -> list[list[ModelRequest]]:
        """Return all `requests` in batches, the longest first. The order of `requests` does not affect the result."""

    def answer(self, kind: Kind, batches: Sequence[Sequence[ModelRequest]], on_replies: OnReplies) -> None:
        """Answer every request of `batches`."""

    def close(self) -> None:
        """Release memory, processes and connections."""
