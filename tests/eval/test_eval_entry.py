"""What of a program the tests need (eval/scoring/entry.py)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.eval.scoring import code, entry, programs

PARTS = [
    "import math",
    "BASE = 1",
    "MEMO = {}",
    "def half(n):\n    return n // 2",
    "MEMO[0] = BASE",
    "def f(n):\n    return MEMO[0] + half(n) + math.floor(0.5)",
]
TRIALS = [
    "assert f(2) == 99",
    "print(f(1))",
    "n = int(input())",
    "for i in range(3):\n    print(f(i))",
    "found = half(7)",
    "assert half(2) == 7, 'no'",
]


@given(st.lists(st.tuples(st.sampled_from(TRIALS), st.integers(0, len(PARTS))), max_size=6))
def test_trials_anywhere_are_left_out_and_nothing_else_is(trials: list[tuple[str, int]]) -> None:
    told = list(PARTS)
    for trial, place in sorted(trials, key=lambda pair: -pair[1]):
        told.insert(place, trial)
    left = entry.without_trials("\n".join(told), "f")
    assert left == "\n".join(PARTS)
    space: dict[str, Any] = {}
    exec(left, space)  # our own text
    assert space["f"](8) == 5


@pytest.mark.parametrize(
    "program",
    [
        "CACHE = {}\ndef fill():\n    CACHE[1] = 2\nfill()\ndef f(n):\n    return CACHE[n]",  # fills what f reads
        "def g(n):\n    return n\nf = g",  # binds the name
        "import sys\nsys.setrecursionlimit(5000)\ndef f(n):\n    return n",
        "def make():\n    return 3\nSIZE = make()\ndef f(n):\n    return SIZE",
        "count = 0\ndef f(n):\n    global count\n    count += n\n    return count",
        "def f(n): return n; print(f(1))",  # one line
        "def f(n:\n",  # cannot be read
    ],
)
def test_what_a_function_needs_stays(program: str) -> None:
    assert entry.without_trials(program, "f") == program


def test_a_method_stands_for_the_function_only_where_nothing_else_does() -> None:
    wrapped = "class Solution:\n    def f(self, n):\n        return n"
    assert entry.with_method(wrapped, "f").endswith("f = Solution().f\n")
    assert entry.with_method(wrapped, "g") == wrapped
    needy = "class Solution:\n    def __init__(self, n):\n        self.n = n\n    def f(self):\n        return self.n"
    assert entry.with_method(needy, "f") == needy
    reply = "```python\ndef f(n):\n    return 1\n```\nor\n```python\n" + wrapped + "\n```"
    assert programs.program_of(reply, "f") == "def f(n):\n    return 1\n"


def test_the_strict_reading_runs_a_program_as_it_stands() -> None:
    told = ["def f(n):\n    return n", "assert f(1) == 2", "class Solution:\n    def f(self, n):\n        return n"]
    for text in (*told, *map("\n".join, pairwise(told))):
        assert code.code_of(f"```python\n{text}\n```", "f") == text
