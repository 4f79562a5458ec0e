"""Traits of a simulated pool: what is stated is what is measured, and without traits nothing changes."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import combinations, product

import pytest
import yaml
from pydantic import ValidationError

from gra.models.base import Request
from gra.paths import conf_dir
from gra.simulation import reviewing, writing
from gra.simulation.competence import errs
from gra.simulation.likeness import Likeness, measure, phi
from gra.simulation.models import SMALL, answer
from gra.simulation.profiles import DOMAIN_ORDER, error_share
from gra.simulation.traits import OWN_AGREEMENT, Traits
from gra.simulation.world import SKILLS, draw, parse, skills_of
from gra.synthesis.committee.records import DIMENSIONS
from gra.synthesis.prompts import render

WRONG = ("What is 17 + 25?", "The answer is 32.")


def measured(**traits: float) -> Likeness:
    return measure(Traits(**traits), 1250)


@pytest.fixture(scope="module")
def alike() -> Likeness:
    pool = yaml.safe_load((conf_dir() / "pool" / "simulated_alike.yaml").read_text())
    return measure(Traits.model_validate(pool["traits"]), 1250)


@pytest.mark.parametrize("stated", [OWN_AGREEMENT, 0.4, 0.8, 1.0])
def test_agreement_on_wrong_answers_is_what_is_stated(stated: float) -> None:
    assert measured(wrong_agreement=stated).wrong_agreement == pytest.approx(stated, abs=0.05)


@pytest.mark.parametrize("stated", [0.0, 0.4, 0.8, 1.0])
def test_correlation_of_what_models_do_not_know_is_what_is_stated(stated: float) -> None:
    """Over the questions of a domain; two that are not equally able cannot reach it, so they are held against what they can."""
    shared = Traits(error_correlation=stated).shared_difficulty
    off = []
    for domain, (one, other) in product(DOMAIN_ORDER, combinations(SMALL, 2)):
        p, q = sorted((error_share(one, domain), error_share(other, domain)))
        most = (p - p * q) / math.sqrt(p * (1 - p) * q * (1 - q))  # 1 if they are equally able
        found = phi(*([errs(model, f"{domain}{n}", domain, 0, shared) for n in range(700)] for model in (one, other)))
        assert found is not None
        off.append(found - stated * most)
    assert sum(off) / len(off) == pytest.approx(0, abs=0.02)
    assert max(map(abs, off)) < 0.15


def test_phi_of_answers_and_of_reviewers_follows_the_setting() -> None:
    low, middle, high = (measured(error_correlation=value) for value in (0.0, 0.4, 0.8))
    assert low.equal_phi is not None
    assert low.equal_phi < 0.1
    assert middle.equal_phi == pytest.approx(0.75 * 0.4, abs=0.08)
    assert low.error_phi < middle.error_phi < high.error_phi  # type: ignore[operator]
    assert low.review_phi < middle.review_phi < high.review_phi  # type: ignore[operator]
    assert high.wrong_answers == pytest.approx(low.wrong_answers, abs=0.04)  # how often they err stays


def test_the_pool_that_shares_mistakes_is_near_what_is_published(alike: Likeness) -> None:
    assert alike.wrong_agreement == pytest.approx(0.60, abs=0.05)  # Kim et al. 2025
    assert alike.review_std == pytest.approx(0.873, abs=0.04)  # the paper, E4
    assert alike.error_phi == pytest.approx(0.29, abs=0.05)  # conf/pool/simulated_alike.yaml
    assert alike.equal_phi == pytest.approx(0.35, abs=0.06)


def test_halo_moves_the_other_scores_and_never_correctness() -> None:
    def scores(halo: float) -> dict[str, float]:
        rng = random.Random(1)
        said = [reviewing.review("slm-a", *WRONG, 0, Traits(halo=halo, lazy=0.0), rng) for _ in range(400)]
        return {name: sum(one[name] for one in said) / len(said) for name in DIMENSIONS}

    none, half, full = (scores(halo) for halo in (0.0, 0.5, 1.0))
    assert none["correctness"] == half["correctness"] == full["correctness"]
    for name, lost in (("relevance", 4), ("coherence", 4), ("completeness", 5), ("clarity", 2)):
        assert none[name] - full[name] == pytest.approx(lost, abs=0.3)
        assert none[name] - half[name] == pytest.approx(lost / 2, abs=0.3)


def test_lazy_reviewers_and_lenient_ones() -> None:
    wrong = dict.fromkeys((0.0, 0.3, 0.9), 0)
    for lazy in wrong:
        rng = random.Random(2)
        wrong[lazy] = sum(reviewing.find("slm-a", *WRONG, 0, Traits(lazy=lazy), rng)[0] == "wrong" for _ in range(400))
    most = wrong[0.0]
    assert wrong[0.3] / most == pytest.approx(0.7, abs=0.08)
    assert wrong[0.9] / most == pytest.approx(0.1, abs=0.06)
    usual, kind = (
        reviewing.review("slm-d", *WRONG, 0, Traits(leniency=points), random.Random(3)) for points in (0.0, 2.0)
    )
    assert all(kind[name] - usual[name] == 2 or kind[name] == 10 for name in DIMENSIONS)


def test_breadth_is_a_share_of_skills_wordings_and_instances() -> None:
    every = {name: len(skills_of(name)) for name in DOMAIN_ORDER}
    for breadth in (0.5, 1.0):
        for domain, skills in every.items():
            assert len(writing.repertoire("slm-large", domain, breadth)) == -(-skills * breadth // 1)
        rng, forms = random.Random(4), Counter[int]()
        for _ in range(300):
            text = writing.instruction("slm-large", "mathematics", ["sum"], Traits(breadth=breadth), rng)
            if (found := parse(text)) is not None:
                forms[found.form] += 1
        assert len(forms) == 6 * breadth


def test_the_pool_widens_or_narrows_what_is_proposed() -> None:
    domain, model = "coding", "slm-large"
    own = writing.repertoire(model, domain, None)
    other = next(skill for skill in skills_of(domain) if skill not in own)
    shown = [list(other.topics), list(own[0].topics)]

    def share(traits: Traits, skill: object) -> float:
        rng = random.Random(5)
        words = [writing.keywords(model, domain, shown, traits, rng) for _ in range(500)]
        return sum(writing.skill_in(line) is skill for line in words) / len(words)

    assert share(Traits(), other) == 0
    assert share(Traits(takes_up=0.6), other) == pytest.approx(0.5 * 0.6 / 2, abs=0.05)
    assert share(Traits(follows_records=1.0), own[0]) == 1
    assert share(Traits(follows_records=0.0), own[0]) == pytest.approx(1 / len(own), abs=0.07)


def test_annotators_err_as_often_as_stated() -> None:
    rng, wrong = random.Random(6), 0
    for number in range(400):
        instance = draw(list(SKILLS.values())[number % len(SKILLS)], rng, range(6))
        assert instance is not None
        domain, words, summary = writing.annotation(instance.text, [], Traits(annotator_errors=0.25), rng)
        if writing.skill_in(words) is not instance.skill:
            wrong += 1
            assert summary != instance.summary
            assert writing.skill_in(words).domain == domain  # type: ignore[union-attr]
    assert wrong / 400 == pytest.approx(0.25, abs=0.06)


def test_temperature_0_repeats_itself_where_asked() -> None:
    messages = render("review", "classic", instruction="What is 17 + 25?", response="The answer is 42.")

    def replies(temperature: float, greedy: bool) -> int:
        asked = (Request("slm-c", messages, temperature, 0.9, 512, seed) for seed in range(20))
        return len({answer(one, 0, Traits(greedy_repeats=greedy)).text for one in asked})

    assert replies(0.0, True) == 1
    assert replies(0.7, True) > 5
    assert replies(0.0, False) > 5


def test_traits_that_make_no_sense_are_refused() -> None:
    for wrong in ({"halo": 1.2}, {"wrong_agreement": OWN_AGREEMENT - 0.1}, {"breadth": 0}, {"haloo": 1}):
        with pytest.raises(ValidationError):
            Traits.model_validate(wrong)


def test_pools_in_conf_have_valid_traits() -> None:
    for name in ("simulated_alike", "simulated_large_alike"):
        file = conf_dir() / "pool" / f"{name}.yaml"
        assert Traits.model_validate(yaml.safe_load(file.read_text())["traits"]) != Traits()
