"""Simulates reviewers and adjudicators: a model solves the question itself and scores a response by comparing it with
its own answer."""

from __future__ import annotations

import random
from typing import Any

from gra.simulation.competence import believe
from gra.simulation.profiles import PROFILES, Profile
from gra.simulation.traits import Traits
from gra.simulation.world import final_answer, looks_flawed, parse
from gra.synthesis.committee.records import DIMENSIONS

LONG_WORDS = 22  # longer responses count as rambling in this world

# Points per dimension (correctness, clarity, completeness, relevance, coherence, ethicality) by the reviewer's finding.
_POINTS: dict[str, tuple[int, ...]] = {
    "right": (10, 9, 9, 10, 9, 10),
    "wrong": (2, 7, 4, 6, 5, 9),
    "no answer": (1, 4, 1, 3, 4, 9),
    "unsure": (8, 8, 8, 8, 8, 10),
}
_WORDS = {
    "right": ("The final answer agrees with my own work.", "None of weight."),
    "wrong": ("The form is clear.", "The final answer differs from my own work: {own}."),
    "no answer": ("It is polite.", "It states no final answer."),
    "unsure": ("It reads well.", "I could not work out the answer myself."),
}


def check(model: str, instruction: str, rng: random.Random) -> dict[str, Any]:
    """Return a model's comment and its three verdicts on an instruction. The model's profile says how often the model
    notices a flaw, and how often it objects to a sound instruction."""
    profile = PROFILES[model]
    verdicts = {"reasonableness": True, "completeness": True, "clarity": True}
    comment = "Fine."
    if looks_flawed(instruction) is not None:
        if rng.random() < profile.notices:
            verdicts["completeness"] = False
            verdicts["reasonableness"] = rng.random() < 0.5
            comment = "Data that is needed to answer is missing or does not make sense."
    elif rng.random() < profile.false_alarm:
        verdicts[rng.choice(("reasonableness", "completeness", "clarity"))] = False
        comment = "It is not clear to me what is wanted."
    return {**verdicts, "comment": comment}


def find(
    model: str, instruction: str, response: str, world_seed: int, traits: Traits, rng: random.Random
) -> tuple[str, str]:
    """Return what a model thinks of a response, and the model's own answer to the instruction. The first value is
    "right", "wrong", "no answer" or "unsure". The second value is '' if the model did not solve the instruction."""
    lazy = rng.random() < (PROFILES[model].lazy if traits.lazy is None else traits.lazy)
    instance = parse(instruction)
    if final_answer(response) is None and (instance is not None or looks_flawed(instruction) is not None):
        return "no answer", ""
    if instance is None:
        return "unsure", ""
    if lazy:
        return "right", ""
    belief = believe(model, instance, world_seed, traits, rng)
    agrees = belief.agrees(instance, response)
    return ("unsure" if agrees is None else "right" if agrees else "wrong"), str(belief.answer)


def review(
    model: str, instruction: str, response: str, world_seed: int, traits: Traits, rng: random.Random
) -> dict[str, Any]:
    """Return the strengths and weaknesses of a response, and six scores."""
    found, own = find(model, instruction, response, world_seed, traits, rng)
    return _scored(PROFILES[model], found, own, response, traits, rng)


def adjudicate(
    model: str,
    instruction: str,
    response: str,
    corrects: list[int],
    world_seed: int,
    traits: Traits,
    rng: random.Random,
) -> dict[str, Any]:
    """Return an adjudicator's review of a response: its strengths and weaknesses, and six scores. Sometimes the model
    adopts the opinion of the majority of the reviewers instead of its own. `corrects`: the scores for correctness that
    the reviewers gave."""
    found, own = find(model, instruction, response, world_seed, traits, rng)
    if corrects and rng.random() < PROFILES[model].sway:
        found = "right" if sum(score >= 6 for score in corrects) * 2 > len(corrects) else "wrong"
    return _scored(PROFILES[model], found, own, response, traits, rng)


def approves(model: str, instruction: str, response: str, world_seed: int, traits: Traits, rng: random.Random) -> float:
    """Return the probability with which a model answers Yes to "is this answer right?". It is a tenth of the score from
    0 to 10 that the model would give for correctness in a review."""
    found, _ = find(model, instruction, response, world_seed, traits, rng)
    return _probability(PROFILES[model], _POINTS[found][0], traits, rng)


def finds_sound(model: str, instruction: str, traits: Traits, rng: random.Random) -> float:
    """Return the probability with which a model answers Yes to "can this task be done as written?". It is high if the
    model finds no flaw in the task (see `check`), and low otherwise."""
    sound = all(verdict for verdict in check(model, instruction, rng).values() if isinstance(verdict, bool))
    return _probability(PROFILES[model], _POINTS["right" if sound else "wrong"][0], traits, rng)


def _probability(profile: Profile, points: float, traits: Traits, rng: random.Random) -> float:
    """Points as a probability, between 0.01 and 0.99: no model is completely sure."""
    noisy = points + profile.offset + traits.leniency + rng.gauss(0, 0.3) + rng.gauss(0, profile.noise)
    return min(0.99, max(0.01, noisy / 10))


def _scored(
    profile: Profile, found: str, own: str, response: str, traits: Traits, rng: random.Random
) -> dict[str, Any]:
    long = len(response.split()) > LONG_WORDS
    mood = profile.offset + traits.leniency + rng.gauss(0, 0.3)
    scores = {}
    for dimension, base, best in zip(DIMENSIONS, _POINTS[found], _POINTS["right"], strict=True):
        fair = base if dimension == "correctness" else best - traits.halo * (best - base)
        points = fair + mood + rng.gauss(0, profile.noise)
        if long and dimension in ("clarity", "coherence", "relevance"):
            points += profile.likes_long
        scores[dimension] = min(10, max(0, round(points)))
    strengths, weaknesses = _WORDS[found]
    return {"strengths": strengths, "weaknesses": weaknesses.format(own=own or "another value"), **scores}
