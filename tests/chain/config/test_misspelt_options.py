"""A misspelt option of a config group is answered with those that it resembles, in subfolders and in lists too."""

from __future__ import annotations

import pytest

from gra.chain.config.overrides import check_overrides


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["experiment=sim/main_table", "+arms=[refned]"], "arms=refined"),
        (["experiment=sim/main_table", "+arms=refned"], "arms=refined"),
        (["experiment=sim/man_table"], "experiment=sim/main_table"),
        (["experiment=quikstart"], "experiment=quickstart"),
    ],
)
def test_the_right_name_is_proposed(words: list[str], near: str) -> None:
    (problem,) = check_overrides("chain", words, None)[0]
    assert problem.remedy.startswith(f"did you mean {near}?")
    assert "paper/" in problem.remedy or "arms" in near


def test_a_plus_before_a_key_that_is_there_is_named() -> None:
    words = ["experiment=quickstart", "+synthesis.tau=7"]
    (problem,) = check_overrides("chain", words, None)[0]
    assert problem.message == "`+` adds a key, but this one already exists"
    assert problem.remedy == "leave out the `+`: synthesis.tau=VALUE"
