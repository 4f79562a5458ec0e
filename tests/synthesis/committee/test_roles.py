"""The policies that fill the roles of a sample."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gra.synthesis.committee.roles import POLICIES, assign, candidates, models_needed
from gra.synthesis.settings import SynthesisSettings

MODELS = ("a", "b", "c", "d", "e")


@given(st.sampled_from(sorted(POLICIES)), st.booleans(), st.booleans(), st.integers(1, 3), st.integers())
def test_each_role_is_filled_by_a_candidate(
    policy: str, review: bool, adjudicate: bool, reviewers: int, seed: int
) -> None:
    settings = SynthesisSettings(roles=policy, review=review, adjudicate=review and adjudicate, reviewers=reviewers)
    roles, may = assign(MODELS, settings, random.Random(seed)), candidates(MODELS, settings)
    assert roles.generator in may.generator
    assert roles.annotator in may.annotator
    assert set(roles.reviewers) <= set(may.reviewers)
    assert len(roles.reviewers) == (reviewers if review else 0)
    assert (roles.adjudicator is None) == (not may.adjudicator)
    filled = [roles.generator, *roles.reviewers, *([roles.adjudicator] if roles.adjudicator else [])]
    if POLICIES[policy].distinct:
        assert len(set(filled)) == len(filled) == models_needed(settings)
    assert roles == assign(MODELS, settings, random.Random(seed))


def test_one_generator_writes_everything_and_all_others_judge_equally_often() -> None:
    settings = SynthesisSettings(roles="one_generator", single_model="c", reviewers=1)
    drawn = [assign(MODELS, settings, random.Random(n)) for n in range(2000)]
    assert {roles.generator for roles in drawn} == {roles.annotator for roles in drawn} == {"c"}
    for model in "abde":
        assert 400 < sum(model in roles.reviewers for roles in drawn) < 600
        assert 400 < sum(model == roles.adjudicator for roles in drawn) < 600
