"""Language skills: find the letter at a position, reverse the letters of a word, alphabetical order, opposites."""

from __future__ import annotations

import random

from gra.simulation.world.skill import WORD, Rule, Skill
from gra.simulation.world.vocabulary import FRUITS, LETTERS, OPPOSITES

_PLACES = {"first": 0, "middle": 1, "last": 2}
_THREE = r"[a-z] [a-z] [a-z]"
_OPPOSITE = {a: b for pair in OPPOSITES for a, b in (pair, pair[::-1])}
_ADJECTIVES = tuple(_OPPOSITE)


def _three(rng: random.Random) -> str:
    return " ".join(rng.sample(LETTERS, 3))


def _rearranged(order: tuple[int, ...]) -> Rule:
    return Rule(lambda letters: " ".join(letters.split()[i] for i in order))


def _alphabet(key: str) -> Rule:
    choose = {
        "last_letter": lambda *words: min(words, key=lambda w: (w[-1], w)),
        "shortest": lambda *words: min(words, key=lambda w: (len(w), words.index(w))),
    }[key]
    return Rule(choose)


def _neighbour(word: str) -> str | None:
    if word not in _OPPOSITE:
        return None
    return _ADJECTIVES[(_ADJECTIVES.index(word) + 3) % len(_ADJECTIVES)]


SKILLS = (
    Skill(
        name="letter",
        domain="language",
        fields={"place": "first|middle|last", "letters": _THREE},
        forms=(
            "What is the {place} letter in {letters}?",
            "Name the {place} letter of {letters}.",
            "Look at the letters {letters}. Which one is {place}?",
            "A {item} bears the letters {letters}. Give the {place} letter.",
            "From the letters {letters} pick the {place} one.",
            "On a wall of the {spot} stands {letters}. Which letter is {place}?",
        ),
        draw=lambda rng: (rng.choice(tuple(_PLACES)), _three(rng)),
        solve=lambda place, letters: letters.split()[_PLACES[place]],
        rules={
            "one_late": Rule(lambda place, letters: letters.split()[min(_PLACES[place] + 1, 2)]),
            "from_the_end": Rule(lambda place, letters: letters.split()[2 - _PLACES[place]]),
        },
        topics=("letters", "letter position", "spelling", "place in a word"),
        summary="Name the {place} letter of the spelled word {letters}.",
    ),
    Skill(
        name="reverse",
        domain="language",
        fields={"letters": _THREE},
        forms=(
            "Reverse the letters {letters}.",
            "Write {letters} backwards.",
            "Put the letters {letters} in reverse order.",
            "{pal} reads the letters {letters} from the end to the start. What is heard?",
            "How do the letters {letters} on a {item} look when turned around?",
            "A sign at the {spot} shows {letters}. Say it in backward order.",
        ),
        draw=lambda rng: (_three(rng),),
        solve=lambda letters: " ".join(letters.split()[::-1]),
        rules={"keeps_first": _rearranged((0, 2, 1)), "moves_first": _rearranged((1, 2, 0))},
        topics=("reversal", "backwards", "letter order", "turning around"),
        summary="Write the letters {letters} in reverse order.",
    ),
    Skill(
        name="alphabet",
        domain="language",
        fields={"a": WORD, "b": WORD, "c": WORD},
        forms=(
            "Which word comes first in the alphabet: {a}, {b} or {c}?",
            "Sort {a}, {b} and {c} by alphabet. Which is first?",
            "Of {a}, {b} and {c}, name the one first in a dictionary.",
            "A list at the {spot} holds {a}, {b}, {c}. Which word leads in alphabetical order?",
            "{pal} puts {a}, {b}, {c} in alphabetical order. Give the first word.",
            "Which of {a}, {b}, {c} would an index list first?",
        ),
        draw=lambda rng: tuple(rng.sample(FRUITS, 3)),
        solve=lambda a, b, c: min(a, b, c) if len({a, b, c}) == 3 else None,
        rules={"last_letter": _alphabet("last_letter"), "shortest": _alphabet("shortest")},
        topics=("alphabetical order", "sorting words", "dictionary", "first word"),
        summary="Sort {a}, {b} and {c} by alphabet and name the first.",
        same_as=lambda a, b, c: "|".join(("alphabet", *sorted((a, b, c)))),
    ),
    Skill(
        name="opposite",
        domain="language",
        fields={"word": WORD},
        forms=(
            "What is the opposite of {word}?",
            "Give the opposite of the word {word}.",
            "Which word means the opposite of {word}?",
            "Name a word with the reverse meaning of {word}.",
            "If it is not {word}, what is it? Give the opposite.",
            "Find the antonym of {word}.",
        ),
        draw=lambda rng: (rng.choice(_ADJECTIVES),),
        solve=_OPPOSITE.get,
        rules={"adds_un": Rule(lambda word: f"un{word}"), "wrong_pair": Rule(_neighbour)},
        topics=("opposites", "antonym", "word meaning", "adjectives"),
        summary="Give the word with the opposite meaning of {word}.",
        by_form=True,
    ),
)
