"""Runs models: with transformers in one or several processes (hf.py), with vLLM (offline_vllm.py), or on a server (server.py).

All backends get their requests from `front.HarnessModel`, which renders every prompt with one tokenizer. The batches do
not depend on which replies are already stored (batches.py). A backend loads its model when it gets its first request.
If every reply is stored already, the backend gets no request and does not load the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Kind = str  # lm-eval's request types: generate_until, loglikelihood, loglikelihood_rolling


@dataclass(frozen=True)
class ModelRequest:
    """One request of lm-eval to the model.

    - `key`: the key under which the reply is stored
    - `task`: the leaf task: lm-eval's single task, not the group that contains it
    - `args`: lm-eval's arguments of the request: (prompt, generation keywords), (context, continuation) or (text,)
    - `ids`: the tokens of the prompt or text; for (context, continuation), the tokens of both, in this order
    - `scored`: how many tokens at the end of `ids` belong to the continuation
    - `doc`: the item's number in its task, for messages
    """

    key: str
    task: str
    args: tuple[Any, ...]
    ids: tuple[int, ...] = ()
    scored: int = 0
    doc: int | None = None

    @property
    def task_name(self) -> str:
        """Return the leaf task. lm-eval's model classes read the task of a request from the attribute `task_name`."""
        return self.task

    @property
    def decoding(self) -> Mapping[str, Any]:
        """Return the generation keywords; {} for a request for log-likelihoods."""
        return self.args[1] if len(self.args) > 1 and isinstance(self.args[1], Mapping) else {}


@dataclass(frozen=True)
class Reply:
    """A generated text.

    `at_limit`: whether the text was truncated at its token limit; None if the backend does not report this.
    """

    text: str
    at_limit: bool | None = None


@dataclass(frozen=True)
class Refusal:
    """Replaces the reply to a request that the server refused.

    `words`: the server's message; `passing`: whether the cause may be a temporary fault of the server. In that case,
    the request was retried before it counted as refused.
    """

    words: str
    passing: bool


def continues(conversation: Sequence[Mapping[str, str]]) -> bool:
    """Return whether a conversation ends with the start of a reply (lm-eval's gen_prefix), which the model has to continue."""
    return bool(conversation) and conversation[-1]["role"] == "assistant"


OnReplies = Callable[[Sequence[ModelRequest], Sequence[Any]], None]


class EvalBackend(Protocol):
    """Answers batches of requests of one kind. Its methods raise EvalError.

    The method `answer` calls `on_replies(requests, replies)`, in the calling thread, for each group of replies as it
    arrives.

    The reply to a generation request is a Reply. The reply to a request of the kind loglikelihood is a pair
    (log-likelihood, whether greedy decoding produces the text), and the reply to a request of the kind
    loglikelihood_rolling is a log-likelihood. A Refusal can take the place of any reply.
    """

    def cut(self, kind: Kind, requests: Sequence[ModelRequest]) -> list[list[ModelRequest]]:
        """Return all `requests` in batches, longest requests first.

        The batches do not depend on the order of `requests`.
        """

    def answer(self, kind: Kind, batches: Sequence[Sequence[ModelRequest]], on_replies: OnReplies) -> None:
        """Answer every request of `batches`."""

    def close(self) -> None:
        """Release memory, processes and connections."""
