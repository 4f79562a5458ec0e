"""A misspelt option of a config group is answered with those that it resembles, in subfolders and in lists too."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize("word", ["+arms=low_tua", "+arms=[no_review,low_tua]"])
def test_the_users_own_options_are_listed_and_proposed(word: str, tmp_path: Path) -> None:
    for name in ("low_tau", "mine/other"):
        path = tmp_path / "arms" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# @package experiment.arms.x\nlabel: X\n")
    (problem,) = check_overrides("chain", ["experiment=sim/main_table", word], str(tmp_path))[0]
    assert problem.message == "there is no arms/low_tua"
    assert problem.remedy.startswith("did you mean arms=low_tau? One of: base, ")
    assert ", mine/other, " in problem.remedy


def test_a_plus_before_a_key_that_is_there_is_named() -> None:
    words = ["experiment=quickstart", "+synthesis.tau=7"]
    (problem,) = check_overrides("chain", words, None)[0]
    assert problem.message == "`+` adds a key, but this one already exists"
    assert problem.remedy == "leave out the `+`: synthesis.tau=VALUE"
