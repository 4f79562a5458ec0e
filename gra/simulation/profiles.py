"""Profiles of the simulated models: one table with all numbers that describe how each model behaves. No number was
fitted to a result.

The numbers were set once, with these assumptions. A small instruct model answers about a quarter of easy checkable
questions wrongly; most models are better in some domains than in others. Mistakes are systematic: a model that follows
a wrong rule on a question does so both when it answers the question and when it reviews an answer. Two models can have
the same wrong rule (RULES), so a committee can accept a wrong answer. Small models are weak judges: in about a quarter
of reviews they trust the response instead of solving the question (`lazy`).

The large model errs about a third as often and has few formal faults. But it proposes few kinds of tasks, in few
wordings, and only half of the possible questions.

The traits of a pool (gra/simulation/traits.py) can make the mistakes of its models more alike, and can replace some of
these numbers for all its models.
"""

from __future__ import annotations

from dataclasses import dataclass

from gra.simulation.world import SKILLS, unit_hash


@dataclass(frozen=True)
class Profile:
    """How one simulated model behaves. Every float is a probability per request, unless a comment says otherwise."""

    # Knowledge. For each domain in DOMAIN_ORDER: share of its questions that the model answers by a wrong rule.
    errors: tuple[float, ...]
    slip: float  # a random wrong answer to a question that it knows
    # Proposals.
    skills: int  # number of skills per domain for which it writes tasks (chosen by a hash of its name and the skill's)
    forms: tuple[int, ...]  # wordings that it uses (seeds use 0 and 1)
    instances: float  # share of the instances that it can propose (by hash)
    flawed: float  # an instruction with missing, dangling or impossible data
    # Texts.
    preface: str
    refusal: float  # declines to answer
    ramble: float  # continues after the answer
    truncated: float  # stops before the answer
    # JSON.
    fenced: float
    prefixed: float
    sloppy: float  # trailing comma or missing bracket: repairable
    broken: float  # no JSON, or values that violate the schema: unusable
    # Reviews.
    offset: float  # points added to every dimension: harsh below 0, lenient above
    noise: float  # standard deviation of each dimension, in points
    lazy: float  # trusts the response instead of solving the question
    likes_long: float  # points added for a long response: -1 for most reviewers, above 0 for a biased one
    false_alarm: float  # fails a sound instruction
    notices: float  # notices that an instruction is flawed
    sway: float  # as adjudicator, follows the majority of the reviews instead of its own solution


DOMAIN_ORDER = ("coding", "mathematics", "question answering", "reasoning", "role-play", "language", "creation")
ALL_FORMS = (0, 1, 2, 3, 4, 5)

# fmt: off
PROFILES: dict[str, Profile] = {
    # good at code and numbers, dry, slightly harsh
    "slm-a": Profile(
        errors=(.16, .12, .38, .28, .42, .34, .42), slip=.03, skills=3, forms=(0, 1, 2, 3), instances=.8, flawed=.06,
        preface="", refusal=.01, ramble=.02, truncated=.01, fenced=.10, prefixed=.03, sloppy=.02, broken=.02,
        offset=-.2, noise=.6, lazy=.18, likes_long=-1., false_alarm=.03, notices=.90, sway=.2),
    # knows the facts and speaks well, weak at numbers, likes long answers
    "slm-b": Profile(
        errors=(.46, .40, .12, .40, .22, .18, .26), slip=.03, skills=3, forms=(0, 2, 3, 4), instances=.9, flawed=.08,
        preface="Sure. ", refusal=.02, ramble=.05, truncated=.01, fenced=.30, prefixed=.10, sloppy=.02, broken=.02,
        offset=.2, noise=.7, lazy=.28, likes_long=1., false_alarm=.03, notices=.80, sway=.4),
    # uniform, the broadest
    "slm-c": Profile(
        errors=(.28, .28, .28, .28, .28, .28, .28), slip=.03, skills=4, forms=ALL_FORMS, instances=1., flawed=.07,
        preface="", refusal=.02, ramble=.03, truncated=.02, fenced=.05, prefixed=.15, sloppy=.03, broken=.02,
        offset=0., noise=.8, lazy=.25, likes_long=-1., false_alarm=.04, notices=.85, sway=.3),
    # weak and lenient, careless with JSON
    "slm-d": Profile(
        errors=(.48, .48, .34, .48, .30, .36, .34), slip=.05, skills=4, forms=(1, 2, 4, 5), instances=1., flawed=.12,
        preface="Let me think. ", refusal=.02, ramble=.08, truncated=.03, fenced=.20, prefixed=.15, sloppy=.06, broken=.06,
        offset=.6, noise=1., lazy=.40, likes_long=0., false_alarm=.02, notices=.65, sway=.5),
    # good at reasoning and creation, harsh, refuses often
    "slm-e": Profile(
        errors=(.34, .34, .42, .16, .34, .26, .16), slip=.03, skills=3, forms=(1, 3, 4, 5), instances=.9, flawed=.06,
        preface="", refusal=.05, ramble=.02, truncated=.01, fenced=.05, prefixed=.05, sloppy=.02, broken=.03,
        offset=-.6, noise=.7, lazy=.15, likes_long=-1., false_alarm=.06, notices=.90, sway=.2),
    # the large one: more competent, less diverse
    "slm-large": Profile(
        errors=(.12, .10, .12, .12, .12, .10, .12), slip=.01, skills=2, forms=(0, 2, 4), instances=.50, flawed=.02,
        preface="", refusal=.01, ramble=.02, truncated=.0, fenced=.05, prefixed=.02, sloppy=.0, broken=.005,
        offset=0., noise=.5, lazy=.10, likes_long=0., false_alarm=.02, notices=.95, sway=.2),
}

# The wrong rule of each model, in the order slm-a..slm-e, slm-large: 0 and 1 are the skill's two rules, g is a guess (another
# instance's answer). A digit that two models share is a mistake on which they agree.
RULES = {
    "code_index": "g0011g", "code_mod": "10g01g", "code_len": "00g1g0", "code_compare": "101g00",
    "add": "g00g10", "compare": "1g010g", "parity": "101g0g",
    "kb_ruler": "0g1g0g", "kb_mineral": "g01g0g", "kb_river": "10gg0g", "kb_choice": "0g1g0g",
    "sequence": "0g1g01", "logic": "1001gg", "order": "0g01gg",
    "persona_fact": "1g00gg", "card": "0g1g01", "persona_compare": "1g00gg",
    "letter": "0g1g0g", "reverse": "01g01g", "alphabet": "0g10g1", "opposite": "1g0g1g",
    "line": "01g100", "team": "0g1g00", "rhyme": "1gg01g", "label": "g01g0g",
}
# fmt: on
_COLUMN = {name: column for column, name in enumerate(PROFILES)}


def rule_of(model: str, skill: str) -> str | None:
    """Return the name of the wrong rule that a model follows when it answers a question of a skill (kind of question)
    wrongly. Return None if the model guesses instead."""
    letter = RULES[skill][_COLUMN[model]]
    return None if letter == "g" else tuple(SKILLS[skill].rules)[int(letter)]


def common_rule_of(skill: str) -> str:
    """Return the name of the wrong rule that all models of a pool can share in a skill."""
    rules = tuple(SKILLS[skill].rules)
    return rules[int(unit_hash("common rule", skill) * len(rules))]


def error_share(model: str, domain: str) -> float:
    """Return the proportion of a domain's questions on which the model follows a wrong rule."""
    return PROFILES[model].errors[DOMAIN_ORDER.index(domain)]
