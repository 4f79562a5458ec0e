"""Runs models: transformers in this process or several (hf.py), vLLM (offline_vllm.py), a server (server.py).

All get their requests from `front.HarnessModel`, which renders every prompt with one tokenizer, in batches that do not depend on
the stored replies (batches.py). A backend loads its model at its first request; if all replies are stored, it never does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Kind = str  # lm-eval's request types: generate_until, loglikelihood, loglikelihood_rolling


@dataclass(frozen=True)
class ModelRequest:
    """One request. `args` as in lm-eval: (prompt, generation's keywords), (context, continuation) or (text,).

    `ids`: the tokens of the prompt, of context and continuation, or of the text; the last `scored` are the continuation's.
    `doc`: the number of the item in its task, for messages.
    """

    key: str
    task: str
    args: tuple[Any, ...]
    ids: tuple[int, ...] = ()
    scored: int = 0
    doc: int | None = None

    @property
    def task_name(self) -> str:
        """The task under its name in lm-eval's Instance, so that lm-eval's model classes accept this object."""
        return self.task

    @property
    def decoding(self) -> Mapping[str, Any]:
        """The keywords of a generation; empty for other requests."""
        return self.args[1] if len(self.args) > 1 and isinstance(self.args[1], Mapping) else {}


@dataclass(frozen=True)
class Reply:
    """A generated text. `at_limit`: it was truncated at its token limit; None: the backend does not report it."""

    text: str
    at_limit: bool | None = None


@dataclass(frozen=True)
class Refusal:
    """Takes the place of a reply that the server refuses, also after retries. `words`: the server's message; `passing`: the server
    may be at fault (5xx), not the request."""

    words: str
    passing: bool


def continues(conversation: Sequence[Mapping[str, str]]) -> bool:
    """Whether a conversation ends with the start of the reply (lm-eval's gen_prefix), which the model has to continue."""
    return bool(conversation) and conversation[-1]["role"] == "assistant"


OnReplies = Callable[[Sequence[ModelRequest], Sequence[Any]], None]


class EvalBackend(Protocol):
    """Answers batches of one kind of request; `on_replies` is called in this thread with each group of replies as it comes.

    A reply is a Reply, (log-likelihood, whether greedy decoding gives the text), a log-likelihood, or a Refusal. Raises EvalError.
    """

    def cut(self, kind: Kind, requests: Sequence[ModelRequest]) -> list[list[ModelRequest]]:
        """All `requests` in batches, the longest first. Their order in `requests` does not matter."""

    def answer(self, kind: Kind, batches: Sequence[Sequence[ModelRequest]], on_replies: OnReplies) -> None:
        """Answer every request of `batches`."""

    def close(self) -> None:
        """Release memory, processes and connections."""
