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

    - `key`: the key under which the reply is stored.
    - `task`: the leaf task, which is a single task of lm-eval and never a group of tasks.
    - `args`: lm-eval's arguments of the request. They are (prompt, generation keywords), (context, continuation) or
      (text,).
    - `ids`: the tokens of the prompt or text. For (context, continuation), the tokens of the context come first.
    - `scored`: the number of tokens at the end of `ids` that belong to the continuation.
    - `doc`: the item's index among the evaluated items of the task (lm-eval's doc_id).
    """

    key: str
    task: str
    args: tuple[Any, ...]
    ids: tuple[int, ...] = ()
    scored: int = 0
    doc: int | None = None

    @property
    def task_name(self) -> str:
        """Return `task`. lm-eval's model classes read it under the name `task_name`."""
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
    """The server's refusal of a request. It takes the place of the reply.

    `words`: the server's message.
    `passing`: whether the cause may be a temporary fault of the server. If so, the request was retried before it
    counted as refused.
    """

    words: str
    passing: bool


def continues(conversation: Sequence[Mapping[str, str]]) -> bool:
    """Return whether the last message of a conversation is an unfinished reply that the model has to continue.

    lm-eval calls the text of this message gen_prefix.
    """
    return bool(conversation) and conversation[-1]["role"] == "assistant"


OnReplies = Callable[[Sequence[ModelRequest], Sequence[Any]], None]


class EvalBackend(Protocol):
    """The interface of an object that runs the model and answers batches of requests. Its methods raise EvalError.

    All requests of one call of a method are of the same kind. The method `answer` calls `on_replies(requests,
    replies)`, in the calling thread, for each group of replies as it arrives. The type of a reply depends on the
    request's kind:

    - generate_until: a Reply.
    - loglikelihood: a pair (log-likelihood, whether greedy decoding produces the text).
    - loglikelihood_rolling: a log-likelihood.

    If the server refused a request, a Refusal takes the place of its reply.
    """

    def cut(self, kind: Kind, requests: Sequence[ModelRequest]) -> list[list[ModelRequest]]:
        """Return all `requests` in batches, longest requests first.

        The batches do not depend on the order of `requests`.
        """

    def answer(self, kind: Kind, batches: Sequence[Sequence[ModelRequest]], on_replies: OnReplies) -> None:
        """Answer every request of `batches`."""

    def close(self) -> None:
        """Release memory, processes and connections."""
