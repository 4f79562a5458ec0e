"""Reasoning skills: the next number of a sequence, boolean logic, an order of two people."""

from __future__ import annotations

import random

from gra.simulation.world.skill import NAME, NUMBER, Rule, Skill, Values
from gra.simulation.world.vocabulary import PEOPLE

_SYMBOLS = (("A", "B"), ("K", "M"), ("P", "Q"), ("X", "Y"))
_OPERATIONS = ("{0} and {1}", "{0} or {1}", "{0} and not {1}", "{0} or not {1}", "not {0} and {1}", "not {0} or {1}")
_EXPRESSION = r"(?:not )?[A-Z] (?:and|or) (?:not )?[A-Z]"
_ENDS = {"taller": "shorter", "older": "younger", "faster": "slower"}


def _draw_sequence(rng: random.Random) -> Values:
    step, start = rng.choice((1, 2, 5, 10)), rng.randint(1, 20)
    return tuple(str(start + step * i) for i in range(3))


def _next(a: str, b: str, c: str, extra: int = 0) -> str | None:
    first, second, third = int(a), int(b), int(c)
    step = second - first
    return str(third + step + extra) if step > 0 and third - second == step else None


def _draw_logic(rng: random.Random) -> Values:
    p, q = rng.choice(_SYMBOLS)
    return p, rng.choice(("true", "false")), q, rng.choice(("true", "false")), rng.choice(_OPERATIONS).format(p, q)


def _logic(p: str, p_is: str, q: str, q_is: str, expression: str, mistake: str = "") -> str | None:
    facts = {p: p_is == "true", q: q_is == "true"}
    left, operator, right = expression.partition(" and ") if " and " in expression else expression.partition(" or ")
    if p == q or {left[-1], right[-1]} != {p, q}:
        return None
    hears_not = mistake != "ignores_not"
    x = facts[left[-1]] != (hears_not and left.startswith("not "))
    y = facts[right[-1]] != (hears_not and right.startswith("not "))
    if operator == " and ":
        return str(x and y).lower()
    return str(x != y if mistake == "or_excludes_both" else x or y).lower()


def _draw_order(rng: random.Random) -> Values:
    relation = rng.choice(tuple(_ENDS))
    return (*rng.sample(PEOPLE, 2), relation, rng.choice((relation, _ENDS[relation])))


def _order(x: str, y: str, relation: str, ask: str) -> str | None:
    if x == y or ask not in (relation, _ENDS[relation]):
        return None
    return x if ask == relation else y


SKILLS = (
    Skill(
        name="sequence",
        domain="reasoning",
        fields={"a": NUMBER, "b": NUMBER, "c": NUMBER},
        forms=(
            "What number comes next: {a}, {b}, {c}?",
            "Continue the sequence {a}, {b}, {c} by one number.",
            "Find the next number after {a}, {b}, {c}.",
            "A lift at the {spot} stops at floors {a}, {b}, {c}. Which floor is next?",
            "{pal} counts {a}, {b}, {c}. Say the next number.",
            "On each {item} stands a number: {a}, {b}, {c}. Which number follows?",
        ),
        draw=_draw_sequence,
        solve=_next,
        rules={
            "one_too_far": Rule(lambda a, b, c: _next(a, b, c, 1)),
            "always_one_up": Rule(lambda _a, _b, c: str(int(c) + 1)),
        },
        topics=("number sequence", "pattern", "next number", "constant step"),
        summary="Continue the number sequence {a}, {b}, {c} by one.",
    ),
    Skill(
        name="logic",
        domain="reasoning",
        fields={"p": "[A-Z]", "p_is": "true|false", "q": "[A-Z]", "q_is": "true|false", "e": _EXPRESSION},
        forms=(
            "{p} is {p_is} and {q} is {q_is}. Is '{e}' true or false?",
            "Given {p} is {p_is}, {q} is {q_is}: is '{e}' true or false?",
            "Let {p} be {p_is} and {q} be {q_is}. What is the truth of '{e}'?",
            "At the {spot}, {p} is {p_is} and {q} is {q_is}. Does '{e}' hold, true or false?",
            "{pal} says that {p} is {p_is} and {q} is {q_is}. Is '{e}' true or false?",
            "In the riddle of the {item}, {p} is {p_is} and {q} is {q_is}. What is '{e}'?",
        ),
        draw=_draw_logic,
        solve=_logic,
        rules={
            "or_excludes_both": Rule(lambda p, p_is, q, q_is, e: _logic(p, p_is, q, q_is, e, "or_excludes_both")),
            "ignores_not": Rule(lambda p, p_is, q, q_is, e: _logic(p, p_is, q, q_is, e, "ignores_not")),
        },
        topics=("boolean logic", "truth value", "logical operators", "and or not"),
        summary="Find the truth value of '{e}' from two given truth values.",
    ),
    Skill(
        name="order",
        domain="reasoning",
        fields={"x": NAME, "y": NAME, "rel": "|".join(_ENDS), "ask": "|".join((*_ENDS, *_ENDS.values()))},
        forms=(
            "{x} is {rel} than {y}. Who is {ask}?",
            "We know that {x} is {rel} than {y}. Name the {ask} one.",
            "If {x} is {rel} than {y}, who is {ask}?",
            "Two friends meet at the {spot}: {x} is {rel} than {y}. Which of them is {ask}?",
            "Find the {ask} person, given that {x} is {rel} than {y}.",
            "In the tale of the {item}, {x} is {rel} than {y}. Tell me who is {ask}.",
        ),
        draw=_draw_order,
        solve=_order,
        rules={
            "ignores_question": Rule(lambda x, _y, _rel, _ask: x),
            "last_named": Rule(lambda _x, y, _rel, _ask: y),
        },
        topics=("ordering", "relation of two people", "comparing people", "deduction"),
        summary="Tell which of {x} and {y} is {ask} from one given relation.",
    ),
)
