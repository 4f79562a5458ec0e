"""PURE: the questions of `synthesis.scoring=probability` that are due for a sample, and what their scores mean.

Of a review with several questions (`synthesis.questions=dimensions`) every score is needed: none is made out of those that came.
"""

from __future__ import annotations

from collections.abc import Sequence

from gra.synthesis.committee.examples import Examples
from gra.synthesis.committee.judging import Messages, Questions, instruction_messages, questions_of, response_messages
from gra.synthesis.records import Check, Outcome, Review

Question = tuple[str, str, Messages]  # role, model, chat
Scored = tuple[float | None, str | None]  # the score, or why there is none
SOUND = "sound"  # the one verdict on an instruction


def check_questions(draft: Outcome, examples: Examples) -> list[Question]:
    """One question to every reviewer: can the instruction be carried out as it stands?"""
    chat = instruction_messages(draft.instruction, examples)
    return [(f"reviewer-{i}", model, chat) for i, model in enumerate(draft.roles.reviewers, 1)]


def checks(draft: Outcome, scored: Sequence[Scored], least: float) -> tuple[Check, ...]:
    """The reviewers' verdicts; `least`: the score that an instruction needs from each."""
    return tuple(
        Check(model, None if score is None else {SOUND: score >= least}, "" if score is None else f"{score:g} of 10", fault)
        for model, (score, fault) in zip(draft.roles.reviewers, scored, strict=True)
    )


def review_questions(draft: Outcome, examples: Examples, turns: Sequence[tuple[str, str]], kind: Questions) -> list[Question]:
    """The questions about the response, for each (role, model) of `turns`."""
    chats = [response_messages(draft.instruction, draft.response, examples, name) for name in questions_of(kind)]
    return [(role, model, chat) for role, model in turns for chat in chats]


def reviews(models: Sequence[str], scored: Sequence[Scored], kind: Questions) -> tuple[Review, ...]:
    """What `models` say, from the scores of their questions in order."""
    names = questions_of(kind)
    found = []
    for place, model in enumerate(models):
        own = dict(zip(names, scored[place * len(names) : (place + 1) * len(names)], strict=True))
        scores = {name: score for name, (score, _) in own.items() if score is not None}
        missing = next((fault for _, fault in own.values() if fault is not None), None)
        found.append(Review(model, scores if missing is None else None, missing=missing))
    return tuple(found)
