"""Mathematics skills: addition, the larger or smaller of two numbers, even or odd."""

from __future__ import annotations

import random

from gra.simulation.world.skill import NUMBER, Rule, Skill, Values


def _draw_add(rng: random.Random) -> Values:
    return str(rng.randint(1, 29)), str(rng.randint(1, 9))


def _drops_carry(a: str, b: str) -> str:
    x, y = int(a), int(b)
    return str((x // 10 + y // 10) * 10 + (x % 10 + y % 10) % 10)


def _draw_compare(rng: random.Random) -> Values:
    a, b = rng.sample(range(1, 10), 2)
    return str(a), str(b), rng.choice(("larger", "smaller"))


def compare(a: str, b: str, which: str) -> str | None:
    """Return the larger of two numbers if `which` is "larger", else the smaller one. None if the numbers are equal."""
    if int(a) == int(b):
        return None
    return str(max(int(a), int(b)) if which == "larger" else min(int(a), int(b)))


SKILLS = (
    Skill(
        name="add",
        domain="mathematics",
        fields={"a": NUMBER, "b": NUMBER},
        forms=(
            "What is {a} + {b}?",
            "Add {a} and {b}.",
            "Work out the sum of {a} and {b}.",
            "{pal} has {a} coins and finds {b} more at the {spot}. How many coins is that?",
            "The {spot} has {a} windows and gets {b} new ones. How many windows are there now?",
            "A {item} costs {a} coins and a rope costs {b}. What do both cost together?",
        ),
        draw=_draw_add,
        solve=lambda a, b: str(int(a) + int(b)),
        rules={"drops_carry": Rule(_drops_carry), "off_by_one": Rule(lambda a, b: str(int(a) + int(b) + 1))},
        topics=("addition", "sum", "plus", "whole numbers", "counting up"),
        summary="Add two whole numbers, {a} and {b}, and state the sum.",
        same_as=lambda a, b: f"add|{min(int(a), int(b))}|{max(int(a), int(b))}",
    ),
    Skill(
        name="compare",
        domain="mathematics",
        fields={"a": NUMBER, "b": NUMBER, "which": "larger|smaller"},
        forms=(
            "Which number is {which}, {a} or {b}?",
            "Name the {which} of {a} and {b}.",
            "Look at {a} and {b}. Which one is {which}?",
            "At the {spot} two bags weigh {a} and {b} pounds. What is the {which} weight?",
            "{pal} rolls {a} and then {b}. State the {which} score.",
            "One {item} has the number {a}, another has {b}. Pick the {which} number.",
        ),
        draw=_draw_compare,
        solve=compare,
        rules={
            "first_named": Rule(lambda a, _b, _which: a),
            "ignores_which": Rule(lambda a, b, _: compare(a, b, "larger")),
        },
        topics=("comparison", "larger number", "smaller number", "size of numbers", "two scores"),
        summary="Compare the two numbers {a} and {b} and name the {which} one.",
        same_as=lambda a, b, which: f"compare|{min(int(a), int(b))}|{max(int(a), int(b))}|{which}",
    ),
    Skill(
        name="parity",
        domain="mathematics",
        fields={"n": NUMBER},
        forms=(
            "Is {n} even or odd?",
            "Say whether {n} is even or odd.",
            "Is the number {n} an even or an odd number?",
            "There are {n} chairs at the {spot}. Is that count even or odd?",
            "{pal} is {n} years old. Is that age even or odd?",
            "A {item} bears the number {n}. Is it even or odd?",
        ),
        draw=lambda rng: (str(rng.randint(10, 99)),),
        solve=lambda n: "odd" if int(n) % 2 else "even",
        rules={
            "first_digit": Rule(lambda n: "odd" if int(n[0]) % 2 else "even"),
            "zero_is_odd": Rule(lambda n: "odd" if int(n[-1]) % 2 or n[-1] in "06" else "even"),
        },
        topics=("parity", "even numbers", "odd numbers", "divisible by two"),
        summary="Decide whether the number {n} is even or odd.",
    ),
)
