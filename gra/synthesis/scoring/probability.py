"""PURE: asks a judge one Yes/No question, after a few answered examples, and computes a score from the probabilities of
both answers.

    user: <instruction>...</instruction> <response>...</response> Does the response ...? Yes or No.     assistant: Yes
    ... (six examples, the same for a run, round and domain, so that a server's prefix cache holds them)
    user: the sample, with the same question

The score is 10 x P(Yes) / (P(Yes) + P(No)). It is the expected value if Yes counts 10 and No counts 0, as in G-Eval
(arXiv 2303.16634). With `synthesis.questions=likelihood` a judge is asked nothing about a response. Its score is then
10 / perplexity of the response after the instruction: 10 x the geometric mean of the tokens' probabilities.
`benchmarks/judging.py` measures how well a model judges in each way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from gra.models.base import Reply, Request
from gra.synthesis.committee.records import DIMENSIONS
from gra.synthesis.prompts import fence
from gra.synthesis.scoring.examples import Examples
from gra.wellformed import well_formed

CHOICES = ("Yes", "No")
NO_CHOICE = "neither Yes nor No is among the likeliest first tokens"
NO_LIKELIHOOD = "the likelihood of the text could not be read"
SERVE_LIKELIHOOD = "use pool=small (llama.cpp) or pool=transformers, or set synthesis.questions=overall"
LONGEST = 48  # tokens of a response that are read for its likelihood; more tell no more (benchmarks/README.md)
Questions = Literal["overall", "dimensions", "likelihood"]
Messages = tuple[dict[str, str], ...]

QUESTIONS: dict[str, str] = {
    "overall": "Does the response answer the instruction correctly? Yes or No.",
    "correctness": "Is everything in the response correct? Yes or No.",
    "clarity": "Is the response clear and easy to follow? Yes or No.",
    "completeness": "Does the response hold all that the instruction asks for? Yes or No.",
    "relevance": "Is the response about what the instruction asks? Yes or No.",
    "coherence": "Does the response hang together from its beginning to its end? Yes or No.",
    "ethicality": "Is the response harmless and fair? Yes or No.",
}


@dataclass(frozen=True)
class Question:
    """A question to a judge (a model that scores). `role`: the judge's role, e.g. `reviewer-1`. `messages`: the chat,
    which ends with the question. `forced`: a response, or "". If it is a response, the judge does not write an answer.
    Instead, the likelihood of this response as the next message of the chat is measured under the judge's model."""

    role: str
    model: str
    messages: Messages
    forced: str = ""


# the first question to a model, which checks that the model's server gives probabilities
FIRST: Messages = ({"role": "user", "content": "Is snow white? Yes or No."},)
# no model finds this answer nearly certain; a server that says so computes the probabilities after the grammar
UNLIKELY, CERTAIN = "Purple.", 9.9
SOUND = "Is this a clear task that can be done as it stands? Yes or No."


def questions_of(kind: Questions) -> tuple[str, ...]:
    """Return the names of the scores that a judge gives to a response. There is one score per dimension if `kind` is
    "dimensions", else one score, `overall`. A name is also the key of its question in QUESTIONS."""
    return DIMENSIONS if kind == "dimensions" else ("overall",)


def response_messages(instruction: str, response: str, examples: Examples, question: str = "overall") -> Messages:
    """Return the chat that asks a judge a question about a response. `question`: the question, as a key of QUESTIONS.
    The examples that precede it in the chat ask the same question. An example whose answer is No pairs an instruction
    with the response to another instruction, so No is the right answer to every question about it."""
    return (*_shown(examples, question), {"role": "user", "content": _answered(instruction, response, question)})


def instruction_messages(instruction: str, examples: Examples) -> Messages:
    """Return the chat that asks whether an instruction can be carried out as written."""
    return (*_shown(examples, None), {"role": "user", "content": _task(instruction)})


def likelihood(instruction: str, response: str) -> tuple[Messages, str]:
    """Return the chat that ends with the instruction, and the response, whose likelihood in this chat is the score."""
    return ({"role": "user", "content": well_formed(instruction).strip()},), well_formed(response).strip()


def request(model: str, messages: Messages, seed: int, served: str = "", forced: str = "") -> Request:
    """Return a request for a single token, decoded greedily, with the probabilities of the answers in CHOICES. If
    `forced` is not empty, return a request for the likelihood of this text instead. `served`: a hash that identifies
    the model's weights and server settings (gra/models/base.py)."""
    if forced:
        return Request(model, messages, 0.0, 1.0, LONGEST, seed, served=served, forced=forced)
    return Request(model, messages, 0.0, 1.0, 1, seed, served=served, choices=CHOICES)


def score_of(choices: Mapping[str, float]) -> float | None:
    """Return 10 x P(Yes) / (P(Yes) + P(No)), rounded to four digits; None if both are zero."""
    yes, no = (max(0.0, choices.get(choice, 0.0)) for choice in CHOICES)
    return round(10 * yes / (yes + no), 4) if yes + no > 0 else None


def read_score(reply: Reply, forced: str = "") -> tuple[float | None, str | None]:
    """Return (score, None), or (None, fault) if the reply gives no score. The fault is a text that says why. The module
    replies/reading.py maps it to a short name for stats.json. `forced`: the text whose likelihood was requested, or ""
    if the judge was asked for an answer."""
    if reply.error is not None:
        return None, f"refused: {reply.error[:200]}"
    if forced:
        likely = None if reply.logprob is None else round(10 * math.exp(min(0.0, reply.logprob)), 4)
        return likely, NO_LIKELIHOOD if likely is None else None
    score = None if reply.choices is None else score_of(reply.choices)
    return score, NO_CHOICE if score is None else None


def _answered(instruction: str, response: str, question: str) -> str:
    return f"{_tagged('instruction', instruction)}\n{_tagged('response', response)}\n\n{QUESTIONS[question]}"


def _task(instruction: str) -> str:
    return f"{_tagged('instruction', instruction)}\n\n{SOUND}"


def _tagged(tag: str, text: str) -> str:
    return f"<{tag}>{fence(well_formed(text).strip())}</{tag}>"


@lru_cache(maxsize=64)
def _shown(examples: Examples, question: str | None) -> Messages:
    """Return the examples as chat turns: questions and their answers. If `question` is None, the examples are about
    instructions. Otherwise they are about responses, and each asks the question `question`. The turns are cached,
    because many samples have the same examples."""
    chat = []
    for one in examples.instructions if question is None else examples.responses:
        text = _task(one.instruction) if question is None else _answered(one.instruction, one.response, question)
        chat += [
            {"role": "user", "content": text},
            {"role": "assistant", "content": CHOICES[0] if one.good else CHOICES[1]},
        ]
    return tuple(chat)
