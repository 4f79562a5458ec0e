"""What answers: transformers in this process or several (hf.py), vLLM (offline_vllm.py), a server (server.py).

All are asked through `front.Front`, which renders every prompt with one tokenizer, and in batches that do not depend on what
is known already (batches.py). A backend loads its model when it is first asked: where all replies are kept, it never does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Kind = str  # lm-eval's request types: generate_until, loglikelihood, loglikelihood_rolling


@dataclass(frozen=True)
class Ask:
    """One request. `args` as lm-eval has them: (prompt, generation's keywords), (context, continuation) or (text,).

    `ids`: the tokens of the prompt, of context and continuation, or of the text; the last `scored` are the continuation's.
    `doc`: the place of the item in its task, for messages.
    """

    key: str
    task: str
    args: tuple[Any, ...]
    ids: tuple[int, ...] = ()
    scored: int = 0
    doc: int | None = None

    @property
    def task_name(self) -> str:
        """As lm-eval's Instance calls it: an Ask can be handed to its model classes."""
        return self.task

    @property
    def decoding(self) -> Mapping[str, Any]:
        """The keywords of a generation; else nothing."""
        return self.args[1] if len(self.args) > 1 and isinstance(self.args[1], Mapping) else {}


@dataclass(frozen=True)
class Reply:
    """A generated text. `at_limit`: it ended because it had as many tokens as it might have; None: the backend does not say."""

    text: str
    at_limit: bool | None = None


@dataclass(frozen=True)
class Refusal:
    """In place of a reply: what the server says to this one request, again and again. `passing`: it may lie in the server (5xx)."""

    words: str
    passing: bool


def continues(talk: Sequence[Mapping[str, str]]) -> bool:
    """Whether a talk ends in the beginning of the reply itself (lm-eval's gen_prefix), which the model is to go on from."""
    return bool(talk) and talk[-1]["role"] == "assistant"


Told = Callable[[Sequence[Ask], Sequence[Any]], None]


class Backend(Protocol):
    """Answers batches of one kind of request; `told` is called, in this thread, with each group of replies as it comes.

    A reply is a Reply, (log-likelihood, whether greedy decoding would say it), a log-likelihood, or a Refusal. Raises EvalError.
    """

    def cut(self, kind: Kind, asks: Sequence[Ask]) -> list[list[Ask]]:
        """All of `asks` in batches, the longest first: the same for the same asks in any order."""

    def answer(self, kind: Kind, batches: Sequence[Sequence[Ask]], told: Told) -> None:
        """Answer every ask of `batches`."""

    def close(self) -> None:
        """Let go of memory, processes and connections."""
