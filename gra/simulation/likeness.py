"""Measures the effects of a simulated pool's traits, by comparing its models' answers and reviews with the true
answers.

    python -m gra.simulation.likeness error_correlation=0.4 wrong_agreement=0.6 lazy=0.4

All small models answer the same questions. For each question, one model's answer is reviewed by all other small models.
Everything is *simulated*.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, cycle, islice
from statistics import fmean

import numpy as np

from gra.simulation import reviewing
from gra.simulation.competence import Belief, believe
from gra.simulation.models import SMALL
from gra.simulation.profiles import error_share
from gra.simulation.traits import Traits, from_words
from gra.simulation.world import SKILLS, Instance, draw, say
from gra.synthesis.committee.records import DIMENSIONS

ALIKE = 0.06  # two models are about equally able in a domain if their error shares differ by at most this
LOOKS_RIGHT = 6  # a reviewer takes an answer for right if its score for correctness is at least this


@dataclass(frozen=True)
class Likeness:
    """What was measured of a simulated pool. A value is None if it could not be measured."""

    wrong_answers: float | None  # share of answers that are wrong
    wrong_agreement: float | None  # share of pairs of wrong answers to one question in which both answers are the same
    error_phi: float | None  # correlation of two models' errors in a domain; mean over pairs of models and domains
    equal_phi: float | None  # the same, only for pairs of models that are about equally able in the domain
    missed: float | None  # share of reviews of wrong answers in which the reviewer takes the answer for right
    review_phi: float | None  # correlation of two reviewers' errors on the same answers; mean over pairs of reviewers
    review_std: float | None  # share of answers for which three reviewers' mean scores have a std of at most 1.5
    halo: float | None  # correlation of a review's score for correctness with the mean of its other scores


def phi(first: Sequence[bool], second: Sequence[bool]) -> float | None:
    """Return the correlation of two series of booleans; None if one of them is constant."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(np.corrcoef(np.array(first, float), np.array(second, float))[0, 1])


def measure(traits: Traits, questions: int = 1500, world_seed: int = 0) -> Likeness:
    """Return how alike the errors of the small simulated models are, and how these models review. `traits`: settings
    that apply to all these models. `questions`: the largest number of questions of the simulated world that each model
    answers."""
    rng = random.Random(f"likeness/{world_seed}")
    drawn = [draw(skill, rng, range(6)) for skill in islice(cycle(SKILLS.values()), questions)]
    asked = [instance for instance in drawn if instance is not None and instance.skill.unique]
    beliefs = {model: [believe(model, one, world_seed, traits, rng) for one in asked] for model in SMALL}
    wrong = {m: [not _right(b, one) for b, one in zip(beliefs[m], asked, strict=True)] for m in SMALL}
    return Likeness(
        wrong_answers=_mean([float(no) for series in wrong.values() for no in series]),
        wrong_agreement=_agreement(beliefs, wrong),
        error_phi=_error_phi(asked, wrong, 1.0),
        equal_phi=_error_phi(asked, wrong, ALIKE),
        **_reviews(asked, beliefs, wrong, traits, world_seed, rng),
    )


def _right(belief: Belief, instance: Instance) -> bool:
    return instance.is_right(say(str(belief.answer), belief.opening))


def _agreement(beliefs: dict[str, list[Belief]], wrong: dict[str, list[bool]]) -> float | None:
    same = []
    for one, other in combinations(SMALL, 2):
        pairs = zip(beliefs[one], beliefs[other], wrong[one], wrong[other], strict=True)
        same += [a.answer == b.answer and a.opening == b.opening for a, b, no, nor in pairs if no and nor]
    return _mean([float(yes) for yes in same])


def _error_phi(asked: Sequence[Instance], wrong: dict[str, list[bool]], apart: float) -> float | None:
    found = []
    for domain in dict.fromkeys(one.skill.domain for one in asked):
        here = [place for place, one in enumerate(asked) if one.skill.domain == domain]
        for a, b in combinations(SMALL, 2):
            if abs(error_share(a, domain) - error_share(b, domain)) <= apart:
                found.append(phi([wrong[a][place] for place in here], [wrong[b][place] for place in here]))
    return _mean(value for value in found if value is not None)


def _reviews(
    asked: Sequence[Instance],
    beliefs: dict[str, list[Belief]],
    wrong: dict[str, list[bool]],
    traits: Traits,
    world_seed: int,
    rng: random.Random,
) -> dict[str, float | None]:
    """Return the measures of the reviews. For each question, the small models take turns as author, and the others
    review."""
    errors: dict[tuple[str, str], tuple[list[bool], list[bool]]] = {}
    missed, spread, correct, others = [], [], [], []
    for place, instance in enumerate(asked):
        author = SMALL[place % len(SMALL)]
        belief, is_wrong = beliefs[author][place], wrong[author][place]
        text = say(str(belief.answer), belief.opening)
        means: dict[str, float] = {}
        errs: dict[str, bool] = {}
        for model in [model for model in SMALL if model != author]:
            scores = reviewing.review(model, instance.text, text, world_seed, traits, rng)
            means[model] = fmean(scores[name] for name in DIMENSIONS)
            errs[model] = (scores["correctness"] >= LOOKS_RIGHT) == is_wrong
            correct.append(scores["correctness"])
            others.append(fmean(scores[name] for name in DIMENSIONS if name != "correctness"))
        if is_wrong:
            missed += [float(error) for error in errs.values()]
        spread.append(float(np.std(rng.sample(list(means.values()), 3)) <= 1.5))
        for pair in combinations(means, 2):
            both = errors.setdefault(pair, ([], []))
            for series, model in zip(both, pair, strict=True):
                series.append(errs[model])
    found = [phi(*both) for both in errors.values()]
    return {
        "missed": _mean(missed),
        "review_phi": _mean(value for value in found if value is not None),
        "review_std": _mean(spread),
        "halo": float(np.corrcoef(correct, others)[0, 1]) if len(set(correct)) > 1 and len(set(others)) > 1 else None,
    }


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return fmean(listed) if listed else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traits", nargs="*", metavar="KEY=VALUE", help=f"of: {', '.join(Traits.model_fields)}")
    parser.add_argument("--questions", type=int, default=1500)
    given = parser.parse_intermixed_args()
    try:
        traits = from_words(given.traits)
    except ValueError as error:
        parser.error(str(error))
    print("simulated")
    for name, value in asdict(measure(traits, given.questions)).items():
        print(f"{name:16} {'-' if value is None else f'{value:.3f}'}")


if __name__ == "__main__":
    main()
