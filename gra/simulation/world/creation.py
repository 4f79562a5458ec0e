"""Creation skills: write a line of n words with a given end (many lines are right), team names, rhymes, labels in a
given format."""

from __future__ import annotations

import random

from gra.simulation.world.skill import NUMBER, WORD, Rule, Skill, Values, unit_hash
from gra.simulation.world.vocabulary import ANIMALS, COLOURS, RHYMES, THINGS

_FAMILY = {word: number for number, family in enumerate(RHYMES) for word in family}
_SEPARATORS = {"dash": "-", "slash": "/", "plus": "+"}
_LINE_WORDS = ("the", "old", "quiet", "little", "bright", "deep", "silent", "golden", "cold", "new")


def _line(n: str, word: str, extra: int = 0) -> str | None:
    count = int(n) + extra
    if not 2 <= count <= 20:
        return None
    first = int(unit_hash("line", n, word) * len(_LINE_WORDS))
    return " ".join([_LINE_WORDS[(first + 3 * i) % len(_LINE_WORDS)] for i in range(count - 1)] + [word])


def _line_fits(values: Values, line: str, extra: int = 0) -> bool:
    words = line.split()
    return len(words) == int(values[0]) + extra and words[-1] == values[1]


def _draw_team(rng: random.Random) -> Values:
    words = [rng.choice(COLOURS), rng.choice(ANIMALS)]
    rng.shuffle(words)
    return words[0], words[1], rng.choice(("colour", "animal"))


def _team(a: str, b: str, first: str) -> str | None:
    colour, animal = (a, b) if a in COLOURS else (b, a)
    if colour not in COLOURS or animal not in ANIMALS:
        return None
    return f"{colour} {animal}" if first == "colour" else f"{animal} {colour}"


def _draw_rhyme(rng: random.Random) -> Values:
    family, other, third = rng.sample(RHYMES, 3)
    word, mate = rng.sample(family, 2)
    options = [mate, rng.choice(other), rng.choice(third)]
    rng.shuffle(options)
    return (word, *options)


def _rhyme(word: str, *options: str) -> str | None:
    fits = [option for option in options if word in _FAMILY and _FAMILY.get(option) == _FAMILY[word] and option != word]
    return fits[0] if len(fits) == 1 else None


def _draw_label(rng: random.Random) -> Values:
    a, b = rng.sample((*COLOURS, *ANIMALS), 2)
    return a, b, rng.choice(tuple(_SEPARATORS))


SKILLS = (
    Skill(
        name="line",
        domain="creation",
        fields={"n": NUMBER, "word": WORD},
        forms=(
            "Write a line of exactly {n} words that ends with the word {word}.",
            "Write {n} words as one line of verse ending in {word}.",
            "Make up a line with {n} words whose last word is {word}.",
            "Invent a title of exactly {n} words with {word} at the end.",
            "I need a verse line, {n} words long, closing on {word}.",
            "Compose one line: {n} words, last word {word}.",
        ),
        draw=lambda rng: (str(rng.randint(3, 8)), rng.choice((*THINGS, *ANIMALS))),
        solve=_line,
        rules={
            "one_word_more": Rule(
                lambda n, word: _line(n, word, 1), accepts=lambda values, line: _line_fits(values, line, 1)
            ),
            "one_word_less": Rule(
                lambda n, word: _line(n, word, -1), accepts=lambda values, line: _line_fits(values, line, -1)
            ),
        },
        topics=("line of verse", "word count", "given ending", "short poem"),
        summary="Write one line of {n} words that ends with {word}.",
        accepts=_line_fits,
    ),
    Skill(
        name="team",
        domain="creation",
        fields={"a": WORD, "b": WORD, "first": "colour|animal"},
        forms=(
            "Invent a team name from {a} and {b} with the {first} first.",
            "Create a club name of {a} and {b}: the {first} comes first.",
            "Make a name for a {item} from {a} and {b}, {first} first.",
            "Build a code name out of {a} and {b}. Put the {first} in front.",
            "{pal} wants a band name of {a} and {b} that starts with the {first}.",
            "Name a new inn by the {spot} after {a} and {b}; begin with the {first}.",
        ),
        draw=_draw_team,
        solve=_team,
        rules={
            "keeps_given_order": Rule(lambda a, b, _: f"{a} {b}"),
            "colour_always_first": Rule(lambda a, b, _: _team(a, b, "colour")),
        },
        topics=("team name", "invented name", "colour and animal", "naming"),
        summary="Invent a name from {a} and {b} with the {first} first.",
    ),
    Skill(
        name="rhyme",
        domain="creation",
        fields={"word": WORD, "a": WORD, "b": WORD, "c": WORD},
        forms=(
            "Finish a rhyme on {word} with one of {a}, {b}, {c}.",
            "Which word makes a rhyme with {word}: {a}, {b} or {c}?",
            "My verse ends in {word}. End the next line with {a}, {b} or {c} so that it rhymes.",
            "Write the rhyme word for {word}; choose from {a}, {b}, {c}.",
            "A song line closes on {word}. Pick its rhyme: {a}, {b}, {c}.",
            "Make {word} rhyme. Options: {a}, {b}, {c}.",
        ),
        draw=_draw_rhyme,
        solve=_rhyme,
        rules={
            "last_option": Rule(lambda _word, _a, _b, c: c),
            "shortest_option": Rule(lambda _word, a, b, c: min((a, b, c), key=len)),
        },
        topics=("rhyme", "end of a verse", "sound of words", "song line"),
        summary="Choose the word of {a}, {b}, {c} that rhymes with {word}.",
        same_as=lambda word, a, b, c: "|".join(("rhyme", word, *sorted((a, b, c)))),
    ),
    Skill(
        name="label",
        domain="creation",
        fields={"a": WORD, "b": WORD, "mark": "|".join(_SEPARATORS)},
        forms=(
            "Make a label from {a} and {b} with a {mark} between them.",
            "Create a tag out of {a} and {b}, joined by a {mark}.",
            "Design a file name: {a}, then a {mark}, then {b}.",
            "Write a label that joins {a} to {b} with a {mark}.",
            "{pal} wants one tag of {a} and {b} using a {mark}.",
            "For the {spot}, produce a badge text: {a} and {b} with a {mark} in the middle.",
        ),
        draw=_draw_label,
        solve=lambda a, b, mark: f"{a}{_SEPARATORS[mark]}{b}",
        rules={
            "always_dash": Rule(lambda a, b, _: f"{a}-{b}"),
            "swaps_parts": Rule(lambda a, b, mark: f"{b}{_SEPARATORS[mark]}{a}"),
        },
        topics=("label", "output format", "joined words", "separator mark"),
        summary="Join {a} and {b} into one label with a {mark}.",
    ),
)
