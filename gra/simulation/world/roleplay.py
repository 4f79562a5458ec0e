"""Role-play skills: state a fact or a comparison as a character, who must begin with a certain word; answer questions
about a character's name, job or town."""

from __future__ import annotations

import random

from gra.simulation.world.mathematics import compare
from gra.simulation.world.skill import NAME, NUMBER, WORD, Rule, Skill, Values
from gra.simulation.world.vocabulary import CITIES, JOBS, KINDS, PEOPLE, PERSONAS, fact

_PERSONA, _OPENING = "|".join(PERSONAS), "|".join(PERSONAS.values())
_ASKS = ("name", "job", "town")


def _voice(rng: random.Random) -> tuple[str, str]:
    return rng.choice(tuple(PERSONAS.items()))


def _card(name: str, job: str, town: str, ask: str, shift: int = 0) -> str:
    return (name, job, town)[(_ASKS.index(ask) + shift) % 3]


def _draw_compare(rng: random.Random) -> Values:
    a, b = rng.sample(range(1, 10), 2)
    return (*_voice(rng), str(a), str(b), rng.choice(("larger", "smaller")))


SKILLS = (
    Skill(
        name="persona_fact",
        domain="role-play",
        fields={"who": _PERSONA, "opening": _OPENING, "kind": "|".join(KINDS), "city": NAME},
        forms=(
            'You are a {who}. Begin with "{opening}" and name the {kind} of {city}.',
            'Speak as a {who}, starting with "{opening}" What is the {kind} of {city}?',
            'Play a {who} who always begins with "{opening}" and tell me the {kind} of {city}.',
            'In the voice of a {who}, open with "{opening}" and say the {kind} of {city}.',
            'Be a {who}. Your first word is "{opening}" Which {kind} belongs to {city}?',
            'A traveller asks a {who} for the {kind} of {city}. Answer, beginning with "{opening}"',
        ),
        draw=lambda rng: (*_voice(rng), rng.choice(tuple(KINDS)), rng.choice(CITIES)),
        solve=lambda _who, _opening, kind, city: fact(kind, city),
        rules={
            "next_row": Rule(lambda _who, _opening, kind, city: fact(kind, city, 1)),
            "no_opening": Rule(lambda _who, _opening, kind, city: fact(kind, city), keeps_opening=False),
        },
        topics=("persona", "speaking in a voice", "fixed opening", "a fact in character"),
        summary="Speak as a {who}, opening with {opening} and name the {kind} of {city}.",
        opening=lambda _who, opening, *_: opening,
    ),
    Skill(
        name="card",
        domain="role-play",
        fields={"name": NAME, "job": WORD, "town": NAME, "ask": "|".join(_ASKS)},
        forms=(
            "You are {name}, a {job} from {town}. What is your {ask}?",
            "Play {name}, a {job} of {town}. Tell us your {ask}.",
            "Your role: {name}, {job}, {town}. State your {ask}.",
            "Act as the {job} {name} who lives in {town}. I ask for your {ask}.",
            "Be {name} from {town}, who works as a {job}. Say your {ask}.",
            "In this scene you are a {job} called {name} in {town}. What is your {ask}?",
        ),
        draw=lambda rng: (rng.choice(PEOPLE), rng.choice(JOBS), rng.choice(CITIES[:8]), rng.choice(_ASKS)),
        solve=_card,
        rules={
            "neighbour_entry": Rule(lambda name, job, town, ask: _card(name, job, town, ask, 1)),
            "says_name": Rule(lambda name, _job, _town, _ask: name),
        },
        topics=("character", "role card", "acting", "staying in role"),
        summary="Play {name}, a {job} from {town}, and state the {ask}.",
    ),
    Skill(
        name="persona_compare",
        domain="role-play",
        fields={"who": _PERSONA, "opening": _OPENING, "a": NUMBER, "b": NUMBER, "which": "larger|smaller"},
        forms=(
            'You are a {who}. Begin with "{opening}" and say which is {which}, {a} or {b}.',
            'Speak as a {who}, starting with "{opening}" Which is {which}: {a} or {b}?',
            'Play a {who} who always begins with "{opening}" and name the {which} of {a} and {b}.',
            'Be a {who} with a {item}, open with "{opening}" and pick the {which} of {a} and {b}.',
            'You are a {who} at the {spot}. Your first word is "{opening}" What is {which}, {a} or {b}?',
            '{pal} asks a {who} which of {a} and {b} is {which}. Answer, beginning with "{opening}"',
        ),
        draw=_draw_compare,
        solve=lambda _who, _opening, a, b, which: compare(a, b, which),
        rules={
            "ignores_which": Rule(lambda _who, _opening, a, b, _which: compare(a, b, "larger")),
            "no_opening": Rule(lambda _who, _opening, a, b, which: compare(a, b, which), keeps_opening=False),
        },
        topics=("voice acting", "numbers in character", "answer in a voice", "playing a figure"),
        summary="Speak as a {who}, opening with {opening} and name the {which} of {a} and {b}.",
        opening=lambda _who, opening, *_: opening,
        same_as=lambda _who, _opening, a, b, which: f"compare|{min(int(a), int(b))}|{max(int(a), int(b))}|{which}",
    ),
)
