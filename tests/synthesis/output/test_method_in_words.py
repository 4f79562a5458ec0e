"""The data card says who checked instructions and who reviewed responses."""

from __future__ import annotations

from typing import Any

import pytest

from gra.synthesis.output.folder import method_in_words
from gra.synthesis.settings import SynthesisSettings


@pytest.mark.parametrize(
    ("chosen", "parts"),
    [
        (
            {},
            [
                "drawn as generator, reviewers and adjudicator.",
                "the reviewers check the instruction, and the reviewers score the response;",
                "if they disagree, the adjudicator decides;",
            ],
        ),
        ({"adjudicate": False}, ["drawn as generator and reviewers."]),
        (
            {"review": False},
            ["a model of the pool is drawn as generator.", "the instruction is not checked, and the response is not"],
        ),
        (
            {"review": False, "checkers": ["a", "b"]},
            ["the instruction is checked by a and b, and the response is not reviewed; near-duplicates"],
        ),
    ],
)
def test_the_card_tells_what_was_done(chosen: dict[str, Any], parts: list[str]) -> None:
    text = method_in_words(SynthesisSettings.model_validate(chosen))
    assert all(part in text for part in parts)
    assert ("adjudicator" in text) == SynthesisSettings.model_validate(chosen).adjudicate & chosen.get("review", True)
