"""Suggestions for misspelt names: a slip of a letter first, then a name that contains the word, then a similar one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.spelling import near, remedy

KEYS = ["samples_per_round", "example_sets", "tau", "learning_rate", "max_len_warmup", "max_new_tokens"]


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("samples", KEYS, "samples_per_round"),
        ("synthesis.samples", [f"synthesis.{key}" for key in KEYS], "synthesis.samples_per_round"),
        ("--samples", ["--samples-per-round", "--ample"], "--samples-per-round"),
        ("rate", KEYS, "learning_rate"),
        ("sft.rate", ["sft.learning_rate", "sft.rat_e_s"], "sft.learning_rate"),
        ("samples", ["samples_per_round", "sample"], "sample"),  # one letter too many
        ("new_tokens", KEYS, "max_new_tokens"),
        ("main_table", ["sim/main_table", "main_tables_of_all"], "sim/main_table"),
        ("tua", KEYS, "tau"),
        ("exampel_sets", KEYS, "example_sets"),
    ],
)
def test_the_name_that_is_meant(word: str, known: list[str], meant: str) -> None:
    assert near(word, known, cutoff=0.6) == [meant]


def test_parts_of_words_other_sections_and_the_word_itself_are_no_parts() -> None:
    assert near("ample", ["samples_per_round_of_all"]) == []
    assert near("data.samples", ["synthesis_and_more.samples_per_round"]) == []
    assert near("sim", ["sim/main_table", "sim/data_analysis"]) == []
    assert near("samples", KEYS, most=3)[0] == "samples_per_round"
    assert remedy("zzz", KEYS, "none") == "none"
    assert remedy("samples", KEYS, "none") == "did you mean `samples_per_round`?"


@given(st.text(max_size=8), st.lists(st.text(max_size=8), max_size=5), st.integers(1, 3))
def test_any_words_give_known_ones_at_most_as_many_as_asked_for(word: str, known: list[str], most: int) -> None:
    found = near(word, known, most)
    assert set(found) <= set(known)
    assert len(found) == len(set(found)) <= most
