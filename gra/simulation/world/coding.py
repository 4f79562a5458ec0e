"""Coding skills: the output of a small Python expression (list index, remainder, length, comparison)."""

from __future__ import annotations

import random

from gra.simulation.world.skill import NUMBER, Rule, Skill

_LIST = r"[0-9](?:, [0-9]){0,4}"


def _ask(expression: str) -> tuple[str, ...]:
    """Six wordings around one expression."""
    return (
        f"What does `print({expression})` print?",
        f"Give the output of `print({expression})`.",
        f"A program runs `{{item}} = {expression}`. What is {{item}}?",
        f"What is the value of `{expression}` in Python?",
        f"In a script for the {{spot}}, {{pal}} reads `{expression}`. What is its value?",
        f"The function `{{item}}()` ends with `return {expression}`. What does it return?",
    )


def _digits(rng: random.Random, n: int) -> str:
    return ", ".join(map(str, rng.sample(range(1, 7), n)))


def _item(items: str, index: int) -> str | None:
    found = items.split(", ")
    return found[index] if index < len(found) else None


SKILLS = (
    Skill(
        name="code_index",
        domain="coding",
        fields={"items": _LIST, "i": "[0-9]"},
        forms=_ask("[{items}][{i}]"),
        draw=lambda rng: (_digits(rng, 3), str(rng.randint(0, 2))),
        solve=lambda items, i: _item(items, int(i)),
        rules={
            "counts_from_one": Rule(lambda items, i: _item(items, max(int(i) - 1, 0))),
            "last_item": Rule(lambda items, _: items[-1]),
        },
        topics=("list index", "python list", "zero-based position", "element access"),
        summary="Read one element of a Python list by its index {i}.",
    ),
    Skill(
        name="code_mod",
        domain="coding",
        fields={"a": NUMBER, "b": NUMBER},
        forms=_ask("{a} % {b}"),
        draw=lambda rng: (str(rng.randint(1, 60)), rng.choice(("2", "5", "10"))),
        solve=lambda a, b: str(int(a) % int(b)) if int(b) else None,
        rules={
            "floor_division": Rule(lambda a, b: str(int(a) // int(b)) if int(b) else None),
            "rounds_up": Rule(lambda a, b: str(-int(a) % int(b)) if int(b) else None),
        },
        topics=("modulo", "remainder", "percent operator", "integer division"),
        summary="Evaluate the remainder of {a} by {b} with the modulo operator.",
    ),
    Skill(
        name="code_len",
        domain="coding",
        fields={"items": _LIST, "k": NUMBER},
        forms=_ask("len([{items}]) + {k}"),
        draw=lambda rng: (_digits(rng, rng.randint(1, 4)), str(rng.randint(1, 3))),
        solve=lambda items, k: str(len(items.split(", ")) + int(k)),
        rules={
            "counts_commas": Rule(lambda items, k: str(items.count(",") + int(k))),
            "forgets_plus": Rule(lambda items, _: str(len(items.split(", ")))),
        },
        topics=("length of a list", "len function", "counting elements", "list size"),
        summary="Evaluate the length of a Python list plus {k}.",
    ),
    Skill(
        name="code_compare",
        domain="coding",
        fields={"a": NUMBER, "op": "<|>", "b": NUMBER},
        forms=_ask("{a} {op} {b}"),
        draw=lambda rng: (str(rng.randint(0, 9)), rng.choice("<>"), str(rng.randint(0, 9))),
        solve=lambda a, op, b: str(int(a) < int(b) if op == "<" else int(a) > int(b)),
        rules={
            "ignores_sign": Rule(lambda a, _op, b: str(int(a) < int(b))),
            "swaps_sides": Rule(lambda a, op, b: str(int(b) < int(a) if op == "<" else int(b) > int(a))),
        },
        topics=("comparison operator", "boolean expression", "true or false in code", "less than"),
        summary="Evaluate the Python comparison {a} {op} {b} to True or False.",
    ),
)
