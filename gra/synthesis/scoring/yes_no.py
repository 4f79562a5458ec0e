"""PURE: lists the Yes/No questions about a sample (`synthesis.scoring=probability`), and turns their scores into checks
of the instruction and reviews of the response.

If a reviewer is asked several questions (`synthesis.questions=dimensions`), its review counts only if every question
has a score. With `synthesis.questions=likelihood`, a reviewer is asked nothing about the response.
"""

from __future__ import annotations

from collections.abc import Sequence

from gra.synthesis.committee.records import Check, Outcome, Review
from gra.synthesis.scoring.examples import Examples
from gra.synthesis.scoring.probability import (
    Question,
    Questions,
    instruction_messages,
    likelihood,
    questions_of,
    response_messages,
)

Scored = tuple[float | None, str | None]  # the score, or None and the fault
SOUND = "sound"  # the only verdict on an instruction


def check_questions(draft: Outcome, examples: Examples, turns: Sequence[tuple[str, str]]) -> list[Question]:
    """Return the question whether the instruction can be carried out as written, once for each pair (role, model) in
    `turns`."""
    chat = instruction_messages(draft.instruction, examples)
    return [Question(role, model, chat) for role, model in turns]


def checks(models: Sequence[str], scored: Sequence[Scored], least: float) -> tuple[Check, ...]:
    """Return each model's verdict on the instruction. An instruction passes with a model if the model's score is at
    least as high as the threshold `least`. `scored`: for each of the `models`, a pair (score, fault)."""
    return tuple(
        Check(
            model,
            None if score is None else {SOUND: score >= least},
            "" if score is None else f"{score:g} of 10",
            fault,
        )
        for model, (score, fault) in zip(models, scored, strict=True)
    )


def review_questions(
    draft: Outcome, examples: Examples, turns: Sequence[tuple[str, str]], kind: Questions
) -> list[Question]:
    """Return the questions that reviewers are asked about the response of `draft`. `turns`: the pairs (role, model) of
    the reviewers. `kind`: one of three. Each reviewer is asked a single question ("overall"), or one question for each
    dimension ("dimensions"), or no question: then only the likelihood of the response is requested ("likelihood")."""
    if kind == "likelihood":
        chat, response = likelihood(draft.instruction, draft.response)
        return [Question(role, model, chat, response) for role, model in turns]
    chats = [response_messages(draft.instruction, draft.response, examples, name) for name in questions_of(kind)]
    return [Question(role, model, chat) for role, model in turns for chat in chats]


def reviews(models: Sequence[str], scored: Sequence[Scored], kind: Questions) -> tuple[Review, ...]:
    """Return one review for each of `models`. `scored`: a pair (score, fault) for each question. All questions of the
    first model come first, then those of the second model, and so on."""
    names = questions_of(kind)
    found = []
    for place, model in enumerate(models):
        own = dict(zip(names, scored[place * len(names) : (place + 1) * len(names)], strict=True))
        scores = {name: score for name, (score, _) in own.items() if score is not None}
        missing = next((fault for _, fault in own.values() if fault is not None), None)
        found.append(Review(model, scores if missing is None else None, missing=missing))
    return tuple(found)
